//! The pod anti-affinity that stateward injects, and how to know it again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The label by which nodes tell their name.
pub const HOST: &str = "kubernetes.io/hostname";
/// The label by which nodes tell their zone.
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// How strongly the pods of a set are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// over nodes if possible, and then over zones
    Preferred,
    /// over zones if possible, and then over nodes
    Zone,
    /// no two on one node, and over zones if possible; a pod that finds no node stays pending
    Required,
}

impl Spread {
    const ALL: [Self; 3] = [Self::Preferred, Self::Zone, Self::Required];

    /// The `podAntiAffinity` that keeps pods of this selector apart.
    pub fn terms(self, selector: &Value) -> Value {
        let term = |key: &str| json!({"labelSelector": selector, "topologyKey": key});
        let preferred =
            |weight: u8, key: &str| json!({"weight": weight, "podAffinityTerm": term(key)});
        let both = |first: &str, second: &str| {
            json!({
                "preferredDuringSchedulingIgnoredDuringExecution":
                    [preferred(100, first), preferred(50, second)]
            })
        };
        match self {
            Self::Preferred => both(HOST, ZONE),
            Self::Zone => both(ZONE, HOST),
            Self::Required => json!({
                "requiredDuringSchedulingIgnoredDuringExecution": [term(HOST)],
                "preferredDuringSchedulingIgnoredDuringExecution": [preferred(100, ZONE)],
            }),
        }
    }

    /// The strength of a `podAntiAffinity`, if it has the form that is injected.
    pub fn of(terms: &Value) -> Option<Self> {
        let first =
            "/preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm/labelSelector";
        Self::for_pods(terms, terms.pointer(first)?)
    }

    /// The same for pods of this selector only.
    pub fn for_pods(terms: &Value, selector: &Value) -> Option<Self> {
        Self::ALL.into_iter().find(|spread| spread.terms(selector) == *terms)
    }
}
