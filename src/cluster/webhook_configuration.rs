//! Webhook configurations as the API server holds them.

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhook;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use stateward_core::review::WebhookKind;

use super::{ApiError, Client, path};

/// A mutating or a validating configuration: a mutating webhook is a validating one with a
/// reinvocation policy, which nobody here reads.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct WebhookConfiguration {
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) webhooks: Vec<ValidatingWebhook>,
}

impl WebhookConfiguration {
    /// The path of the configuration `name`.
    pub(crate) fn path(kind: WebhookKind, name: &str) -> String {
        path(["apis", "admissionregistration.k8s.io", "v1", kind.configuration_plural(), name])
    }

    /// The configuration `name`, if it exists.
    pub(crate) async fn read(
        client: &Client,
        kind: WebhookKind,
        name: &str,
    ) -> Result<Option<Self>, ApiError> {
        Ok(client.get(&Self::path(kind, name)).await?.0)
    }
}
