//! What is known of a large cluster: the memory that it takes, the time of reviews that ask for it, and how
//! soon a verdict knows of a change.
//!
//! Memory is measured in a process of its own for each kind, beside one that watches an empty cluster.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints rounded figures"
)]

#[path = "facts/cluster.rs"]
mod cluster;
#[path = "support/memory.rs"]
mod memory;
#[path = "support/ratio.rs"]
mod ratio;

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stateward::cluster::facts::{ClusterFacts, Options};
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::{FactKind, Facts};
use stateward_core::policy::{Policy, Resize};
use stateward_core::review::{self, WebhookKind};

use self::cluster::{Cluster, MANY, MEMBERS};
use self::memory::resident;
use self::ratio::Candidates;

/// The sets of the largest cluster.
const SETS: usize = 10_000;
/// So many objects are kept whole to see what one takes.
const COPIES: usize = 5_000;
/// So many changes are told one after the other.
const CHANGES: usize = 200;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match &arguments[..] {
        [what, kinds] if what == "store" => runtime.block_on(store(kinds)),
        [what, kind] if what == "values" => values(kind),
        [what, kind] if what == "typed" => typed(kind),
        [what, ..] if what == "reviews" => runtime.block_on(print_reviews()),
        [what, ..] if what == "changes" => runtime.block_on(print_changes()),
        _ => {
            print_memory()?;
            runtime.block_on(print_reviews())?;
            runtime.block_on(print_changes())
        }
    }
}

/// Runs this program for a measurement, and reads the numbers that it prints.
fn measure(what: &str, of: &str) -> Result<Vec<usize>> {
    let output = Command::new(std::env::current_exe()?).args([what, of]).output()?;
    ensure!(output.status.success(), "{what} {of}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

/// What a replica takes for each kind of object, beside whole objects.
fn print_memory() -> Result<()> {
    let (nothing, cluster) = (measure("store", "")?, Cluster::new(SETS, &MANY));
    println!(
        "bytes of an object in memory, in a cluster of {SETS} sets with {MEMBERS} members each"
    );
    println!(
        "  {:<24} {:>8} {:>10} {:>12} {:>12}",
        "kind", "as JSON", "as fact", "as Value", "typed"
    );
    let mut whole = 0.0;
    for kind in MANY {
        let name = kind.info().name;
        let count = if kind == FactKind::Set { SETS } else { SETS * MEMBERS };
        let kept = measure("store", name)?;
        let bytes = ((kept[0].saturating_sub(nothing[0])) << 10) as f64 / count as f64;
        let (value, typed) = (measure("values", name)?[0], measure("typed", name)?[0]);
        let json = cluster.text(kind, count / 2).len();
        println!("  {name:<24} {json:>8} {bytes:>10.0} {value:>12} {typed:>12}");
        whole += (value * count) as f64;
    }
    let names: Vec<&str> = MANY.iter().map(|kind| kind.info().name).collect();
    let all = measure("store", &names.join(","))?;
    println!(
        "resident with all of them: {} MB (a replica of an empty cluster {} MB), {} MB at the peak; as Values \
         they would take {:.0} MB",
        all[0] >> 10,
        nothing[0] >> 10,
        all[1] >> 10,
        whole / f64::from(1 << 20),
    );
    Ok(())
}

/// Prints what this process takes once it has listed the cluster, and at the peak.
async fn store(kinds: &str) -> Result<()> {
    let names: Vec<&str> = kinds.split(',').collect();
    let kinds: Vec<FactKind> =
        MANY.into_iter().filter(|kind| names.contains(&kind.info().name)).collect();
    let facts = listed(&Cluster::new(SETS, &kinds)).await;
    println!("{} {}", resident("VmRSS:"), resident("VmHWM:"));
    drop(facts);
    Ok(())
}

/// Facts that follow the cluster, once everything is known.
async fn listed(cluster: &Cluster) -> ClusterFacts {
    let options = Options { watch_seconds: 3600, ..Options::new("stateward") };
    let facts = ClusterFacts::start(&cluster.client(), &options);
    while facts.load().not_known().next().is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    facts
}

/// Prints what an object takes as a `Value`.
fn values(kind: &str) -> Result<()> {
    let kind = MANY.into_iter().find(|known| known.info().name == kind).context("a kind")?;
    whole::<Value>(kind)
}

/// Prints what an object takes as the type that k8s-openapi has for it.
fn typed(kind: &str) -> Result<()> {
    match kind {
        "StatefulSet" => whole::<StatefulSet>(FactKind::Set),
        "PersistentVolumeClaim" => whole::<PersistentVolumeClaim>(FactKind::Claim),
        "PersistentVolume" => whole::<PersistentVolume>(FactKind::Volume),
        _ => whole::<Pod>(FactKind::Pod),
    }
}

/// Prints the bytes that one object takes.
fn whole<T: DeserializeOwned>(kind: FactKind) -> Result<()> {
    let cluster = Cluster::new(COPIES, &MANY);
    let mut kept: Vec<T> = Vec::with_capacity(COPIES);
    let before = resident("VmRSS:");
    for index in 0..COPIES {
        kept.push(serde_json::from_str(&cluster.text(kind, index))?);
    }
    println!("{}", (resident("VmRSS:").saturating_sub(before) << 10) / COPIES);
    Ok(())
}

/// A review of an object of the cluster.
struct Review {
    title: &'static str,
    webhook: WebhookKind,
    body: Vec<u8>,
}

impl Review {
    /// A recorded review, of another object.
    fn new(title: &'static str, recorded: &str, old: &Value, new: &Value) -> Self {
        let mut review = ratio::recorded(recorded);
        let request = &mut review["request"];
        for field in ["name", "namespace"] {
            request[field] = old["metadata"][field].clone();
        }
        request["oldObject"] = old.clone();
        request["object"] = new.clone();
        Self { title, webhook: WebhookKind::Validating, body: review.to_string().into_bytes() }
    }

    fn answer(&self, policy: &Policy, facts: &Facts) -> String {
        let context = EvaluationContext { policy, facts, now: Timestamp::UNIX_EPOCH };
        let version = KubernetesVersion::default();
        let answer = review::answer(self.webhook, &self.body, version, &context);
        answer.map(|answer| String::from_utf8_lossy(&answer.body).into_owned()).unwrap_or_default()
    }
}

/// Reviews that ask for facts about the same set, and what their answers say.
fn asking(cluster: &Cluster) -> [(Review, &'static str); 4] {
    let index = cluster.sets / 2;
    let set = cluster.object(FactKind::Set, index);
    let claim = cluster.object(FactKind::Claim, index * MEMBERS + 1);
    let mut owning = set.clone();
    owning["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Delete"});
    let mut image = set.clone();
    image["spec"]["template"]["spec"]["containers"][0]["image"] = json!("improbable/thanos:v0.6.1");
    image["metadata"]["generation"] = json!(2);
    let scale = |replicas: usize| {
        let mut scale = ratio::recorded("scale-statefulset-kubectl")["request"]["object"].take();
        for field in ["name", "namespace", "uid"] {
            scale["metadata"][field] = set["metadata"][field].clone();
        }
        scale["spec"]["replicas"] = json!(replicas);
        scale["status"]["replicas"] = json!(MEMBERS);
        scale
    };
    [
        (Review::new("UPDATE of a set, a new image", ratio::SET, &set, &image), "allowed\":true"),
        (
            Review::new("scale to zero", "scale-statefulset-kubectl", &scale(MEMBERS), &scale(0)),
            "scaled to zero",
        ),
        (
            Review::new("DELETE of a claim", ratio::CLAIM, &claim, &Value::Null),
            "would be deleted with its volume",
        ),
        (
            Review::new(
                "DELETE of a set with its claims",
                "delete-statefulset-no-options",
                &owning,
                &Value::Null,
            ),
            "This would destroy 10 claims, 100Gi",
        ),
    ]
}

/// Reviews that ask for facts, beside one that needs none.
async fn print_reviews() -> Result<()> {
    let policy = Policy::default().with_default_resize(Resize::Orchestrate);
    let mut clusters = Vec::new();
    for (title, sets, together) in [
        ("100 sets", 100, 50),
        ("1,000 sets", 1_000, 50),
        ("10,000 sets", SETS, 50),
        ("1,000 sets in one namespace", 1_000, 1_000),
    ] {
        let mut cluster = Cluster::new(sets, &MANY);
        cluster.together = together;
        clusters.push((title, asking(&cluster), listed(&cluster).await));
    }
    let plain = Review {
        title: "UPDATE of 12 KB, one label changed, which needs no facts",
        webhook: WebhookKind::Validating,
        body: ratio::update_of_12_kb(false),
    };
    let loaded: Vec<_> = clusters.iter().map(|(.., facts)| facts.load()).collect();
    for index in 0..4 {
        println!("\n{}", clusters[0].1[index].0.title);
        let mut candidates = Candidates::new().add(plain.title, || {
            black_box(plain.answer(&policy, &loaded[0]));
        });
        for ((title, reviews, _), facts) in clusters.iter().zip(&loaded) {
            let (review, says) = &reviews[index];
            let said = review.answer(&policy, facts);
            ensure!(said.contains(says), "{}: {said}", review.title);
            candidates = candidates.add(title, || {
                black_box(review.answer(&policy, facts));
            });
        }
        candidates.print(1);
    }
    Ok(())
}

/// How long it takes from an event of a watch to a verdict that knows of it.
async fn print_changes() -> Result<()> {
    let policy = Policy::default();
    println!("\nfrom an event of a watch to a verdict that knows of it, of {CHANGES}");
    for sets in [100, SETS] {
        let cluster = Cluster::new(sets, &MANY);
        let facts = listed(&cluster).await;
        for kind in [FactKind::Claim, FactKind::Volume] {
            let mut times = Vec::with_capacity(CHANGES);
            for change in 0..CHANGES {
                let index = change * 7 % (sets * MEMBERS);
                let claim = cluster.object(FactKind::Claim, index);
                let review = Review::new("", ratio::CLAIM, &claim, &Value::Null);
                let mut object = cluster.object(kind, index);
                let says = if kind == FactKind::Claim {
                    object["spec"]["resources"]["requests"]["storage"] = json!("11Gi");
                    "11Gi"
                } else {
                    object["spec"]["persistentVolumeReclaimPolicy"] = json!("Retain");
                    "its volume stays"
                };
                ensure!(!review.answer(&policy, &facts.load()).contains(says), "known before");
                let start = Instant::now();
                cluster.change(kind, object).await;
                while !review.answer(&policy, &facts.load()).contains(says) {
                    tokio::task::yield_now().await;
                }
                times.push(start.elapsed());
            }
            times.sort_unstable();
            println!(
                "  {sets:>6} sets, a {:<24} median {:>8.3} ms, p99 {:>8.3} ms",
                kind.info().name,
                times[CHANGES / 2].as_secs_f64() * 1e3,
                times[CHANGES * 99 / 100].as_secs_f64() * 1e3,
            );
        }
    }
    Ok(())
}
