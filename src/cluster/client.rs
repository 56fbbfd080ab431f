//! The connection to the API server: one exchange ([`Client::send`]), a read that is tried again
//! ([`Client::read`]), a write that is sent once ([`Client::write`]).

mod kubeconfig;
mod lines;
mod list;
mod read;
mod response;
mod write;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE, DATE, RETRY_AFTER, WARNING};
use hyper::{Method, Request};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::apimachinery::pkg::version::Info as VersionInfo;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde::de::DeserializeOwned;
use stateward_core::change::KubernetesVersion;
use stateward_core::nearest;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::kubeconfig::Places;
pub(crate) use self::lines::Lines;
pub(crate) use self::list::Extent;
pub use self::read::ReadError;
pub(crate) use self::response::Response;
pub(crate) use self::write::FIELD_MANAGER;
pub use self::write::{Rejection, WriteOutcome};
use super::errors::{ApiError, ClusterError, Unreachable, VERSION, innermost, reasons};
use super::path::path;

/// Longest time for a request; the next look comes soon anyway.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// No watch lives as long: a connection that says nothing for so long has died without a word.
const SILENCE: Duration = Duration::from_secs(300);

/// How many pages of watched lists are in memory at a time: tenants decide how large their objects are.
const PAGES: usize = 2;

const JSON: &str = "application/json";

/// One request.
pub(crate) struct Exchange<'a> {
    method: Method,
    path: &'a str,
    /// the form of the answer
    accept: &'static str,
    /// that of `body`
    content_type: &'a str,
    body: Option<Vec<u8>>,
    /// the longest answer that is read, in bytes
    longest: usize,
}

impl<'a> Exchange<'a> {
    fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, accept: JSON, content_type: "", body: None, longest: usize::MAX }
    }
}

/// A connection to the API server. Clones share it.
#[derive(Clone)]
pub struct Client {
    kube: kube::Client,
    /// what the API server is called in errors
    server: Arc<str>,
    /// its clock as of the last answer, and when that came
    clock: Arc<Mutex<Option<(Timestamp, Instant)>>>,
    /// bounds how many pages of watched lists are read at a time
    pages: Arc<Semaphore>,
}

impl From<kube::Client> for Client {
    /// Over a client that does not repeat requests.
    fn from(client: kube::Client) -> Self {
        Self::over(client, Arc::from("the API server"))
    }
}

impl Client {
    /// Finds the cluster as kubectl does: a file, `KUBECONFIG`, the home folder; in a pod, its
    /// service account. Nothing is asked yet.
    ///
    /// # Errors
    /// No cluster is known, or its credentials cannot be used.
    pub async fn connect(file: Option<&Path>, context: Option<&str>) -> Result<Self, ClusterError> {
        let places = Places::find(file);
        let there = places.files.iter().any(|file| file.exists());
        let Some(name) = there.then(|| places.to_string()) else {
            if let Some(file) = file {
                return Err(ClusterError::NoFile(file.to_owned()));
            }
            return match kube::Config::incluster() {
                Ok(config) => Self::new(config, None),
                Err(_) => Err(ClusterError::Nowhere(places.to_string())),
            };
        };
        let wrong = |error: KubeconfigError| ClusterError::Kubeconfig {
            name: name.clone(),
            // The lines below repeat the file.
            reason: reasons(&error)
                .lines()
                .next()
                .unwrap_or_default()
                .replace("failed to parse kubeconfig YAML: error: ", ""),
        };
        let read = file.map_or_else(Kubeconfig::read, Kubeconfig::read_from).map_err(wrong)?;
        if let Some(context) = context {
            let known: Vec<&str> = read.contexts.iter().map(|known| known.name.as_str()).collect();
            if !known.contains(&context) {
                let (context, hint) = (context.to_owned(), nearest::hint(context, &known));
                return Err(ClusterError::Context { name, context, hint });
            }
        }
        let context = context.map(str::to_owned).or_else(|| read.current_context.clone());
        let options = KubeConfigOptions { context: context.clone(), ..Default::default() };
        let config = kube::Config::from_custom_kubeconfig(read, &options).await.map_err(wrong)?;
        Self::new(config, context.as_deref())
    }

    /// Connects by the service account of this pod. Nothing is asked yet.
    ///
    /// # Errors
    /// No pod, or one without a service account.
    pub fn of_pod() -> Result<Self, ClusterError> {
        let config = kube::Config::incluster();
        Self::new(config.map_err(|error| ClusterError::Pod(reasons(&error)))?, None)
    }

    /// The connection as kube's own types use it.
    pub(crate) fn kube(&self) -> kube::Client {
        self.kube.clone()
    }

    /// What an error of kube's own types means.
    pub(crate) fn explain(&self, error: &kube::Error) -> String {
        let server = &self.server;
        match error {
            kube::Error::Api(status) => {
                format!("{server} said {}: {}", status.code, status.message)
            }
            // What lies around it are the layers of a library.
            kube::Error::Service(_) | kube::Error::HyperError(_) => {
                format!("{server} cannot be reached: {}", innermost(error))
            }
            other => format!("{server} cannot be asked: {}", reasons(other)),
        }
    }

    /// Who this is to the API server.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn own_user(&self) -> Result<Option<String>, ApiError> {
        let path = path(["apis", "authentication.k8s.io", "v1", "selfsubjectreviews"]);
        let body = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
        let answer =
            self.send(Method::POST, &path, "application/json", Some(body.to_vec())).await?;
        let review: Option<SelfSubjectReview> = answer.found(Method::POST, path)?;
        Ok(review.and_then(|r| r.status).and_then(|s| s.user_info).and_then(|u| u.username))
    }

    /// The version of the cluster.
    ///
    /// # Errors
    /// No answer, a refusal, or an answer without a version.
    pub(crate) async fn version(&self) -> Result<KubernetesVersion, ApiError> {
        let answer = self.send(Method::GET, VERSION, "application/json", None).await?;
        let info: Option<VersionInfo> = answer.found(Method::GET, VERSION.to_owned())?;
        info.as_ref().and_then(kubernetes).ok_or(ApiError::NoVersion)
    }

    fn new(mut config: kube::Config, context: Option<&str>) -> Result<Self, ClusterError> {
        // A write that is sent again after it was carried out would look like somebody else's.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(SILENCE);
        config.reset_reader_on_write = true;
        let address = config.cluster_url.to_string();
        let mut server = format!("the API server at {}", address.trim_end_matches('/'));
        if let Some(context) = context {
            let _ = write!(server, " (context {context})");
        }
        match kube::Client::try_from(config) {
            Ok(kube) => Ok(Self::over(kube, server.into())),
            Err(error) => Err(ClusterError::Client { server, reason: reasons(&error) }),
        }
    }

    fn over(kube: kube::Client, server: Arc<str>) -> Self {
        Self { kube, server, clock: Arc::default(), pages: Arc::new(Semaphore::new(PAGES)) }
    }

    /// One request, sent once; `content_type` is that of `body`.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response, ApiError> {
        self.send_within(TIMEOUT, method, path, content_type, body).await
    }

    /// As [`Client::send`], with a longest time of one's own.
    pub(crate) async fn send_within(
        &self,
        timeout: Duration,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response, ApiError> {
        self.exchange(timeout, Exchange { content_type, body, ..Exchange::new(method, path) }).await
    }

    async fn exchange(
        &self,
        timeout: Duration,
        exchange: Exchange<'_>,
    ) -> Result<Response, ApiError> {
        let Exchange { method, path, accept, content_type, body, longest } = exchange;
        let mut request = Request::builder().method(method).uri(path).header(ACCEPT, accept);
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let failed = |error: &kube::Error| ApiError::Unreachable(Unreachable(self.explain(error)));
        let exchange = async {
            let request = request.body(Body::from(body.unwrap_or_default()));
            let request = request.map_err(|why| failed(&kube::Error::HttpError(why)))?;
            let answer = self.kube.send(request).await.map_err(|why| failed(&why))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, longest).collect().await.map_err(|why| match why
                .downcast::<kube::Error>(
            ) {
                Ok(why) => failed(&why),
                Err(why) if why.is::<LengthLimitError>() => ApiError::TooLong(longest),
                Err(why) => ApiError::Unreachable(Unreachable(format!(
                    "{} cannot be reached: {}",
                    self.server,
                    innermost(&*why)
                ))),
            })?;
            Ok((parts, body.to_bytes()))
        };
        let (parts, body) = tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| ApiError::Late(timeout))??;
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let date = text(DATE).and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let seconds = text(RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
        let warnings = parts.headers.get_all(WARNING).iter();
        let date = date.map(|zoned| zoned.timestamp());
        if let Some(date) = date {
            *self.clock() = Some((date, Instant::now()));
        }
        Ok(Response {
            status: parts.status.as_u16(),
            date,
            retry_after: seconds.map(Duration::from_secs),
            warnings: warnings
                .map(|warning| String::from_utf8_lossy(warning.as_bytes()).into_owned())
                .collect(),
            body: body.into(),
        })
    }

    /// The time by the API server's clock, from the last answer on: ages of objects are judged by
    /// the clock that wrote their timestamps. Before any answer it is this machine's.
    pub(crate) fn now(&self) -> Timestamp {
        match *self.clock() {
            Some((then, since)) => SignedDuration::try_from(since.elapsed())
                .ok()
                .and_then(|elapsed| then.checked_add(elapsed).ok())
                .unwrap_or(then),
            None => Timestamp::now(),
        }
    }

    fn clock(&self) -> std::sync::MutexGuard<'_, Option<(Timestamp, Instant)>> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object at `path`, where it exists, with the time by the clock of the API server. It is
    /// asked for once: the caller asks again soon anyway.
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

/// Some clouds write a minor version such as 33+.
fn kubernetes(info: &VersionInfo) -> Option<KubernetesVersion> {
    let version = format!("{}.{}", info.major, info.minor.trim_end_matches('+'));
    version.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_clouds_are_read() {
        let of = |major: &str, minor: &str| {
            let info = VersionInfo {
                major: major.to_owned(),
                minor: minor.to_owned(),
                ..VersionInfo::default()
            };
            kubernetes(&info).map(|version| (version.major, version.minor))
        };
        assert_eq!(of("1", "36"), Some((1, 36)));
        assert_eq!(of("1", "33+"), Some((1, 33)));
        assert_eq!(of("", ""), None);
    }
}
