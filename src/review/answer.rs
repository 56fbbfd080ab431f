//! A review as it is answered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Review;
use crate::change::Change;
use crate::decide::Decision;
use crate::object::{DecodeError, Kind};
use crate::policy::{OnError, Policy};
use crate::rules::Action;

/// The body of an answer, and what to log and count about it.
#[derive(Debug)]
pub struct Answer {
    /// the JSON of the AdmissionReview
    pub body: Vec<u8>,
    /// whether the request may go on
    pub allowed: bool,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`
    pub operation: &'static str,
    /// the kind, `other` for one that no rule judges
    pub kind: &'static str,
    /// `denied`, `patched`, `warned`, `allowed`, `exempt` or `error`
    pub outcome: &'static str,
    /// one per denial, for the log
    pub denials: Vec<Denial>,
    /// rule and what came of it: `deny`, `warn`, `audit`, `allowed` or `not-judged`
    pub rules: Vec<(&'static str, &'static str)>,
    /// what went wrong, where something did
    pub error: Option<String>,
}

/// A denial, as it is logged.
#[derive(Clone, Debug)]
pub struct Denial {
    /// the rule
    pub rule: &'static str,
    /// kind, namespace and name
    pub object: String,
    /// the field
    pub field: String,
    /// what would have changed
    pub what: String,
    /// who asked
    pub user: String,
    /// whether it was a dry run
    pub dry_run: bool,
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
        policy: &Policy,
    ) -> Self {
        let allowed = decision.allowed();
        let message = decision.message(change, policy);
        let warnings = decision.all_warnings(change);
        let causes = decision
            .denials()
            .map(|verdict| Cause {
                reason: "FieldValueForbidden",
                message: verdict.finding.what.clone(),
                field: verdict.finding.field.dotted(),
            })
            .collect();
        let status = message.as_deref().map(|message| Status {
            code: 403,
            reason: "Forbidden",
            message,
            details: Some(Details { name: &change.name, kind: change.kind.name(), causes }),
        });
        let rules = rules(decision);
        let outcome = if !allowed {
            "denied"
        } else if decision.patch.is_some() {
            "patched"
        } else if !decision.malformed.is_empty() {
            "error"
        } else if decision.exemption.is_some() {
            "exempt"
        } else if warnings.is_empty() {
            "allowed"
        } else {
            "warned"
        };
        let denials = decision
            .denials()
            .map(|verdict| Denial {
                rule: verdict.finding.rule,
                object: change.object_name(),
                field: verdict.finding.field.dotted(),
                what: verdict.finding.what.clone(),
                user: review.user().to_owned(),
                dry_run: review.dry_run(),
            })
            .collect();
        let body = encode(Response {
            uid: review.uid(),
            allowed,
            status,
            patch_type: decision.patch.as_ref().map(|_| "JSONPatch"),
            patch: decision.patch.as_ref().map(|patch| STANDARD.encode(&patch.json)),
            warnings,
            audit_annotations: audit_annotations(change, decision, &rules),
        });
        Self {
            body,
            allowed,
            operation: review.operation(),
            kind: kind(review.kind),
            outcome,
            denials,
            rules,
            error: decision.malformed.first().map(ToString::to_string),
        }
    }

    /// The answer to an object of a known kind that cannot be decoded.
    pub(super) fn malformed(review: &Review<'_>, error: &DecodeError, policy: &Policy) -> Self {
        Self::failed(review, &error.to_string(), policy)
    }

    /// The answer where nothing could be judged: what the policy's `on-error` says.
    pub fn failed(review: &Review<'_>, why: &str, policy: &Policy) -> Self {
        let allowed = policy.on_error == OnError::Allow;
        let what = format!("stateward could not judge this request: {why}");
        let message = format!("{what}\nThe policy refuses what cannot be judged (on-error: deny).");
        let status = (!allowed).then_some(Status {
            code: 403,
            reason: "Forbidden",
            message: &message,
            details: None,
        });
        let mut audit = Map::new();
        audit.insert("error".to_owned(), Value::from(why));
        let body = encode(Response {
            uid: review.uid(),
            allowed,
            status,
            patch_type: None,
            patch: None,
            warnings: vec![crate::rules::finding::one_line(&what)],
            audit_annotations: audit,
        });
        Self {
            body,
            allowed,
            operation: review.operation(),
            kind: kind(review.kind),
            outcome: "error",
            denials: Vec::new(),
            rules: Vec::new(),
            error: Some(why.to_owned()),
        }
    }
}

fn encode(response: Response<'_>) -> Vec<u8> {
    let envelope =
        Envelope { kind: "AdmissionReview", api_version: "admission.k8s.io/v1", response };
    // Strings, numbers and maps with string keys: writing them to memory cannot fail.
    serde_json::to_vec(&envelope).unwrap_or_default()
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Other => "other",
        known => known.name(),
    }
}

fn rules(decision: &Decision) -> Vec<(&'static str, &'static str)> {
    let mut rules: Vec<(&'static str, &'static str)> = Vec::new();
    for verdict in &decision.verdicts {
        let outcome = match verdict.action {
            _ if verdict.audited => "audit",
            Action::Deny => "deny",
            Action::Warn | Action::Off => "warn",
        };
        rules.push((verdict.finding.rule, outcome));
    }
    rules.extend(decision.allowed_rules.iter().map(|rule| (*rule, "allowed")));
    rules.extend(decision.not_judged.iter().map(|missing| (missing.rule, "not-judged")));
    rules.dedup();
    rules
}

/// What the API server's audit log keeps under the webhook's name.
fn audit_annotations(
    change: &Change<'_>,
    decision: &Decision,
    rules: &[(&'static str, &'static str)],
) -> Map<String, Value> {
    let mut annotations = Map::new();
    let mut put = |key: &str, value: String| {
        if !value.is_empty() {
            annotations.insert(key.to_owned(), Value::from(value));
        }
    };
    let list: Vec<String> =
        rules.iter().map(|(rule, outcome)| format!("{rule}={outcome}")).collect();
    put("rules", list.join(","));
    if let Some(exemption) = decision.exemption {
        put("exempt", exemption.name().to_owned());
    }
    put("mutations", decision.done.join(","));
    if !decision.allowed_rules.is_empty() {
        let reason = change
            .metadata()
            .and_then(|metadata| metadata.annotations.get("stateward.dev/allow-reason"))
            .unwrap_or_default();
        put("allowed", format!("{}: {reason}", decision.allowed_rules.join(",")));
    }
    annotations
}
