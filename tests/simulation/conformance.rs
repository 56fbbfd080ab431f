//! The server in memory against a real one: the same random requests must get the same answers.
//!
//! No controller runs on either side, so objects stay as they were written; what the garbage
//! collector would write is among the requests.

mod draft;
mod requests;
mod shape;

use std::collections::BTreeMap;

use fastrand::Rng;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use testbed::{Kubernetes, Testbed};

use self::draft::Draft;
use self::requests::{draft, first};
use self::shape::shape;
use crate::server::{Plain, Server};

/// Requests per sequence.
const LENGTH: usize = 30;
/// Sequences per change; the long form is `STATEWARD_SEQUENCES=10000`.
const SEQUENCES: u64 = 300;

/// What one side answered.
#[derive(Clone, Debug)]
struct Answer {
    code: u16,
    body: Value,
}

/// One of the two servers.
enum Side<'s> {
    Memory(&'s Server),
    Real(&'s Testbed),
}

impl Side<'_> {
    async fn ask(&self, method: &'static str, path: &str, content: &str, body: Value) -> Answer {
        match self {
            Self::Memory(server) => {
                let mut request = Plain::new("tester", method, path, body);
                content.clone_into(&mut request.content);
                let reply = server.handle(&request);
                Answer { code: reply.code, body: (*reply.body).clone() }
            }
            Self::Real(testbed) => {
                let reply = testbed.request(method, path, content, body).await.unwrap();
                Answer { code: reply.status, body: reply.body }
            }
        }
    }

    /// Sends a draft, with what this side knows of the object put in.
    async fn send(&self, draft: &Draft) -> (Answer, Option<String>) {
        let live = self.ask("GET", &draft.object, "", Value::Null).await;
        let live = if live.code == 200 { live.body } else { Value::Null };
        let version = live["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        let body = draft.resolve(&live);
        let answer = self.ask(draft.method, &draft.path, &draft.content, body).await;
        (answer, version)
    }
}

#[derive(Default)]
struct Table(BTreeMap<String, BTreeMap<u16, usize>>);

impl Table {
    fn print(&self) {
        let codes: std::collections::BTreeSet<u16> =
            self.0.values().flat_map(|row| row.keys().copied()).collect();
        let head: Vec<String> = codes.iter().map(|code| format!("{code:>7}")).collect();
        println!("{:<40}{}", "", head.concat());
        for (what, row) in &self.0 {
            let cell = |code| row.get(code).map_or(String::new(), usize::to_string);
            let cells: Vec<String> =
                codes.iter().map(|code| format!("{:>7}", cell(code))).collect();
            println!("{what:<40}{}", cells.concat());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn random_requests_get_the_same_answers() {
    // The version that the server in memory imitates.
    let real = Testbed::builder().kubernetes(Kubernetes::V1_36).controllers(false).start();
    let real = real.await.unwrap();
    let memory = Server::new();
    prepare(&real, &memory).await;
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let count = number("STATEWARD_SEQUENCES").unwrap_or(SEQUENCES);
    let one = number("STATEWARD_SEQUENCE");
    let seeds = one.map_or(0..count, |one| one..one + 1);
    let sequences = futures_util::stream::iter(seeds)
        .map(|seed| sequence(seed, &real, &memory))
        .buffer_unordered(8)
        .collect::<Vec<_>>()
        .await;
    let mut table = Table::default();
    let mut differences = Vec::new();
    for (rows, found) in sequences {
        for (what, code) in rows {
            *table.0.entry(what).or_default().entry(code).or_default() += 1;
        }
        differences.extend(found);
    }
    table.print();
    let mut known = std::collections::BTreeSet::new();
    for Difference { kind, text } in &differences {
        if known.insert(kind) {
            println!("{text}\n");
        }
    }
    assert!(differences.is_empty(), "{} answers differ", differences.len());
    if one.is_none() {
        let codes: std::collections::BTreeSet<u16> =
            table.0.values().flat_map(|row| row.keys().copied()).collect();
        for code in [200, 201, 403, 404, 409, 422] {
            assert!(codes.contains(&code), "{code} was never answered");
        }
    }
}

/// What both sides need before any sequence.
async fn prepare(real: &Testbed, memory: &Server) {
    for (name, grows) in [("fast", true), ("rigid", false)] {
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": name}, "provisioner": "example.com/none",
            "allowVolumeExpansion": grows,
        });
        real.apply(class.clone()).await.unwrap();
        memory.create("tester", class);
    }
    real.apply(stateward_resize::crd::crd()).await.unwrap();
    let served = "/apis/stateward.dev/v1alpha1/statefulsetresizes";
    for _ in 0..100 {
        if real.get(served).await.unwrap().status == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

type Rows = Vec<(String, u16)>;

/// An answer that is not the same.
struct Difference {
    /// the request, and what differs
    kind: String,
    text: String,
}

/// One sequence, in a namespace of its own.
async fn sequence(seed: u64, real: &Testbed, memory: &Server) -> (Rows, Vec<Difference>) {
    let mut rng = Rng::with_seed(seed);
    let namespace = format!("n{seed}");
    let (real, memory) = (Side::Real(real), Side::Memory(memory));
    let quota = rng.u8(0..8) == 0;
    for side in [&real, &memory] {
        furnish(side, &namespace, quota).await;
    }
    if quota {
        // Admission reads quotas from a cache.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let (mut rows, mut story) = (Vec::new(), Vec::new());
    for n in 0..LENGTH {
        // Most of what can be asked is about what is there.
        let draft = if n < 3 { first(&mut rng, &namespace) } else { draft(&mut rng, &namespace) };
        let (theirs, version) = real.send(&draft).await;
        let (ours, our_version) = memory.send(&draft).await;
        rows.push((draft.label.clone(), theirs.code));
        story.push(format!("{} {} → {}", draft.method, draft.path, theirs.code));
        let (want, got) =
            (shape(&theirs, version.as_deref()), shape(&ours, our_version.as_deref()));
        // What a DELETE returns differs by kind; what it leaves is read later.
        let same = if draft.method == "DELETE" {
            want["code"] == got["code"] && want["reason"] == got["reason"]
        } else {
            want == got
        };
        if !same {
            let tail = story[story.len().saturating_sub(8)..].join("\n  ");
            let fields = want.as_object().into_iter().flatten().map(|(key, _)| key);
            let differ: Vec<String> = fields
                .filter(|key| want[*key] != got[*key])
                .map(|key| format!("{key}: real {}, memory {}", want[key], got[key]))
                .collect();
            let text = format!(
                "sequence {seed} ({}), again: STATEWARD_SEQUENCE={seed}\n  {tail}\n{}\n  {}\n  real {}\n  memory {}",
                draft.label,
                draft.body,
                differ.join("\n  "),
                theirs.body["message"],
                ours.body["message"]
            );
            return (rows, vec![Difference { kind: format!("{} {differ:?}", draft.label), text }]);
        }
    }
    (rows, Vec::new())
}

async fn furnish(side: &Side<'_>, namespace: &str, quota: bool) {
    let object = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace},
    });
    let made = side.ask("POST", "/api/v1/namespaces", crate::server::JSON, object).await;
    assert_eq!(made.code, 201, "{}", made.body);
    if !quota {
        return;
    }
    let hard = json!({"count/statefulsets.apps": "1"});
    let mut object = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "sets", "namespace": namespace}, "spec": {"hard": hard},
    });
    let path = format!("/api/v1/namespaces/{namespace}/resourcequotas");
    let made = side.ask("POST", &path, crate::server::JSON, object.clone()).await;
    assert_eq!(made.code, 201, "{}", made.body);
    object["status"] = json!({"hard": hard, "used": {"count/statefulsets.apps": "0"}});
    let path = format!("{path}/sets/status");
    let made = side.ask("PUT", &path, crate::server::JSON, object).await;
    assert_eq!(made.code, 200, "{}", made.body);
}
