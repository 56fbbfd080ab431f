//! An audit in the form of `check`'s reports, for the formats that it has no form of its own for.

use crate::report::{
    CheckReport, JudgedObject, NotJudged, ObjectRef, Outcome, ReportedFinding, Subject,
};

use super::checks::CHECKS;
use super::{Audit, AuditFinding, AuditedClaim, AuditedSet, CLAIM, SET, Severity};

/// The report of an audit. Beside an earlier audit, it holds the findings that are new.
pub fn report(audit: &Audit<'_>) -> CheckReport {
    let set = |set: &AuditedSet<'_>| JudgedObject {
        system: set.system.clone(),
        ..judged(SET, set.namespace, set.name)
    };
    let claim = |claim: &AuditedClaim<'_>| judged(CLAIM, claim.namespace, claim.name);
    let of_set = |one: &AuditedSet<'_>| -> Vec<JudgedObject> {
        std::iter::once(set(one)).chain(one.claims.iter().map(claim)).collect()
    };
    // What an earlier audit found is not told again, and is no success either.
    let before = audit.as_before();
    let objects = audit.sets.iter().flat_map(of_set).chain(audit.other_claims.iter().map(claim));
    let objects = objects.filter(|JudgedObject { object, .. }| {
        !before.contains(&(object.kind.as_str(), object.namespace.as_str(), object.name.as_str()))
    });
    let findings = audit.shown().map(reported).collect();
    let whole = match &audit.namespace {
        Some(namespace) => object("Namespace", "", namespace),
        None => object("Cluster", "", ""),
    };
    let not_judged = |needs: &String| NotJudged {
        rule: String::new(),
        object: whole.clone(),
        needs: needs.clone(),
        file: String::new(),
        line: 0,
        template: None,
    };
    let unknown = audit.unknown.iter().map(not_judged).collect();
    let mut report = CheckReport::new(objects.collect(), 0, findings, unknown, Vec::new());
    report.subject = Subject::Cluster { checks: &CHECKS, summary: headline(audit) };
    report
}

fn judged(kind: &str, namespace: &str, name: &str) -> JudgedObject {
    JudgedObject {
        operation: "",
        object: object(kind, namespace, name),
        file: String::new(),
        line: 0,
        system: None,
        exemption: None,
        allowed: Vec::new(),
        allow_faults: Vec::new(),
        exemption_reason: None,
    }
}

fn object(kind: &str, namespace: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: if kind == SET { "apps/v1" } else { "v1" }.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn reported(found: &AuditFinding) -> ReportedFinding {
    let object = object(found.kind, &found.namespace, &found.name);
    ReportedFinding {
        rule: found.check.to_owned(),
        outcome: Outcome::Found(found.severity),
        operation: "",
        message: format!("{object}: {}", found.message),
        object,
        field: String::new(),
        old: None,
        new: None,
        why: String::new(),
        loss: None,
        remedy: found.remedy.clone().into_iter().collect(),
        causes: Vec::new(),
        refused_by: None,
        help: None,
        how_to_allow: None,
    }
}

/// `3 StatefulSets and 9 claims: 0 lost, 2 risk, 0 stuck, 1 note`
fn headline(audit: &Audit<'_>) -> String {
    let counts = Severity::ALL.map(|severity| {
        let count = audit.shown().filter(|found| found.severity == severity).count();
        format!("{count} {}", severity.name())
    });
    let counts = counts.join(", ");
    let counts = match &audit.since {
        Some(since) => format!("new are {counts}; {} fixed", since.fixed.len()),
        None => counts,
    };
    let unknown = match audit.unknown.len() {
        0 => String::new(),
        count => format!("; incomplete, {count} not known"),
    };
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let (sets, claims) = (audit.summary.sets, audit.summary.claims);
    format!(
        "{sets} StatefulSet{} and {claims} claim{}: {counts}{unknown}",
        plural(sets),
        plural(claims)
    )
}
