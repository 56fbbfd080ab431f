//! Reads, which are tried again until they are answered.

use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use super::{Client, Response};

/// How often a read is tried.
const TRIES: u32 = 4;
/// The pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(100);

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

impl Client {
    /// The object at `path`, or that there is none. Without a resourceVersion in the query this is
    /// a quorum read.
    ///
    /// # Errors
    /// No answer after several tries, or one that is neither the object nor 404.
    pub(crate) async fn read(&self, path: &str) -> Result<Option<Value>, ReadError> {
        let mut pause = PAUSE;
        let mut tries = 0;
        loop {
            tries += 1;
            let why = match self.send(Method::GET, path, "", None).await {
                Ok(response) if response.status == 429 || response.status >= 500 => {
                    pause = pause.max(response.retry_after.unwrap_or_default());
                    format!("it said {}: {}", response.status, response.message())
                }
                Ok(response) => return decode(&response, path),
                Err(error) => error.to_string(),
            };
            if tries == TRIES {
                return Err(ReadError::Unreachable { path: path.to_owned(), why });
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// The items of the list at `path`; a kind that is not served has none.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Value>, ReadError> {
        let Some(mut list) = self.read(path).await? else { return Ok(Vec::new()) };
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(ReadError::Decode { path: path.to_owned(), why: "it has no items".into() }),
        }
    }
}

fn decode(response: &Response, path: &str) -> Result<Option<Value>, ReadError> {
    match response.status {
        200 => serde_json::from_slice(&response.body)
            .map(Some)
            .map_err(|why| ReadError::Decode { path: path.to_owned(), why: why.to_string() }),
        404 => Ok(None),
        code => {
            Err(ReadError::Refused { path: path.to_owned(), code, message: response.message() })
        }
    }
}
