//! The one way to the API server. Reads are tried again; a write is sent once, and what became of
//! it is known, or said to be unknown.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::{ACCEPT, CONTENT_TYPE, DATE, RETRY_AFTER};
use hyper::{Method, Request, Uri};
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use tokio::time::Instant;

/// The field manager of every write. Together with the controller's user it marks our own writes.
pub const FIELD_MANAGER: &str = "stateward";
/// How often a read is tried.
const READS: u32 = 4;

/// Why there is no way to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// the kubeconfig file cannot be used
    #[error("kubeconfig{0}")]
    Kubeconfig(String, #[source] Box<kube::config::KubeconfigError>),
    /// neither a kubeconfig nor a service account was found
    #[error("no cluster is known: there is neither a kubeconfig nor a service account")]
    Infer(#[source] Box<kube::config::InferConfigError>),
    /// certificates or credentials cannot be used
    #[error("the credentials for the API server cannot be used")]
    Credentials(#[source] Box<kube::Error>),
}

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
    pub(super) volumes: Arc<Mutex<HashMap<String, Option<String>>>>,
}

impl Cluster {
    /// Finds the cluster as kubectl does: a file, `KUBECONFIG`, the home folder; in a pod, its
    /// service account.
    ///
    /// # Errors
    /// No cluster is known, or its credentials cannot be used.
    pub async fn connect(
        kubeconfig: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Self, ConnectError> {
        let options =
            KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
        let mut config = match kubeconfig {
            Some(file) => {
                let bad = |error| {
                    ConnectError::Kubeconfig(format!(" {}", file.display()), Box::new(error))
                };
                let read = Kubeconfig::read_from(file).map_err(bad)?;
                Config::from_custom_kubeconfig(read, &options).await.map_err(bad)?
            }
            None if context.is_some() => Config::from_kubeconfig(&options)
                .await
                .map_err(|error| ConnectError::Kubeconfig(String::new(), Box::new(error)))?,
            None => Config::infer().await.map_err(|error| ConnectError::Infer(Box::new(error)))?,
        };
        // A write that is sent again after it was carried out would look like somebody else's.
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(5));
        let client =
            Client::try_from(config).map_err(|error| ConnectError::Credentials(Box::new(error)))?;
        Ok(Self::new(client))
    }

    /// Over a client that does not repeat requests.
    pub fn new(client: Client) -> Self {
        Self {
            client,
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
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The namespace that the kubeconfig names, or `default`.
    pub fn default_namespace(&self) -> &str {
        self.client.default_namespace()
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
            let why = match self.send(Method::GET, path, "", Vec::new(), self.timeouts.read).await {
                Ok(answer) if answer.again() => {
                    pause = pause.max(answer.retry_after.unwrap_or_default());
                    format!("it said {}: {}", answer.code, answer.refusal().message)
                }
                Ok(answer) => return answer.read(path),
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
        match self.send(method, &path, content, body, self.timeouts.write).await {
            Err(why) => Outcome::Unknown(why),
            Ok(answer) if answer.code < 300 => match serde_json::from_slice(&answer.body) {
                Ok(value) => Outcome::Committed(value),
                Err(why) => Outcome::Unknown(format!("the answer cannot be read: {why}")),
            },
            // Time-outs and failures of a server or a proxy say nothing about the write.
            Ok(answer) if answer.code >= 500 => {
                Outcome::Unknown(format!("{}: {}", answer.code, answer.refusal().message))
            }
            Ok(answer) => Outcome::Rejected(answer.refusal()),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Answer, String> {
        let uri: Uri = path.parse().map_err(|why| format!("{path} is no path: {why}"))?;
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(ACCEPT, "application/json")
            .body(Body::from(body))
            .map_err(|why| why.to_string())?;
        if !content.is_empty() {
            let content = content.parse().map_err(|_| format!("{content} is no media type"))?;
            request.headers_mut().insert(CONTENT_TYPE, content);
        }
        let exchange = async {
            let (parts, body) = self.client.send(request).await?.into_parts();
            Ok::<_, kube::Error>((parts, body.collect_bytes().await?))
        };
        let (parts, body) = tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| format!("no answer within {} s", timeout.as_secs_f32()))?
            .map_err(|error| chain(&error))?;
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(date) = text(DATE).and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) {
            let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
            *clock = Some((date.timestamp(), Instant::now()));
        }
        let seconds = text(RETRY_AFTER).and_then(|text| text.parse().ok());
        Ok(Answer {
            code: parts.status.as_u16(),
            retry_after: seconds.map(Duration::from_secs),
            body: body.into(),
        })
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

struct Answer {
    code: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    /// Whether a read is worth another try.
    fn again(&self) -> bool {
        self.code == 429 || self.code >= 500
    }

    fn read(self, path: &str) -> Result<Option<Value>, ReadError> {
        match self.code {
            200 => serde_json::from_slice(&self.body)
                .map(Some)
                .map_err(|why| ReadError::Decode { path: path.to_owned(), why: why.to_string() }),
            404 => Ok(None),
            code => Err(ReadError::Refused {
                path: path.to_owned(),
                code,
                message: self.refusal().message,
            }),
        }
    }

    fn refusal(&self) -> Refusal {
        let status: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |key: &str| status.get(key).and_then(Value::as_str).map(str::to_owned);
        let plain = || String::from_utf8_lossy(&self.body).trim().to_owned();
        Refusal {
            code: self.code,
            reason: text("reason").unwrap_or_default(),
            message: text("message").unwrap_or_else(plain),
        }
    }
}
