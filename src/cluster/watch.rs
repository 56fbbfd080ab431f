//! Objects of one kind: listed, then watched, and listed anew when the watch fails.
//!
//! Tenants choose what their objects contain. Each object is read for itself, so one that cannot be
//! read hides no other, and no object is quoted in an error or in the log. Lists are read in pages of
//! bounded length.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::client::Lines;
use super::{Client, Extent, ReadError, with_query};

/// The first pause after a failure; it doubles up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// How much later than it should a watch may end. One that broke off silently does not end.
const MARGIN: Duration = Duration::from_secs(5);
/// A watch that ends sooner, and has told nothing, is not asked for again at once.
const SHORTEST: Duration = Duration::from_secs(1);

/// What a watch saw.
#[derive(Debug)]
pub(crate) enum Seen<R> {
    /// these, and no others
    All(Vec<R>),
    /// a new or changed object
    Applied(R),
    /// an object that is gone
    Deleted(R),
    /// nothing from now on, until all are listed again
    Lost(Failure),
}

/// Why nothing can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// the API server does not serve this kind
    pub(crate) not_served: bool,
    /// what is wrong
    pub(crate) why: String,
}

impl Failure {
    fn not_served() -> Self {
        Self { not_served: true, why: "the cluster does not know this kind".to_owned() }
    }

    pub(crate) fn of(why: impl Into<String>) -> Self {
        Self { not_served: false, why: why.into() }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Refused { code: 404, .. } => Self::not_served(),
            ReadError::Refused { message, .. } => Self::of(message),
            other => Self::of(other.to_string()),
        }
    }
}

/// What is watched.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// the path of the list, with selectors in its query
    pub(crate) path: String,
    /// how much of each object is read
    pub(crate) extent: Extent,
    /// how long a watch lasts before it is renewed
    pub(crate) seconds: u32,
}

/// A watch for ever.
pub(crate) struct Watcher<R> {
    client: Client,
    watched: Watched,
    read: fn(&RawValue) -> Option<R>,
    share: fn(&mut R, &R),
    state: State,
    pause: Duration,
    /// since when nothing failed
    begun: Instant,
}

enum State {
    /// everything is to be listed, after this pause
    Listing(Duration),
    /// a watch is to be asked for
    Listed(String),
    Watching(Watch),
}

struct Watch {
    lines: Lines,
    version: String,
    began: Instant,
    told: bool,
}

/// A line of a watch.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// What is read of every object of a watch.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Versioned {
    metadata: Version,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Version {
    resource_version: String,
}

/// The object of an `ERROR`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
}

impl<R> Watcher<R> {
    /// A watch that has not begun. `read` makes something of an object; what it makes nothing of is
    /// left out.
    pub(crate) fn new(client: Client, watched: Watched, read: fn(&RawValue) -> Option<R>) -> Self {
        let state = State::Listing(Duration::ZERO);
        let (pause, begun) = (FIRST_PAUSE, Instant::now());
        Self { client, watched, read, share: |_, _| {}, state, pause, begun }
    }

    /// The same, with `share` for each object of a list and the one before, so that the list takes no more
    /// memory than what is made of it.
    pub(crate) fn sharing(self, share: fn(&mut R, &R)) -> Self {
        Self { share, ..self }
    }

    /// What is seen next.
    pub(crate) async fn next(&mut self) -> Seen<R> {
        loop {
            match self.step().await {
                Ok(Some(seen)) => return seen,
                Ok(None) => {}
                Err(why) => {
                    if self.begun.elapsed() > 6 * LAST_PAUSE {
                        self.pause = FIRST_PAUSE;
                    }
                    self.state = State::Listing(self.pause);
                    self.pause = (self.pause * 2).min(LAST_PAUSE);
                    return Seen::Lost(why);
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Seen<R>>, Failure> {
        match &mut self.state {
            State::Listing(pause) => {
                tokio::time::sleep(*pause).await;
                self.begun = Instant::now();
                let Watched { path, extent, .. } = &self.watched;
                let listed = self.client.list_raw(path, *extent, self.read, self.share).await?;
                let listed = listed.ok_or_else(Failure::not_served)?;
                if listed.version.is_empty() {
                    return Err(Failure::of("the list has no version from which to watch"));
                }
                self.state = State::Listed(listed.version);
                Ok(Some(Seen::All(listed.kept)))
            }
            State::Listed(version) => {
                let seconds = self.watched.seconds.to_string();
                let query = [
                    ("watch", "true"),
                    ("allowWatchBookmarks", "true"),
                    ("timeoutSeconds", &seconds),
                    ("resourceVersion", version),
                ];
                let path = with_query(&self.watched.path, query);
                let lines = self.client.lines(&path, self.watched.extent).await?;
                let version = std::mem::take(version);
                let began = Instant::now();
                self.state = State::Watching(Watch { lines, version, began, told: false });
                Ok(None)
            }
            State::Watching(watch) => {
                let patience = Duration::from_secs(self.watched.seconds.into()) + MARGIN;
                let line = tokio::time::timeout(patience, watch.lines.next()).await;
                // Nothing was heard for too long: the connection has died without a word.
                let line = line.unwrap_or(Ok(None)).map_err(Failure::of)?;
                let Some(line) = line else {
                    let short = !watch.told && watch.began.elapsed() < SHORTEST;
                    self.state = State::Listed(std::mem::take(&mut watch.version));
                    if short {
                        tokio::time::sleep(SHORTEST).await;
                    }
                    return Ok(None);
                };
                watch.told = true;
                let seen = event(&line, &mut watch.version, self.read)?;
                drop(line);
                Ok(seen)
            }
        }
    }
}

/// What a line of a watch says.
fn event<R>(
    line: &[u8],
    version: &mut String,
    read: fn(&RawValue) -> Option<R>,
) -> Result<Option<Seen<R>>, Failure> {
    // serde's own message would quote the line.
    let Ok(Line { kind, object }) = serde_json::from_slice(line) else {
        return Err(Failure::of("the watch told something that is no event"));
    };
    if kind == "ERROR" {
        let Status { message } = serde_json::from_str(object.get()).unwrap_or_default();
        return Err(Failure::of(message));
    }
    let Versioned { metadata } = serde_json::from_str(object.get()).unwrap_or_default();
    if metadata.resource_version.is_empty() {
        return Err(Failure::of("the watch told of an object without a version"));
    }
    *version = metadata.resource_version;
    Ok(match kind {
        "ADDED" | "MODIFIED" => read(object).map(Seen::Applied),
        "DELETED" => read(object).map(Seen::Deleted),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex, PoisonError};

    use hyper::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    type Answer = (u16, String);

    /// A watch at an API server that gives these answers in turn, and what it was asked for.
    fn played(answers: Vec<Answer>) -> (Watcher<String>, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (queries, answers) = (Arc::clone(&asked), Arc::new(Mutex::new(answers.into_iter())));
        let service = tower::service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            queries.lock().unwrap_or_else(PoisonError::into_inner).push(query);
            let next = answers.lock().unwrap_or_else(PoisonError::into_inner).next();
            async move {
                let Some((code, body)) = next else { return std::future::pending().await };
                let answer = Response::builder().status(code).body(Body::from(body.into_bytes()));
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        let client = Client::from(kube::Client::new(service, "default"));
        let target = Watched { path: "/lamps".to_owned(), extent: Extent::Whole, seconds: 30 };
        let read = |lamp: &RawValue| {
            let lamp: Value = serde_json::from_str(lamp.get()).unwrap();
            lamp["metadata"]["name"].as_str().map(str::to_owned)
        };
        (Watcher::new(client, target, read), asked)
    }

    fn lamp(name: &str, version: &str) -> Value {
        let time = "9999-12-31T23:59:59Z";
        json!({"metadata": {
            "name": name, "resourceVersion": version, "managedFields": [{"time": time}],
        }})
    }

    fn list(items: &[Value], version: &str) -> Answer {
        (200, json!({"metadata": {"resourceVersion": version}, "items": items}).to_string())
    }

    fn events(events: &[(&str, Value)]) -> Answer {
        let line = |(kind, object): &(&str, Value)| {
            json!({"type": kind, "object": object}).to_string() + "\n"
        };
        (200, events.iter().map(line).collect())
    }

    fn told(seen: Seen<String>) -> String {
        match seen {
            Seen::All(names) => format!("all {}", names.join(" ")),
            Seen::Applied(name) => format!("applied {name}"),
            Seen::Deleted(name) => format!("deleted {name}"),
            Seen::Lost(Failure { why, not_served: false }) => format!("lost: {why}"),
            Seen::Lost(Failure { .. }) => "not served".to_owned(),
        }
    }

    async fn follow(watcher: &mut Watcher<String>, count: usize) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(told(watcher.next().await));
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn objects_are_listed_and_then_watched_from_the_version_of_the_last_event() {
        let cut = r#"{"type": "ADDED", "object": {"metadata": {"na"#;
        let mut first = events(&[
            ("ADDED", lamp("b", "6")),
            ("MODIFIED", lamp("a", "7")),
            ("BOOKMARK", json!({"metadata": {"resourceVersion": "9"}})),
        ]);
        first.1.push_str(cut);
        let (mut watcher, asked) = played(vec![
            list(&[lamp("a", "3")], "5"),
            first,
            events(&[("DELETED", lamp("b", "12"))]),
        ]);
        let seen = follow(&mut watcher, 4).await;
        assert_eq!(seen, ["all a", "applied b", "applied a", "deleted b"]);
        let watch = "watch=true&allowWatchBookmarks=true&timeoutSeconds=30&resourceVersion=";
        let queries = ["limit=500".to_owned(), format!("{watch}5"), format!("{watch}9")];
        assert_eq!(*asked.lock().unwrap(), queries);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_listed_again_after_a_pause() {
        let gone = json!({"kind": "Status", "code": 410, "message": "too old"});
        let refused = (403, json!({"message": "no rights"}).to_string());
        let (mut watcher, _) = played(vec![
            list(&[lamp("a", "1")], "5"),
            events(&[("ERROR", gone)]),
            (404, "404 page not found".to_owned()),
            refused.clone(),
            list(&[], "9"),
            refused,
            list(&[lamp("c", "1")], "10"),
            (200, "<html>password</html>\n".to_owned()),
            (200, json!({"items": [], "metadata": {}}).to_string()),
        ]);
        let start = Instant::now();
        let seen = follow(&mut watcher, 9).await;
        assert_eq!(
            seen,
            [
                "all a",
                "lost: too old",
                "not served",
                "lost: no rights",
                "all ",
                "lost: no rights",
                "all c",
                "lost: the watch told something that is no event",
                "lost: the list has no version from which to watch",
            ]
        );
        assert!(start.elapsed() > Duration::from_secs(15), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_ends_at_once_is_not_asked_for_in_a_hurry() {
        let empty = || (200, String::new());
        let (mut watcher, _) =
            played(vec![list(&[], "5"), empty(), empty(), events(&[("ADDED", lamp("a", "6"))])]);
        let start = Instant::now();
        assert_eq!(follow(&mut watcher, 2).await, ["all ", "applied a"]);
        assert!(start.elapsed() >= 2 * SHORTEST);
    }
}
