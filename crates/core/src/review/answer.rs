//! A review as it is answered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Head, Review, canary};
use crate::annotations::{ALLOW_REASON, DISABLED_UNTIL};
use crate::change::{Change, Operation};
use crate::decide::{Decision, Verdict};
use crate::mutations::Patch;
use crate::object::DecodeError;
use crate::policy::{OnError, Policy};
use crate::rules::Action;
use crate::rules::finding::one_line;
use crate::text::{NAME, cut};

/// The body of an answer, and what to log and count about it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// the JSON of the AdmissionReview
    pub body: Vec<u8>,
    /// whether the request may go on
    pub allowed: bool,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`
    pub operation: &'static str,
    /// the kind, `other` for one that no rule judges
    pub kind: &'static str,
    /// what it came to
    pub outcome: Outcome,
    /// one per denial, for the log
    pub denials: Vec<Denial>,
    /// one per denial that there would have been but for `mode: audit`
    pub audited: Vec<Denial>,
    /// one per finding that only warns, for the log; none for what a mutation carries out
    pub warned: Vec<Denial>,
    /// what rules said, where that was anything
    pub verdicts: Vec<(&'static str, RuleOutcome)>,
    /// what went wrong, where something did
    pub error: Option<String>,
}

/// What a review came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// allowed as it is
    Allowed,
    /// allowed, with warnings
    Warned,
    /// allowed, with a patch
    Patched,
    /// refused
    Denied,
    /// there is no verdict; the policy says what happens then
    Error,
    /// not for us to judge
    Exempt,
    /// allowed unjudged, since stateward is disabled for a while
    Disabled,
    /// sent to see whether a denial arrives
    Canary,
}

impl Outcome {
    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Warned => "warned",
            Self::Patched => "patched",
            Self::Denied => "denied",
            Self::Error => "error",
            Self::Exempt => "exempt",
            Self::Disabled => "disabled",
            Self::Canary => "canary",
        }
    }
}

/// What became of what a rule said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleOutcome {
    /// refused
    Denied,
    /// warned
    Warned,
    /// would have refused, were the policy not in audit mode
    Audited,
    /// silenced by an `allow` annotation
    Allowed,
    /// could not judge, for want of a fact
    NotJudged,
}

impl RuleOutcome {
    /// The name in metrics and audit annotations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Warned => "warned",
            Self::Audited => "audited",
            Self::Allowed => "allowed",
            Self::NotJudged => "not-judged",
        }
    }
}

/// The most fields that an answer names.
const CAUSES: usize = 64;

/// The longest text about a request that cannot be judged, or of an annotation, in bytes.
const ERROR: usize = 1024;

/// A refusal or a warning, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// the rule's id
    pub rule: &'static str,
    /// kind, namespace and name
    pub object: String,
    /// where it lives
    pub namespace: String,
    /// who asked
    pub user: String,
    /// the field in the words of its YAML
    pub field: String,
    /// what would have changed
    pub message: String,
    /// whether it was a dry run
    pub dry_run: bool,
    /// the kind of the object; that of the set for a Scale
    pub kind: &'static str,
    /// its name; empty where the API server is yet to make one up
    pub name: String,
    /// its uid; empty where there is no such object yet
    pub uid: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    kind: &'static str,
    api_version: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    audit_annotations: Map<String, Value>,
}

/// 403 and `Forbidden`: clients take 409 and 422 as leave to delete and re-create.
#[derive(Serialize)]
struct Status<'a> {
    code: u16,
    reason: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
}

#[derive(Serialize)]
struct Details<'a> {
    name: &'a str,
    kind: &'static str,
    causes: Vec<Cause>,
}

#[derive(Serialize)]
struct Cause {
    reason: &'static str,
    message: String,
    field: String,
}

impl Answer {
    /// The answer that a decision leads to.
    pub fn of(
        review: &Review<'_>,
        change: &Change<'_>,
        decision: &Decision,
        patch: Option<&Patch>,
        policy: &Policy,
    ) -> Self {
        let allowed = decision.allowed();
        let message = decision.message(change, policy);
        let warnings = decision.all_warnings(change);
        let causes = decision
            .denials()
            .take(CAUSES)
            .map(|verdict| Cause {
                reason: "FieldValueForbidden",
                message: verdict.finding.what.clone(),
                field: verdict.finding.field.dotted(),
            })
            .collect();
        let name = cut(change.name.as_str(), NAME);
        let status = message.as_deref().map(|message| Status {
            code: 403,
            reason: "Forbidden",
            message,
            details: Some(Details { name: &name, kind: change.kind.name(), causes }),
        });
        let verdicts = verdicts(decision);
        let outcome = if !allowed {
            Outcome::Denied
        } else if patch.is_some() {
            Outcome::Patched
        } else if !decision.malformed.is_empty() {
            Outcome::Error
        } else if decision.exemption.is_some() {
            Outcome::Exempt
        } else if warnings.is_empty() {
            Outcome::Allowed
        } else {
            Outcome::Warned
        };
        let object = change.object_name();
        let uid = change.objects.old.as_ref().map(|old| cut(&*old.metadata.uid, NAME));
        let denial = |verdict: &Verdict| Denial {
            rule: verdict.finding.rule,
            object: object.clone(),
            namespace: cut(change.object_namespace(), NAME),
            field: verdict.finding.field.dotted(),
            message: verdict.finding.what.clone(),
            user: cut(review.user(), NAME),
            dry_run: review.dry_run(),
            kind: change.kind.reported_as(),
            name: name.clone(),
            uid: uid.clone().unwrap_or_default(),
        };
        let denials = decision.denials().map(denial).collect();
        let audited = decision.verdicts.iter().filter(|verdict| verdict.audited).map(denial);
        let audited = audited.collect();
        let warns = |verdict: &&Verdict| {
            verdict.action == Action::Warn && !verdict.audited && !verdict.carried_out
        };
        let warned = decision.verdicts.iter().filter(warns).map(denial).collect();
        let body = encode(Response {
            uid: review.uid(),
            allowed,
            status,
            patch_type: patch.map(|_| "JSONPatch"),
            patch: patch.map(|patch| STANDARD.encode(&patch.json)),
            warnings,
            audit_annotations: audit_annotations(change, decision, &verdicts),
        });
        Self {
            body,
            allowed,
            operation: review.operation(),
            kind: review.kind.label(),
            outcome,
            denials,
            audited,
            warned,
            verdicts,
            error: decision.malformed.first().map(|error| cut(error.to_string(), ERROR)),
        }
    }

    /// The answer to an object of a known kind that cannot be decoded.
    pub(super) fn malformed(review: &Review<'_>, error: &DecodeError, policy: &Policy) -> Self {
        Self::failed(review, &error.to_string(), policy)
    }

    /// The answer where nothing could be judged: what the policy's `on-error` says.
    pub fn failed(review: &Review<'_>, why: &str, policy: &Policy) -> Self {
        let why = &cut(why, ERROR);
        let what = format!("stateward could not judge this request: {why}");
        let denial = (policy.on_error == OnError::Deny)
            .then(|| format!("{what}\nThe policy refuses what cannot be judged (on-error: deny)."));
        let warnings = vec![one_line(&what)];
        let audit = noted("error", why);
        let answer =
            Self::unjudged(review.into(), denial.as_deref(), warnings, audit, Outcome::Error);
        Self { error: Some(why.to_owned()), ..answer }
    }

    /// The answer to a canary.
    pub(super) fn canary(review: &Review<'_>, reply: canary::Reply) -> Self {
        let (denial, warnings) = match reply {
            canary::Reply::Refuse(message) => (Some(message), Vec::new()),
            canary::Reply::Warn(warning) => (None, vec![warning.to_owned()]),
            canary::Reply::Pass => (None, Vec::new()),
        };
        Self::unjudged(review.into(), denial.as_deref(), warnings, Map::new(), Outcome::Canary)
    }

    /// The answer while everything is allowed until this time.
    pub(super) fn disabled(head: &Head, until: Timestamp) -> Self {
        let what =
            format!("stateward is disabled until {until} and judged nothing ({DISABLED_UNTIL})");
        let audit = noted("disabled-until", &until.to_string());
        Self::unjudged(head.into(), None, vec![one_line(&what)], audit, Outcome::Disabled)
    }

    /// The answer without a verdict: `denial` denies the request, otherwise `what` is a warning.
    pub(super) fn without_verdict(
        head: &Head,
        why: &str,
        what: &str,
        denial: Option<&str>,
    ) -> Self {
        let (warnings, audit) = (vec![one_line(what)], noted("error", why));
        let answer = Self::unjudged(head.into(), denial, warnings, audit, Outcome::Error);
        Self {
            error: Some(format!("{}, asked by {}", cut(what, ERROR), cut(head.user(), NAME))),
            ..answer
        }
    }

    /// An answer to which no rule contributed. `denial` denies the request; without it, the request
    /// is allowed.
    fn unjudged(
        request: Request<'_>,
        denial: Option<&str>,
        warnings: Vec<String>,
        audit_annotations: Map<String, Value>,
        outcome: Outcome,
    ) -> Self {
        let allowed = denial.is_none();
        let status =
            denial.map(|message| Status { code: 403, reason: "Forbidden", message, details: None });
        let body = encode(Response {
            uid: request.uid,
            allowed,
            status,
            patch_type: None,
            patch: None,
            warnings,
            audit_annotations,
        });
        Self {
            body,
            allowed,
            operation: request.operation,
            kind: request.kind,
            outcome,
            denials: Vec::new(),
            audited: Vec::new(),
            warned: Vec::new(),
            verdicts: Vec::new(),
            error: None,
        }
    }
}

/// What an answer without a verdict says of its request, whether all of it was read or its head.
#[derive(Clone, Copy)]
struct Request<'a> {
    uid: &'a str,
    operation: &'static str,
    kind: &'static str,
}

impl<'a> From<&'a Review<'_>> for Request<'a> {
    fn from(review: &'a Review<'_>) -> Self {
        Self { uid: review.uid(), operation: review.operation(), kind: review.kind.label() }
    }
}

impl<'a> From<&'a Head> for Request<'a> {
    fn from(head: &'a Head) -> Self {
        let operation = head.operation.map_or("CONNECT", Operation::name);
        Self { uid: &head.uid, operation, kind: head.kind.label() }
    }
}

fn noted(key: &str, value: &str) -> Map<String, Value> {
    Map::from_iter([(key.to_owned(), Value::from(value))])
}

fn encode(response: Response<'_>) -> Vec<u8> {
    let envelope =
        Envelope { kind: "AdmissionReview", api_version: "admission.k8s.io/v1", response };
    // Strings, numbers and maps with string keys: writing them to memory cannot fail.
    serde_json::to_vec(&envelope).unwrap_or_default()
}

fn verdicts(decision: &Decision) -> Vec<(&'static str, RuleOutcome)> {
    let found = decision.verdicts.iter().map(|verdict| {
        let outcome = match verdict.action {
            _ if verdict.audited => RuleOutcome::Audited,
            Action::Deny => RuleOutcome::Denied,
            Action::Warn | Action::Off => RuleOutcome::Warned,
        };
        (verdict.finding.rule, outcome)
    });
    let allowed = decision.allowed_rules.iter().map(|rule| (*rule, RuleOutcome::Allowed));
    let missing = decision.not_judged.iter().map(|m| (m.rule, RuleOutcome::NotJudged));
    let mut verdicts: Vec<_> = found.chain(allowed).chain(missing).collect();
    verdicts.dedup();
    verdicts
}

/// What the API server's audit log keeps under the webhook's name.
fn audit_annotations(
    change: &Change<'_>,
    decision: &Decision,
    verdicts: &[(&'static str, RuleOutcome)],
) -> Map<String, Value> {
    let mut annotations = Map::new();
    let mut put = |key: &str, value: String| {
        if !value.is_empty() {
            annotations.insert(key.to_owned(), Value::from(value));
        }
    };
    let list: Vec<String> =
        verdicts.iter().map(|(rule, outcome)| format!("{rule}={}", outcome.name())).collect();
    put("rules", list.join(","));
    if let Some(exemption) = decision.exemption {
        put("exempt", exemption.name().to_owned());
    }
    put("mutations", decision.mutation.done.join(","));
    if !decision.allowed_rules.is_empty() {
        let reason = change
            .metadata()
            .and_then(|metadata| metadata.annotations.get(ALLOW_REASON))
            .unwrap_or_default();
        put("allowed", format!("{}: {}", decision.allowed_rules.join(","), cut(reason, ERROR)));
    }
    annotations
}
