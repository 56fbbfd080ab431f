//! The two pages of the dashboard, and who may read them.
//!
//! Any page that a browser shows can send requests to loopback. It cannot read the answers of another
//! origin, unless its own name is made to resolve to loopback (DNS rebinding). Then the Host header still has
//! that name.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use stateward_check::audit::live_page;
use tokio::sync::{mpsc, oneshot};

use super::Ask;

/// The page has its own policy; this holds for whatever shows it.
const POLICY: &str = "frame-ancestors 'none'";

/// What a browser says of the site that asks: the page itself, or nobody but its user.
const OWN_SITES: [&str; 2] = ["same-origin", "none"];
/// No browser asks more often.
const LEAST: Duration = Duration::from_secs(1);
/// No browser can wait longer than 24 days.
const MOST: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn router(asks: mpsc::Sender<Ask>, interval: Duration) -> Router {
    let every = interval.clamp(LEAST, MOST).as_millis();
    let page = live_page(u64::try_from(every).unwrap_or(u64::MAX));
    let page = async move || ([(CONTENT_TYPE, "text/html; charset=utf-8")], page.clone());
    Router::new()
        .route("/", get(page))
        .route("/audit.json", get(audit))
        .method_not_allowed_fallback(async || {
            (StatusCode::METHOD_NOT_ALLOWED, "the dashboard answers only GET\n")
        })
        .fallback(async || (StatusCode::NOT_FOUND, "the dashboard has only / and /audit.json\n"))
        .layer(from_fn(guard))
        .with_state(asks)
}

async fn audit(State(asks): State<mpsc::Sender<Ask>>) -> Response {
    let (ask, audited) = oneshot::channel();
    // If nobody answers, the dashboard is being closed.
    let _ = asks.send(ask).await;
    let audited = audited.await.unwrap_or_else(|_| Err("the dashboard is being closed".to_owned()));
    match audited {
        Ok(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn guard(request: Request, next: Next) -> Response {
    let mut response = match refusal(&request) {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    };
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Why nothing is answered to this request.
fn refusal(request: &Request) -> Option<&'static str> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if !header(HOST.as_str()).is_some_and(is_this_machine) {
        return Some("the dashboard answers only to localhost, 127.0.0.1 and [::1]\n");
    }
    // Another site could not read the answer, but each question reads the whole cluster.
    let foreign = header("sec-fetch-site").is_some_and(|site| !OWN_SITES.contains(&site));
    foreign.then_some("another site asks\n")
}

/// Whether a Host header names loopback, with any port: it may be forwarded.
fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    !host.contains('@')
        && (name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_loopback_are_this_machine() {
        for own in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:80", "[::1]"]
        {
            assert!(is_this_machine(own), "{own}");
        }
        for other in [
            "",
            "evil.example",
            "localhost.evil.example:80",
            "10.0.0.1",
            "0.0.0.0",
            "[::]:80",
            "localhost@evil.example",
            "evil.example@localhost",
            "127.0.0.1.evil.example",
            "a b",
        ] {
            assert!(!is_this_machine(other), "{other}");
        }
    }
}
