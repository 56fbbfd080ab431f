//! What is known beyond the change itself. A fact is known or `Unknown` with the reason, never
//! silently absent.

mod files;

use std::collections::BTreeMap;

/// A fact, or why it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<T> {
    /// it is known
    Known(T),
    /// it is not known; the text completes "needs …"
    Unknown(String),
}

/// What a claim among the inputs says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimFact {
    /// `spec.accessModes`
    pub access_modes: Vec<String>,
}

/// What a StorageClass among the inputs says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassFact {
    /// `allowVolumeExpansion`
    pub allow_volume_expansion: bool,
}

/// Objects that are known besides the one that changes.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    claims: BTreeMap<(String, String), ClaimFact>,
    classes: BTreeMap<String, ClassFact>,
}

impl Facts {
    /// Nothing but the change is known.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds the claim `name` of `namespace`.
    pub fn add_claim(&mut self, namespace: &str, name: &str, claim: ClaimFact) {
        self.claims.insert((namespace.to_owned(), name.to_owned()), claim);
    }

    /// Adds the StorageClass `name`.
    pub fn add_class(&mut self, name: &str, class: ClassFact) {
        self.classes.insert(name.to_owned(), class);
    }

    /// The claim `name` of `namespace`.
    pub fn claim(&self, namespace: &str, name: &str) -> Fact<&ClaimFact> {
        match self.claims.get(&(namespace.to_owned(), name.to_owned())) {
            Some(claim) => Fact::Known(claim),
            None => Fact::Unknown(format!("PersistentVolumeClaim {namespace}/{name}")),
        }
    }

    /// The StorageClass `name`.
    pub fn class(&self, name: &str) -> Fact<&ClassFact> {
        match self.classes.get(name) {
            Some(class) => Fact::Known(class),
            None => Fact::Unknown(format!("StorageClass {name}")),
        }
    }
}
