//! Requests to the API server, with their answers as they are.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, DATE, WARNING};
use hyper::{Method, Request};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::client::Body;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longest time for a request; the next look comes soon anyway.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no cluster to ask.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// no kubeconfig and no service account
    #[error("no cluster: neither a kubeconfig nor a service account was found")]
    Config(#[source] kube::config::InferConfigError),
    /// a kubeconfig that cannot be used
    #[error("cannot use the kubeconfig {}", file.display())]
    Kubeconfig {
        /// the file
        file: PathBuf,
        /// why
        source: KubeconfigError,
    },
    /// no service account
    #[error("this pod has no service account that leads to a cluster")]
    Pod(#[source] InClusterError),
    /// the connection cannot be set up
    #[error("cannot set up a connection to the API server")]
    Client(#[source] kube::Error),
}

/// Why the API server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// no answer came
    #[error("the API server cannot be asked")]
    Unreachable(#[source] Box<kube::Error>),
    /// no answer came in time
    #[error("the API server did not answer in {} s", TIMEOUT.as_secs())]
    Late,
    /// it was refused
    #[error("{method} {path}: the API server said {status}: {message}")]
    Refused {
        /// the HTTP method
        method: Method,
        /// what was asked for
        path: String,
        /// the HTTP status
        status: u16,
        /// what the API server said
        message: String,
    },
    /// the answer is no such object
    #[error("{path} cannot be decoded")]
    Decode {
        /// what was asked for
        path: String,
        /// why
        source: serde_json::Error,
    },
    /// somebody else was faster
    #[error("{path} changes again and again")]
    Conflict {
        /// what was to be changed
        path: String,
    },
}

/// A connection to the API server. Clones share it.
#[derive(Clone)]
pub struct Client(kube::Client);

impl Client {
    /// Connects by the kubeconfig or the service account of this process. Nothing is asked yet.
    ///
    /// # Errors
    /// No cluster, or credentials that cannot be read.
    pub async fn infer() -> Result<Self, ClusterError> {
        Self::new(kube::Config::infer().await.map_err(ClusterError::Config)?)
    }

    /// Connects by a kubeconfig, in one of its contexts. Nothing is asked yet.
    ///
    /// # Errors
    /// The file cannot be read, or leads to no cluster.
    pub async fn connect(file: &Path, context: Option<&str>) -> Result<Self, ClusterError> {
        let wrong = |source| ClusterError::Kubeconfig { file: file.to_owned(), source };
        let read = Kubeconfig::read_from(file).map_err(wrong)?;
        let context = context.map(str::to_owned);
        let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
        Self::new(kube::Config::from_custom_kubeconfig(read, &options).await.map_err(wrong)?)
    }

    /// Connects by the service account of this pod. Nothing is asked yet.
    ///
    /// # Errors
    /// No pod, or one without a service account.
    pub fn of_pod() -> Result<Self, ClusterError> {
        Self::new(kube::Config::incluster().map_err(ClusterError::Pod)?)
    }

    /// The connection as kube's own types use it.
    pub(crate) fn kube(&self) -> kube::Client {
        self.0.clone()
    }

    /// Who this is to the API server.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn own_user(&self) -> Result<Option<String>, ApiError> {
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let body = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
        let answer = self.send(Method::POST, path, "application/json", Some(body.to_vec())).await?;
        let review: Option<SelfSubjectReview> = answer.found(Method::POST, path.to_owned())?;
        Ok(review.and_then(|r| r.status).and_then(|s| s.user_info).and_then(|u| u.username))
    }

    fn new(mut config: kube::Config) -> Result<Self, ClusterError> {
        // A write that is sent again after it was carried out would look like somebody else's.
        config.default_retry = false;
        config.connect_timeout = Some(TIMEOUT);
        kube::Client::try_from(config).map(Self).map_err(ClusterError::Client)
    }

    /// One request; `content_type` is that of `body`. A path that is none is a fault of the caller,
    /// and asks for `/`.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, ApiError> {
        let mut request = Request::new(Body::from(body.unwrap_or_default()));
        *request.method_mut() = method;
        // Names were checked when the arguments were read, so a path is always one.
        *request.uri_mut() = path.parse().unwrap_or_default();
        if let Ok(value) = content_type.parse()
            && !content_type.is_empty()
        {
            request.headers_mut().insert(CONTENT_TYPE, value);
        }
        let exchange = async {
            let (parts, body) = self.0.send(request).await?.into_parts();
            Ok::<_, kube::Error>((parts, body.collect_bytes().await?))
        };
        let (parts, body) = tokio::time::timeout(TIMEOUT, exchange)
            .await
            .map_err(|_| ApiError::Late)?
            .map_err(|error| ApiError::Unreachable(Box::new(error)))?;
        let date = parts.headers.get(DATE).and_then(|date| date.to_str().ok());
        let warnings = parts.headers.get_all(WARNING).iter();
        Ok(Answer {
            status: parts.status.as_u16(),
            date: date.and_then(|text| {
                jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
            }),
            warnings: warnings
                .map(|warning| String::from_utf8_lossy(warning.as_bytes()).into_owned())
                .collect(),
            body: body.into(),
        })
    }

    /// The object at `path`, where it exists, with the time by the clock of the API server.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<(Option<T>, Timestamp), ApiError> {
        let answer = self.send(Method::GET, path, "", None).await?;
        let now = answer.date.unwrap_or_else(Timestamp::now);
        Ok((answer.found(Method::GET, path.to_owned())?, now))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// the time by the clock of the API server
    pub(crate) date: Option<Timestamp>,
    /// the `Warning` headers as they are
    pub(crate) warnings: Vec<String>,
    body: Vec<u8>,
}

impl Answer {
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

    /// What the API server says about a request that it did not carry out.
    pub(crate) fn message(&self) -> String {
        #[derive(Default, Deserialize)]
        struct Status {
            #[serde(default)]
            message: String,
        }
        let said: Status = serde_json::from_slice(&self.body).unwrap_or_default();
        let mut message = said.message;
        if message.is_empty() {
            let _ = write!(message, "{} bytes without a message", self.body.len());
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn answers_that_are_no_object_are_told_apart() {
        let answer = |status, body: &str| Answer {
            status,
            date: None,
            warnings: Vec::new(),
            body: body.into(),
        };
        let found = |status, body| answer(status, body).found::<Value>(Method::GET, "/p".into());
        assert!(matches!(found(404, ""), Ok(None)));
        assert!(matches!(found(200, "{}"), Ok(Some(_))));
        let said = found(403, r#"{"message":"no"}"#).unwrap_err().to_string();
        assert_eq!(said, "GET /p: the API server said 403: no");
        assert!(
            found(502, "<html>").unwrap_err().to_string().ends_with("6 bytes without a message")
        );
        assert!(matches!(found(200, "<html>"), Err(ApiError::Decode { .. })));
    }
}
