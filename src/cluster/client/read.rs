//! Reads, which are tried again until they are answered.

use std::time::Duration;

use hyper::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Client, Exchange, JSON, Response, TIMEOUT};
use crate::cluster::errors::ApiError;

/// How often a read is tried.
const TRIES: u32 = 4;
/// The pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, whatever an answer asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) path: &'a str,
    /// the form of the answer
    pub(super) accept: &'static str,
    /// the longest answer that is read, in bytes
    pub(super) longest: usize,
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
    /// an answer that is too long
    #[error("{path} cannot be read: the answer has more than {longest} bytes")]
    TooLong {
        /// what was asked for
        path: String,
        /// the longest answer that is read
        longest: usize,
    },
    /// a list that is too long
    #[error("{path} cannot be read: there are more than {most} objects")]
    TooMany {
        /// what was asked for
        path: String,
        /// how many objects are read
        most: usize,
    },
}

impl Client {
    /// The object at `path`, or that there is none. Without a resourceVersion in the query this is
    /// a quorum read.
    ///
    /// # Errors
    /// No answer after several tries, or one that is neither the object nor 404.
    pub(crate) async fn read(&self, path: &str) -> Result<Option<Value>, ReadError> {
        self.ask(&Asked { path, accept: JSON, longest: usize::MAX }).await
    }

    /// One question, asked again until it is answered.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        asked: &Asked<'_>,
    ) -> Result<Option<T>, ReadError> {
        let Asked { path, accept, longest } = *asked;
        let mut pause = PAUSE;
        let mut tries = 0;
        loop {
            tries += 1;
            let exchange = Exchange { accept, longest, ..Exchange::new(Method::GET, path) };
            let why = match self.exchange(TIMEOUT, exchange).await {
                Ok(response) if response.status == 429 || response.status >= 500 => {
                    pause = pause.max(response.retry_after.unwrap_or_default()).min(LONGEST_PAUSE);
                    format!("it said {}: {}", response.status, response.message())
                }
                Ok(response) => return decode(&response, path),
                Err(ApiError::TooLong(longest)) => {
                    return Err(ReadError::TooLong { path: path.to_owned(), longest });
                }
                Err(error) => error.to_string(),
            };
            if tries == TRIES {
                return Err(ReadError::Unreachable { path: path.to_owned(), why });
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

fn decode<T: DeserializeOwned>(response: &Response, path: &str) -> Result<Option<T>, ReadError> {
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
