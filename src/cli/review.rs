//! `stateward review`: judges one AdmissionReview.

use std::borrow::Cow;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use serde_json::Value;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::Facts;
use stateward_core::review::{self, WebhookKind};

use super::Outcome;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Arguments of `stateward review`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward review --endpoint mutate review.json")]
pub struct Args {
    /// Review as JSON; "-" is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,

    /// Answer as this endpoint of the webhook [default: both, one after the other]
    #[arg(long, value_name = "ENDPOINT", value_parser = endpoint())]
    pub endpoint: Option<WebhookKind>,

    /// Policy file [default: stateward.yaml in this folder or above it]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Kubernetes version whose validation is mirrored
    #[arg(long, value_name = "VERSION", default_value = "1.36")]
    pub kubernetes_version: KubernetesVersion,
}

fn endpoint() -> impl TypedValueParser<Value = WebhookKind> {
    PossibleValuesParser::new([
        PossibleValue::new(WebhookKind::Mutating.endpoint())
            .help("Sees each edit before Kubernetes validates it"),
        PossibleValue::new(WebhookKind::Validating.endpoint())
            .help("Sees what survives mutation and validation"),
    ])
    .map(|name| {
        let webhook = WebhookKind::ALL.into_iter().find(|webhook| webhook.endpoint() == name);
        // clap has refused every other name.
        webhook.unwrap_or(WebhookKind::Validating)
    })
}

/// Judges.
///
/// # Errors
/// A file that cannot be read, a policy that is wrong, a body that is no review.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let mut body = if args.file.as_os_str() == "-" {
        let mut body = Vec::new();
        std::io::stdin().read_to_end(&mut body).context("cannot read standard input")?;
        body
    } else {
        std::fs::read(&args.file)
            .with_context(|| format!("cannot read \"{}\"", args.file.display()))?
    };
    // Editors of some systems begin a file with a mark of its encoding.
    if body.starts_with(BYTE_ORDER_MARK) {
        body.drain(..BYTE_ORDER_MARK.len());
    }
    let policy = super::policy::find(args.policy.as_deref())?;
    let context =
        EvaluationContext { policy: &policy, facts: &Facts::none(), now: Timestamp::now() };
    let judge = |webhook, body: &[u8]| {
        let answer = review::answer(webhook, body, args.kubernetes_version, &context)
            .with_context(|| format!("\"{}\"", args.file.display()))?;
        anyhow::Ok((answer.allowed, serde_json::from_slice(&answer.body)?))
    };
    let (allowed, answer): (bool, Value) = match args.endpoint {
        Some(WebhookKind::Mutating) => judge(WebhookKind::Mutating, &body)?,
        Some(WebhookKind::Validating) => judge(WebhookKind::Validating, &body)?,
        None => match judge(WebhookKind::Mutating, &body)? {
            // As in the cluster: what the mutating webhook refuses is never validated.
            (false, refusal) => (false, refusal),
            (true, mutated) => {
                let (allowed, validated) =
                    judge(WebhookKind::Validating, &patched(&body, &mutated)?)?;
                (allowed, together(mutated, validated))
            }
        },
    };
    super::print(&format!("{answer:#}\n"))?;
    Ok(if allowed { Outcome::Clean } else { Outcome::Findings })
}

/// The review as the validating webhook gets it: with the patch of the mutating one.
fn patched<'b>(body: &'b [u8], mutated: &Value) -> anyhow::Result<Cow<'b, [u8]>> {
    let Some(patch) = mutated["response"]["patch"].as_str() else { return Ok(Cow::Borrowed(body)) };
    let patch: json_patch::Patch = serde_json::from_slice(&BASE64.decode(patch)?)?;
    let mut review: Value = serde_json::from_slice(body)?;
    json_patch::patch(&mut review["request"]["object"], &patch)
        .context("cannot apply the patch to the review")?;
    Ok(Cow::Owned(serde_json::to_vec(&review)?))
}

/// What the user gets from both: a refusal without the patch, or the patch; and all that is said.
fn together(mut mutated: Value, validated: Value) -> Value {
    let allowed = validated["response"]["allowed"] == true;
    let (Some(first), Value::Object(mut envelope)) =
        (mutated["response"].as_object_mut(), validated)
    else {
        return mutated;
    };
    let Some(Value::Object(second)) = envelope.remove("response") else { return mutated };
    if !allowed {
        first.remove("patch");
        first.remove("patchType");
    }
    for (key, value) in second {
        match (first.get_mut(&key), value) {
            (Some(Value::Array(known)), Value::Array(more)) => {
                for text in more {
                    if !known.contains(&text) {
                        known.push(text);
                    }
                }
            }
            (Some(Value::Object(known)), Value::Object(more)) if key == "auditAnnotations" => {
                for (name, text) in more {
                    let before = known.get(&name).and_then(Value::as_str).map(str::to_owned);
                    let text = match (before, text.as_str()) {
                        (Some(before), Some(text)) => Value::from(format!("{before},{text}")),
                        _ => text,
                    };
                    known.insert(name, text);
                }
            }
            (_, value) => {
                first.insert(key, value);
            }
        }
    }
    mutated
}
