//! What a webhook configuration says about a canary that was not refused.

use serde::Deserialize;
use serde_json::Value;
use stateward_core::object::TextMap;
use stateward_core::object::selector::LabelSelector;
use stateward_core::review::WebhookKind;

use super::{ApiError, Cause, Client};

/// The namespace of the canary.
#[derive(Debug, Deserialize)]
pub(super) struct Namespace {
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    #[serde(default = "empty")]
    labels: Value,
}

/// A webhook configuration, as far as it decides who is called.
#[derive(Debug)]
pub(super) struct Registration {
    kind: &'static str,
    name: String,
    found: Option<Configuration>,
}

#[derive(Debug, Deserialize)]
struct Configuration {
    #[serde(default)]
    webhooks: Vec<Webhook>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    name: String,
    client_config: ClientConfig,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default = "empty")]
    namespace_selector: Value,
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientConfig {
    url: Option<String>,
    service: Option<Service>,
    #[serde(default)]
    ca_bundle: String,
}

#[derive(Debug, Deserialize)]
struct Service {
    namespace: String,
    name: String,
    port: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    operations: Vec<String>,
}

/// Whether a selector of a configuration, as written there, takes these labels in.
fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = LabelSelector::deserialize(selector);
    let labels = TextMap::deserialize(labels);
    matches!((selector, labels), (Ok(selector), Ok(labels)) if selector.matches(&labels))
}

impl Rule {
    fn covers_canary(&self) -> bool {
        let any = |list: &[String], wanted: &[&str]| {
            list.iter().any(|item| wanted.contains(&item.as_str()))
        };
        any(&self.api_groups, &["apps", "*"])
            && any(&self.resources, &["statefulsets", "*", "*/*"])
            && any(&self.operations, &["CREATE", "*"])
    }
}

impl Registration {
    /// Reads the configuration that has to register the webhook of `canary`.
    pub(super) async fn read(
        client: &Client,
        canary: WebhookKind,
        name: &str,
    ) -> Result<Self, ApiError> {
        let (kind, plural) = (canary.configuration_kind(), canary.configuration_plural());
        let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}/{name}");
        let (found, _) = client.get(&path).await?;
        Ok(Self { kind, name: name.to_owned(), found })
    }

    /// The likeliest reason why `webhook` did not refuse a canary in `namespace`.
    pub(super) fn why_not_called(&self, webhook: &str, namespace: &Namespace) -> Cause {
        let (kind, name) = (self.kind, self.name.clone());
        let own = webhook.to_owned();
        let Some(found) = &self.found else { return Cause::NoConfiguration { kind, name } };
        let Some(one) = found.webhooks.iter().find(|one| one.name == webhook) else {
            return Cause::NoWebhook { kind, name, webhook: own };
        };
        if one.client_config.ca_bundle.is_empty() {
            return Cause::NoBundle { webhook: own };
        }
        if !one.rules.iter().any(Rule::covers_canary) {
            return Cause::Rules { webhook: own };
        }
        let Metadata { name, labels } = &namespace.metadata;
        if !selects(&one.namespace_selector, labels) {
            return Cause::Selector { webhook: own, namespace: name.clone() };
        }
        let place = match (&one.client_config.service, &one.client_config.url) {
            (Some(Service { namespace, name, port }), _) => {
                format!("Service {namespace}/{name} port {}", port.unwrap_or(443))
            }
            (None, url) => url.clone().unwrap_or_default(),
        };
        Cause::Unreachable { webhook: own, place }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cause(edit: impl FnOnce(&mut Value)) -> Cause {
        let service = json!({"namespace": "a", "name": "b", "port": 443});
        let mut object = json!({"webhooks": [{
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
