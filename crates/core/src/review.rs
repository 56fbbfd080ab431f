//! The wire form of AdmissionReview v1; nobody else knows it.
//!
//! Own types instead of kube's: both objects stay borrowed, and the patch is written in base64,
//! as the API documents it. Source: `admission.k8s.io/v1` and `VerifyAdmissionResponse` of
//! Kubernetes 1.36.

mod answer;
pub mod canary;
mod envelope;
mod head;
mod no_verdict;
mod request;

use jiff::Timestamp;

pub use self::answer::{Answer, Denial, Outcome, RuleOutcome};
pub use self::head::Head;
pub use self::no_verdict::NoVerdict;
pub use self::request::{MalformedReview, Review};
use crate::change::{Change, KubernetesVersion, Operation};
use crate::decide::{EvaluationContext, Stage, decide};
use crate::facts::Facts;
use crate::object::DecodeError;
use crate::object::Kind;
use crate::policy::Policy;
pub use crate::webhook_kind::WebhookKind;

/// Answers the body of a review.
///
/// # Errors
/// What makes the body no review; the HTTP answer to it is 400.
pub fn answer(
    webhook: WebhookKind,
    body: &[u8],
    kubernetes: KubernetesVersion,
    context: &EvaluationContext<'_>,
) -> Result<Answer, MalformedReview> {
    let decoded = Decoded::read(body, kubernetes)?;
    let canary = decoded.canary(webhook, context.policy, context.facts);
    Ok(canary.unwrap_or_else(|| decoded.answer(webhook, context)))
}

/// A review that has been read, before anything is decided about it.
#[derive(Debug)]
pub struct Decoded<'a> {
    review: Review<'a>,
    change: Result<Change<'a>, DecodeError>,
}

impl<'a> Decoded<'a> {
    /// Reads the envelope and both objects.
    ///
    /// # Errors
    /// What makes the body no review.
    pub fn read(body: &'a [u8], kubernetes: KubernetesVersion) -> Result<Self, MalformedReview> {
        let review = Review::decode(body)?;
        let change = review.change(kubernetes);
        Ok(Self { review, change })
    }

    /// Whether the review names an object of the cluster by its UID, as the API server does.
    pub fn names_object(&self, facts: &Facts) -> bool {
        let Ok(change) = &self.change else { return false };
        let old = change.objects.old.as_ref();
        old.is_some_and(|old| {
            facts.has(change.kind, &change.namespace, &change.name, &old.metadata.uid)
        })
    }

    /// Kind, namespace, name and UID of the claim or snapshot whose deletion is reviewed, unless that is a dry
    /// run.
    pub fn deleted_data(&self) -> Option<(Kind, &str, &str, &str)> {
        let change = self.change.as_ref().ok()?;
        let data = matches!(change.kind, Kind::Claim | Kind::Snapshot);
        let uid = change.metadata().map_or("", |metadata| metadata.uid.as_ref());
        (data && change.operation == Operation::Delete && !change.circumstances.dry_run)
            .then_some((change.kind, change.namespace.as_str(), change.name.as_str(), uid))
    }

    /// The facts for a caller who is not authenticated and names no object.
    pub fn facts_for_unknown_caller(&self, facts: &Facts, policy: &Policy) -> Facts {
        match &self.change {
            Ok(change) if change.operation == Operation::Create => {
                let raises = change.kind == Kind::Claim && policy.raises_sizes();
                facts.for_unknown_creator(policy.spreads_by_nodes(), raises)
            }
            _ => facts.for_unknown_caller(),
        }
    }

    /// The answer if it is a canary, which also says of which kinds nothing is known.
    pub fn canary(&self, webhook: WebhookKind, policy: &Policy, facts: &Facts) -> Option<Answer> {
        let target = canary::target(self.change.as_ref().ok()?)?;
        let reply = canary::reply(target, webhook, policy, facts.not_known());
        Some(Answer::canary(&self.review, reply))
    }

    /// Decides about it, unless it is a canary, and writes the answer.
    pub fn answer(self, webhook: WebhookKind, context: &EvaluationContext<'_>) -> Answer {
        let (review, policy) = (self.review, context.policy);
        let change = match self.change {
            Ok(change) => change,
            Err(error) => return Answer::malformed(&review, &error, policy),
        };
        let decision = decide(Stage::Webhook(webhook), &change, context);
        // A patch leaves the process only after it was applied to the reviewed document.
        match decision.mutation.tried(&change, review.document()) {
            Ok(patch) => Answer::of(&review, &change, &decision, patch.as_ref(), policy),
            Err(error) => Answer::failed(&review, &error.to_string(), policy),
        }
    }
}

/// The answer to a review without a verdict, of which the beginning suffices.
///
/// # Errors
/// The beginning holds no uid to answer with.
pub fn without_verdict(
    beginning: &[u8],
    reason: NoVerdict,
    policy: &Policy,
) -> Result<Answer, MalformedReview> {
    let head = Head::read(beginning).ok_or(MalformedReview::NoUid)?;
    Ok(reason.answer(&head, policy))
}

/// The answer while somebody has disabled stateward: allowed unjudged, with one warning. The
/// beginning of a review suffices.
///
/// # Errors
/// The beginning holds no uid to answer with.
pub fn disabled(beginning: &[u8], until: Timestamp) -> Result<Answer, MalformedReview> {
    Ok(Answer::disabled(&Head::read(beginning).ok_or(MalformedReview::NoUid)?, until))
}
