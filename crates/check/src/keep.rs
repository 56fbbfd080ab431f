//! Objects that a tool keeps in the cluster when they are missing from the manifests.

use serde_json::Value;

/// The annotation by which Helm, Argo CD or Flux keeps an object that is removed from the manifests.
pub(crate) fn kept_by(object: &Value) -> Option<&'static str> {
    const ANNOTATIONS: [(&str, &[&str]); 3] = [
        ("helm.sh/resource-policy", &["keep"]),
        ("argocd.argoproj.io/sync-options", &["Prune=false", "Prune=confirm"]),
        ("kustomize.toolkit.fluxcd.io/prune", &["disabled"]),
    ];
    let annotations = &object["metadata"]["annotations"];
    let keeps = |(key, values): &(&str, &[&str])| {
        let value = annotations[*key].as_str().unwrap_or_default();
        value.split(',').any(|option| values.contains(&option.trim()))
    };
    ANNOTATIONS.iter().find(|one| keeps(one)).map(|(key, _)| *key)
}

/// The same of a manifest.
pub(crate) fn kept_manifest(json: &str) -> Option<&'static str> {
    kept_by(&serde_json::from_str(json).ok()?)
}
