//! Every pack on a real API server: its edits, and the commands that people type.

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use stateward_core::packs::Packs;
use stateward_core::rules::{Action, RULES};
use stateward_resize::crd;
use testbed::client::APPLY_PATCH;
use testbed::wait::wait_for;
use testbed::{Reply, Testbed};
use tokio::sync::OnceCell;

use crate::admission::Renewal;
use crate::pack_edits::{Edits, READERS};
use crate::webhook::{LONG, Webhook, apply, path};

/// How many packs are tried at the same time.
const AT_ONCE: usize = 6;

/// A control plane with enough nodes for sets whose pods keep apart, and a webhook that watches it.
async fn cluster() -> &'static Testbed {
    static CLUSTER: OnceCell<(Testbed, Webhook)> = OnceCell::const_new();
    let (testbed, _) = CLUSTER
        .get_or_init(async || {
            let testbed = Testbed::builder().nodes(8).start().await.unwrap();
            testbed.play_storage().await.unwrap();
            let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            testbed.create(definitions, crd::crd()).await.unwrap().ok().unwrap();
            testbed.ensure_namespace("stateward").await.unwrap();
            let kubeconfig = format!("--kubeconfig={}", testbed.kubeconfig().display());
            let webhook = Webhook::start(&[&kubeconfig]).await;
            webhook.register(&testbed, &[]).await;
            (testbed, webhook)
        })
        .await;
    testbed
}

/// The set in a namespace of this test. What it needs besides a namespace is created.
async fn placed(testbed: &Testbed, set: &Value, namespace: &str) -> Value {
    let mut set = set.clone();
    set["metadata"]["namespace"] = json!(namespace);
    let account = &set["spec"]["template"]["spec"]["serviceAccountName"];
    if account.is_string() {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": account, "namespace": namespace},
        });
        testbed.apply(account).await.unwrap();
    }
    set
}

/// Waits until all pods of the set run its newest template.
async fn settled(testbed: &Testbed, set: &str, namespace: &str) {
    let done = |live: &Value| {
        let status = &live["status"];
        let ready = status["readyReplicas"].as_i64().unwrap_or(0);
        // Nobody replaces the pods, and the current revision stays what it was.
        let waits = live["spec"]["updateStrategy"]["type"] == "OnDelete";
        live["spec"]["replicas"] == ready
            && status["replicas"] == ready
            && status["observedGeneration"] == live["metadata"]["generation"]
            && (waits || status["currentRevision"] == status["updateRevision"])
    };
    testbed.wait_object(&path(namespace, set), LONG, done).await.unwrap();
}

/// What `kubectl apply --server-side` of the set would do.
async fn tried(testbed: &Testbed, set: &Value, namespace: &str) -> Reply {
    let mut set = set.clone();
    set["metadata"]["namespace"] = json!(namespace);
    let name = set["metadata"]["name"].as_str().unwrap();
    let path = format!("{}?fieldManager=kubectl&force=true&dryRun=All", path(namespace, name));
    testbed.request("PATCH", &path, APPLY_PATCH, set).await.unwrap()
}

/// What a cluster does about a finding of the rule.
fn action(rule: &str) -> Action {
    let entry = RULES.iter().find(|entry| entry.meta.id == rule);
    entry.unwrap_or_else(|| panic!("there is no rule {rule}")).meta.default_action(true)
}

/// How a denial ends that names the rule.
fn denial_of(rule: &str) -> String {
    format!("\n{rule} · ")
}

/// How an answer differs from what the pack says of the edit.
fn difference(edit: &Value, reply: &Reply) -> Option<String> {
    let finds: Vec<&str> =
        edit["finds"].as_array().unwrap().iter().map(|rule| rule.as_str().unwrap()).collect();
    let denied = finds.iter().any(|rule| action(rule) == Action::Deny);
    let said = if denied { reply.message().to_owned() } else { reply.warnings.join("\n") };
    let differs = |what: &str| {
        Some(format!("{what}: {} {} {:?}", reply.status, reply.message(), reply.warnings))
    };
    let by_us = reply.message().contains(".stateward.dev\" denied the request");
    if denied && !(reply.status == 403 && by_us) {
        return differs("stateward did not deny it");
    }
    if !denied && !reply.is_success() {
        return differs("it was not accepted");
    }
    let expected = if denied { Action::Deny } else { Action::Warn };
    for rule in READERS {
        let is_said = said.contains(&if denied { denial_of(rule) } else { format!("[{rule}]") });
        let is_to_be = finds.contains(rule) && action(rule) == expected;
        if is_said != is_to_be {
            return differs(&format!("{rule} is {}said", if is_said { "" } else { "not " }));
        }
    }
    None
}

/// Sends each edit of a pack. How many were denied and warned of, and what differs from the pack.
async fn pack(testbed: &Testbed, name: &str) -> ([usize; 3], Vec<String>) {
    let edits = Edits::read(name);
    let prefix: String = name.chars().take(40).collect();
    let (mut counts, mut wrong) = ([0; 3], Vec::new());
    let mut judge = |edit: &Value, reply: &Reply| {
        let warned = reply.warnings.iter().any(|line| READERS.iter().any(|id| line.contains(id)));
        counts[if !reply.is_success() {
            1
        } else if warned {
            2
        } else {
            0
        }] += 1;
        if let Some(difference) = difference(edit, reply) {
            wrong.push(format!("{name}: {}: {difference}", edit["name"].as_str().unwrap()));
        }
    };
    let (creating, mut changing): (Vec<Value>, Vec<Value>) =
        edits.all.iter().cloned().partition(|edit| edit["creates"] == true);
    let namespace = testbed.namespace(&prefix).await.unwrap();
    for edit in &creating {
        judge(edit, &tried(testbed, &edits.sides(edit).1, &namespace).await);
    }
    while let Some(first) = changing.first() {
        // Edits of the same set share it, and none takes hold.
        let before = first["before"].clone();
        let (same, others) = changing.iter().cloned().partition(|edit| edit["before"] == before);
        changing = others;
        let same: Vec<Value> = same;
        let namespace = testbed.namespace(&prefix).await.unwrap();
        let set = placed(testbed, &edits.sides(&same[0]).0, &namespace).await;
        let set_name = set["metadata"]["name"].as_str().unwrap();
        let path = format!("{}?fieldManager=kubectl&force=true", path(&namespace, set_name));
        let created = testbed.request("PATCH", &path, APPLY_PATCH, set.clone()).await.unwrap();
        assert!(created.is_success(), "{name}: {}", created.body);
        settled(testbed, set_name, &namespace).await;
        for edit in &same {
            assert!(edit.get("facts").is_none(), "{name}: facts are not created yet");
            judge(edit, &tried(testbed, &edits.sides(edit).1, &namespace).await);
        }
    }
    (counts, wrong)
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_api_server_gives_each_edit_of_each_pack_the_verdict_that_the_pack_names() {
    let testbed = cluster().await;
    let packs = Packs::built_in().iter().map(|(name, _)| pack(testbed, name));
    let all: Vec<_> = futures_util::stream::iter(packs).buffer_unordered(AT_ONCE).collect().await;
    let sent: usize = Packs::built_in().iter().map(|(name, _)| Edits::read(name).all.len()).sum();
    let [accepted, denied, warned] =
        [0, 1, 2].map(|kind| all.iter().map(|(counts, _)| counts[kind]).sum::<usize>());
    let wrong: Vec<&str> = all.iter().flat_map(|(_, wrong)| wrong).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {sent} edits:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(accepted + denied + warned, sent);
    assert!(accepted > 0 && denied > 0 && warned > 0, "{accepted}, {denied}, {warned}");
}

/// What a typed command ends with.
enum Ends {
    /// done, and nothing was said about a rule that reads packs
    Silently,
    /// done, with a warning of this rule
    Warned(&'static str),
    /// denied by this rule, with these words on the way out
    Denied(&'static str, &'static [&'static str]),
}

use Ends::{Denied, Silently, Warned};

/// A set of a pack, and what is typed one after the other.
struct Session {
    pack: &'static str,
    typed: &'static [(&'static str, Ends)],
}

const SESSIONS: &[Session] = &[
    Session {
        pack: "etcd",
        typed: &[
            (
                "kubectl scale sts etcd --replicas=2",
                Denied("sts-scale-below-quorum", &["etcdctl member remove", "--replicas=4"]),
            ),
            (
                "kubectl scale sts etcd --replicas=0",
                Denied("sts-scale-below-quorum", &["keep replicas: 5"]),
            ),
            (
                "kubectl scale sts etcd --replicas=3 --dry-run=server",
                Warned("sts-scale-down-multi"),
            ),
            ("kubectl scale sts etcd --replicas=4", Warned("sts-scale-down-steps")),
            ("kubectl scale sts etcd --replicas=3", Warned("sts-scale-down-steps")),
            (
                "kubectl scale sts etcd --replicas=1",
                Denied("sts-scale-below-quorum", &["--replicas=2"]),
            ),
            (
                "kubectl set image sts etcd etcd=quay.io/coreos/etcd:v3.7.0",
                Denied("sts-image-version", &["go to 3.6 first"]),
            ),
            (
                "kubectl set image sts etcd etcd=quay.io/coreos/etcd:v3.6.11",
                Warned("sts-image-upgrade"),
            ),
            (
                "kubectl set image sts etcd etcd=quay.io/coreos/etcd:v3.5.32",
                Denied("sts-image-version", &["restore a backup"]),
            ),
            (
                "kubectl set image sts etcd etcd=quay.io/coreos/etcd:v3.7.0",
                Warned("sts-image-upgrade"),
            ),
            // One of three members is rebuilt.
            ("kubectl delete pvc data-etcd-2 --wait=false", Warned("pvc-delete")),
            ("kubectl delete sts etcd", Warned("sts-delete-cascade")),
        ],
    },
    Session {
        pack: "minio",
        typed: &[
            ("kubectl scale sts minio --replicas=3", Denied("sts-pool-resized", &["decommission"])),
            ("kubectl scale sts minio --replicas=8", Denied("sts-pool-resized", &["pool"])),
            (
                "kubectl set image sts minio minio=quay.io/minio/minio:RELEASE.2025-01-20T14-49-07Z",
                Warned("sts-rolling-restart"),
            ),
            // The whole pool stops and comes back.
            ("kubectl scale sts minio --replicas=0", Warned("sts-scale-to-zero")),
            ("kubectl scale sts minio --replicas=4", Silently),
            // It was moved to another pool, and goes as a whole.
            ("kubectl delete sts minio", Warned("sts-delete-cascade")),
            ("kubectl delete pvc data-minio-0 data-minio-1", Warned("pvc-delete")),
        ],
    },
    Session {
        pack: "kafka",
        typed: &[
            ("kubectl scale sts kafka-broker --replicas=3", Warned("sts-scale-down-steps")),
            (
                "kubectl set image sts kafka-broker kafka=apache/kafka:4.0.0",
                Denied("sts-image-version", &["3.9"]),
            ),
            (
                "kubectl set image sts kafka-broker kafka=apache/kafka:3.9.1",
                Warned("sts-image-upgrade"),
            ),
            (
                "kubectl set image sts kafka-broker kafka=apache/kafka:4.0.0",
                Warned("sts-image-upgrade"),
            ),
        ],
    },
    Session {
        pack: "kafka-controller",
        typed: &[
            (
                "kubectl scale sts kafka-controller --replicas=1",
                Denied("sts-scale-below-quorum", &["remove-controller"]),
            ),
            ("kubectl scale sts kafka-controller --replicas=2", Warned("sts-scale-down-steps")),
        ],
    },
    Session {
        pack: "kafka-controller-static",
        typed: &[
            (
                "kubectl scale sts kafka-controller --replicas=2",
                Denied("sts-pool-resized", &["kraft.version=1"]),
            ),
            ("kubectl set image sts kafka-controller kafka=apache/kafka:3.9.2", Silently),
        ],
    },
    Session {
        pack: "vault-raft",
        typed: &[
            (
                "kubectl scale sts vault --replicas=1",
                Denied("sts-scale-below-quorum", &["vault operator raft remove-peer"]),
            ),
            (
                "kubectl set image sts vault vault=hashicorp/vault:1.19.5",
                Denied("sts-image-version", &["restore a backup"]),
            ),
            ("kubectl set image sts vault vault=hashicorp/vault:1.20.6", Silently),
            ("kubectl delete pod vault-0 vault-1 vault-2", Silently),
            (
                "kubectl set image sts vault vault=hashicorp/vault:1.21.1",
                Warned("sts-image-upgrade"),
            ),
            // The pods run 1.20 until somebody deletes them.
            ("kubectl set image sts vault vault=hashicorp/vault:1.20.6", Silently),
            (
                "kubectl set image sts vault vault=hashicorp/vault:1.21.1",
                Warned("sts-image-upgrade"),
            ),
            ("kubectl delete pod vault-0 vault-1 vault-2", Silently),
            (
                "kubectl set image sts vault vault=hashicorp/vault:1.20.6",
                Denied("sts-image-version", &["restore a backup"]),
            ),
            ("kubectl scale sts vault --replicas=2", Warned("sts-scale-down-steps")),
        ],
    },
    Session {
        pack: "rabbitmq",
        typed: &[
            (
                "kubectl scale sts rabbitmq --replicas=1",
                Denied("sts-scale-below-quorum", &["forget_cluster_node"]),
            ),
            ("kubectl scale sts rabbitmq --replicas=2", Warned("sts-scale-down-steps")),
            // Its claim is still there.
            ("kubectl scale sts rabbitmq --replicas=3", Warned("sts-leftover-claims")),
            (
                "kubectl set image sts rabbitmq rabbitmq=rabbitmq:4.3.0-management",
                Denied("sts-image-version", &["4.2"]),
            ),
            (
                "kubectl set image sts rabbitmq rabbitmq=rabbitmq:4.2.1-management",
                Warned("sts-image-upgrade"),
            ),
            (
                "kubectl set image sts rabbitmq rabbitmq=rabbitmq:4.3.0-management",
                Warned("sts-image-upgrade"),
            ),
        ],
    },
    Session {
        pack: "mysql",
        typed: &[
            // Its replicas vote on nothing.
            ("kubectl scale sts mysql --replicas=1", Silently),
            ("kubectl scale sts mysql --replicas=2", Warned("sts-leftover-claims")),
            (
                "kubectl set image sts mysql mysql=mysql:9.7.0",
                Denied("sts-image-version", &["8.4"]),
            ),
            ("kubectl set image sts mysql mysql=mysql:8.0.41", Silently),
            ("kubectl set image sts mysql mysql=mysql:8.4.4", Warned("sts-image-upgrade")),
            (
                "kubectl set image sts mysql mysql=mysql:8.0.41",
                Denied("sts-image-version", &["restore a backup"]),
            ),
            ("kubectl set image sts mysql mysql=mysql:9.7.0", Warned("sts-image-upgrade")),
        ],
    },
    Session {
        pack: "postgresql",
        typed: &[
            (
                "kubectl set image sts postgres postgres=postgres:18.1",
                Denied("sts-image-version", &["pg_upgrade"]),
            ),
            (
                "kubectl set image sts postgres postgres=postgres:16.4",
                Denied("sts-image-version", &["restore a backup"]),
            ),
            ("kubectl set image sts postgres postgres=postgres:17.4", Silently),
            // A server of its own, which nobody asks.
            ("kubectl scale sts postgres --replicas=2", Silently),
            ("kubectl scale sts postgres --replicas=1", Silently),
            ("kubectl delete pvc data-postgres-1", Warned("pvc-delete")),
            ("kubectl delete pvc data-postgres-0", Denied("pvc-delete-last", &["Retain"])),
            ("kubectl delete sts postgres --cascade=orphan", Silently),
        ],
    },
];

/// Runs a line that begins with `kubectl`.
async fn typed(testbed: &Testbed, line: &str, namespace: &str) -> testbed::Output {
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("kubectl"));
    let arguments: Vec<&str> = words.chain(["-n", namespace]).collect();
    testbed.kubectl(&arguments).await.unwrap()
}

/// How a command ended otherwise than it has to.
fn otherwise(ends: &Ends, output: &testbed::Output) -> bool {
    let says = |rule: &str| output.stderr.contains(&format!("[{rule}]"));
    // `kubectl set image` does not say that it is forbidden.
    let denied = output.stderr.contains(".stateward.dev\" denied the request");
    match ends {
        Silently => output.status != 0 || READERS.iter().any(|rule| says(rule)),
        Warned(rule) => output.status != 0 || !says(rule),
        Denied(rule, way) => {
            output.status == 0
                || !denied
                || !output.stderr.contains(&denial_of(rule))
                || way.iter().any(|words| !output.stderr.contains(words))
        }
    }
}

/// A larger claim template becomes a request, and a smaller one is denied, whatever the system.
async fn resized(testbed: &Testbed, name: &str, namespace: &str) {
    let size = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage";
    let patch = |to: &str| {
        let patch = json!([{"op": "replace", "path": size, "value": to}]);
        format!("kubectl patch sts {name} --type=json -p={patch}")
    };
    let grown = wait_for("growth to be accepted", LONG, async || {
        let output = typed(testbed, &patch("1Ti"), namespace).await;
        Ok((output.status == 0).then_some(output.stderr))
    });
    let said = grown.await.unwrap();
    assert!(said.contains("growth of claim template"), "{name}: {said}");
    let live = testbed.get(&path(namespace, name)).await.unwrap().ok().unwrap();
    assert_ne!(live.pointer(size), Some(&json!("1Ti")), "{name}: the template has changed");
    let requested = &live["metadata"]["annotations"]["stateward.dev/resize-requested"];
    assert!(requested.as_str().is_some_and(|text| text.contains(r#":"1Ti""#)), "{name}: {live}");
    let withdrawn = format!("kubectl annotate sts {name} stateward.dev/resize-requested-");
    typed(testbed, &withdrawn, namespace).await.ok().unwrap();
    let shrunk = typed(testbed, &patch("1Mi"), namespace).await;
    let denial = Denied("sts-vct-size-shrink", &[]);
    assert!(!otherwise(&denial, &shrunk), "{name}: {}", shrunk.stderr);
}

/// What went wrong in a session.
async fn session(testbed: &Testbed, session: &Session) -> Vec<String> {
    let namespace = testbed.namespace(session.pack).await.unwrap();
    let set = placed(testbed, &Edits::read(session.pack).set, &namespace).await;
    let name = set["metadata"]["name"].as_str().unwrap();
    apply(testbed, &set, &[]).await.ok().unwrap();
    settled(testbed, name, &namespace).await;
    resized(testbed, name, &namespace).await;
    let mut wrong = Vec::new();
    for (line, ends) in session.typed {
        let output = typed(testbed, line, &namespace).await;
        if otherwise(ends, &output) {
            let said = output.stderr.trim();
            wrong.push(format!("{}: {line}\n  {}: {said}", session.pack, output.status));
        }
        let exists = testbed.get(&path(&namespace, name)).await.unwrap().is_success();
        if output.status == 0 && exists {
            settled(testbed, name, &namespace).await;
        }
    }
    wrong
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn commands_as_people_type_them_are_denied_or_allowed_by_the_pack_of_the_system() {
    let testbed = cluster().await;
    let _renewal = Renewal::start(testbed);
    let sessions = SESSIONS.iter().map(|one| session(testbed, one));
    let all: Vec<_> = futures_util::stream::iter(sessions).buffer_unordered(4).collect().await;
    let wrong: Vec<String> = all.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
