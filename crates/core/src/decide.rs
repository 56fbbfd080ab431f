//! Rules and mutations over one change: the one function that gives a verdict, for the webhook
//! and for the CLI alike.

mod allow;
mod confirm;
mod exemption;

use std::fmt::Write as _;

pub use self::exemption::{
    CLAIM_CREATORS, CONTROL_PLANE, CONTROLLER_ACCOUNT, Exemption, OWN_MANAGER,
};
use crate::annotations::{ALLOW, ALLOW_REASON};
use crate::change::{Change, Operation};
use crate::facts::Facts;
use crate::mutations::{
    Mutation, claim_template_metadata, created_size, injected, pod_defaults, resize,
};
use crate::object::{DecodeError, Kind, Pointer};
use crate::ownership::Ownership;
use crate::policy::{EffectiveRule, Help, Mode, OnError, Policy, Resize};
use crate::rules::finding::ALL_REMEDIES;
use crate::rules::{self, Action, Finding, Findings, Group, Unjudged, remedy, reserved_annotation};
use crate::text::cut;
use crate::webhook_kind::WebhookKind;

/// Who asks for a verdict, and hence what is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// the mutating webhook: what the API server itself would refuse, and mutations; the
    /// validating one: everything else, on what survived
    Webhook(WebhookKind),
    /// the CLI: everything at once
    Check,
}

impl Stage {
    const fn in_cluster(self) -> bool {
        !matches!(self, Self::Check)
    }
}

/// What a decision depends on besides the change.
#[derive(Clone, Copy, Debug)]
pub struct EvaluationContext<'a> {
    /// the policy
    pub policy: &'a Policy,
    /// what is known beyond the change
    pub facts: &'a Facts,
    /// the time at which `allow-until` is compared
    pub now: jiff::Timestamp,
}

/// A finding with what is done about it.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// the finding
    pub finding: Finding,
    /// what is done: warn or deny
    pub action: Action,
    /// the rule's group
    pub group: Group,
    /// whether it would have been denied but for `mode: audit`
    pub audited: bool,
    /// whether a mutation makes the safe form of the edit happen, so that it is not denied
    pub carried_out: bool,
    /// where people get help
    pub help: Option<Help>,
}

impl Verdict {
    /// How to allow a denied edit on purpose, where the policy lets one.
    fn on_purpose(&self, policy: &Policy) -> Option<String> {
        let signed = policy.allow.second_person && self.finding.rule == reserved_annotation::ID;
        let may = self.action == Action::Deny && self.group != Group::Refusal && policy.overrides;
        (may && !signed).then(|| {
            format!(
                "to allow it on purpose: annotations {ALLOW}: {} and {ALLOW_REASON}",
                self.finding.rule
            )
        })
    }

    /// Where people get help, in one line.
    pub fn help_line(&self) -> Option<String> {
        let help = self.help.as_ref()?;
        let parts: Vec<&str> =
            [&help.url, &help.contact].into_iter().flatten().map(String::as_str).collect();
        (!parts.is_empty()).then(|| parts.join(" · "))
    }
}

/// A rule that gave no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// the rule
    pub rule: &'static str,
    /// what would have to be known
    pub needs: String,
    /// whether claims may be deleted unnoticed
    pub blind: bool,
}

/// Findings, patch and warnings of one change.
#[derive(Debug, Default)]
pub struct Decision {
    /// what was found, in the order of the rules
    pub verdicts: Vec<Verdict>,
    /// rules that need what is not known
    pub not_judged: Vec<Missing>,
    /// fields of the wrong type, each once
    pub malformed: Vec<DecodeError>,
    /// what `on-error` makes of a malformed field
    pub on_error: OnError,
    /// the operations that the mutating webhook sends
    pub mutation: Mutation,
    /// what mutations say, one line each
    pub warnings: Vec<String>,
    /// why nothing was judged
    pub exemption: Option<Exemption>,
    /// rules that an `allow` annotation silenced
    pub allowed_rules: Vec<&'static str>,
    /// why an `allow` annotation, or a part of it, does not count
    pub allow_faults: Vec<String>,
    /// how somebody confirms the deletion that is judged, where the policy lets one
    pub how_to_confirm: Option<String>,
}

impl Decision {
    /// Whether the change may go on.
    pub fn allowed(&self) -> bool {
        !self.verdicts.iter().any(|verdict| verdict.action == Action::Deny)
            && (self.malformed.is_empty() || self.on_error == OnError::Allow)
    }

    /// How to allow a finding on purpose, where the policy lets one; where somebody tried to, why
    /// it does not count.
    pub fn on_purpose(&self, verdict: &Verdict, policy: &Policy) -> Option<String> {
        if self.allow_faults.is_empty() || verdict.group == Group::Refusal {
            let denied = verdict.action == Action::Deny && verdict.group == Group::Data;
            return match &self.how_to_confirm {
                Some(how) if denied => Some(how.clone()),
                _ => verdict.on_purpose(policy),
            };
        }
        let faults =
            cut(format!("{ALLOW} does not count: {}", self.allow_faults.join("; ")), ERROR);
        Some(match &self.how_to_confirm {
            Some(how) if verdict.group == Group::Data => format!("{faults}\n{how}"),
            _ => faults,
        })
    }

    /// The verdicts that deny.
    pub fn denials(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| verdict.action == Action::Deny)
    }

    /// Adds the verdict of a rule that comes a second time with other parameters. Where both
    /// find fault with one field, the stricter verdict stays.
    fn found_again(&mut self, verdict: Verdict) {
        let same = |known: &&mut Verdict| {
            known.finding.rule == verdict.finding.rule
                && known.finding.field == verdict.finding.field
        };
        match self.verdicts.iter_mut().find(same) {
            Some(known) if known.action >= verdict.action => {}
            Some(known) => *known = verdict,
            None => self.verdicts.push(verdict),
        }
    }

    /// Makes one re-creation of all, and limits the texts that came after the rules.
    fn finish_remedies(&mut self, change: &Change<'_>) {
        let refused = self.verdicts.iter_mut();
        let refused =
            refused.filter(|verdict| verdict.action == Action::Deny && !verdict.carried_out);
        if let Err(error) = remedy::combine(change, refused.map(|verdict| &mut verdict.finding)) {
            self.malformed(error);
        }
        let mut left = ALL_REMEDIES;
        for verdict in &mut self.verdicts {
            verdict.finding.limit(&mut left);
        }
    }

    /// Sends the mutation if the edit may go on; in audit it is only told.
    fn take(&mut self, mut mutation: Mutation, stage: Stage, mode: Mode) {
        if mode == Mode::Audit {
            let would = |text: &String| format!("(audit) {text}");
            self.warnings.extend(mutation.warnings.iter().map(would));
        } else if self.allowed() && stage == Stage::Webhook(WebhookKind::Mutating) {
            self.warnings = std::mem::take(&mut mutation.warnings);
            self.mutation = mutation;
        }
    }

    fn not_judged(&mut self, rule: &'static str, needs: String, blind: bool) {
        let missing = Missing { rule, needs: cut(needs, ERROR), blind };
        if !self.not_judged.contains(&missing) {
            self.not_judged.push(missing);
        }
    }

    fn malformed(&mut self, error: DecodeError) {
        if !self.malformed.contains(&error) {
            self.malformed.push(error);
        }
    }
}

/// Judges `change`.
pub fn decide(stage: Stage, change: &Change<'_>, context: &EvaluationContext<'_>) -> Decision {
    let EvaluationContext { policy, facts, .. } = *context;
    let facts = &*facts.with_packs(&policy.packs);
    let mut decision = Decision { on_error: policy.on_error, ..Decision::default() };
    if change.kind == Kind::Other {
        return decision;
    }
    let ownership = Ownership::of(change, &policy.operators);
    // The API server takes metadata through subresources, and nothing else that a rule reads. The
    // scale has a kind of its own.
    let subresource = !change.circumstances.sub_resource.is_empty();
    decision.exemption = exemption::of(stage, change, policy, facts, ownership);
    // What goes away is exempt, except from the rules that say otherwise.
    let terminating =
        matches!(decision.exemption, Some(Exemption::Terminating | Exemption::Finalizers));
    if decision.exemption.is_some() && stage.in_cluster() && !terminating {
        if decision.exemption == Some(Exemption::ControlPlane) {
            decision.mutation = mutate_of_control_plane(stage, change, policy, facts);
        }
        return decision;
    }
    let exempt = decision.exemption.is_some();
    // In audit nothing is patched, and the API server refuses what a patch would have mended.
    let unpatched = stage == Stage::Check && policy.mode == Mode::Audit;
    let mutation =
        if stage == Stage::Webhook(WebhookKind::Validating) || exempt || unpatched || subresource {
            Mutation::default()
        } else {
            mutate(change, policy, facts, ownership).unwrap_or_else(|error| {
                decision.malformed(error);
                Mutation::default()
            })
        };
    let allowances = allow::allowances(stage, change, policy, context.now);
    decision.allow_faults = allowances.faults;
    let confirmation = confirm::confirmation(change, policy, context.now);
    for rule in policy.rules(change, stage.in_cluster()) {
        let refusal = rule.entry.meta.group == Group::Refusal;
        // What the API server refuses, the CLI says of every object.
        let excused = exempt
            && !(terminating && rule.entry.meta.judges_terminating)
            && (stage.in_cluster() || !refusal);
        let elsewhere = subresource && !rule.entry.meta.judges_subresources;
        let left_to_server = refusal && stage.in_cluster() && is_left_to_server(ownership, &rule);
        if excused || elsewhere || left_to_server || !judged_at(stage, &rule, change) {
            continue;
        }
        // The CLI says what the API server refuses, whatever the policy makes of it.
        let kubernetes = refusal && stage == Stage::Check;
        if rule.action == Action::Off && !kubernetes {
            continue;
        }
        let id = rule.entry.meta.id;
        let carried_out = mutation.carries_out.contains(&id);
        let left_alone = id == resize::RULE && resize::mode(change, policy) == Resize::Ignore;
        if left_alone && !kubernetes {
            continue;
        }
        let mut findings = Findings::new(id);
        match (rule.check)(change, facts, &mut findings) {
            Ok(()) => {}
            Err(Unjudged::Needs(needs)) => decision.not_judged(id, needs, false),
            Err(Unjudged::Blind(needs)) => decision.not_judged(id, needs, true),
            Err(Unjudged::Malformed(error)) => decision.malformed(error),
        }
        let allowed = allowances.rules.contains(&id);
        for mut finding in findings.into_vec() {
            if let Some(objection) = mutation.objections.iter().find(|o| o.rule == id) {
                objection.explain(&mut finding);
            }
            if allowed && !kubernetes {
                if !decision.allowed_rules.contains(&id) {
                    decision.allowed_rules.push(id);
                }
                continue;
            }
            let mut action = if kubernetes { Action::Deny } else { rule.action };
            // An operator that opted in deletes its own sets: it is told, and not held up.
            let own_delete = change.operation == Operation::Delete
                && ownership == Ownership::Owned { opted_in: true, by_operator: true };
            let confirmed = confirmation.counts() && rule.entry.meta.group == Group::Data;
            if finding.unsure || carried_out || own_delete || confirmed {
                action = action.min(Action::Warn);
            }
            let audited = action == Action::Deny && policy.mode == Mode::Audit && !kubernetes;
            if audited {
                action = Action::Warn;
            }
            let help = rule.help.cloned();
            // In the cluster the mutation's own warnings tell what became of the edit.
            if !(carried_out && stage.in_cluster()) {
                let group = rule.entry.meta.group;
                let verdict = Verdict { finding, action, group, audited, carried_out, help };
                if rule.again {
                    decision.found_again(verdict);
                } else {
                    decision.verdicts.push(verdict);
                }
            }
        }
    }
    decision.how_to_confirm = confirmation.how_to(change, policy);
    settle(stage, change, &mut decision);
    decision.finish_remedies(change);
    decision.take(mutation, stage, policy.mode);
    decision
}

/// What becomes of a finding of rule `id` that `check` makes by itself, on a new object.
pub fn action_on(id: &str, change: &Change<'_>, context: &EvaluationContext<'_>) -> Action {
    let policy = context.policy;
    if allow::allowances(Stage::Check, change, policy, context.now).rules.contains(&id) {
        return Action::Off;
    }
    let most = if policy.mode == Mode::Audit { Action::Warn } else { Action::Deny };
    policy.action_of(id, change).min(most)
}

/// What findings say in view of each other, and of what tools make of a refusal.
fn settle(stage: Stage, change: &Change<'_>, decision: &mut Decision) {
    let verdicts = &mut decision.verdicts;
    // A size that is denied as a mistake is no size to grow claims to.
    let rule = "pvc-fractional-or-huge";
    let denied = verdicts.iter().filter(|v| v.finding.rule == rule);
    let denied = denied.filter(|v| v.action == Action::Deny || v.audited);
    let sizes: Vec<Pointer> = denied.map(|v| v.finding.field.clone()).collect();
    remedy::settle_size(rule, &sizes, verdicts.iter_mut().map(|v| &mut v.finding));
    if stage == Stage::Check {
        let mut refusals = decision.verdicts.iter_mut().filter(|v| v.group == Group::Refusal);
        let forced = refusals.try_for_each(|v| remedy::warn_of_force(change, &mut v.finding));
        if let Err(error) = forced {
            decision.malformed(error);
        }
    }
}

/// Operators act on the refusals of the API server, so those of objects that a controller owns are
/// left to it; growth of one that opted in is carried out by stateward.
fn is_left_to_server(ownership: Ownership, rule: &EffectiveRule<'_>) -> bool {
    match ownership {
        Ownership::None => false,
        Ownership::Owned { opted_in: false, .. } => true,
        Ownership::Owned { opted_in: true, by_operator } => {
            by_operator && rule.entry.meta.id != resize::RULE
        }
    }
}

fn mutate(
    change: &Change<'_>,
    policy: &Policy,
    facts: &Facts,
    ownership: Ownership,
) -> Result<Mutation, DecodeError> {
    let mut mutation = Mutation::default();
    allow::grant(change, policy, &mut mutation);
    let left_to_owner = matches!(ownership, Ownership::Owned { opted_in: false, .. })
        && !exemption::remembered_owner(change, facts);
    if change.kind == Kind::StatefulSet && change.operation != Operation::Delete && !left_to_owner {
        resize::mutate(change, policy, facts, &mut mutation)?;
        claim_template_metadata::mutate(change, policy, &mut mutation)?;
        created_size::raise_templates(change, policy, facts, &mut mutation)?;
        pod_defaults::mutate(change, policy, facts, &mut mutation)?;
        injected::write_list(change, &mut mutation);
    }
    Ok(mutation)
}

/// What becomes of a claim that the controller of a set creates. Only a registration that asks for it sends one.
fn mutate_of_control_plane(
    stage: Stage,
    change: &Change<'_>,
    policy: &Policy,
    facts: &Facts,
) -> Mutation {
    let mut mutation = Mutation::default();
    if stage == Stage::Webhook(WebhookKind::Mutating) && policy.mode == Mode::Enforce {
        created_size::raise_claim(change, policy, facts, &mut mutation);
    }
    mutation
}

/// Each rule judges once: at the mutating webhook what the API server would refuse, everything else
/// at the validating webhook, after all mutations.
fn judged_at(stage: Stage, rule: &EffectiveRule<'_>, change: &Change<'_>) -> bool {
    let mutating = rule.entry.meta.judged_by_mutating(change);
    match stage {
        Stage::Check => true,
        Stage::Webhook(WebhookKind::Mutating) => mutating,
        Stage::Webhook(WebhookKind::Validating) => !mutating,
    }
}

/// The longest text about a field that cannot be read, a fact that is missing or an annotation, in
/// bytes.
const ERROR: usize = 1024;

/// The length in bytes up to which further findings are listed in a denial.
const MESSAGE: usize = 48 << 10;

/// The most warnings of one review. The API server hands on 4096 characters of them.
const WARNINGS: usize = 64;

impl Decision {
    /// The text of a denial: the first finding in full, the others in a line each, then how to
    /// read on. `None` where nothing is denied.
    pub fn message(&self, change: &Change<'_>, policy: &Policy) -> Option<String> {
        let object = change.object_name();
        let mut denials = self.denials();
        let Some(first) = denials.next() else {
            let error = self.malformed.first().filter(|_| !self.allowed())?;
            return Some(format!(
                "{object}: {}\nThe object cannot be judged, and the policy refuses what \
                 cannot be judged (on-error: deny).",
                cut(error.to_string(), ERROR)
            ));
        };
        let mut text = first.finding.denial(&object);
        let mut others = denials.peekable();
        while let Some(other) = others.next_if(|_| text.len() < MESSAGE) {
            let _ = write!(text, "\nalso: {} [{}]", other.finding.what, other.finding.rule);
        }
        let more = others.count();
        if more > 0 {
            let _ = write!(text, "\nalso: {more} more");
        }
        let rule = first.finding.rule;
        let _ = write!(text, "\n{rule} · {}", rules::page::url(rule));
        if let Some(on_purpose) = self.on_purpose(first, policy) {
            let inline = self.allow_faults.is_empty() && self.how_to_confirm.is_none();
            let gap = if inline { " · " } else { "\n" };
            let _ = write!(text, "{gap}{on_purpose}");
        }
        if let Some(help) = first.help_line() {
            let _ = write!(text, "\nhelp: {help}");
        }
        Some(text)
    }

    /// Every warning, one line of at most 120 characters each.
    pub fn all_warnings(&self, change: &Change<'_>) -> Vec<String> {
        let object = change.object_name();
        let from_findings = self
            .verdicts
            .iter()
            .filter(|verdict| verdict.action == Action::Warn)
            .flat_map(|verdict| verdict.finding.warnings(&object));
        let from_errors = self
            .malformed
            .iter()
            .filter(|_| self.on_error == OnError::Allow)
            .map(|error| format!("{object} was not judged: {error}"));
        let blind = self.not_judged.iter().filter(|missing| missing.blind);
        let unknown = blind.map(|Missing { rule, needs, .. }| {
            format!("{object}: {rule} was not judged: it needs {needs}")
        });
        self.warnings
            .iter()
            .cloned()
            .chain(from_findings)
            .chain(from_errors)
            .chain(unknown)
            .take(WARNINGS)
            .map(|text| rules::finding::one_line(&text))
            .collect()
    }
}
