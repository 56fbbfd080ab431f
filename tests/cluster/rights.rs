//! What `stateward manifests` prints for resizes, on a real API server: it applies, it grants what
//! the table says and no more, and the admission policy stands between an edit and a claim.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use stateward_resize::rights::{Holder, RIGHTS, Scope};
use stateward_resize::{admission_policy, controller_policy, crd};
use testbed::client::{JSON_PATCH, path_of};
use testbed::{Session, Testbed};

use crate::chart::objects;
use crate::webhook::{path, set};

const REQUESTED: &str = "stateward.dev/resize-requested";
const SHORT: Duration = Duration::from_secs(30);

/// What the binary prints.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
        .arg("manifests")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Applies a stream as its documentation says.
pub(crate) async fn apply_stream(testbed: &Testbed, stream: &str) {
    let line = ["apply", "--server-side", "-f", "-"];
    let output = testbed.kubectl_with("admin", &line, Some(stream)).await.unwrap();
    output.ok().unwrap();
}

async fn versions(testbed: &Testbed, all: &[Value]) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for object in all {
        let path = path_of(object).unwrap();
        let live = testbed.get(&path).await.unwrap().ok().unwrap();
        found.insert(path, live["metadata"]["resourceVersion"].clone());
    }
    found
}

async fn live(testbed: &Testbed, object: &Value) -> Value {
    testbed.get(&path_of(object).unwrap()).await.unwrap().ok().unwrap()
}

/// Whether the session's user may do something, as the API server's authorizer answers.
async fn may(session: &Session, attributes: Value) -> bool {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = session.create(path, review).await.unwrap().ok().unwrap();
    answer["status"]["allowed"] == true
}

fn attributes(verb: &str, group: &str, resource: &str, namespace: &str, name: &str) -> Value {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    json!({
        "verb": verb, "group": group, "resource": resource, "subresource": subresource,
        "namespace": namespace, "name": name,
    })
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn what_is_printed_applies_twice_and_grants_what_the_table_says() {
    let testbed = Testbed::builder().start().await.unwrap();
    testbed.ensure_namespace("stateward").await.unwrap();
    let webhook = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "stateward", "namespace": "stateward"},
    });
    testbed.apply(webhook).await.unwrap();
    let stream = printed(&["--crds", "--rights"]);
    apply_stream(&testbed, &stream).await;
    let all = objects(&stream);
    assert_eq!(all.len(), 5 + 1 + 2 * 4 + 3 * 2);
    // The API server and the controllers write conditions and type checks meanwhile.
    testbed
        .wait_object(&path_of(&crd::crd()).unwrap(), SHORT, |live| {
            live["status"]["conditions"].as_array().is_some_and(|all| all.len() == 2)
        })
        .await
        .unwrap();
    let policies = || all.iter().filter(|object| object["kind"] == "ValidatingAdmissionPolicy");
    assert_eq!(policies().count(), 1 + 3);
    for policy in policies() {
        let checked = |live: &Value| live["status"]["observedGeneration"] == 1;
        let live = testbed.wait_object(&path_of(policy).unwrap(), SHORT, checked).await.unwrap();
        // What is dynamic has no type; nothing else is to be said about the expressions.
        assert_eq!(live["status"]["typeChecking"], json!({}), "{live}");
    }
    let before = versions(&testbed, &all).await;
    apply_stream(&testbed, &stream).await;
    assert_eq!(versions(&testbed, &all).await, before, "applied again, something changed");

    let policy = live(&testbed, &admission_policy::policy()).await;
    let binding = live(&testbed, &admission_policy::binding()).await;
    assert_eq!(admission_policy::in_force(Some(&policy), Some(&binding)), Ok(()));
    for policy in controller_policy::policies("stateward") {
        let live = live(&testbed, &policy).await;
        assert_eq!(live["spec"], policy["spec"], "the API server fills nothing in");
    }

    for holder in Holder::ALL {
        let account =
            testbed.kubeconfig_for_service_account("stateward", holder.account()).await.unwrap();
        let session = testbed.session(&account).await.unwrap();
        for right in RIGHTS.iter().filter(|right| right.holder == holder) {
            let namespace = if right.scope == Scope::System { "stateward" } else { "default" };
            let name = right.names.first().copied().unwrap_or_default();
            for verb in right.verbs {
                let asked = attributes(verb, right.group, right.resource, namespace, name);
                assert!(may(&session, asked.clone()).await, "{holder:?} may not: {asked}");
                if right.scope == Scope::System {
                    let asked = attributes(verb, right.group, right.resource, "default", name);
                    assert!(!may(&session, asked.clone()).await, "{holder:?} may: {asked}");
                }
            }
        }
        for verb in ["delete", "deletecollection", "update", "create", "*"] {
            let asked = attributes(verb, "", "persistentvolumeclaims", "default", "");
            assert!(!may(&session, asked.clone()).await, "{holder:?} may: {asked}");
        }
        for (verb, namespace) in
            [("get", "default"), ("list", "default"), ("list", "stateward"), ("get", "stateward")]
        {
            let asked = attributes(verb, "", "secrets", namespace, "another");
            assert!(!may(&session, asked.clone()).await, "{holder:?} may: {asked}");
        }
    }
    people(&testbed).await;
}

/// Readers of a namespace read records, its editors do not write them, resizers do.
async fn people(testbed: &Testbed) {
    for (user, role) in [("reader", "view"), ("editor", "edit"), ("resizer", "stateward-resizer")] {
        let line = [
            "create".to_owned(),
            "rolebinding".to_owned(),
            user.to_owned(),
            format!("--clusterrole={role}"),
            format!("--user={user}"),
            "--namespace=default".to_owned(),
        ];
        testbed.kubectl(&line).await.unwrap().ok().unwrap();
    }
    let asked = |verb: &str, resource: &str| attributes(verb, crd::GROUP, resource, "default", "");
    for user in ["reader", "editor", "resizer"] {
        let session = testbed.admin().impersonate(user, &["system:authenticated"]).unwrap();
        let what = format!("{user} to read records");
        testbed
            .wait_for(&what, SHORT, async || {
                Ok(may(&session, asked("list", crd::PLURAL)).await.then_some(()))
            })
            .await
            .unwrap();
        for verb in ["create", "update", "patch", "delete"] {
            assert_eq!(may(&session, asked(verb, crd::PLURAL)).await, user == "resizer", "{user}");
            let status = asked(verb, "statefulsetresizes/status");
            assert!(!may(&session, status).await, "{user} may {verb} the status");
        }
    }
}

/// A user of one namespace with the right to do `verbs` on `resources`.
async fn user(testbed: &Testbed, name: &str, rules: Value) -> Session {
    let rbac = "rbac.authorization.k8s.io";
    for object in [
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "Role",
            "metadata": {"name": name, "namespace": "default"}, "rules": rules,
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": "default"},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": name}],
        }),
    ] {
        testbed.apply(object).await.unwrap();
    }
    testbed.admin().impersonate(name, &["system:authenticated"]).unwrap()
}

fn request(size: &str) -> Value {
    json!({"metadata": {"annotations": {REQUESTED: format!("{{\"data\":\"{size}\"}}")}}})
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn growth_takes_the_right_to_patch_claims() {
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    apply_stream(&testbed, &printed(&["--crds"])).await;
    let sets = json!({
        "apiGroups": ["apps"],
        "resources": ["statefulsets", "statefulsets/status"],
        "verbs": ["*"],
    });
    let claims =
        json!({"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["patch"]});
    let without = user(&testbed, "without", json!([sets])).await;
    let with = user(&testbed, "with", json!([sets, claims])).await;
    let collection = "/apis/apps/v1/namespaces/default/statefulsets";
    let live = path("default", "db");
    without.create(collection, set("db", "default")).await.unwrap().ok().unwrap();

    let dry = format!("{live}?dryRun=All");
    testbed
        .wait_for("the policy to be in force", SHORT, async || {
            Ok((!without.merge(&dry, request("20Gi")).await?.is_success()).then_some(()))
        })
        .await
        .unwrap();
    let denied = without.merge(&live, request("20Gi")).await.unwrap();
    assert_eq!((denied.status, &denied.body["reason"]), (403, &json!("Forbidden")));
    for part in [
        "StatefulSet default/db: growth of claim templates to {\"data\":\"20Gi\"} is asked for",
        "without may not patch persistentvolumeclaims",
        "kubectl create rolebinding grow-claims -n default --role=grow-claims --user=without",
    ] {
        assert!(denied.message().contains(part), "{}", denied.message());
    }
    assert!(!denied.message().contains("immutable"), "clients take that as leave to re-create");

    // Forged in other ways: with the set, through the status, by server-side apply.
    let mut forged = set("forged", "default");
    forged["metadata"]["annotations"] = request("20Gi")["metadata"]["annotations"].clone();
    let reply = without.create(collection, forged.clone()).await.unwrap();
    assert_eq!(reply.status, 403, "{}", reply.message());
    forged["metadata"].as_object_mut().unwrap().remove("name");
    forged["metadata"]["generateName"] = "made-".into();
    let reply = without.create(collection, forged).await.unwrap();
    assert_eq!(reply.status, 403, "{}", reply.message());
    let reply = without.merge(&format!("{live}/status"), request("20Gi")).await.unwrap();
    assert_eq!(reply.status, 403, "{}", reply.message());

    let allowed = with.merge(&format!("{live}/status"), request("15Gi")).await.unwrap();
    let annotations = allowed.ok().unwrap()["metadata"]["annotations"].clone();
    assert_eq!(annotations[REQUESTED], r#"{"data":"15Gi"}"#, "a status carries annotations");

    // Everything else is as before.
    let label = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}});
    without.merge(&live, label.clone()).await.unwrap().ok().unwrap();
    with.merge(&live, request("20Gi")).await.unwrap().ok().unwrap();
    let mut relabelled = label;
    relabelled["metadata"]["labels"]["a"] = "c".into();
    without.merge(&live, relabelled).await.unwrap().ok().unwrap();
    let reply = without.merge(&live, request("30Gi")).await.unwrap();
    assert_eq!(reply.status, 403, "a changed request: {}", reply.message());
    let removal =
        json!([{"op": "remove", "path": "/metadata/annotations/stateward.dev~1resize-requested"}]);
    let reply = without.request("PATCH", &live, JSON_PATCH, removal).await.unwrap();
    assert!(reply.is_success(), "taking a request back: {}", reply.message());
    let mut made = set("made", "default");
    made["metadata"]["annotations"] = request("20Gi")["metadata"]["annotations"].clone();
    with.create(collection, made).await.unwrap().ok().unwrap();

    // The person who was refused runs what the message says, and it works.
    for line in [
        "create role grow-claims -n default --verb=get,patch --resource=persistentvolumeclaims",
        "create rolebinding grow-claims -n default --role=grow-claims --user=without",
    ] {
        assert!(denied.message().contains(line), "{}", denied.message());
        let words: Vec<&str> = line.split(' ').collect();
        testbed.kubectl(&words).await.unwrap().ok().unwrap();
    }
    testbed
        .wait_for("the right to be granted", SHORT, async || {
            Ok(without.merge(&live, request("30Gi")).await?.is_success().then_some(()))
        })
        .await
        .unwrap();
}

/// With `Fail` and no webhook at all, the controller still brings back what it re-creates, and
/// nobody else gets through in its name.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn own_writes_do_not_depend_on_the_webhook() {
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    testbed.ensure_namespace("stateward").await.unwrap();
    let arguments =
        ["--crds", "--rights", "--service=nobody", "--cluster-certs", "--failure-policy=Fail"];
    apply_stream(&testbed, &printed(&arguments)).await;
    let account = testbed.kubeconfig_for_service_account("stateward", "stateward-controller").await;
    let controller = testbed.session(&account.unwrap()).await.unwrap();
    let path = |manager: &str| {
        format!("/apis/apps/v1/namespaces/default/statefulsets?dryRun=All&fieldManager={manager}")
    };
    let create = async |session: &Session, manager: &str| {
        session.create(&path(manager), recreated("db", "default")).await.unwrap()
    };
    testbed
        .wait_for("the configurations to be in force", SHORT, async || {
            Ok((create(testbed.admin(), "stateward").await.status == 500).then_some(()))
        })
        .await
        .unwrap();
    let reply = create(&controller, "stateward").await;
    assert!(reply.is_success(), "{}: {}", reply.status, reply.message());
    let reply = create(&controller, "another").await;
    assert_eq!(reply.status, 500, "{}", reply.message());
    let reply = create(testbed.admin(), "stateward").await;
    assert_eq!(reply.status, 500, "{}", reply.message());
}

/// A set as the controller creates it again.
fn recreated(name: &str, namespace: &str) -> Value {
    let mut object = set(name, namespace);
    let uid = "01234567-89ab-cdef-0123-456789abcdef";
    let id = format!("{uid}/{uid}");
    object["metadata"]["annotations"] =
        json!({"stateward.dev/resize-id": id, "stateward.dev/resize-unfinished": id});
    object["spec"]["persistentVolumeClaimRetentionPolicy"] =
        json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
    object["spec"]["updateStrategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 3}});
    object
}

/// A testbed with everything but the webhook, and the controller's token.
async fn with_token() -> (Testbed, Session) {
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    testbed.ensure_namespace("stateward").await.unwrap();
    apply_stream(&testbed, &printed(&["--crds", "--rights"])).await;
    let account = testbed.kubeconfig_for_service_account("stateward", "stateward-controller").await;
    let token = testbed.session(&account.unwrap()).await.unwrap();
    let sets = "/apis/apps/v1/namespaces/default/statefulsets?dryRun=All";
    testbed
        .wait_for("the policies to be in force", SHORT, async || {
            let denied = token.create(sets, set("db", "default")).await?.status == 403;
            let record = json!({
                "apiVersion": crd::API_VERSION, "kind": crd::KIND,
                "metadata": {"name": "db", "namespace": "default"},
                "spec": {"targets": {"data": {"storage": "20Gi"}}},
            });
            let path = format!("{}?dryRun=All", crate::record::records("default"));
            let reply = token.create(&path, record).await?;
            Ok((denied && reply.status == 403).then_some(()))
        })
        .await
        .unwrap();
    (testbed, token)
}

fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name, "namespace": "default",
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "a"},
            ],
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Gi"}},
        },
    })
}

#[track_caller]
fn refused(reply: &testbed::client::Reply, part: &str, what: &str) {
    let message = reply.message();
    assert_eq!(reply.status, 403, "{what}: {message}");
    assert!(message.contains("this is not part of a resize"), "{what}: {message}");
    assert!(message.contains(part), "{what}: {message}");
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_controllers_token_creates_only_what_a_resize_replaces() {
    let (testbed, token) = with_token().await;
    let create = async |object: Value| {
        let namespace = object["metadata"]["namespace"].as_str().unwrap();
        let path = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets?dryRun=All");
        token.create(&path, object).await.unwrap()
    };
    create(recreated("db", "default")).await.ok().unwrap();
    for namespace in ["kube-system", "kube-public", "stateward"] {
        let reply = create(recreated("db", namespace)).await;
        refused(&reply, "namespaces of the control plane", namespace);
    }
    let pod = "/spec/template/spec";
    let node = "reach into their node";
    let host = json!([{"name": "h", "hostPath": {"path": "/"}}]);
    let privileged = json!({"privileged": true});
    let admin = json!({"capabilities": {"add": ["SYS_ADMIN"]}});
    let shell = json!([{"name": "i", "image": "sh", "securityContext": privileged}]);
    let delete = json!({"whenDeleted": "Delete", "whenScaled": "Retain"});
    let edits = [
        ("/metadata/annotations".to_owned(), Value::Null, "claim templates"),
        (
            "/metadata/annotations/stateward.dev~1resize-id".to_owned(),
            json!("x"),
            "claim templates",
        ),
        (
            "/metadata/annotations/stateward.dev~1resize-unfinished".to_owned(),
            json!("x/y"),
            "claim",
        ),
        ("/spec/volumeClaimTemplates".to_owned(), Value::Null, "claim templates"),
        ("/spec/persistentVolumeClaimRetentionPolicy".to_owned(), delete, "retention Retain"),
        ("/spec/updateStrategy/rollingUpdate/partition".to_owned(), json!(2), "above all pods"),
        ("/spec/replicas".to_owned(), json!(3), "above all pods"),
        (format!("{pod}/hostNetwork"), json!(true), node),
        (format!("{pod}/hostPID"), json!(true), node),
        (format!("{pod}/hostIPC"), json!(true), node),
        (format!("{pod}/volumes"), host, node),
        (format!("{pod}/containers/0/securityContext"), privileged.clone(), node),
        (format!("{pod}/containers/0/securityContext"), admin, node),
        (format!("{pod}/initContainers"), shell, node),
    ];
    for (pointer, value, part) in &edits {
        let mut object = recreated("db", "default");
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key.replace("~1", "/")] = value.clone();
        if key == "volumeClaimTemplates" {
            let container = &mut object["spec"]["template"]["spec"]["containers"][0];
            container["volumeMounts"] = json!([]);
        }
        refused(&create(object.clone()).await, part, pointer);
        // Whoever runs the cluster may create it.
        let path = "/apis/apps/v1/namespaces/default/statefulsets?dryRun=All";
        let reply = testbed.admin().create(path, object).await.unwrap();
        assert!(reply.is_success(), "{pointer}: {}", reply.message());
    }
    // A namespace that says so takes them.
    let label =
        json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
    testbed.merge("/api/v1/namespaces/default", label).await.unwrap().ok().unwrap();
    let mut object = recreated("db", "default");
    object["spec"]["template"]["spec"]["hostNetwork"] = true.into();
    testbed
        .wait_for("the label to be seen", SHORT, async || {
            Ok(create(object.clone()).await.is_success().then_some(()))
        })
        .await
        .unwrap();
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_controllers_token_changes_only_what_a_resize_changes() {
    let (testbed, token) = with_token().await;
    let sets = "/apis/apps/v1/namespaces/default/statefulsets";
    let mut object = set("db", "default");
    object["metadata"]["finalizers"] = json!(["example.com/keep"]);
    testbed.admin().create(sets, object).await.unwrap().ok().unwrap();
    let db = path("default", "db");
    let spec = "retention policy and partition";
    let own = "only its own annotations";
    let image = json!([{"name": "db", "image": "evil"}]);
    for (change, part) in [
        (json!({"spec": {"template": {"spec": {"containers": image}}}}), spec),
        (json!({"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}}), spec),
        (json!({"spec": {"replicas": 0}}), spec),
        (json!({"spec": {"ordinals": {"start": 1}}}), spec),
        (json!({"spec": {"minReadySeconds": 5}}), spec),
        (json!({"spec": {"revisionHistoryLimit": 0}}), spec),
        (json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}}), spec),
        (json!({"metadata": {"annotations": {"stateward.dev/allow": "x"}}}), own),
        (json!({"metadata": {"annotations": {"stateward.dev/resize-max": "9Ti"}}}), own),
        (json!({"metadata": {"labels": {"a": "b"}}}), own),
        (json!({"metadata": {"finalizers": null}}), own),
        (
            json!({"metadata": {"ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "n", "uid": "u"},
            ]}}),
            own,
        ),
        (request("20Gi"), "never makes one"),
    ] {
        refused(&token.merge(&db, change.clone()).await.unwrap(), part, &change.to_string());
    }
    for right in [
        json!({"metadata": {"annotations": {"stateward.dev/resize-id": "a"}}}),
        json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 3}}}}),
        json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}}),
    ] {
        token.merge(&db, right).await.unwrap().ok().unwrap();
    }
    // Retention Delete, and then the set: claims would go with it.
    let orphan =
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"});
    let part = "its claims retained";
    refused(&token.delete(&db, orphan.clone()).await.unwrap(), part, "retention Delete");
    // The preflight check asks before retention is pinned.
    let mut dry = orphan.clone();
    dry["dryRun"] = json!(["All"]);
    token.delete(&format!("{db}?dryRun=All"), dry).await.unwrap().ok().unwrap();
    testbed.get(&db).await.unwrap().ok().unwrap();
    let retain =
        json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain"}}});
    token.merge(&db, retain).await.unwrap().ok().unwrap();
    refused(&token.delete(&db, Value::Null).await.unwrap(), part, "no policy");
    let background = json!({"propagationPolicy": "Background"});
    refused(&token.delete(&db, background).await.unwrap(), part, "Background");
    let scale = json!({"spec": {"replicas": 0}});
    assert_eq!(token.merge(&format!("{db}/scale"), scale).await.unwrap().status, 403);
    let pods = token.delete("/api/v1/namespaces/default/pods/db-0", Value::Null).await.unwrap();
    assert_eq!(pods.status, 403);
    token.delete(&db, orphan).await.unwrap().ok().unwrap();

    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    testbed.admin().create(claims, claim("data-db-0")).await.unwrap().ok().unwrap();
    let data = format!("{claims}/data-db-0");
    let own = "only its own annotation, and removes owners";
    for change in [
        json!({"metadata": {"annotations": {"stateward.dev/allow": "x"}}}),
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {"finalizers": null}}),
        json!({"metadata": {"ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "n", "uid": "u"},
        ]}}),
    ] {
        refused(&token.merge(&data, change.clone()).await.unwrap(), own, &change.to_string());
    }
    for right in [
        json!({"metadata": {"annotations": {"stateward.dev/resize-id": "a"}}}),
        json!({"metadata": {"ownerReferences": []}}),
    ] {
        token.merge(&data, right).await.unwrap().ok().unwrap();
    }
    assert_eq!(token.delete(&data, Value::Null).await.unwrap().status, 403);

    let records = crate::record::records("default");
    let record = json!({
        "apiVersion": crd::API_VERSION, "kind": crd::KIND,
        "metadata": {"name": "db", "namespace": "default"}, "spec": {},
    });
    token.create(&records, record).await.unwrap().ok().unwrap();
    let live = format!("{records}/db");
    for wish in [
        json!({"spec": {"targets": {"data": {"storage": "20Gi"}}}}),
        json!({"spec": {"paused": true}}),
    ] {
        let reply = token.merge(&live, wish.clone()).await.unwrap();
        refused(&reply, "no wish", &wish.to_string());
    }
    let finalizer = json!({"metadata": {"finalizers": ["stateward.dev/resize"]}});
    token.merge(&live, finalizer).await.unwrap().ok().unwrap();
}
