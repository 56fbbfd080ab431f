//! The system that a set runs, as reports show it.

use serde::Serialize;
use stateward_core::packs::Recognised;

/// The system that a set runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct System {
    /// the name of its pack, which `stateward packs` explains
    pub pack: String,
    /// as people write it
    pub title: String,
    /// what it was recognised by: `image postgres:17`
    pub recognised_by: String,
}

impl From<Recognised<'_>> for System {
    fn from(known: Recognised<'_>) -> Self {
        Self {
            pack: known.name.to_owned(),
            title: known.pack.title.clone(),
            recognised_by: known.by,
        }
    }
}
