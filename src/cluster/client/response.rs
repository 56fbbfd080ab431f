//! What the API server answers.

use std::time::Duration;

use hyper::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cluster::errors::ApiError;

/// Longest message taken from an answer that is no `Status`, in characters.
const MESSAGE: usize = 200;

/// One answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// the time by the clock of the API server
    pub(crate) date: Option<Timestamp>,
    /// when the API server wants to be asked again
    pub(crate) retry_after: Option<Duration>,
    /// the `Warning` headers as they are
    pub(crate) warnings: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The object; nothing where it does not exist.
    pub(crate) fn found<T: DeserializeOwned>(
        self,
        method: Method,
        path: String,
    ) -> Result<Option<T>, ApiError> {
        match self.status {
            200..=299 => serde_json::from_slice(&self.body)
                .map(Some)
                .map_err(|source| ApiError::Decode { path, source }),
            404 => Ok(None),
            status => Err(ApiError::Refused { method, path, status, message: self.message() }),
        }
    }

    /// What the API server says about a request that it did not carry out; what a proxy before it
    /// says instead is cut short.
    pub(crate) fn message(&self) -> String {
        #[derive(Deserialize)]
        struct Status {
            message: String,
        }
        match serde_json::from_slice(&self.body) {
            Ok(Status { message }) if !message.is_empty() => message,
            _ => String::from_utf8_lossy(&self.body).trim().chars().take(MESSAGE).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn answers_that_are_no_object_are_told_apart() {
        let answer = |status, body: &str| Response {
            status,
            date: None,
            retry_after: None,
            warnings: Vec::new(),
            body: body.into(),
        };
        let found = |status, body| answer(status, body).found::<Value>(Method::GET, "/p".into());
        assert!(matches!(found(404, ""), Ok(None)));
        assert!(matches!(found(200, "{}"), Ok(Some(_))));
        let said = found(403, r#"{"message":"no"}"#).unwrap_err().to_string();
        assert_eq!(said, "GET /p: the API server said 403: no");
        let page = "<html>".repeat(100);
        let said = found(502, &page).unwrap_err().to_string();
        assert_eq!(said.matches("<html>").count(), 33, "{said}");
        assert!(matches!(found(200, "<html>"), Err(ApiError::Decode { .. })));
    }
}
