//! Readiness, metrics and shutdown.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::StatusCode;
use jiff::{SignedDuration, Timestamp};
use stateward::certificates::{ServingCertificate, dev};
use stateward::health::Health;
use stateward::webhook::{Config, Server};
use tokio::net::TcpStream;

use crate::harness::{PATIENCE, Tester, post, soon, start, start_with, try_post, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_port_has_three_pages() {
    let server = start(|_| {}).await;
    assert_eq!(server.page("/livez").await, (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(server.page("/readyz?verbose").await, (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(server.page("/validate").await.0, StatusCode::NOT_FOUND);
    let mut connection =
        crate::harness::http(TcpStream::connect(server.health).await.unwrap()).await;
    assert_eq!(post(&mut connection, "/livez", "").await.status, StatusCode::METHOD_NOT_ALLOWED);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_policy_is_shown_and_leaves_the_server_ready() {
    let server = start(|_| {}).await;
    server.notes.set_policy_problem(Some("stateward.yaml:3:1: unknown\nkey".to_owned()));
    let (status, page) = server.page("/readyz").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        page,
        "ok\nthe policy file is invalid, the last valid one holds: stateward.yaml:3:1: unknown key\n"
    );
    server.notes.set_policy_problem(None);
    assert_eq!(server.page("/readyz").await.1, "ok\n");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_are_not_known_are_shown_and_leave_the_server_ready() {
    let server = start(|_| {}).await;
    let unknown = ["the Nodes: no\nright", "the Pods, which cannot be watched: cut"];
    server.notes.set_unknown_facts(unknown.map(str::to_owned).to_vec());
    let (status, page) = server.page("/readyz").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        page,
        "ok\nrules judge without the Nodes: no right\n\
         rules judge without the Pods, which cannot be watched: cut\n"
    );
    server.notes.set_unknown_facts(Vec::new());
    assert_eq!(server.page("/readyz").await.1, "ok\n");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_not_ready_until_it_is_replaced() {
    let own = tempfile::tempdir().unwrap();
    let folder = own.path().join("certs");
    dev::ensure(&folder, &[], "2020-01-01T00:00:00Z".parse().unwrap()).unwrap();
    let server = start_with(own, &folder, |_| {}).await;
    let (status, page) = server.page("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page, "not ready: the serving certificate expired at 2020-12-31T00:00:00Z\n");

    dev::ensure(&folder, &[], Timestamp::now()).unwrap();
    until(async || server.page("/readyz").await.0 == StatusCode::OK).await;
    // The old one expired in 2020, at 1.6 billion seconds.
    let expiry = "stateward_certificate_expiry_timestamp_seconds ";
    until(async || server.metric(expiry).await > 1_700_000_000.0).await;
    server.stop().await;
}

/// Endpoints are taken away some seconds after a server was found unready.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_ends_before_the_certificate_does() {
    let own = tempfile::tempdir().unwrap();
    let folder = own.path().join("certs");
    // Those for development are valid for a year.
    let made = Timestamp::now() - SignedDuration::from_hours(365 * 24);
    dev::ensure(&folder, &[], made + SignedDuration::from_secs(45)).unwrap();
    let server = start_with(own, &folder, |_| {}).await;
    let (status, page) = server.page("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.starts_with("not ready: the serving certificate expires at 20"), "{page}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_are_counted_by_closed_labels() {
    let server = start(|_| {}).await;
    let mut connection = server.connect().await;
    for body in ["{}", "{}", "deny", "panic"] {
        post(&mut connection, "/validate", body).await;
    }
    let (status, page) = server.page("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    let labels = "endpoint=\"validate\",operation=\"UPDATE\",kind=\"StatefulSet\"";
    for line in [
        &format!("stateward_reviews_total{{{labels},outcome=\"allowed\"}} 2"),
        &format!("stateward_reviews_total{{{labels},outcome=\"denied\"}} 1"),
        &format!("stateward_reviews_total{{{labels},outcome=\"error\"}} 1"),
        "stateward_rule_verdicts_total{rule=\"sts-service-name\",verdict=\"denied\"} 1",
        "stateward_review_duration_seconds_count{endpoint=\"validate\"} 4",
        "stateward_review_duration_seconds_bucket{le=\"+Inf\",endpoint=\"validate\"} 4",
        "stateward_review_panics_total 1",
        "stateward_review_deadline_misses_total 0",
        "stateward_shed_total{reason=\"reviews\"} 0",
        "stateward_policy_reloads_total{result=\"ok\"} 0",
        "stateward_connections 1",
        &format!("stateward_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    assert!(page.contains("stateward_review_duration_seconds_bucket{le=\"0.0001\""), "{page}");
    assert!(page.ends_with("# EOF\n"), "{page}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shutdown_serves_on_then_drains_then_ends() {
    let server = start(|_| {}).await;
    let mut busy = server.connect().await;
    let in_flight = tokio::spawn(async move { post(&mut busy, "/validate", "wait").await });
    until(async || server.metric("stateward_reviews_in_flight ").await > 0.5).await;
    let (mut kept, mut unused) = (server.connect().await, server.connect().await);
    assert!(!post(&mut kept, "/validate", "{}").await.closes);
    assert!(!post(&mut unused, "/validate", "{}").await.closes);

    server.shutdown.begin();
    let (status, page) = server.page("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page, "not ready: the server is shutting down\n");
    assert_eq!(server.page("/livez").await.0, StatusCode::OK);
    // Old and new connections are served, and asked to go.
    let reply = post(&mut kept, "/validate", "{}").await;
    assert_eq!((reply.status, reply.closes), (StatusCode::OK, true));
    assert!(try_post(&mut kept, "/validate", "{}").await.is_err());
    let reply = server.post("/mutate", "{}").await;
    assert_eq!((reply.status, reply.closes), (StatusCode::OK, true));

    server.shutdown.hurry();
    // Unused connections are closed at once and no new ones are taken.
    until(async || try_post(&mut unused, "/validate", "{}").await.is_err()).await;
    until(async || TcpStream::connect(server.address).await.is_err()).await;
    assert!(!server.run.is_finished());
    assert_eq!(server.page("/livez").await.0, StatusCode::OK);
    // What is in flight is answered.
    server.reviewer.gate.open();
    let reply = in_flight.await.unwrap();
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, "validate 4"));
    soon(server.run).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.health).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grace_period_ends_by_itself() {
    let server = start(|config| config.grace_period = Duration::from_millis(200)).await;
    server.shutdown.begin();
    assert!(server.post("/validate", "{}").await.closes);
    soon(server.run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_does_not_end_is_cut_off() {
    let server = start(|config| config.drain_timeout = Duration::from_millis(200)).await;
    let mut busy = server.connect().await;
    let in_flight = tokio::spawn(async move { try_post(&mut busy, "/validate", "wait").await });
    until(async || server.metric("stateward_reviews_in_flight ").await > 0.5).await;
    server.shutdown.hurry();
    soon(server.run).await.unwrap().unwrap();
    assert!(in_flight.await.unwrap().is_err());
    server.reviewer.gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_begin_the_shutdown_and_end_the_grace_period() {
    let server = start(|config| config.grace_period = 10 * PATIENCE).await;
    server.shutdown.on_signals().unwrap();
    let me = rustix::process::getpid();
    rustix::process::kill_process(me, rustix::process::Signal::TERM).unwrap();
    until(async || server.page("/readyz").await.0 == StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(server.post("/validate", "{}").await.closes);
    rustix::process::kill_process(me, rustix::process::Signal::INT).unwrap();
    soon(server.run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named() {
    let server = start(|_| {}).await;
    let certificate =
        ServingCertificate::load(&server.folder.join("tls.crt"), &server.folder.join("tls.key"));
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        health_listen: server.health,
        ..Default::default()
    };
    let error = Server::bind(
        config,
        Arc::new(Tester::default()),
        Arc::new(certificate.unwrap()),
        Arc::default(),
        Health::new(),
    )
    .await
    .unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {}", server.health));
    server.stop().await;
}

/// Where the log of this process goes while it is tested.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_a_line_per_denial_and_no_body() {
    let log = Log::default();
    let lines = log.clone();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || lines.clone())
        .init();
    let server = start(|_| {}).await;
    let mut connection = server.connect().await;
    for body in ["deny sesame", "bad sesame", "panic sesame", "sesame"] {
        post(&mut connection, "/validate", body).await;
    }
    server.stop().await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // Other tests of this process log as well, but none of them says this.
    assert!(!text.contains("sesame"), "{text}");
    let line = text.lines().find(|line| line.contains("\"message\":\"denied\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    for (key, value) in [
        ("level", "INFO"),
        ("rule", "sts-service-name"),
        ("object", "StatefulSet db"),
        ("namespace", "prod"),
        ("user", "dev"),
        ("field", "/spec/serviceName"),
        ("reason", "serviceName would change"),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    assert!(text.contains("\"message\":\"the review panicked\""), "{text}");
}
