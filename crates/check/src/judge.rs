//! Judges pairs of manifests and says where in the files each finding stands.

mod fault;
mod side;
mod variable;

use stateward_core::change::{Change, Circumstances, KubernetesVersion, Operation, Pair, Subject};
use stateward_core::decide::{Decision, EvaluationContext, Exemption, Stage, action_on, decide};
use stateward_core::mutations::resize;
use stateward_core::object::{DecodeError, Kind, Object, Pointer};
use stateward_core::packs::{Traits, recognise};
use stateward_core::policy::{Policy, Resize};
use stateward_core::rules::remedy::say;
use stateward_core::rules::{Action, Group};
use stateward_core::text::cut;
use stateward_core::yaml::{Document, InputError};

use self::side::Side;
use self::variable::Variable;
use crate::decodable::{self, Fault};
use crate::left_behind::{self, LeftBehind};
use crate::live;
use crate::pair::{Paired, Pairing, path};
use crate::report::{
    Cause, CheckReport, JudgedObject, NotJudged, Notice, ObjectRef, Outcome, RefusedBy,
    ReportedFinding, UnjudgedObject,
};
use crate::select::in_manifests;
use crate::system::System;

/// Judges every pair as the API server of `kubernetes` and the policy would, one after the other.
pub fn check(
    paired: Paired,
    kubernetes: KubernetesVersion,
    context: &EvaluationContext<'_>,
) -> CheckReport {
    let map = |tasks: Vec<Task>, judge: &(dyn Fn(Task) -> Judgement + Sync)| {
        tasks.into_iter().map(judge).collect()
    };
    check_with(paired, kubernetes, context, map)
}

/// The same by way of `map`, which applies a function to each task and keeps their order. A caller
/// that has threads uses them there.
pub fn check_with(
    paired: Paired,
    kubernetes: KubernetesVersion,
    context: &EvaluationContext<'_>,
    map: impl FnOnce(Vec<Task>, &(dyn Fn(Task) -> Judgement + Sync)) -> Vec<Judgement>,
) -> CheckReport {
    let gone = paired.pairings.iter().filter(|pairing| pairing.new.is_none());
    let gone = gone.filter_map(|pairing| pairing.old.as_ref());
    let created = paired.pairings.iter().filter(|pairing| pairing.old.is_none());
    let created = created.filter_map(|pairing| pairing.new.as_ref());
    let left_behind: Vec<ReportedFinding> = left_behind::find(
        gone.chain(&paired.removed).chain(&paired.kept).chain(&paired.workloads.gone),
        created.chain(&paired.workloads.new),
        &paired.renamings,
    )
    .into_iter()
    .filter_map(|left| left_behind_finding(left, kubernetes, context))
    .collect();
    let removed = paired.removed.iter().map(UnjudgedObject::from).collect();
    let mut all = Judgement { errors: paired.errors, ..Judgement::default() };
    let tasks = paired.pairings.into_iter().map(|pairing| Task { pairing });
    for judgement in map(tasks.collect(), &|task| task.judge(kubernetes, context)) {
        all.append(judgement);
    }
    // Kustomize completes this name with namePrefix or nameSuffix, so it need not be valid alone.
    all.findings.retain(|finding| {
        let of_name = finding.field == "/metadata/name" && finding.rule.ends_with("-invalid-value");
        let file = finding.new.as_ref().filter(|_| of_name).map(|new| path(&new.file));
        !file.is_some_and(|file| paired.renamings.1.completes_names(file))
    });
    all.findings.extend(left_behind);
    let mut ignored = paired.ignored;
    ignored.append(&mut all.ignored);
    let mut notices = paired.notices;
    notices.append(&mut all.notices);
    CheckReport::new(all.judged, paired.skipped, all.findings, all.not_judged, all.errors)
        .with_unjudged(removed, ignored)
        .with_notices(notices)
}

fn kind(document: &Document) -> Kind {
    Kind::of_manifest(&document.api_version, &document.kind)
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
    let info = in_manifests(&document.kind)?;
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

/// A pair that is yet to be judged.
#[derive(Debug)]
pub struct Task {
    pairing: Pairing,
}

impl Task {
    fn judge(
        mut self,
        kubernetes: KubernetesVersion,
        context: &EvaluationContext<'_>,
    ) -> Judgement {
        if let Pairing { old: Some(old), new: Some(new) } = &mut self.pairing
            && let Some(applied) = live::applied(&old.json, &new.json)
        {
            new.json = applied;
        }
        judge(&self.pairing, kubernetes, context)
    }
}

/// The finding as policy and annotations make it; none if they silence it.
fn left_behind_finding(
    left: LeftBehind<'_>,
    kubernetes: KubernetesVersion,
    context: &EvaluationContext<'_>,
) -> Option<ReportedFinding> {
    let LeftBehind { document, what, why, remedy } = left;
    let operation = Operation::Create;
    let circumstances = Circumstances { kubernetes, ..Circumstances::default() };
    let change = Object::decode(&document.json).and_then(|object| {
        let objects = Pair { old: None, new: Some(object) };
        Change::new(operation, kind(document), "", objects, circumstances)
    });
    // What cannot be read grants nothing.
    let action =
        change.map_or(Action::Warn, |change| action_on(left_behind::RULE, &change, context));
    let (outcome, refused_by) = match action {
        Action::Off => return None,
        Action::Warn => (Outcome::Warn, None),
        Action::Deny => (Outcome::Deny, Some(RefusedBy::Policy)),
    };
    let field = Pointer::default().key("metadata").key("name");
    let object = ObjectRef::from(document);
    Some(ReportedFinding {
        rule: left_behind::RULE.to_owned(),
        outcome,
        operation: operation.name(),
        field: field.to_string(),
        old: None,
        new: Some(Side::new(document).place(&field, None)),
        message: format!("{object}: {what}"),
        causes: vec![Cause { field: field.dotted(), message: what }],
        object,
        why,
        remedy,
        refused_by,
        help: None,
        how_to_allow: None,
        loss: None,
    })
}

/// The most faults of an `allow` annotation that a report lists.
const FAULTS: usize = 16;

/// The longest of them, in bytes.
const FAULT: usize = 1024;

/// What came out of judging a pair.
#[derive(Debug, Default)]
pub struct Judgement {
    judged: Vec<JudgedObject>,
    ignored: Vec<UnjudgedObject>,
    findings: Vec<ReportedFinding>,
    not_judged: Vec<NotJudged>,
    errors: Vec<InputError>,
    notices: Vec<Notice>,
    /// fields of the object whose value nobody knows yet
    variables: Vec<Variable>,
}

impl Judgement {
    fn append(&mut self, mut other: Self) {
        self.judged.append(&mut other.judged);
        self.ignored.append(&mut other.ignored);
        self.findings.append(&mut other.findings);
        self.not_judged.append(&mut other.not_judged);
        self.errors.append(&mut other.errors);
        self.notices.append(&mut other.notices);
    }
}

/// Judges one pair.
fn judge(
    pairing: &Pairing,
    kubernetes: KubernetesVersion,
    context: &EvaluationContext<'_>,
) -> Judgement {
    let mut judgement = Judgement::default();
    let Some(document) = pairing.new.as_ref().or(pairing.old.as_ref()) else { return judgement };
    let kind = kind(document);
    if kind == Kind::Other {
        let Some(new) = &pairing.new else { return judgement };
        match not_served(new) {
            // The version that the old manifest has already is nobody's change.
            Some(error)
                if pairing.old.as_ref().is_some_and(|old| self::kind(old) == Kind::Other) =>
            {
                judgement.notices.push(Notice::warning(error));
            }
            Some(error) => judgement.errors.push(error),
            None => judgement.ignored.push(UnjudgedObject::from(new)),
        }
        return judgement;
    }
    judgement.judged.push(JudgedObject {
        operation: operation(pairing).name(),
        object: ObjectRef::from(document),
        file: document.file.to_string(),
        line: document.line(),
        system: None,
        exemption: None,
        allowed: Vec::new(),
        allow_faults: Vec::new(),
        exemption_reason: None,
    });
    let pair = JudgedPair::of(pairing, document);
    match decodable::mend(pairing, kind) {
        Ok(None) => pair.judge(kind, kubernetes, context, &mut judgement),
        Ok(Some((mended, faults))) => {
            for fault in &faults {
                pair.fault(fault, &mut judgement);
            }
            let pair = JudgedPair::of(&mended, document);
            pair.judge(kind, kubernetes, context, &mut judgement);
        }
        Err(_) => pair.unreadable(kind, kubernetes, context, &mut judgement),
    }
    judgement.say_variables(document);
    judgement
}

/// The system that a set runs, if a pack knows it.
fn system(change: &Change<'_>, policy: &Policy) -> Option<System> {
    let Subject::StatefulSet(pair) = &change.subject else { return None };
    let set = pair.new.as_ref().or(pair.old.as_ref())?;
    recognise(&policy.packs, &Traits::of(set).ok()?).map(System::from)
}

const fn operation(pairing: &Pairing) -> Operation {
    match (&pairing.old, &pairing.new) {
        (None, _) => Operation::Create,
        (Some(_), Some(_)) => Operation::Update,
        (Some(_), None) => Operation::Delete,
    }
}

/// Both sides of what is judged.
struct JudgedPair<'a> {
    old: Option<Side<'a>>,
    new: Option<Side<'a>>,
    operation: Operation,
    /// the new one, on DELETE the old one
    document: &'a Document,
}

impl<'a> JudgedPair<'a> {
    fn of(pairing: &'a Pairing, document: &'a Document) -> Self {
        let side = |document: &'a Option<Document>| document.as_ref().map(Side::new);
        Self {
            old: side(&pairing.old),
            new: side(&pairing.new),
            operation: operation(pairing),
            document,
        }
    }

    fn judge(
        &self,
        kind: Kind,
        kubernetes: KubernetesVersion,
        context: &EvaluationContext<'_>,
        judgement: &mut Judgement,
    ) {
        match self.change(kind, kubernetes) {
            Ok(change) => {
                let decision = decide(Stage::Check, &change, context);
                self.report(&change, decision, context.policy, judgement);
            }
            Err(error) => judgement.findings.push(self.malformed(&error)),
        }
    }

    fn change(&self, kind: Kind, kubernetes: KubernetesVersion) -> Result<Change<'a>, DecodeError> {
        let decode = |side: &Option<Side<'a>>| {
            side.as_ref().map(|side| Object::decode(&side.document.json)).transpose()
        };
        let objects = Pair { old: decode(&self.old)?, new: decode(&self.new)? };
        let circumstances = Circumstances { kubernetes, ..Circumstances::default() };
        Change::new(self.operation, kind, &self.document.namespace, objects, circumstances)
    }

    fn report(
        &self,
        change: &Change<'_>,
        decision: Decision,
        policy: &Policy,
        judgement: &mut Judgement,
    ) {
        let name = change.object_name();
        if let Some(judged) = judgement.judged.last_mut() {
            judged.system = system(change, policy);
            judged.exemption = decision.exemption.map(Exemption::name);
            judged.exemption_reason = decision.exemption.map(Exemption::reason);
            judged.allowed.clone_from(&decision.allowed_rules);
            let faults = decision.allow_faults.iter().take(FAULTS);
            judged.allow_faults = faults.map(|fault| cut(fault.as_str(), FAULT)).collect();
        }
        let how_to_allow: Vec<Option<String>> =
            decision.verdicts.iter().map(|v| decision.on_purpose(v, policy)).collect();
        for (verdict, how_to_allow) in decision.verdicts.into_iter().zip(how_to_allow) {
            let help = verdict.help_line().filter(|_| verdict.action == Action::Deny);
            let mut finding = verdict.finding;
            // Nobody knows yet what a variable becomes.
            let fields = [(&self.new, &finding.field), (&self.old, &finding.old_field)];
            let variable =
                fields.into_iter().find_map(|(side, field)| Variable::at(side.as_ref(), field));
            if let Some(variable) = variable {
                judgement.add_variable(variable);
                continue;
            }
            if verdict.carried_out {
                finding.why = carried_out(finding.rule);
                finding.remedy.clear();
            }
            let refused = verdict.action == Action::Deny && finding.rule == resize::RULE;
            if refused && policy.resize(change) == Resize::Reject {
                let text = "or, where a controller runs, set resize: orchestrate in stateward.yaml: \
                            the edit then becomes a request";
                finding.remedy.push(say(text));
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
            judgement.findings.push(ReportedFinding {
                rule: finding.rule.to_owned(),
                outcome,
                operation: self.operation.name(),
                object: ObjectRef::from(self.document),
                field: finding.field.to_string(),
                old: self.old.as_ref().map(|old| old.place(&finding.old_field, finding.old)),
                new: self.new.as_ref().map(|new| new.place(&finding.field, finding.new)),
                message: format!("{name}: {}", finding.what),
                causes: vec![Cause { field: finding.field.dotted(), message: finding.what }],
                why: finding.why,
                remedy: finding.remedy,
                refused_by,
                help,
                how_to_allow,
                loss: finding.loss,
            });
        }
        for missing in decision.not_judged {
            judgement.not_judged.push(NotJudged {
                rule: missing.rule.to_owned(),
                object: ObjectRef::from(self.document),
                needs: missing.needs,
                file: self.document.file.to_string(),
                line: self.document.line(),
                template: self.document.template.clone(),
            });
        }
        for error in &decision.malformed {
            let value = |side: &Option<Side<'_>>| {
                side.as_ref().and_then(|side| side.value(&error.field).cloned())
            };
            let (old, new) = (value(&self.old), value(&self.new));
            let fault = Fault {
                error: error.clone(),
                in_new: new.is_some(),
                unchanged: self.old.is_some() && old == new,
            };
            self.fault(&fault, judgement);
        }
    }
}
