//! The pod anti-affinity that stateward injects, and how to know it again.

use serde_json::{Value, json};

/// The label by which nodes tell their name.
pub const HOST: &str = "kubernetes.io/hostname";
/// The label by which nodes tell their zone.
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// A `podAntiAffinity` that prefers to spread pods over the values of the first label, then of the second.
/// Preferred only, so that no pod ever stays pending for it.
pub fn preferred([first, second]: [&str; 2], selector: &Value) -> Value {
    let term = |weight: u8, topology_key: &str| {
        json!({
            "weight": weight,
            "podAffinityTerm": {"labelSelector": selector, "topologyKey": topology_key}
        })
    };
    json!({
        "preferredDuringSchedulingIgnoredDuringExecution": [term(100, first), term(50, second)]
    })
}

/// The first topology key of a `podAntiAffinity`, if it has the form that is injected.
pub fn injected_key(terms: &Value) -> Option<&'static str> {
    let first = "/preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm/labelSelector";
    key_for(terms, terms.pointer(first)?)
}

/// The same for pods of this selector only.
pub fn key_for(terms: &Value, selector: &Value) -> Option<&'static str> {
    let keys = [[HOST, ZONE], [ZONE, HOST]];
    keys.into_iter().find(|keys| preferred(*keys, selector) == *terms).map(|keys| keys[0])
}
