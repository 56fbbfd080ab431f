//! What became of the findings of an earlier audit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Audit, AuditFinding};

/// An earlier audit, as its JSON says; of that, what is compared.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Earlier {
    findings: Vec<EarlierFinding>,
    #[serde(default)]
    unknown: Vec<String>,
}

/// A finding of an earlier audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EarlierFinding {
    /// how bad it was
    pub severity: String,
    /// which check found it
    pub check: String,
    /// the kind of the object
    pub kind: String,
    /// its namespace
    pub namespace: String,
    /// its name
    pub name: String,
    /// one sentence, the rest of one that begins with the object
    pub message: String,
}

/// What is new, and what is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Since {
    /// the places of new findings in the list of findings
    pub new: Vec<usize>,
    /// the findings that are gone
    pub fixed: Vec<EarlierFinding>,
    /// how many findings are missing in what this audit did not look at
    pub not_looked_at: usize,
}

impl Earlier {
    /// Reads what `stateward audit -o json` printed.
    ///
    /// # Errors
    /// What it is instead.
    pub fn read(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Compares with a later audit. A finding is the same if the same check found it in the same object,
    /// whatever its sentence says by now.
    pub fn compare(self, audit: &Audit<'_>) -> Since {
        let mut before: BTreeMap<[String; 4], Vec<EarlierFinding>> = BTreeMap::new();
        for found in self.findings {
            let key = [&found.check, &found.kind, &found.namespace, &found.name].map(Clone::clone);
            before.entry(key).or_default().push(found);
        }
        let mut known = |found: &AuditFinding| {
            let key = [found.check, found.kind, &found.namespace, &found.name].map(str::to_owned);
            before.get_mut(&key).and_then(Vec::pop).is_some()
        };
        let new = audit.findings.iter().enumerate().filter(|(_, found)| !known(found));
        let new = new.map(|(index, _)| index).collect();
        // What could be read before, and cannot be read now, may hide any of them.
        let blind = audit.unknown.iter().any(|why| !self.unknown.contains(why));
        let looked_at = |found: &EarlierFinding| {
            !blind && audit.namespace.as_ref().is_none_or(|only| *only == found.namespace)
        };
        let missing = before.into_values().flatten();
        let (fixed, rest): (Vec<_>, Vec<_>) = missing.partition(looked_at);
        Since { new, fixed, not_looked_at: rest.len() }
    }
}
