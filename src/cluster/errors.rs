//! Why the API server could not be asked, or did not do what was asked.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;

/// Where the version of the cluster is.
pub(super) const VERSION: &str = "/version";

/// Why there is no cluster to ask.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// no kubeconfig and no service account
    #[error("no cluster: no kubeconfig at {0} and no service account")]
    Nowhere(String),
    /// a kubeconfig that was named and is not there
    #[error("there is no kubeconfig {}", .0.display())]
    NoFile(PathBuf),
    /// a kubeconfig that cannot be used
    #[error("the kubeconfig {name} is broken: {reason}")]
    Kubeconfig {
        /// the file
        name: String,
        /// why
        reason: String,
    },
    /// a context that the kubeconfig does not have
    #[error("the kubeconfig {name} has no context \"{context}\"{hint}")]
    Context {
        /// the file
        name: String,
        /// the context
        context: String,
        /// those that there are
        hint: String,
    },
    /// no service account
    #[error("this pod has no service account that leads to a cluster: {0}")]
    Pod(String),
    /// the connection cannot be set up
    #[error("cannot set up a connection to {server}: {reason}")]
    Client {
        /// the address, with the context
        server: String,
        /// why
        reason: String,
    },
}

/// An API server that gave no answer: its address, the context, and what came instead.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub(super) String);

/// Why the API server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// no answer came
    #[error(transparent)]
    Unreachable(Unreachable),
    /// no answer came in time
    #[error("the API server did not answer in {} s", .0.as_secs_f32())]
    Late(Duration),
    /// an answer with more bytes than are read
    #[error("the API server's answer has more than {0} bytes")]
    TooLong(usize),
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
    /// `/version` says none
    #[error("{VERSION} holds no version of Kubernetes")]
    NoVersion,
    /// somebody else was faster
    #[error("{path} changes again and again")]
    Conflict {
        /// what was to be changed
        path: String,
    },
}

/// An error with its causes, each said once: some repeat what lies below them.
pub(super) fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The cause below all others, without its number.
pub(super) fn innermost(mut error: &dyn std::error::Error) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
