//! Judges pairs of manifests and says where in the files each finding stands.

use serde_json::Value;
use stateward_core::change::{Change, Circumstances, Operation, Pair, label};
use stateward_core::decide::{Decision, Exemption, Grounds, Stage, decide};
use stateward_core::mutations::resize;
use stateward_core::object::compare::plain;
use stateward_core::object::{DecodeError, KINDS, Kind, Object, Pointer, Quantity};
use stateward_core::policy::Resize;
use stateward_core::rules::{Action, Group, Step};
use stateward_core::yaml::{Document, InputError};

use crate::pair::{Paired, Pairing};
use crate::report::{
    Cause, JudgedObject, NotJudged, ObjectRef, Outcome, Place, RefusedBy, Report, ReportedFinding,
    UnjudgedObject,
};

/// Judges every pair.
pub fn check(paired: &Paired, grounds: &Grounds<'_>) -> Report {
    let mut found = Found {
        grounds,
        judged: Vec::new(),
        passed_over: Vec::new(),
        findings: Vec::new(),
        not_judged: Vec::new(),
        errors: paired.errors.clone(),
    };
    for pairing in &paired.pairings {
        found.judge(pairing);
    }
    let gone = paired.gone.iter().filter(|document| kind(document) != Kind::Other).map(unjudged);
    found.passed_over.dedup_by(|a, b| (&a.file, a.line) == (&b.file, b.line));
    Report::new(found.judged, paired.skipped, found.findings, found.not_judged, found.errors)
        .beside(gone.collect(), found.passed_over)
}

fn kind(document: &Document) -> Kind {
    Kind::of_manifest(&document.api_version, &document.kind)
}

fn unjudged(document: &Document) -> UnjudgedObject {
    UnjudgedObject {
        object: object(document),
        file: document.file.to_string(),
        line: document.line(),
    }
}

fn object(document: &Document) -> ObjectRef {
    ObjectRef {
        api_version: document.api_version.clone(),
        kind: document.kind.clone(),
        namespace: document.namespace.clone(),
        name: label(&document.name, &document.generate_name),
    }
}

/// Why an edit is not denied that Kubernetes itself refuses.
fn carried_out(rule: &str) -> String {
    let instead = if rule == resize::RULE {
        "the old size stays and the growth is recorded as a request"
    } else {
        "the old value is put back and the rest of the edit accepted"
    };
    format!("Kubernetes refuses this edit; where stateward's webhook runs, {instead}.")
}

/// A kind that is judged, written in a version that no cluster serves: `apps/v1beta1`, a version
/// of the wrong group, or with capitals that no kind has. Kinds of the same name in groups of
/// other projects are theirs.
fn not_served(document: &Document) -> Option<InputError> {
    let info = KINDS
        .iter()
        .find(|info| info.is_in_manifests() && info.name.eq_ignore_ascii_case(&document.kind))?;
    let (kind, version) = (info.name, info.api_version());
    if !matches!(document.group(), "" | "apps" | "extensions") {
        return None;
    }
    let (field, message) = if kind == document.kind {
        let served = format!(
            "no supported Kubernetes serves a {kind} of {}; write apiVersion: {version}",
            document.api_version
        );
        ("/apiVersion", served)
    } else {
        ("/kind", format!("there is no kind \"{}\"; did you mean \"{kind}\"?", document.kind))
    };
    let place = document.locate(&Pointer::from(field));
    Some(InputError {
        file: document.file.to_string(),
        line: place.line,
        column: place.column,
        message,
    })
}

/// What has been found so far.
struct Found<'g> {
    grounds: &'g Grounds<'g>,
    judged: Vec<JudgedObject>,
    passed_over: Vec<UnjudgedObject>,
    findings: Vec<ReportedFinding>,
    not_judged: Vec<NotJudged>,
    errors: Vec<InputError>,
}

impl Found<'_> {
    fn judge(&mut self, pairing: &Pairing) {
        let Some(document) = pairing.new.as_ref().or(pairing.old.as_ref()) else { return };
        let kind = kind(document);
        if kind == Kind::Other {
            let Some(new) = &pairing.new else { return };
            // Old versions of a kind that we know are not judged, and no cluster takes them.
            match not_served(new) {
                Some(error) => self.errors.push(error),
                None => self.passed_over.push(unjudged(new)),
            }
            return;
        }
        let operation = match (&pairing.old, &pairing.new) {
            (None, _) => Operation::Create,
            (Some(_), Some(_)) => Operation::Update,
            (Some(_), None) => Operation::Delete,
        };
        let site = Site { pairing, operation, document };
        self.judged.push(JudgedObject {
            operation: operation.name(),
            object: object(document),
            file: document.file.to_string(),
            line: document.line(),
            exemption: None,
            allowed: Vec::new(),
            allow_faults: Vec::new(),
            exempt_for: None,
        });
        let change = match self.change(pairing, kind, operation) {
            Ok(change) => change,
            Err(error) => {
                self.findings.push(site.malformed(&error, "so nothing else was judged"));
                return;
            }
        };
        let Grounds { policy, facts, .. } = *self.grounds;
        match decide(Stage::Check, &change, &document.json, facts, policy) {
            Ok(decision) => site.report(&change, decision, self),
            // A check asks for no patch, so none can fail to apply.
            Err(error) => self.errors.push(InputError {
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
            now: self.grounds.now,
            kubernetes: self.grounds.kubernetes,
            ..Circumstances::default()
        };
        Change::new(operation, kind, "", objects, circumstances)
    }
}

/// One pair, and where its fields stand.
struct Site<'a> {
    pairing: &'a Pairing,
    operation: Operation,
    document: &'a Document,
}

impl Site<'_> {
    fn report(&self, change: &Change<'_>, decision: Decision, found: &mut Found<'_>) {
        let name = change.object_name();
        if let Some(judged) = found.judged.last_mut() {
            judged.exemption = decision.exemption.map(Exemption::name);
            judged.exempt_for = decision.exemption.map(Exemption::reason);
            judged.allowed.clone_from(&decision.allowed_rules);
            judged.allow_faults.clone_from(&decision.allow_faults);
        }
        let policy = found.grounds.policy;
        let on_purpose: Vec<Option<String>> =
            decision.verdicts.iter().map(|v| decision.on_purpose(v, policy)).collect();
        for (verdict, on_purpose) in decision.verdicts.into_iter().zip(on_purpose) {
            let help = verdict.help_line().filter(|_| verdict.action == Action::Deny);
            let mut finding = verdict.finding;
            if verdict.carried_out {
                finding.why = carried_out(finding.rule);
                finding.remedy.clear();
            }
            let refused = verdict.action == Action::Deny && finding.rule == resize::RULE;
            if refused && policy.resize(change) == Resize::Reject {
                let text = "or, where a controller runs, set resize: orchestrate in stateward.yaml: \
                            the edit then becomes a request";
                finding.remedy.push(Step { text: text.to_owned(), command: None });
            }
            let outcome = match verdict.action {
                Action::Deny => Outcome::Deny,
                Action::Warn | Action::Off => Outcome::Warn,
            };
            let refused_by = match (outcome, verdict.group) {
                (Outcome::Deny, Group::Refusal) => Some(RefusedBy::Kubernetes),
                (Outcome::Deny, _) => Some(RefusedBy::Policy),
                _ => None,
            };
            found.findings.push(ReportedFinding {
                rule: finding.rule.to_owned(),
                outcome,
                operation: self.operation.name(),
                object: object(self.document),
                field: finding.field.to_string(),
                old: place(self.pairing.old.as_ref(), &finding.old_field, finding.old),
                new: place(self.pairing.new.as_ref(), &finding.field, finding.new),
                message: format!("{name}: {}", finding.what),
                causes: vec![Cause { field: finding.field.dotted(), message: finding.what }],
                why: finding.why,
                remedy: finding.remedy,
                refused_by,
                help,
                on_purpose,
            });
        }
        for missing in decision.not_judged {
            found.not_judged.push(NotJudged {
                rule: missing.rule.to_owned(),
                object: object(self.document),
                needs: missing.needs,
            });
        }
        for error in &decision.malformed {
            let rest = "so the rules that need it judged nothing";
            found.findings.push(self.malformed(error, rest));
        }
    }

    /// A field of the wrong type: the API server refuses to decode it.
    /// `unjudged` says what could not be judged for its sake.
    fn malformed(&self, error: &DecodeError, unjudged: &str) -> ReportedFinding {
        let in_new = self
            .pairing
            .new
            .as_ref()
            .is_some_and(|new| wrong_in(new, kind(self.document), &error.field));
        let (old, new) = if in_new {
            (None, self.pairing.new.as_ref())
        } else {
            (self.pairing.old.as_ref().or(self.pairing.new.as_ref()), None)
        };
        ReportedFinding {
            rule: "malformed".to_owned(),
            outcome: Outcome::Error,
            operation: self.operation.name(),
            object: object(self.document),
            field: error.field.to_string(),
            remedy: meant(old.or(new), error).into_iter().collect(),
            old: place(old, &error.field, None),
            new: place(new, &error.field, None),
            message: format!("{}: {error}", object(self.document)),
            why: format!("The API server cannot read it either, {unjudged}."),
            causes: vec![Cause { field: error.field.dotted(), message: error.message.clone() }],
            refused_by: None,
            help: None,
            on_purpose: None,
        }
    }
}

/// Whether decoding this document alone stumbles over the same field.
fn wrong_in(document: &Document, kind: Kind, field: &Pointer) -> bool {
    let judge = || -> Result<(), DecodeError> {
        let objects = Pair { old: None, new: Some(Object::decode(&document.json)?) };
        let change = Change::new(Operation::Create, kind, "", objects, Circumstances::default())?;
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
    let location = document.locate_head(field);
    // A rule gives the value where it says more than the field does.
    let value = value.or_else(|| {
        let object: Value = serde_json::from_str(&document.json).ok()?;
        object.pointer(field.as_str()).filter(|value| is_scalar(value)).map(plain)
    });
    Some(Place {
        value,
        missing: location.missing,
        file: document.file.to_string(),
        line: location.line,
        column: location.column,
        template: document.template.clone(),
    })
}

/// How to write a size that is none, where it is plain what was meant.
fn meant(document: Option<&Document>, error: &DecodeError) -> Option<Step> {
    let object: Value = serde_json::from_str(&document?.json).ok()?;
    let text = object.pointer(error.field.as_str())?.as_str()?;
    if !error.message.contains("is not a quantity") {
        return None;
    }
    let meant = Quantity::meant(text)?;
    Some(Step { text: format!("set {} to {meant}", error.field.dotted()), command: None })
}

const fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}
