//! Facts from manifests: the claims and the classes among the inputs.

use std::collections::BTreeMap;

use super::{ClaimFact, ClassFact, Facts, Objects};
use crate::object::json::decode;
use crate::object::{Claim, DecodeError, Kind, Object, StatefulSet};
use crate::yaml::Document;
use crate::yaml::InputError;

impl Facts {
    /// What the documents say about claims and classes, and the classes that could not be read.
    pub fn from_documents<'d>(
        documents: impl IntoIterator<Item = &'d Document>,
    ) -> (Self, Vec<InputError>) {
        let mut facts = Self::none();
        let mut errors = Vec::new();
        let mut users: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
        for document in documents {
            if Kind::of_manifest(&document.api_version, &document.kind) == Kind::Claim {
                // A claim that cannot be read is reported where it is judged itself.
                if let Ok(claim) = ClaimFact::read(&document.json) {
                    facts.claims.insert(&document.namespace, &document.name, claim);
                }
            } else if document.kind == "StatefulSet" {
                for claim in mounted_claims(&document.json) {
                    let users = users.entry((&document.namespace, claim)).or_default();
                    // To name another set than the one that is judged, two are enough.
                    if users.len() < 2 && !users.contains(&document.name) {
                        users.push(document.name.clone());
                    }
                }
            } else if document.group() == "storage.k8s.io" && document.kind == "StorageClass" {
                match decode::<ClassFact>(&document.json, "") {
                    Ok(class) => facts.classes.insert("", &document.name, class),
                    Err(error) => errors.push(unreadable(document, &error)),
                }
            }
        }
        facts.claim_users = Objects::inputs("StatefulSet");
        for ((namespace, claim), users) in users {
            facts.claim_users.insert(namespace, &claim, users);
        }
        (facts, errors)
    }
}

/// The claims that the pods of a set mount by their names.
fn mounted_claims(json: &str) -> Vec<String> {
    // Cheap, and right for nearly every set.
    if !json.contains("\"claimName\"") {
        return Vec::new();
    }
    let read = || -> Result<Vec<String>, DecodeError> {
        let object = Object::decode(json)?;
        let set = StatefulSet::decode(&object)?;
        let claims = set.template()?.spec.named_claims();
        Ok(claims.map(|(_, _, claim)| claim.to_owned()).collect())
    };
    read().unwrap_or_default()
}

impl ClaimFact {
    /// Reads a claim.
    ///
    /// # Errors
    /// The field that is of the wrong type.
    pub fn read(json: &str) -> Result<Self, DecodeError> {
        let claim = Claim::decode(&Object::decode(json)?)?;
        let (metadata, spec) = (&claim.metadata, &claim.spec);
        let labels = metadata.labels.iter();
        let owners = metadata.owner_references.iter().filter(|owner| &*owner.kind != "Pod");
        Ok(Self {
            uid: metadata.uid.to_string(),
            access_modes: spec.access_modes.iter().map(|mode| mode.as_str().to_owned()).collect(),
            class: claim.class().to_owned(),
            volume: spec.volume_name.to_string(),
            request: spec.storage().map(|size| size.quantity.clone()),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            owners: owners.map(|owner| owner.uid.to_string()).collect(),
        })
    }
}

fn unreadable(document: &Document, error: &DecodeError) -> InputError {
    let place = document.locate_head(&error.field);
    InputError {
        file: document.file.to_string(),
        line: place.line,
        column: place.column,
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Fact;
    use crate::yaml::{File, Inputs};

    #[test]
    fn claims_and_classes_among_the_inputs_are_known() {
        let text = "\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast}
allowVolumeExpansion: yes
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: odd}
allowVolumeExpansion: 1
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data-db-0, namespace: shop}
spec: {accessModes: [ReadWriteOnce]}
";
        let mut inputs = Inputs::default();
        inputs.read(vec![File { name: "-".to_owned(), bytes: text.into() }]);
        let (facts, errors) = Facts::from_documents(&inputs.documents);
        assert_eq!(facts.class("fast"), Fact::Known(&ClassFact { allow_volume_expansion: true }));
        let access_modes = vec!["ReadWriteOnce".to_owned()];
        let claim = ClaimFact { access_modes, ..ClaimFact::default() };
        assert_eq!(facts.claim("shop", "data-db-0"), Fact::Known(&claim));
        assert!(matches!(facts.class("odd"), Fact::Unknown(_)));
        let places: Vec<_> = errors.iter().map(|e| (e.line, e.column)).collect();
        assert_eq!(places, [(9, 23)]);
        assert!(errors[0].message.starts_with("allowVolumeExpansion: "), "{}", errors[0].message);
    }
}
