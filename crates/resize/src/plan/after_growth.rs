//! What the system of a set needs when its volumes have grown.

use serde::Serialize;
use stateward_core::facts::SetFact;
use stateward_core::packs::{Packs, recognise};
use stateward_core::record::snapshot;

use crate::observed::Set;

/// What has to follow when the volumes of a system have grown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AfterGrowth {
    /// the system, as people write it
    pub system: String,
    /// what to do
    pub step: String,
    /// where this is said
    pub source: String,
}

impl AfterGrowth {
    pub(super) fn of(set: &Set) -> Option<Self> {
        let object = snapshot::decode(&set.snapshot).ok()?;
        let fact = SetFact::read(&object).ok()?;
        let pack = recognise(Packs::built_in(), &fact.traits())?.pack;
        let advice = pack.after_growth.as_ref()?;
        Some(Self {
            system: pack.title.clone(),
            step: advice.step.clone(),
            source: advice.source.clone(),
        })
    }
}
