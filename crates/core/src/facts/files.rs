//! Facts from manifests: claims, classes and what else the inputs show beside the judged objects.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::read::{self, Reduced};
use super::{Alike, ClassFact, FACT_KINDS, Fact, FactKind, Facts, Objects};
use crate::object::json::decode;
use crate::object::{DecodeError, Kind, Object, StatefulSet};
use crate::yaml::Document;
use crate::yaml::InputError;

impl Facts {
    /// Takes an object in, as JSON, by the place that it is known by. One that cannot be read is known
    /// to exist.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn insert(
        &mut self,
        kind: FactKind,
        namespace: &str,
        name: &str,
        json: &str,
    ) -> Result<(), &'static str> {
        let raw: &RawValue = serde_json::from_str(json).map_err(|_| read::UNREADABLE)?;
        self.take_in(kind, raw, Some((namespace, name)))
    }

    /// Takes in an object of the API server.
    pub fn insert_live(&mut self, kind: FactKind, object: &RawValue) {
        // What cannot be read is known to exist then.
        _ = self.take_in(kind, object, None);
    }

    pub(super) fn take_in(
        &mut self,
        kind: FactKind,
        raw: &RawValue,
        place: Option<(&str, &str)>,
    ) -> Result<(), &'static str> {
        match kind {
            FactKind::AttributesClass => {
                put(&mut self.attributes_classes, place, read::attributes_class(raw))
            }
            FactKind::Autoscaler => put(&mut self.autoscalers, place, read::autoscaler(raw)),
            FactKind::Budget => put(&mut self.budgets, place, read::budget(raw)),
            FactKind::Claim => put(&mut self.claims, place, read::claim(raw)),
            FactKind::Class => put(&mut self.classes, place, read::class(raw)),
            FactKind::Namespace => put(&mut self.namespaces, place, read::namespace(raw)),
            FactKind::Node => put(&mut self.nodes, place, read::node(raw)),
            FactKind::Pod => put(&mut self.pods, place, read::pod(raw)),
            FactKind::Quota => put(&mut self.quotas, place, read::quota(raw)),
            FactKind::Record => put(&mut self.records, place, read::record(raw)),
            FactKind::Service => put(&mut self.services, place, read::service(raw)),
            FactKind::Set => put(&mut self.sets, place, read::set(raw)),
            FactKind::Snapshot => put(&mut self.snapshots, place, read::snapshot(raw)),
            FactKind::SnapshotContent => {
                put(&mut self.snapshot_contents, place, read::snapshot_content(raw))
            }
            FactKind::SnapshotClass => {
                put(&mut self.snapshot_classes, place, read::snapshot_class(raw))
            }
            FactKind::Volume => put(&mut self.volumes, place, read::volume(raw)),
        }
    }

    /// Takes in that an object exists of which nothing is known.
    pub(super) fn insert_unknown(
        &mut self,
        kind: FactKind,
        namespace: &str,
        name: &str,
        why: &str,
    ) {
        self.objects_mut(kind).insert_unknown(namespace, name, why);
    }

    /// Forgets the objects of a kind, and says what their absence means.
    pub fn forget(&mut self, kind: FactKind, known: Known<'_>) {
        self.objects_mut(kind).forget(kind.info().name, known);
    }

    /// Why the objects of some kinds are not known, in a phrase each.
    pub fn not_known(&self) -> impl Iterator<Item = &str> {
        self.unknown_kinds().map(|(_, why)| why)
    }

    /// The kinds of which nothing is known, and why, in a phrase each.
    pub fn unknown_kinds(&self) -> impl Iterator<Item = (FactKind, &str)> {
        // In the order of the kinds.
        let kinds = [
            self.attributes_classes.why_unknown(),
            self.autoscalers.why_unknown(),
            self.budgets.why_unknown(),
            self.claims.why_unknown(),
            self.classes.why_unknown(),
            self.namespaces.why_unknown(),
            self.nodes.why_unknown(),
            self.pods.why_unknown(),
            self.quotas.why_unknown(),
            self.records.why_unknown(),
            self.services.why_unknown(),
            self.sets.why_unknown(),
            self.snapshots.why_unknown(),
            self.snapshot_contents.why_unknown(),
            self.snapshot_classes.why_unknown(),
            self.volumes.why_unknown(),
        ];
        let infos = FACT_KINDS.iter().map(|info| info.kind);
        infos.zip(kinds).filter_map(|(kind, why)| Some((kind, why?)))
    }

    fn objects_mut(&mut self, kind: FactKind) -> &mut dyn AnyObjects {
        match kind {
            FactKind::AttributesClass => &mut self.attributes_classes,
            FactKind::Autoscaler => &mut self.autoscalers,
            FactKind::Budget => &mut self.budgets,
            FactKind::Claim => &mut self.claims,
            FactKind::Class => &mut self.classes,
            FactKind::Namespace => &mut self.namespaces,
            FactKind::Node => &mut self.nodes,
            FactKind::Pod => &mut self.pods,
            FactKind::Quota => &mut self.quotas,
            FactKind::Record => &mut self.records,
            FactKind::Service => &mut self.services,
            FactKind::Set => &mut self.sets,
            FactKind::Snapshot => &mut self.snapshots,
            FactKind::SnapshotContent => &mut self.snapshot_contents,
            FactKind::SnapshotClass => &mut self.snapshot_classes,
            FactKind::Volume => &mut self.volumes,
        }
    }

    /// Adds what the documents say about claims and classes that are not known yet, and about Services,
    /// disruption budgets, autoscalers and classes of volume attributes. Returns the classes that could not be read.
    pub fn add_documents<'d>(
        &mut self,
        documents: impl IntoIterator<Item = &'d Document>,
    ) -> Vec<InputError> {
        let facts = self;
        let mut errors = Vec::new();
        let mut users: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
        for document in documents {
            if Kind::of_manifest(&document.api_version, &document.kind) == Kind::Claim {
                let known = facts.claims.get(&document.namespace, &document.name);
                if matches!(known, Fact::Known(Some(_))) {
                    continue;
                }
                // A claim that cannot be read is reported where it is judged itself.
                _ = facts.insert(
                    FactKind::Claim,
                    &document.namespace,
                    &document.name,
                    &document.json,
                );
            } else if document.kind == "StatefulSet" {
                for claim in mounted_claims(&document.json) {
                    let users = users.entry((&document.namespace, claim)).or_default();
                    // To name another set than the one that is judged, two are enough.
                    if users.len() < 2 && !users.contains(&document.name) {
                        users.push(document.name.clone());
                    }
                }
            } else if let Some(kind) = surrounding(document) {
                // What is applied together with the set counts, not what was there before. An object that
                // cannot be read is known to exist.
                let Document { namespace, name, json, .. } = document;
                _ = facts.insert(kind, namespace, name, json);
            } else if document.group() == "storage.k8s.io" && document.kind == "StorageClass" {
                if matches!(facts.class(&document.name), Fact::Known(_)) {
                    continue;
                }
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
        errors
    }
}

/// How many objects of a kind are known.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// all
    All,
    /// those of one namespace
    Namespace(&'a str),
    /// none; the reason completes "needs …"
    Nothing(&'a str),
}

/// Objects of whichever kind.
trait AnyObjects {
    fn insert_unknown(&mut self, namespace: &str, name: &str, why: &str);
    fn forget(&mut self, kind: &'static str, known: Known<'_>);
}

impl<T> AnyObjects for Objects<T> {
    fn insert_unknown(&mut self, namespace: &str, name: &str, why: &str) {
        Self::insert_unknown(self, namespace, name, why);
    }

    fn forget(&mut self, kind: &'static str, known: Known<'_>) {
        *self = match known {
            Known::All => Self::all(),
            Known::Namespace(namespace) => Self::of_namespace(kind, namespace),
            Known::Nothing(why) => Self::unknown(why),
        };
    }
}

/// Puts in what was read of an object.
fn put<T: Clone + Alike>(
    objects: &mut Objects<T>,
    place: Option<(&str, &str)>,
    reduced: Option<Reduced<T>>,
) -> Result<(), &'static str> {
    let Some(Reduced { namespace, name, fact }) = reduced else { return Err(read::UNREADABLE) };
    let (namespace, name) = place.unwrap_or((&namespace, &name));
    match fact {
        Ok(Some(fact)) => objects.insert(namespace, name, fact),
        Ok(None) => objects.remove(namespace, name),
        Err(why) => {
            objects.insert_unknown(namespace, name, &format!("{name}, {why}"));
            return Err(why);
        }
    }
    Ok(())
}

/// The kind of an object that is not judged, and that manifests bring along with a set.
fn surrounding(document: &Document) -> Option<FactKind> {
    let kind = FactKind::of_manifest(&document.api_version, &document.kind)?;
    let brought =
        [FactKind::AttributesClass, FactKind::Autoscaler, FactKind::Budget, FactKind::Service];
    brought.contains(&kind).then_some(kind)
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
    use crate::facts::ClaimFact;
    use crate::yaml::{File, Inputs};

    #[test]
    fn each_kind_is_unknown_for_its_own_reason() {
        let mut facts = Facts::none();
        for info in FACT_KINDS {
            facts.forget(info.kind, Known::Nothing(info.many));
        }
        let unknown: Vec<_> = facts.unknown_kinds().collect();
        let expected: Vec<_> = FACT_KINDS.iter().map(|info| (info.kind, info.many)).collect();
        assert_eq!(unknown, expected);
        facts.forget(FactKind::Node, Known::All);
        assert!(!facts.unknown_kinds().any(|(kind, _)| kind == FactKind::Node));
    }

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
        let mut facts = Facts::none();
        let errors = facts.add_documents(&inputs.documents);
        assert_eq!(
            facts.class("fast"),
            Fact::Known(&ClassFact {
                allow_volume_expansion: true,
                immediate: true,
                ..ClassFact::default()
            })
        );
        let access_modes = [String::from("ReadWriteOnce")].into();
        let claim = ClaimFact { access_modes, ..ClaimFact::default() };
        assert_eq!(facts.claim("shop", "data-db-0"), Fact::Known(&claim));
        assert!(matches!(facts.class("odd"), Fact::Unknown(_)));
        let places: Vec<_> = errors.iter().map(|e| (e.line, e.column)).collect();
        assert_eq!(places, [(9, 23)]);
        assert!(errors[0].message.starts_with("allowVolumeExpansion: "), "{}", errors[0].message);
    }
}
