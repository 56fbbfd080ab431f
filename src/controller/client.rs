//! How the driver reads and writes: reads are tried again; a write is sent once, and what became
//! of it is known, or said to be unknown.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use stateward_core::facts::FixedVolume;
use tokio::time::Instant;

use crate::cluster::{Answer, ApiError, Client, ClusterError};

/// The field manager of every write. Together with the controller's user it marks our own writes.
pub const FIELD_MANAGER: &str = "stateward";
/// How often a read is tried.
const READS: u32 = 4;

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// no answer, after several tries
    #[error("the API server cannot be asked for {path}: {why}")]
    Unreachable {
        /// what was asked for
        path: String,
        /// the last failure
        why: String,
    },
    /// an answer that says no
    #[error("{path}: the API server said {code}: {message}")]
    Refused {
        /// what was asked for
        path: String,
        /// the status code
        code: u16,
        /// its message
        message: String,
    },
    /// an answer that is not what it should be
    #[error("{path} cannot be read: {why}")]
    Decode {
        /// what was asked for
        path: String,
        /// what is wrong with it
        why: String,
    },
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// it was carried out; the object as answered
    Committed(Value),
    /// it was not carried out
    Rejected(Refusal),
    /// it may or may not have been carried out, and may still be: the text says what happened
    Unknown(String),
}

/// What the API server said no with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// the status code; 0 where the write was not sent, since the object had changed
    pub code: u16,
    /// the machine-readable reason, such as `Conflict`
    pub reason: String,
    /// its message
    pub message: String,
}

impl Refusal {
    /// The write was not sent: what it would replace is not there any more.
    pub(super) fn changed(message: impl Into<String>) -> Self {
        Self { code: 0, reason: "Changed".to_owned(), message: message.into() }
    }
}

impl Outcome {
    /// One word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Committed(_) => "committed",
            Self::Rejected(_) => "rejected",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The answer where it was carried out.
    pub fn committed(self) -> Option<Value> {
        match self {
            Self::Committed(value) => Some(value),
            _ => None,
        }
    }
}

/// How long requests may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// one try of a read
    pub read: Duration,
    /// a write: as long as the slowest webhook may take, and more
    pub write: Duration,
    /// the first pause between two tries of a read; it doubles
    pub pause: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(10),
            write: Duration::from_secs(40),
            pause: Duration::from_millis(100),
        }
    }
}

/// A cluster: the client, and the time by its clock.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    timeouts: Timeouts,
    clock: Arc<Mutex<Option<(Timestamp, Instant)>>>,
    /// why volumes cannot grow, by name: what a volume's source is never changes
    pub(super) volumes: Arc<Mutex<HashMap<String, Option<FixedVolume>>>>,
}

impl Cluster {
    /// Finds the cluster as kubectl does.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect(
        kubeconfig: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Self, ClusterError> {
        Ok(Self::new(Client::connect(kubeconfig, context).await?))
    }

    /// Over a client that does not repeat requests.
    pub fn new(client: impl Into<Client>) -> Self {
        Self {
            client: client.into(),
            timeouts: Timeouts::default(),
            clock: Arc::default(),
            volumes: Arc::default(),
        }
    }

    /// With other timeouts.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// The client, for watches.
    pub(crate) fn client(&self) -> kube::Client {
        self.client.kube()
    }

    /// The namespace that the kubeconfig names, or `default`.
    pub fn default_namespace(&self) -> String {
        self.client.kube().default_namespace().to_owned()
    }

    /// The time by the API server's clock, from the last answer on: ages of objects are judged by
    /// the clock that wrote their timestamps. Before any answer it is this machine's.
    pub fn now(&self) -> Timestamp {
        let clock = *self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        match clock {
            Some((then, since)) => SignedDuration::try_from(since.elapsed())
                .ok()
                .and_then(|elapsed| then.checked_add(elapsed).ok())
                .unwrap_or(then),
            None => Timestamp::now(),
        }
    }

    /// The object at `path`, or that there is none. Without a resourceVersion in the query this is
    /// a quorum read.
    ///
    /// # Errors
    /// No answer after several tries, or one that is neither the object nor 404.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, ReadError> {
        let mut pause = self.timeouts.pause;
        let mut tries = 0;
        loop {
            tries += 1;
            let why = match self.send(self.timeouts.read, Method::GET, path, "", None).await {
                Ok(answer) if answer.status == 429 || answer.status >= 500 => {
                    pause = pause.max(answer.retry_after.unwrap_or_default());
                    format!("it said {}: {}", answer.status, answer.message())
                }
                Ok(answer) => return read(&answer, path),
                Err(why) => why,
            };
            if tries == READS {
                return Err(ReadError::Unreachable { path: path.to_owned(), why });
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// The items of the list at `path`; a kind that is not served has none.
    ///
    /// # Errors
    /// As [`Cluster::get`].
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, ReadError> {
        let Some(mut list) = self.get(path).await? else { return Ok(Vec::new()) };
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(ReadError::Decode { path: path.to_owned(), why: "it has no items".into() }),
        }
    }

    /// Sends a write, once.
    pub async fn write(&self, method: Method, path: &str, content: &str, body: &Value) -> Outcome {
        let joint = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{joint}fieldManager={FIELD_MANAGER}");
        let body = body.to_string().into_bytes();
        match self.send(self.timeouts.write, method, &path, content, Some(body)).await {
            Err(why) => Outcome::Unknown(why),
            Ok(answer) if answer.status < 300 => match serde_json::from_slice(&answer.body) {
                Ok(value) => Outcome::Committed(value),
                Err(why) => Outcome::Unknown(format!("the answer cannot be read: {why}")),
            },
            // Admission comes before storage: a webhook that cannot be asked has stopped the write.
            Ok(answer) if answer.message().contains("failed calling webhook") => {
                Outcome::Rejected(refusal(&answer))
            }
            // Time-outs and failures of a server or a proxy say nothing about the write.
            Ok(answer) if answer.status >= 500 => {
                Outcome::Unknown(format!("{}: {}", answer.status, answer.message()))
            }
            Ok(answer) => Outcome::Rejected(refusal(&answer)),
        }
    }

    /// Sends one request; keeps the time of its answer, and says why there is none.
    async fn send(
        &self,
        timeout: Duration,
        method: Method,
        path: &str,
        content: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, String> {
        let sent = self.client.send_within(timeout, method, path, content, body).await;
        let answer = sent.map_err(|error| match error {
            ApiError::Unreachable(error) => chain(&error),
            other => other.to_string(),
        })?;
        if let Some(date) = answer.date {
            let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
            *clock = Some((date, Instant::now()));
        }
        Ok(answer)
    }
}

/// An error with its causes, since the outermost often says nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn read(answer: &Answer, path: &str) -> Result<Option<Value>, ReadError> {
    match answer.status {
        200 => serde_json::from_slice(&answer.body)
            .map(Some)
            .map_err(|why| ReadError::Decode { path: path.to_owned(), why: why.to_string() }),
        404 => Ok(None),
        code => Err(ReadError::Refused { path: path.to_owned(), code, message: answer.message() }),
    }
}

fn refusal(answer: &Answer) -> Refusal {
    let status: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let reason = status.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
    Refusal { code: answer.status, reason, message: answer.message() }
}
