//! What a webhook configuration says about a canary that was not refused.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{RuleWithOperations, ServiceReference};
use k8s_openapi::api::core::v1::Namespace;
use serde::Deserialize;
use stateward_core::object::TextMap;
use stateward_core::object::selector::LabelSelector;
use stateward_core::review::WebhookKind;

use super::Cause;
use crate::cluster::{ApiError, Client, WebhookConfiguration};

/// The webhook configuration that has to register the webhook of a canary.
#[derive(Debug)]
pub(super) struct Registration {
    kind: &'static str,
    name: String,
    found: Option<WebhookConfiguration>,
}

/// Whether a rule sends the CREATE of StatefulSets to its webhook.
fn covers_canary(rule: &RuleWithOperations) -> bool {
    let any = |list: &Option<Vec<String>>, wanted: &[&str]| {
        list.iter().flatten().any(|item| wanted.contains(&item.as_str()))
    };
    any(&rule.api_groups, &["apps", "*"])
        && any(&rule.resources, &["statefulsets", "*", "*/*"])
        && any(&rule.operations, &["CREATE", "*"])
}

/// Whether a selector takes these labels in; an absent one takes in all.
fn selects<S: serde::Serialize>(
    selector: Option<&S>,
    labels: Option<&BTreeMap<String, String>>,
) -> bool {
    let Some(selector) = selector else { return true };
    let none = BTreeMap::new();
    let (selector, labels) =
        (serde_json::to_value(selector), serde_json::to_value(labels.unwrap_or(&none)));
    let (Ok(selector), Ok(labels)) = (selector, labels) else { return false };
    let (selector, labels) = (LabelSelector::deserialize(&selector), TextMap::deserialize(&labels));
    matches!((selector, labels), (Ok(selector), Ok(labels)) if selector.matches(&labels))
}

impl Registration {
    pub(super) async fn read(
        client: &Client,
        canary: WebhookKind,
        name: &str,
    ) -> Result<Self, ApiError> {
        let found = WebhookConfiguration::read(client, canary, name).await?;
        Ok(Self { kind: canary.configuration_kind(), name: name.to_owned(), found })
    }

    /// The likeliest reason why `webhook` did not refuse a canary in `namespace`.
    pub(super) fn why_not_called(&self, webhook: &str, namespace: &Namespace) -> Cause {
        let (kind, name) = (self.kind, self.name.clone());
        let own = webhook.to_owned();
        let Some(found) = &self.found else { return Cause::NoConfiguration { kind, name } };
        let Some(one) = found.webhooks.iter().find(|one| one.name == webhook) else {
            return Cause::NoWebhook { kind, name, webhook: own };
        };
        if one.client_config.ca_bundle.as_ref().is_none_or(|bundle| bundle.0.is_empty()) {
            return Cause::NoBundle { webhook: own };
        }
        if !one.rules.iter().flatten().any(covers_canary) {
            return Cause::Rules { webhook: own };
        }
        if !selects(one.namespace_selector.as_ref(), namespace.metadata.labels.as_ref()) {
            let namespace = namespace.metadata.name.clone().unwrap_or_default();
            return Cause::Selector { webhook: own, namespace };
        }
        let place = match (&one.client_config.service, &one.client_config.url) {
            (Some(ServiceReference { namespace, name, port, .. }), _) => {
                format!("Service {namespace}/{name} port {}", port.unwrap_or(443))
            }
            (None, url) => url.clone().unwrap_or_default(),
        };
        Cause::Unreachable { webhook: own, place }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cause(edit: impl FnOnce(&mut Value)) -> Cause {
        let service = json!({"namespace": "a", "name": "b", "port": 443});
        let mut object = json!({"metadata": {"name": "stateward"}, "webhooks": [{
            "name": "mutate.stateward.dev",
            "clientConfig": {"caBundle": "LS0t", "service": service},
            "rules": [{"apiGroups": ["apps"], "resources": ["statefulsets"],
                       "operations": ["CREATE", "UPDATE"]}],
            "namespaceSelector": {"matchExpressions": [
                {"key": "name", "operator": "NotIn", "values": ["kube-system"]}
            ]}
        }]});
        edit(&mut object);
        let namespace = json!({"metadata": {"name": "canary", "labels": {"name": "canary"}}});
        let registration = Registration {
            kind: "MutatingWebhookConfiguration",
            name: "stateward".to_owned(),
            found: serde_json::from_value(object).unwrap(),
        };
        let namespace = serde_json::from_value(namespace).unwrap();
        registration.why_not_called("mutate.stateward.dev", &namespace)
    }

    #[test]
    fn the_configuration_says_why() {
        let reached = cause(|_| {}).to_string();
        assert!(reached.contains("at Service a/b port 443: on EKS"), "{reached}");
        assert_eq!(cause(|object| *object = Value::Null).name(), "configuration");
        let renamed = |object: &mut Value| object["webhooks"][0]["name"] = "other".into();
        assert!(matches!(cause(renamed), Cause::NoWebhook { .. }));
        let emptied = |object: &mut Value| {
            object["webhooks"][0]["clientConfig"]["caBundle"] = "".into();
        };
        assert_eq!(cause(emptied).name(), "ca-bundle");
        let ruled = |object: &mut Value| {
            object["webhooks"][0]["rules"][0]["operations"] = json!(["UPDATE"]);
        };
        assert!(matches!(cause(ruled), Cause::Rules { .. }));
        for requirement in [
            json!({"key": "name", "operator": "In", "values": ["shop"]}),
            json!({"key": "name", "operator": "NotIn", "values": ["canary"]}),
            json!({"key": "team", "operator": "Exists"}),
            json!({"key": "name", "operator": "DoesNotExist"}),
        ] {
            let selected = |object: &mut Value| {
                let list = &mut object["webhooks"][0]["namespaceSelector"]["matchExpressions"];
                *list = json!([requirement]);
            };
            assert_eq!(cause(selected).name(), "selector", "{requirement}");
        }
    }
}
