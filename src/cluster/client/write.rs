//! Writes, which are sent once: what became of one is known, or said to be unknown.

use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use super::{Client, Response};
use crate::cluster::path::with_query;

/// The field manager of every write. Together with the controller's user it marks our own writes.
pub(crate) const FIELD_MANAGER: &str = "stateward";
/// As long as the slowest webhook may take, and more.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Longest message that is kept, in characters: a webhook may answer with any text.
const MESSAGE: usize = 2000;

/// What became of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteOutcome {
    /// it was carried out; the object as answered
    Committed(Value),
    /// it was not carried out
    Rejected(Rejection),
    /// it may or may not have been carried out, and may still be: the text says what happened
    Unknown(String),
}

/// What the API server said no with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// the status code; 0 where the write was not sent, since the object had changed
    pub code: u16,
    /// the machine-readable reason, such as `Conflict`
    pub reason: String,
    /// its message
    pub message: String,
}

impl Rejection {
    /// The write was not sent: what it would replace is not there any more.
    pub(crate) fn changed(message: impl Into<String>) -> Self {
        Self { code: 0, reason: "Changed".to_owned(), message: message.into() }
    }
}

impl WriteOutcome {
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

impl Client {
    /// Sends a write, once.
    pub(crate) async fn write(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> WriteOutcome {
        let path = with_query(path, [("fieldManager", FIELD_MANAGER)]);
        let body = body.to_string().into_bytes();
        match self.send_within(TIMEOUT, method, &path, content_type, Some(body)).await {
            Err(error) => WriteOutcome::Unknown(error.to_string()),
            Ok(response) if response.status < 300 => match serde_json::from_slice(&response.body) {
                Ok(value) => WriteOutcome::Committed(value),
                Err(why) => WriteOutcome::Unknown(format!("the answer cannot be read: {why}")),
            },
            // Admission comes before storage: a webhook that cannot be asked has stopped the write.
            Ok(response) if response.message().contains("failed calling webhook") => {
                WriteOutcome::Rejected(rejection(&response))
            }
            // Time-outs and failures of a server or a proxy say nothing about the write.
            Ok(response) if response.status >= 500 => {
                WriteOutcome::Unknown(format!("{}: {}", response.status, response.message()))
            }
            Ok(response) => WriteOutcome::Rejected(rejection(&response)),
        }
    }
}

fn rejection(response: &Response) -> Rejection {
    let status: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let reason = status.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
    // Records and events hold it.
    let message = response.message().chars().take(MESSAGE).collect();
    Rejection { code: response.status, reason, message }
}
