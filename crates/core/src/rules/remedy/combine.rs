//! One re-creation for several refused changes of one set.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::{otherwise, say};
use crate::change::Change;
use crate::object::{DecodeError, Pointer};
use crate::rules::finding::{Finding, Recreation, Step};

/// The claim templates as a whole.
const TEMPLATES: &str = "/spec/volumeClaimTemplates";

/// Lets the first finding that re-creates the set make the changes of all, and the others name it:
/// the second of two re-creations would undo the first.
///
/// # Errors
/// The field of the live set that has the wrong type.
pub fn combine<'f>(
    change: &Change<'_>,
    findings: impl Iterator<Item = &'f mut Finding>,
) -> Result<(), DecodeError> {
    let Some((old, _)) = change.updated_set() else { return Ok(()) };
    let recreates = |finding: &&mut Finding| recreation(finding).is_some();
    let mut findings: Vec<&mut Finding> = findings.filter(recreates).collect();
    let all: Vec<Arc<Recreation>> =
        findings.iter().filter_map(|finding| recreation(finding)).collect();
    if all.len() < 2 {
        return Ok(());
    }
    let together = Recreation {
        operations: operations(&all),
        pods: all.iter().find_map(|recreation| recreation.pods),
        complete: all.iter().any(|recreation| recreation.complete),
    };
    let rule = findings[0].rule;
    let mut steps = together.steps(change, old)?;
    // Every re-creation of the set begins alike.
    let first = steps.first().map(|step| step.text.clone()).unwrap_or_default();
    for finding in &mut findings {
        let lead = lead(finding, &first);
        let instead = match std::mem::take(&mut steps) {
            // The first finding has taken them.
            steps if steps.is_empty() => {
                vec![say(format!("re-create the set once for all changes, as {rule} says"))]
            }
            steps => steps,
        };
        replace(finding, otherwise(&lead, instead));
    }
    Ok(())
}

/// Lets no finding print how to reach a size that `sizes` rejects: `sizes` are the fields of such sizes,
/// which the rule called `rule` names.
pub fn settle_size<'f>(
    rule: &str,
    sizes: &[Pointer],
    findings: impl Iterator<Item = &'f mut Finding>,
) {
    for finding in findings.filter(|finding| finding.rule != rule) {
        if sizes.contains(&finding.field) {
            "Kubernetes rejects this edit.".clone_into(&mut finding.why);
            finding.remedy = vec![say(format!("first settle the size, as {rule} says"))];
        }
    }
}

fn recreation(finding: &Finding) -> Option<Arc<Recreation>> {
    finding.remedy.iter().find_map(|step| step.recreation.clone())
}

/// The words before the first step of the re-creation.
fn lead(finding: &Finding, first: &str) -> String {
    let step = finding.remedy.iter().find(|step| step.recreation.is_some());
    let lead = step.and_then(|step| step.text.strip_suffix(first));
    lead.unwrap_or_default().to_owned()
}

/// Puts `steps` in the place of those of the re-creation.
fn replace(finding: &mut Finding, steps: Vec<Step>) {
    let at = finding.remedy.iter().position(|step| step.recreation.is_some());
    finding.remedy.retain(|step| step.recreation.is_none());
    let at = at.unwrap_or_default();
    finding.remedy.splice(at..at, steps);
}

/// The operations of all, each once. Where the claim templates are taken over as a whole, nothing
/// within them is changed before or after.
fn operations(all: &[Arc<Recreation>]) -> Vec<Value> {
    let every = || all.iter().flat_map(|recreation| &recreation.operations);
    let path = |operation: &Value| operation["path"].as_str().unwrap_or_default().to_owned();
    let whole = every().any(|operation| path(operation) == TEMPLATES);
    let within = format!("{TEMPLATES}/");
    let mut seen = HashSet::new();
    every()
        .filter(|operation| !(whole && path(operation).starts_with(&within)))
        .filter(|operation| seen.insert(operation.to_string()))
        .cloned()
        .collect()
}
