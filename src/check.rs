//! Judges pairs of manifests and says where in the files each finding stands.

use crate::change::{Change, Circumstances, KubernetesVersion, Operation, Pair};
use crate::decide::{Decision, Stage, decide};
use crate::facts::Facts;
use crate::manifest::{Document, Pairing};
use crate::object::{DecodeError, Kind, Object, Pointer};
use crate::policy::Policy;
use crate::report::{
    Cause, InputError, NotJudged, ObjectRef, Outcome, Place, RefusedBy, Report, ReportedFinding,
    Summary,
};
use crate::rules::{Action, Group};

/// What a check judges with.
#[derive(Debug)]
pub struct Checker<'a> {
    /// the policy
    pub policy: &'a Policy,
    /// what is known besides the pairs
    pub facts: &'a Facts,
    /// decides what the API server would refuse
    pub kubernetes: KubernetesVersion,
    /// when the check runs
    pub now: jiff::Timestamp,
}

impl Checker<'_> {
    /// Judges every pair; `errors` and `skipped` come from reading them.
    pub fn check(
        &self,
        pairings: &[Pairing],
        errors: Vec<InputError>,
        skipped: usize,
    ) -> Report {
        let mut report = Report {
            version: 1,
            findings: Vec::new(),
            not_judged: Vec::new(),
            errors,
            summary: Summary { skipped, ..Summary::default() },
        };
        for pairing in pairings {
            self.judge(pairing, &mut report);
        }
        report.findings.sort_by(|a, b| order(a).cmp(&order(b)));
        let count = |outcome| report.findings.iter().filter(|f| f.outcome == outcome).count();
        report.summary.deny = count(Outcome::Deny);
        report.summary.warn = count(Outcome::Warn);
        report.summary.error = count(Outcome::Error) + report.errors.len();
        report.summary.not_judged = report.not_judged.len();
        report
    }

    fn judge(&self, pairing: &Pairing, report: &mut Report) {
        let Some(document) = pairing.new.as_ref().or(pairing.old.as_ref()) else { return };
        let kind = Kind::of_manifest(&document.api_version, &document.kind);
        if kind == Kind::Other {
            return;
        }
        report.summary.objects += 1;
        let operation = match (&pairing.old, &pairing.new) {
            (None, _) => Operation::Create,
            (Some(_), Some(_)) => Operation::Update,
            (Some(_), None) => Operation::Delete,
        };
        let site = Site { pairing, operation, document };
        let change = match self.change(pairing, kind, operation) {
            Ok(change) => change,
            Err(error) => {
                report.findings.push(site.malformed(&error));
                return;
            }
        };
        match decide(Stage::Check, &change, &document.json, self.facts, self.policy) {
            Ok(decision) => site.report(&change, decision, report),
            // A check asks for no patch, so none can fail to apply.
            Err(error) => report.errors.push(InputError {
                file: document.file.to_string(),
                line: document.location().line,
                column: document.location().column,
                message: error.to_string(),
            }),
        }
    }

    fn change<'d>(
        &self,
        pairing: &'d Pairing,
        kind: Kind,
        operation: Operation,
    ) -> Result<Change<'d>, DecodeError> {
        let decode = |side: &'d Option<Document>| {
            side.as_ref().map(|document| Object::decode(&document.json)).transpose()
        };
        let objects = Pair { old: decode(&pairing.old)?, new: decode(&pairing.new)? };
        let circumstances = Circumstances {
            now: self.now,
            kubernetes: self.kubernetes,
            ..Circumstances::default()
        };
        Change::new(operation, kind, "", objects, circumstances)
    }
}

/// By file, then line, then column, then rule.
fn order(finding: &ReportedFinding) -> (&str, usize, usize, &str) {
    let place = finding.new.as_ref().or(finding.old.as_ref());
    (
        place.map_or("", |place| place.file.as_str()),
        place.map_or(0, |place| place.line),
        place.map_or(0, |place| place.column),
        finding.rule.as_str(),
    )
}

/// One pair, and where its fields stand.
struct Site<'a> {
    pairing: &'a Pairing,
    operation: Operation,
    document: &'a Document,
}

impl Site<'_> {
    fn report(&self, change: &Change<'_>, decision: Decision, report: &mut Report) {
        let object = change.object_name();
        for verdict in decision.verdicts {
            let finding = verdict.finding;
            let outcome = match verdict.action {
                Action::Deny => Outcome::Deny,
                Action::Warn | Action::Off => Outcome::Warn,
            };
            let refused_by = match (outcome, verdict.group) {
                (Outcome::Deny, Group::Refusal) => Some(RefusedBy::Kubernetes),
                (Outcome::Deny, _) => Some(RefusedBy::Policy),
                _ => None,
            };
            report.findings.push(ReportedFinding {
                rule: finding.rule.to_owned(),
                outcome,
                operation: self.operation.name(),
                object: self.object(),
                field: finding.field.to_string(),
                old: place(self.pairing.old.as_ref(), &finding.old_field, finding.old),
                new: place(self.pairing.new.as_ref(), &finding.field, finding.new),
                message: format!("{object}: {}", finding.what),
                causes: vec![Cause { field: finding.field.dotted(), message: finding.what }],
                why: finding.why,
                remedy: finding.remedy,
                refused_by,
            });
        }
        for missing in decision.not_judged {
            report.not_judged.push(NotJudged {
                rule: missing.rule.to_owned(),
                object: self.object(),
                needs: missing.needs,
            });
        }
        for error in &decision.malformed {
            report.findings.push(self.malformed(error));
        }
    }

    /// A field of the wrong type: the API server refuses to decode it.
    fn malformed(&self, error: &DecodeError) -> ReportedFinding {
        let in_new = self
            .pairing
            .new
            .as_ref()
            .is_some_and(|new| wrong_in(new, self.kind(), &error.field));
        let (old, new) = if in_new {
            (None, self.pairing.new.as_ref())
        } else {
            (self.pairing.old.as_ref().or(self.pairing.new.as_ref()), None)
        };
        ReportedFinding {
            rule: "malformed".to_owned(),
            outcome: Outcome::Error,
            operation: self.operation.name(),
            object: self.object(),
            field: error.field.to_string(),
            old: place(old, &error.field, None),
            new: place(new, &error.field, None),
            message: format!("{} {}: {error}", self.document.kind, self.name()),
            why: "The API server cannot read it either, so nothing else was judged.".to_owned(),
            remedy: Vec::new(),
            causes: vec![Cause { field: error.field.dotted(), message: error.message.clone() }],
            refused_by: None,
        }
    }

    fn kind(&self) -> Kind {
        Kind::of_manifest(&self.document.api_version, &self.document.kind)
    }

    fn name(&self) -> String {
        let Document { namespace, name, .. } = self.document;
        if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") }
    }

    fn object(&self) -> ObjectRef {
        let name = if self.document.name.is_empty() {
            self.document.generate_name.clone()
        } else {
            self.document.name.clone()
        };
        ObjectRef {
            api_version: self.document.api_version.clone(),
            kind: self.document.kind.clone(),
            namespace: self.document.namespace.clone(),
            name,
        }
    }
}

/// Whether decoding this document alone stumbles over the same field.
fn wrong_in(document: &Document, kind: Kind, field: &Pointer) -> bool {
    let judge = || -> Result<(), DecodeError> {
        let objects = Pair { old: None, new: Some(Object::decode(&document.json)?) };
        let change =
            Change::new(Operation::Create, kind, "", objects, Circumstances::default())?;
        if let Some(set) = change.created_set() {
            set.selector()?;
            set.template()?;
            set.claim_templates()?;
        }
        Ok(())
    };
    judge().is_err_and(|error| error.field == *field)
}

fn place(document: Option<&Document>, field: &Pointer, value: Option<String>) -> Option<Place> {
    let document = document?;
    let location = document.locate(field);
    Some(Place {
        value,
        file: document.file.to_string(),
        line: location.line,
        column: location.column,
        template: document.template.clone(),
    })
}
