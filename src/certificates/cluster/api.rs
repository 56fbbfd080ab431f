//! What is asked of the API server: one Secret, two webhook configurations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use stateward_core::review::WebhookKind;

use super::authority::{Bundle, Pem};
use crate::cluster::{ApiError, Client, FIELD_MANAGER, WebhookConfiguration, path, with_query};

/// Webhooks with this in their name are ours to edit.
const OURS: &str = ".stateward.dev";

/// A webhook configuration with the bundles that it trusts.
#[derive(Clone, Debug)]
pub(super) struct Configuration(WebhookConfiguration);

impl Configuration {
    /// The bundles of our webhooks with their place in the list.
    fn bundles(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let webhooks = self.0.webhooks.iter().enumerate();
        let ours = webhooks.filter(|(_, one)| one.name.ends_with(OURS));
        ours.map(|(place, one)| {
            (place, one.client_config.ca_bundle.as_ref().map_or(&[][..], |bundle| &bundle.0))
        })
    }

    /// What our webhooks trust.
    pub(super) fn found(&self) -> Vec<Bundle> {
        self.bundles().map(|(_, pem)| Bundle::read(pem)).collect()
    }

    /// Whether each of our webhooks trusts `authority`.
    pub(super) fn trusts(&self, authority: &CertificateDer<'static>) -> bool {
        let found = self.found();
        !found.is_empty() && found.iter().all(|bundle| bundle.trusts(authority))
    }

    /// The edit after which each of our webhooks trusts `wanted` and nobody else; nothing where
    /// that is so already.
    fn edit(&self, wanted: &Bundle) -> Option<Value> {
        let pem = wanted.pem();
        let places: Vec<usize> = self
            .bundles()
            .filter(|(_, found)| *found != pem.as_bytes())
            .map(|(place, _)| place)
            .collect();
        if places.is_empty() {
            return None;
        }
        // Nobody else may have touched the object since it was read: neither its bundles nor the
        // order of its webhooks.
        let version = &self.0.metadata.resource_version;
        let mut patch =
            vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": version})];
        patch.extend(places.into_iter().map(|place| {
            let pointer = format!("/webhooks/{place}/clientConfig/caBundle");
            json!({"op": "add", "path": pointer, "value": STANDARD.encode(&pem)})
        }));
        Some(Value::Array(patch))
    }

    pub(super) fn holds(&self, wanted: &Bundle) -> bool {
        self.edit(wanted).is_none() && self.bundles().next().is_some()
    }
}

/// What the Secret holds.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) previous: Vec<u8>,
    object: Secret,
}

/// The requests.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
    namespace: String,
    secret: String,
    configuration: String,
}

impl Api {
    pub(super) fn new(client: Client, namespace: &str, secret: &str, configuration: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            secret: secret.to_owned(),
            configuration: configuration.to_owned(),
        }
    }

    /// The Secret, and the time by the clock of the API server: it is the one that judges whether
    /// a certificate has expired.
    pub(super) async fn secret(&self) -> Result<(Option<Stored>, Timestamp), ApiError> {
        let (found, now) = self.client.get::<Secret>(&self.stored()).await?;
        let Some(mut object) = found else {
            return Ok((None, now));
        };
        let mut data = object.data.take().unwrap_or_default();
        let mut take = |key: &str| data.remove(key).map(|bytes| bytes.0).unwrap_or_default();
        let stored = Stored {
            certificate: take("ca.crt"),
            key: take("ca.key"),
            previous: take("previous.crt"),
            object,
        };
        Ok((Some(stored), now))
    }

    /// Creates the Secret, or replaces `old` if it is still what was read.
    pub(super) async fn store(
        &self,
        old: Option<Stored>,
        pem: &Pem,
        previous: &Bundle,
    ) -> Result<(), ApiError> {
        let collection = self.secrets();
        let (method, path) = match old {
            None => (Method::POST, collection),
            Some(_) => (Method::PUT, self.stored()),
        };
        let mut object = old.map(|stored| stored.object).unwrap_or_default();
        object.metadata.name = Some(self.secret.clone());
        object.metadata.managed_fields = None;
        let labels = object.metadata.labels.get_or_insert_default();
        labels.insert("app.kubernetes.io/name".to_owned(), "stateward".to_owned());
        let data = object.data.get_or_insert_default();
        let values = [
            ("ca.crt", pem.certificate.clone()),
            ("ca.key", pem.key.clone()),
            ("previous.crt", previous.pem()),
        ];
        for (key, value) in values {
            data.insert(key.to_owned(), ByteString(value.into_bytes()));
        }
        let body = serde_json::to_vec(&object)
            .map_err(|source| ApiError::Decode { path: path.clone(), source })?;
        let answer =
            self.client.send(method.clone(), &path, "application/json", Some(body)).await?;
        // Not found: deleted since it was read. Already there: somebody else was first.
        if matches!(answer.status, 404 | 409) {
            return Err(ApiError::Conflict { path });
        }
        answer.found::<Secret>(method, path).map(drop)
    }

    /// A webhook configuration, where it exists.
    pub(super) async fn configuration(
        &self,
        webhook: WebhookKind,
    ) -> Result<Option<Configuration>, ApiError> {
        let found = WebhookConfiguration::read(&self.client, webhook, &self.configuration).await?;
        Ok(found.map(Configuration))
    }

    /// Puts `wanted` into a webhook configuration; says whether it had to.
    pub(super) async fn trust(
        &self,
        webhook: WebhookKind,
        seen: &Configuration,
        wanted: &Bundle,
    ) -> Result<bool, ApiError> {
        let Some(edit) = seen.edit(wanted) else { return Ok(false) };
        let path = WebhookConfiguration::path(webhook, &self.configuration);
        let path = with_query(&path, [("fieldManager", FIELD_MANAGER)]);
        let body = edit.to_string().into_bytes();
        let content = "application/json-patch+json";
        let answer = self.client.send(Method::PATCH, &path, content, Some(body)).await?;
        // 422 is how the API server says that a test in a patch failed.
        if matches!(answer.status, 404 | 409 | 422) {
            return Err(ApiError::Conflict { path });
        }
        let edited: Option<WebhookConfiguration> = answer.found(Method::PATCH, path.clone())?;
        if edited.is_some_and(|edited| Configuration(edited).holds(wanted)) {
            Ok(true)
        } else {
            Err(ApiError::Conflict { path })
        }
    }

    fn stored(&self) -> String {
        path(["api", "v1", "namespaces", &self.namespace, "secrets", &self.secret])
    }

    fn secrets(&self) -> String {
        path(["api", "v1", "namespaces", &self.namespace, "secrets"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(bundles: &[(&str, Option<&str>)]) -> Configuration {
        let webhooks: Vec<Value> = bundles
            .iter()
            .map(|(name, bundle)| {
                let service = json!({"namespace": "a", "name": "b"});
                let mut client = json!({"service": service});
                if let Some(pem) = bundle {
                    client["caBundle"] = STANDARD.encode(pem).into();
                }
                json!({"name": name, "clientConfig": client, "sideEffects": "None"})
            })
            .collect();
        let metadata = json!({"name": "stateward", "resourceVersion": "7", "uid": "u"});
        let object = json!({"metadata": metadata, "webhooks": webhooks});
        Configuration(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn only_our_webhooks_are_edited_and_only_where_they_differ() {
        let now = Timestamp::now();
        let pem = Pem::make(now, jiff::SignedDuration::from_hours(1)).unwrap().certificate;
        let wanted = Bundle::read(pem.as_bytes());
        let held = wanted.pem();
        let seen = configuration(&[
            ("other.example", Some("theirs")),
            ("mutate.stateward.dev", Some(&held)),
            ("second.stateward.dev", None),
        ]);
        let edit = seen.edit(&wanted).unwrap();
        assert_eq!(
            edit[0],
            json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"})
        );
        assert_eq!(edit[1]["path"], "/webhooks/2/clientConfig/caBundle");
        assert_eq!(edit[1]["value"], STANDARD.encode(&held));
        assert_eq!(edit.as_array().unwrap().len(), 2);
        assert!(!seen.holds(&wanted));
        assert!(configuration(&[("mutate.stateward.dev", Some(&held))]).holds(&wanted));
    }

    #[test]
    fn a_configuration_without_webhooks_of_ours_trusts_nobody() {
        let none = configuration(&[("other.example", None)]);
        assert!(none.edit(&Bundle::default()).is_none());
        assert!(!none.holds(&Bundle::default()));
        assert!(!none.trusts(&CertificateDer::from(vec![1])));
    }
}
