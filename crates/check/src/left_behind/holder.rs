//! What of a manifest tells which claims it uses, and whether it is another one under a new name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stateward_core::object::Kind;
use stateward_core::yaml::Document;

use super::claims::Claims;
use crate::keep::kept_manifest;
use crate::variables;

/// How an object comes by its claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// a StatefulSet, of Kubernetes or of `OpenKruise`, which numbers its claims
    Set,
    /// anything else with a pod template
    Workload,
    /// a claim itself
    Claim,
}

/// An object that has claims, or may take the place of one that has.
#[derive(Debug)]
pub(super) struct Holder<'d> {
    pub(super) document: &'d Document,
    pub(super) form: Form,
    pub(super) claims: Claims,
    /// whether its claims are deleted with it
    pub(super) deletes_claims: bool,
    /// whether it names where its data comes from
    pub(super) is_filled: bool,
    /// names of claim templates
    pub(super) templates: BTreeSet<String>,
    /// images without registry, folder and tag
    pub(super) images: BTreeSet<String>,
    /// the selector of a workload, the labels and the spec of a claim; empty if there is none
    pub(super) traits: BTreeMap<&'static str, String>,
}

impl<'d> Holder<'d> {
    pub(super) fn of(document: &'d Document) -> Option<Self> {
        // What has no name yet is nobody's successor.
        if document.name.is_empty() || variables::is_in(&document.name) {
            return None;
        }
        let object: Value = serde_json::from_str(&document.json).ok()?;
        let spec = &object["spec"];
        if Kind::of_manifest(&document.api_version, &document.kind) == Kind::Claim {
            return Some(Self::claim(document, &object));
        }
        let pods = &spec["template"]["spec"];
        pods["containers"].as_array()?;
        let form = if document.kind == "StatefulSet" { Form::Set } else { Form::Workload };
        let name = |one: &Value| one["metadata"]["name"].as_str().map(str::to_owned);
        let templates: BTreeSet<String> =
            list(&spec["volumeClaimTemplates"]).filter_map(name).collect();
        let mut claims = Claims::default();
        for template in &templates {
            let stem = format!("{template}-{}", document.name);
            if form == Form::Set {
                let start = spec["ordinals"]["start"].as_i64().unwrap_or(0);
                // A set that was scaled to zero still has claims.
                let count = spec["replicas"].as_i64().unwrap_or(1).max(1);
                let range = start..start.saturating_add(count);
                claims.numbered.insert(stem, vec![range]);
            } else {
                claims.generated.insert(stem);
            }
        }
        // A claim template replaces a volume of the same name.
        let own = |volume: &&Value| volume["name"].as_str().is_none_or(|n| !templates.contains(n));
        let volumes = list(&pods["volumes"]).filter(own);
        let names = volumes.map(|volume| &volume["persistentVolumeClaim"]["claimName"]);
        claims.named = names.filter_map(Value::as_str).map(str::to_owned).collect();
        let containers = list(&pods["containers"]);
        let images = containers.filter_map(|one| one["image"].as_str()).map(image);
        let mut traits = BTreeMap::new();
        let selector = &spec["selector"];
        if selector.as_object().is_some_and(|selector| !selector.is_empty()) {
            traits.insert("selector", selector.to_string());
        }
        let retention = &spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"];
        Some(Self {
            document,
            form,
            // OpenKruise's CloneSet owns the claims that it makes.
            deletes_claims: (!claims.generated.is_empty() || retention == "Delete")
                && kept_manifest(&document.json).is_none(),
            claims,
            is_filled: false,
            images: images.collect(),
            templates,
            traits,
        })
    }

    fn claim(document: &'d Document, object: &Value) -> Self {
        let spec = &object["spec"];
        let mut traits = BTreeMap::new();
        let same = ["accessModes", "resources", "storageClassName", "volumeMode"];
        let same: Vec<String> = same.iter().map(|key| spec[*key].to_string()).collect();
        traits.insert("spec", same.join(" "));
        let labels = &object["metadata"]["labels"];
        if labels.is_object() {
            traits.insert("labels", labels.to_string());
        }
        let source = ["volumeName", "dataSource", "dataSourceRef"];
        Self {
            document,
            form: Form::Claim,
            claims: Claims { named: BTreeSet::from([document.name.clone()]), ..Claims::default() },
            deletes_claims: false,
            is_filled: source.iter().any(|key| !spec[*key].is_null()),
            templates: BTreeSet::new(),
            images: BTreeSet::new(),
            traits,
        }
    }

    pub(super) fn trait_of(&self, key: &str) -> Option<&str> {
        self.traits.get(key).map(String::as_str)
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// `postgres` of `registry:5000/library/postgres:17@sha256:…`.
fn image(image: &str) -> String {
    let image = image.split('@').next().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    name.split(':').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_image_is_known_by_its_last_part() {
        for text in ["db", "db:1", "a/db:1", "host:5000/a/db", "host:5000/db:1@sha256:0f"] {
            assert_eq!(super::image(text), "db", "{text}");
        }
    }
}
