//! The API server as a replica in a cluster asks it: whether it is disabled, whether it enforces,
//! and events on the objects whose edits it refused. The certificates ask through the same [`Client`].

mod canary;
mod client;
mod errors;
mod events;
pub mod facts;
pub mod lease;
mod namespace;
mod path;
mod survey;
pub(crate) mod watch;
mod webhook_configuration;

use kube::core::{ApiResource, GroupVersionKind};
use stateward_resize::crd;

pub use self::canary::{CanarySender, CanaryWatch, Cause, KnownFacts};
pub(crate) use self::client::Extent;
pub(crate) use self::client::FIELD_MANAGER;
pub use self::client::{Client, ReadError, Rejection, WriteOutcome};
pub use self::errors::{ApiError, ClusterError};
pub(crate) use self::events::{About, Limit, event};
pub use self::events::{EventWriter, Events};
pub use self::namespace::NamespaceWatch;
pub(crate) use self::path::{path, with_query};
pub(crate) use self::survey::{LiveObject, Named};
pub(crate) use self::webhook_configuration::WebhookConfiguration;

/// The kind of a record as kube's dynamic types name it.
pub(crate) fn record_resource() -> ApiResource {
    let kind = GroupVersionKind::gvk(crd::GROUP, crd::VERSION, crd::KIND);
    ApiResource::from_gvk_with_plural(&kind, crd::PLURAL)
}
