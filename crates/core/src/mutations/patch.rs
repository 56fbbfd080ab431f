//! The JSON patch that mutations build up, tried out before it leaves the process.

use json_patch::Patch as Operations;
use serde_json::{Value, json};

use crate::change::{Change, Operation};
use crate::object::{Claim, Kind, Object, Pointer, StatefulSet};
use crate::rules::remedy::otherwise;
use crate::rules::{Finding, Step};

/// What mutations want, together with what is said about it.
#[derive(Clone, Debug, Default)]
pub struct Mutation {
    operations: Vec<Value>,
    has_annotations: Option<bool>,
    /// one line each
    pub warnings: Vec<String>,
    /// the names of what was done, for the audit log and the metrics
    pub done: Vec<&'static str>,
    /// what was injected or kept, for the annotation that lists it
    pub injected: Vec<&'static str>,
    /// rules whose findings are answered by this mutation: they warn instead of deny
    pub carries_out: Vec<&'static str>,
    /// why the safe form of an edit is not made to happen, where it could have been
    pub objections: Vec<Objection>,
}

/// Why a mutation declines, told by the finding of the rule that refuses the edit then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// the rule
    pub rule: &'static str,
    /// the reason, in place of the rule's
    pub why: String,
    /// the way out
    pub steps: Vec<Step>,
    /// whether the rule's own steps follow as another way
    pub by_hand: bool,
}

impl Objection {
    /// The reason and the steps take the place of the rule's.
    pub fn instead(rule: &'static str, why: impl Into<String>, steps: Vec<Step>) -> Self {
        Self { rule, why: why.into(), steps, by_hand: false }
    }

    /// The reason takes the place of the rule's, and a step comes before its steps.
    pub fn before(rule: &'static str, why: impl Into<String>, step: Step) -> Self {
        Self { rule, why: why.into(), steps: vec![step], by_hand: true }
    }

    /// Puts it into the finding of its rule.
    pub fn explain(&self, finding: &mut Finding) {
        finding.why.clone_from(&self.why);
        let by_hand = std::mem::take(&mut finding.remedy);
        finding.remedy.clone_from(&self.steps);
        if self.by_hand {
            finding.remedy.extend(otherwise("or by hand: ", by_hand));
        }
    }
}

/// A patch that has been applied to the reviewed document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// the JSON of the operations
    pub json: Vec<u8>,
}

/// A patch that could not be applied, a fault of ours.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// the reviewed document is no JSON
    #[error("cannot read the reviewed object: {0}")]
    Document(#[source] serde_json::Error),
    /// an operation does not fit the document
    #[error("cannot apply the patch: {0}")]
    Apply(#[source] json_patch::PatchError),
    /// the outcome is no such object any more
    #[error("the patched object cannot be read: {0}")]
    Outcome(#[source] crate::object::DecodeError),
    /// the operations are no JSON patch
    #[error("the patch is malformed: {0}")]
    Operations(#[source] serde_json::Error),
}

impl Mutation {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Adds or overwrites the member or element at `field`, whose parent is there.
    pub fn add(&mut self, field: &Pointer, value: impl Into<Value>) {
        let value = value.into();
        self.operations.push(json!({"op": "add", "path": field, "value": value}));
    }

    /// Overwrites what stands at `field`.
    pub fn replace(&mut self, field: &Pointer, value: impl Into<Value>) {
        let value = value.into();
        self.operations.push(json!({"op": "replace", "path": field, "value": value}));
    }

    /// Removes what stands at `field`.
    pub fn remove(&mut self, field: &Pointer) {
        self.operations.push(json!({"op": "remove", "path": field}));
    }

    /// Sets an annotation of the new object, making the map where there is none.
    pub fn annotate(&mut self, change: &Change<'_>, key: &str, value: &str) {
        let annotations = Pointer::from("/metadata/annotations");
        let present = self.has_annotations.unwrap_or_else(|| {
            change.objects.new.as_ref().is_some_and(|new| !new.metadata.annotations.is_empty())
        });
        if !present {
            // Adding a map where one stands would wipe it; an empty one holds nothing to lose.
            self.add(&annotations, Value::Object(serde_json::Map::new()));
        }
        self.has_annotations = Some(true);
        self.add(&annotations.key(key), Value::from(value));
    }

    /// Applies the operations to the new document and decodes the outcome.
    ///
    /// # Errors
    /// What does not fit; then nothing may be answered with this patch.
    pub fn tried(&self, change: &Change<'_>, document: &str) -> Result<Option<Patch>, PatchError> {
        if self.is_empty() || change.operation == Operation::Delete {
            return Ok(None);
        }
        let json = serde_json::to_vec(&self.operations).map_err(PatchError::Operations)?;
        let operations: Operations =
            serde_json::from_slice(&json).map_err(PatchError::Operations)?;
        let mut value: Value = serde_json::from_str(document).map_err(PatchError::Document)?;
        json_patch::patch(&mut value, &operations).map_err(PatchError::Apply)?;
        let outcome = value.to_string();
        let object = Object::decode(&outcome).map_err(PatchError::Outcome)?;
        if change.kind == Kind::Claim {
            Claim::decode(&object).map_err(PatchError::Outcome)?;
        } else {
            let set = StatefulSet::decode(&object).map_err(PatchError::Outcome)?;
            set.template().map_err(PatchError::Outcome)?;
            set.claim_templates().map_err(PatchError::Outcome)?;
        }
        Ok(Some(Patch { json }))
    }
}
