//! Whether refusals arrive: a canary through the API server, and the likely cause where not.

mod cause;
mod registration;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Value, json};
use stateward_core::annotations::CANARY;
use stateward_core::review::WebhookKind;
use stateward_core::review::canary::{self, AUDIT, KNOWS_ALL, NAME, REFUSED};

pub use self::cause::Cause;
use self::registration::Registration;
use super::{ApiError, Client, FIELD_MANAGER, path, with_query};
use crate::telemetry::Metrics;

/// What replicas said of their facts.
#[derive(Debug)]
pub struct KnownFacts {
    /// all of them said it; older ones do not
    pub told: bool,
    /// the kinds of which nothing is known, each with the reason
    pub unknown: BTreeSet<String>,
}

/// Sends canaries in a namespace that is judged.
#[derive(Clone, Debug)]
pub struct CanarySender {
    client: Client,
    /// where the canary would be made, if it were no dry run
    namespace: String,
    /// the name of both webhook configurations
    configuration: String,
}

impl CanarySender {
    /// Nothing is sent yet.
    pub fn new(client: Client, namespace: String, configuration: String) -> Self {
        Self { client, namespace, configuration }
    }

    /// Sends one canary for each webhook. What the replicas that refused them say of their facts: the kinds of
    /// which they know nothing, each with the reason.
    ///
    /// # Errors
    /// Why a refusal did not arrive, as far as that can be told.
    pub async fn send(&self) -> Result<KnownFacts, Cause> {
        let mut known = KnownFacts { told: true, unknown: BTreeSet::new() };
        let namespace = path(["api", "v1", "namespaces", &self.namespace]);
        let found = self.client.get::<Namespace>(&namespace).await;
        let (found, _) = found.map_err(|error| Cause::not_sent(error, &self.namespace))?;
        let namespace =
            found.ok_or_else(|| Cause::NoNamespace { namespace: self.namespace.clone() })?;
        for kind in WebhookKind::ALL {
            let sets = ["apis", "apps", "v1", "namespaces", &self.namespace, "statefulsets"];
            let query = [("dryRun", "All"), ("fieldManager", FIELD_MANAGER)];
            let url = with_query(&path(sets), query);
            let body = self.object(kind).to_string().into_bytes();
            let sent = self.client.send(Method::POST, &url, "application/json", Some(body)).await;
            let answer = sent.map_err(|error| Cause::not_sent(error, &self.namespace))?;
            let message = answer.message();
            let webhook = format!("{}.stateward.dev", kind.endpoint());
            if answer.status == 403 && message.contains(REFUSED) {
                let unknown: Vec<_> = canary::unknown(&message).map(str::to_owned).collect();
                known.told &= !unknown.is_empty() || message.contains(KNOWS_ALL);
                known.unknown.extend(unknown);
                continue;
            }
            if let Some(warning) = answer.warnings.iter().find(|text| text.contains("stateward ")) {
                if warning.contains(AUDIT) {
                    return Err(Cause::Audit);
                }
                if warning.contains("stateward is disabled until") {
                    return Err(Cause::Disabled);
                }
            }
            // Quota is looked at after the webhooks, so they let it through.
            let quota = ["exceeded quota", "status unknown for quota"];
            let passed = answer.status < 300 || quota.iter().any(|text| message.contains(text));
            if !passed {
                return Err(Cause::of_refusal(&webhook, answer.status, message, &self.namespace));
            }
            let seen = Registration::read(&self.client, kind, &self.configuration).await;
            let seen = seen.map_err(Cause::CannotLook)?;
            return Err(seen.why_not_called(&webhook, &namespace));
        }
        Ok(known)
    }

    /// A set without pods that Kubernetes accepts; its image exists nowhere.
    fn object(&self, canary: WebhookKind) -> Value {
        let labels = json!({"app.kubernetes.io/name": NAME});
        let container = json!({
            "name": "canary",
            "image": "registry.invalid/stateward-canary:v1",
            "resources": {
                "requests": {"cpu": "1m", "memory": "1Mi"},
                "limits": {"cpu": "1m", "memory": "1Mi"}
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]}
            }
        });
        json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {
                "name": NAME,
                "namespace": self.namespace,
                "labels": labels,
                "annotations": {CANARY: canary.endpoint()}
            },
            "spec": {
                "serviceName": NAME,
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "automountServiceAccountToken": false,
                        "securityContext": {
                            "runAsNonRoot": true,
                            "runAsUser": 65532,
                            "seccompProfile": {"type": "RuntimeDefault"}
                        },
                        "containers": [container]
                    }
                }
            }
        })
    }
}

/// Sends canaries for ever, and says so when that changes what is known.
#[derive(Debug)]
pub struct CanaryWatch {
    sender: CanarySender,
    interval: Duration,
    metrics: Arc<Metrics>,
    known: Option<Result<(), String>>,
}

/// Until the first refusal arrives, the next canary comes sooner.
const SOON: Duration = Duration::from_secs(2);
/// How many canaries come sooner.
const SOONER: u32 = 15;

impl CanaryWatch {
    /// Nothing is sent yet.
    pub fn new(sender: CanarySender, interval: Duration, metrics: Arc<Metrics>) -> Self {
        Self { sender, interval, metrics, known: None }
    }

    /// Sends, for ever. Replicas that started together do not send together.
    pub async fn run(mut self) {
        let mut early = SOONER;
        loop {
            let arrived = self.round(early > 0).await;
            early = if arrived { 0 } else { early.saturating_sub(1) };
            let spread = self.interval.mul_f64(0.2 * spread());
            let pause = self.interval.mul_f64(0.9) + spread;
            tokio::time::sleep(if early > 0 { pause.min(SOON) } else { pause }).await;
        }
    }

    async fn round(&mut self, early: bool) -> bool {
        let outcome = self.sender.send().await.map(drop);
        let arrived = outcome.is_ok();
        // A replica that starts is not trusted yet; that is no news.
        let news = outcome.as_ref().err().is_none_or(|cause| cause.is_intended() || !early);
        if news {
            self.metrics.canary_sent(outcome.as_ref().err().map(Cause::name));
        }
        let outcome = outcome.map_err(|cause| (cause.is_intended(), cause.describe()));
        let known = outcome.clone().map_err(|(_, text)| text);
        if self.known.as_ref() != Some(&known) && news {
            match outcome {
                Ok(()) => tracing::info!("enforcing: both webhooks refused a canary"),
                Err((true, cause)) => tracing::warn!(cause, "not enforcing, as intended"),
                Err((false, cause)) => tracing::error!(cause, "NOT ENFORCING"),
            }
            self.known = Some(known);
        }
        arrived
    }
}

/// A number from 0 to 1 that differs between replicas and rounds.
fn spread() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    // The seed of a hash table is the randomness that the standard library has.
    f64::from((RandomState::new().hash_one(0) >> 32) as u32) / f64::from(u32::MAX)
}
