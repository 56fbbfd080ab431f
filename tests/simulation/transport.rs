//! The way from a controller to the server: a service under the real client.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{ACCEPT, CONTENT_TYPE, DATE};
use hyper::{Request, Response};
use kube::client::Body;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use crate::faults::{Fate, Faults};
use crate::server::kinds::Route;
use crate::server::watch::{Cursor, Next, gone};
use crate::server::{Plain, Reply, Server};
use crate::trace::Trace;

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// One controller's connection.
#[derive(Clone)]
pub(crate) struct Line {
    pub server: Server,
    pub who: String,
    pub faults: Faults,
    pub trace: Trace,
    /// tells that the controller has ended
    pub crashed: Arc<Notify>,
}

/// How an exchange ends for the controller, whatever became of the request.
enum End {
    Answer,
    Cut,
    Gateway,
    Crash,
}

fn cut() -> io::Error {
    io::Error::other("the connection was cut")
}

impl Line {
    pub(crate) fn client(&self) -> kube::Client {
        let line = self.clone();
        let service = tower::service_fn(move |request| line.clone().answer(request));
        kube::Client::new(service, "default")
    }

    async fn answer(self, request: Request<Body>) -> Result<Answer, io::Error> {
        let (parts, body) = request.into_parts();
        let uri = parts.uri.path_and_query().map_or("", |path| path.as_str()).to_owned();
        let header = |name| {
            let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let route = Route::of(&uri);
        if let Some(route) = route
            && matches!(route.query.get("watch").map(String::as_str), Some("true" | "1"))
        {
            return self.watch(route, header(ACCEPT).contains("PartialObjectMetadata")).await;
        }
        let bytes = body.collect_bytes().await.map_err(io::Error::other)?;
        let method = ["GET", "POST", "PUT", "PATCH", "DELETE"]
            .into_iter()
            .find(|method| parts.method.as_str() == *method)
            .ok_or_else(cut)?;
        let request = Plain {
            who: self.who.clone(),
            method,
            uri,
            content: header(CONTENT_TYPE),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        };
        self.exchange(&request).await
    }

    async fn exchange(&self, request: &Plain) -> Result<Answer, io::Error> {
        let fate = self.faults.fate(request);
        self.trace.request(&self.server, request, &fate);
        if matches!(fate, Fate::CrashBefore) {
            return self.crash().await;
        }
        sleep(self.faults.latency()).await;
        let end = match fate {
            Fate::CutAfter => End::Cut,
            Fate::CrashAfter => End::Crash,
            Fate::Gateway { .. } => End::Gateway,
            _ => End::Answer,
        };
        let reply = match fate {
            Fate::CutBefore => return Err(cut()),
            Fate::Refused(reply) => reply,
            Fate::Gateway { committed: false } => timed_out(),
            Fate::Late(after) => {
                if request.is_write() {
                    let (server, request) = (self.server.clone(), request.clone());
                    let trace = self.trace.clone();
                    tokio::spawn(async move {
                        sleep(after).await;
                        let reply = server.handle(&request);
                        trace.reply(&server, &request, reply.code);
                    });
                }
                return std::future::pending().await;
            }
            Fate::Fine
            | Fate::CutAfter
            | Fate::Gateway { .. }
            | Fate::CrashAfter
            | Fate::CrashBefore => {
                let reply = self.server.handle(request);
                self.trace.reply(&self.server, request, reply.code);
                reply
            }
        };
        sleep(self.faults.latency()).await;
        match end {
            End::Cut => Err(cut()),
            End::Crash => self.crash().await,
            End::Gateway => Ok(self.response(&timed_out())),
            End::Answer => Ok(self.response(&reply)),
        }
    }

    /// The controller ends here.
    async fn crash(&self) -> Result<Answer, io::Error> {
        self.crashed.notify_one();
        std::future::pending().await
    }

    fn response(&self, reply: &Reply) -> Answer {
        let bytes = Bytes::from(serde_json::to_vec(&*reply.body).unwrap());
        let body = Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync();
        self.headers(Response::builder().status(reply.code)).body(body).unwrap()
    }

    fn headers(&self, builder: hyper::http::response::Builder) -> hyper::http::response::Builder {
        let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
        let date = printer.timestamp_to_rfc9110_string(&self.server.now()).unwrap();
        builder.header(DATE, date).header(CONTENT_TYPE, "application/json")
    }

    async fn watch(self, route: Route, metadata_only: bool) -> Result<Answer, io::Error> {
        if self.faults.weather().unreachable {
            return Err(cut());
        }
        sleep(self.faults.latency()).await;
        let seconds = route.query.get("timeoutSeconds").and_then(|text| text.parse().ok());
        let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(290));
        let cursor = self.server.cursor(route, metadata_only);
        let response = self.headers(Response::builder().status(200));
        let events =
            stream::unfold((self, cursor, until), |(line, mut cursor, until)| async move {
                let event = line.event(&mut cursor, until).await?;
                Some((event.map(|text| Frame::data(Bytes::from(text))), (line, cursor, until)))
            });
        Ok(response.body(StreamBody::new(events).boxed_unsync()).unwrap())
    }

    /// The next event of a watch; nothing where it ends.
    async fn event(&self, cursor: &mut Cursor, until: Instant) -> Option<io::Result<String>> {
        loop {
            while self.faults.weather().silent {
                sleep(Duration::from_millis(500)).await;
            }
            if self.faults.weather().unreachable {
                return Some(Err(cut()));
            }
            let changed = self.server.changed();
            match self.server.next_event(cursor) {
                Next::Event(text) => {
                    sleep(self.faults.latency()).await;
                    return match self.faults.watch_breaks() {
                        None => Some(Ok(text)),
                        Some(true) => Some(Ok(gone())),
                        Some(false) => None,
                    };
                }
                Next::Nothing => timeout_at(until, changed).await.ok()?,
            }
        }
    }
}

fn timed_out() -> Reply {
    Reply::refused(
        504,
        "Timeout",
        "the server was unable to return a response in the time allotted",
    )
}
