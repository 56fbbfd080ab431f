//! The chart on a real API server: installed, upgraded, rolled back, uninstalled.
//!
//! Nodes are played, so no image runs. The real binary stands for a pod: with the arguments, the
//! files and the service account of the Deployment, at the address of the Service.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use stateward_core::record::FINALIZER;
use stateward_resize::crd;
use testbed::client::APPLY_PATCH;
use testbed::{Kubernetes, Output, Testbed};

use crate::certificates::Replica;
use crate::record::{record, records};
use crate::webhook::{LONG, apply, path, set};

pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/stateward");
/// Ports below 1024 are not for everybody, and here the Service's port is one of this machine.
pub(crate) const PORT: &str = "--set=service.port=18443";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/stateward/deployments/stateward";

/// The objects of a YAML stream.
pub(crate) fn objects(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple::<Value>(yaml).unwrap()
}

/// The binary as a pod of the Deployment.
pub(crate) struct Pod {
    replica: Replica,
    folder: tempfile::TempDir,
    service: String,
    port: u16,
}

impl Pod {
    pub(crate) async fn start(testbed: &Testbed) -> Self {
        let namespace = "/api/v1/namespaces/stateward";
        let service = testbed.get(&format!("{namespace}/services/stateward")).await.unwrap();
        let service = service.ok().unwrap();
        let address = service["spec"]["clusterIP"].as_str().unwrap().to_owned();
        let port = u16::try_from(service["spec"]["ports"][0]["port"].as_u64().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let health = format!("127.0.0.1:{}", testbed::free_port().unwrap());
        let listens =
            [("--listen", format!("{address}:{port}")), ("--health-listen", health.clone())];
        let mut line = command_line(testbed, DEPLOYMENT, &folder, &listens).await;
        // Sooner than a person waits.
        line.retain(|argument| !argument.starts_with("--canary-interval"));
        for sooner in
            ["--trust-interval=200ms", "--certificate-poll=50ms", "--canary-interval=300ms"]
        {
            line.push(sooner.to_owned());
        }
        if !line.contains(&"--cluster-certs".to_owned()) {
            line.retain(|argument| !argument.starts_with("--trust-interval"));
        }
        let replica = Replica::run(port, health, &line);
        let mut pod = Self { replica, folder, service: address, port };
        pod.replica.ready().await;
        pod
    }

    /// Waits until it says whether its denials arrive.
    pub(crate) async fn enforcing(&self, value: &str) {
        let line = format!("\nstateward_enforcing {value}\n");
        testbed::wait::wait_for("the outcome of a canary", LONG, async || {
            let page = self.replica.page("/metrics").await.unwrap_or_default();
            Ok(page.contains(&line).then_some(()))
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}: {}", self.replica.log()));
    }

    /// Waits until it judges by the version that the API server says it has.
    async fn follows_the_version(&self, testbed: &Testbed) {
        let info = testbed.get("/version").await.unwrap().ok().unwrap();
        let text = |key: &str| info[key].as_str().unwrap().to_owned();
        let version = format!("\"{}.{}\"", text("major"), text("minor"));
        testbed::wait::wait_for("the version of the cluster", LONG, async || {
            let log = self.replica.log();
            let line = log.lines().find(|line| line.contains("judges by the version"));
            Ok(line.is_some_and(|line| line.contains(&version)).then_some(()))
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}: {}", self.replica.log()));
    }

    /// Where it is reached, in place of its Service.
    pub(crate) fn connect(&self) -> String {
        format!("--connect={}:{}", self.service, self.port)
    }

    /// The file of a volume.
    pub(crate) fn file(&self, volume: &str, file: &str) -> std::path::PathBuf {
        self.folder.path().join(volume).join(file)
    }

    async fn refresh(&self, testbed: &Testbed) {
        let deployment = testbed.get(DEPLOYMENT).await.unwrap().ok().unwrap();
        files(testbed, &self.folder, &deployment["spec"]["template"]["spec"]).await;
    }
}

/// The binary with the arguments, the files and the account of a Deployment's pod; `listens` says
/// where it listens here.
pub(crate) async fn command_line(
    testbed: &Testbed,
    deployment: &str,
    folder: &tempfile::TempDir,
    listens: &[(&str, String)],
) -> Vec<String> {
    let deployment = testbed.get(deployment).await.unwrap().ok().unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let account = pod["serviceAccountName"].as_str().unwrap();
    let account = testbed.kubeconfig_for_service_account("stateward", account).await.unwrap();
    let mut line = vec![env!("CARGO_BIN_EXE_stateward").to_owned()];
    if pod["automountServiceAccountToken"] == true {
        line.insert(0, format!("KUBECONFIG={}", account.display()));
    }
    for given in container["args"].as_array().unwrap() {
        let given = argument(given, container, folder.path()).replace("$(POD_NAME)", "pod-0");
        let name = given.split_once('=').map_or("", |(name, _)| name);
        let here = listens.iter().find(|(listens, _)| *listens == name);
        line.push(here.map_or(given.clone(), |(name, address)| format!("{name}={address}")));
    }
    assert!(files(testbed, folder, pod).await > 0, "a pod without files");
    line
}

/// An argument of a container, with the files where they are here.
fn argument(argument: &Value, container: &Value, folder: &Path) -> String {
    let mut argument = argument.as_str().unwrap().to_owned();
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let (name, at) = (mount["name"].as_str(), mount["mountPath"].as_str());
        let to = folder.join(name.unwrap());
        let files = format!("={}/", at.unwrap());
        argument = argument.replace(&files, &format!("={}/", to.display()));
    }
    argument
}

/// Writes the files of the volumes, as a kubelet does now and then.
async fn files(testbed: &Testbed, folder: &tempfile::TempDir, pod: &Value) -> usize {
    let mut written = 0;
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        let to = folder.path().join(volume["name"].as_str().unwrap());
        std::fs::create_dir_all(&to).unwrap();
        let (plural, name, items) = match (&volume["configMap"], &volume["secret"]) {
            (Value::Null, secret) => ("secrets", &secret["secretName"], &secret["items"]),
            (map, _) => ("configmaps", &map["name"], &map["items"]),
        };
        let name = name.as_str().unwrap();
        let path = format!("/api/v1/namespaces/stateward/{plural}/{name}");
        let object = testbed.get(&path).await.unwrap().ok().unwrap();
        for (file, content) in object["data"].as_object().unwrap() {
            let file = match items.as_array() {
                None => file.as_str(),
                Some(items) => match items.iter().find(|item| item["key"] == file.as_str()) {
                    Some(item) => item["path"].as_str().unwrap(),
                    None => continue,
                },
            };
            let content = content.as_str().unwrap();
            let bytes = if plural == "secrets" {
                base64::Engine::decode(&base64::engine::general_purpose::STANDARD, content).unwrap()
            } else {
                content.as_bytes().to_vec()
            };
            let beside = to.join(format!(".{file}"));
            std::fs::write(&beside, bytes).unwrap();
            std::fs::rename(&beside, to.join(file)).unwrap();
            written += 1;
        }
    }
    written
}

/// What an edit of a field that may not change is answered with.
async fn edit(testbed: &Testbed, namespace: &str) -> (u16, String) {
    let live = path(namespace, "db");
    if testbed.get(&live).await.unwrap().status == 404 {
        apply(testbed, &set("db", namespace), &[]).await.ok().unwrap();
    }
    let change = json!({"spec": {"serviceName": "x"}});
    let reply = testbed.merge(&live, change).await.unwrap();
    (reply.status, reply.message().to_owned())
}

/// Waits until the edit is answered with `status`: 403 is stateward's, 422 the API server's own.
pub(crate) async fn answered(testbed: &Testbed, status: u16) -> String {
    let what = format!("an edit to be answered with {status}");
    let mut last = String::new();
    testbed::wait::wait_for(&what, LONG, async || {
        let (found, message) = edit(testbed, "default").await;
        last = format!("{found}: {message}");
        Ok((found == status).then_some(message))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}: {last}"))
}

pub(crate) async fn helm(testbed: &Testbed, arguments: &[&str]) -> Output {
    let mut all = arguments.to_vec();
    all.extend(["-n", "stateward"]);
    testbed.helm(&all).await.unwrap()
}

/// What the API server says of the edit, if the webhook lets it through.
fn of_the_api_server() -> &'static str {
    Kubernetes::from_environment().unwrap().immutable_field_message()
}

async fn bundle(testbed: &Testbed) -> Value {
    let url = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/stateward";
    let live = testbed.get(url).await.unwrap().ok().unwrap();
    live["webhooks"][0]["clientConfig"]["caBundle"].clone()
}

/// The objects in the cluster that carry our labels, and what is in our namespace.
async fn left(testbed: &Testbed) -> BTreeSet<String> {
    let kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations,clusterroles,\
                 clusterrolebindings,customresourcedefinitions,validatingadmissionpolicies,\
                 validatingadmissionpolicybindings";
    let own = "deployments,services,serviceaccounts,roles,rolebindings,configmaps,secrets,\
               poddisruptionbudgets,networkpolicies,pods,jobs";
    let selector = "app.kubernetes.io/name in (stateward,stateward-test)";
    let wide = testbed.kubectl(&["get", kinds, "-l", selector, "-o", "name"]).await.unwrap();
    let own = testbed.kubectl(&["get", own, "-n", "stateward", "-o", "name"]).await.unwrap();
    let text = wide.ok().unwrap() + &own.ok().unwrap();
    let every = ["serviceaccount/default", "configmap/kube-root-ca.crt"];
    text.lines().filter(|line| !every.contains(line)).map(ToOwned::to_owned).collect()
}

/// What the account has asked of the API server: verb, resource and, for named objects, the name.
pub(crate) fn asked(testbed: &Testbed, account: &str) -> BTreeSet<String> {
    let user = format!("system:serviceaccount:stateward:{account}");
    let events = testbed.audit_events().unwrap();
    // What the API server refused it for want of a right is not among its rights.
    let ours = events.iter().filter(|event| {
        event["user"]["username"] == user.as_str()
            && event["annotations"]["authorization.k8s.io/decision"] != "forbid"
            // Which everybody may ask for.
            && event["requestURI"] != "/version"
    });
    ours.map(|event| {
        let text = |key: &str| event["objectRef"][key].as_str().unwrap_or_default();
        let verb = event["verb"].as_str().unwrap();
        let name = if verb == "create" { "" } else { text("name") };
        let part = Some(text("subresource")).filter(|part| !part.is_empty());
        let part = part.map(|part| format!("/{part}")).unwrap_or_default();
        format!("{verb} {}{part} {name}", text("resource"))
    })
    .collect()
}

/// The rights that the account is bound to, in the same form.
pub(crate) async fn granted(testbed: &Testbed, account: &str) -> BTreeSet<String> {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let mut all = BTreeSet::new();
    for plural in ["clusterrolebindings", "rolebindings"] {
        let bindings = testbed.get(&format!("{rbac}/{plural}")).await.unwrap().ok().unwrap();
        let subject = json!({
            "kind": "ServiceAccount", "name": account, "namespace": "stateward",
        });
        let bound = bindings["items"].as_array().unwrap().iter().filter(|binding| {
            binding["subjects"].as_array().is_some_and(|subjects| subjects.contains(&subject))
        });
        for binding in bound {
            let (role, name) = (&binding["roleRef"], binding["roleRef"]["name"].as_str().unwrap());
            let path = match binding["metadata"]["namespace"].as_str() {
                Some(namespace) if role["kind"] == "Role" => {
                    format!("{rbac}/namespaces/{namespace}/roles/{name}")
                }
                _ => format!("{rbac}/clusterroles/{name}"),
            };
            let role = testbed.get(&path).await.unwrap().ok().unwrap();
            all.extend(role["rules"].as_array().unwrap().iter().flat_map(rights));
        }
    }
    all
}

/// What one rule of a role allows.
fn rights(rule: &Value) -> BTreeSet<String> {
    let list = |key: &str| -> Vec<&str> {
        rule[key].as_array().into_iter().flatten().map(|value| value.as_str().unwrap()).collect()
    };
    let mut names = list("resourceNames");
    if names.is_empty() {
        names.push("");
    }
    let mut rights = BTreeSet::new();
    for verb in list("verbs") {
        for resource in list("resources") {
            rights.extend(names.iter().map(|name| format!("{verb} {resource} {name}")));
        }
    }
    rights
}

/// A cluster that logs every request. It has snapshots: rights to a kind are used where it is served.
async fn audited() -> Testbed {
    let testbed = Testbed::builder().audit_log(true).start().await.unwrap();
    for kind in testbed::storage::snapshot_kinds() {
        testbed.apply(kind).await.unwrap();
    }
    testbed
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_chart_is_installed_upgraded_rolled_back_and_uninstalled() {
    let testbed = audited().await;
    let install = ["install", "stateward", CHART, "--create-namespace", PORT];
    let notes = helm(&testbed, &install).await.ok().unwrap();
    assert!(notes.contains("kubectl get statefulsetresizes -A"), "{notes}");
    let pod = Pod::start(&testbed).await;
    pod.enforcing("1").await;
    pod.follows_the_version(&testbed).await;
    let denied = answered(&testbed, 403).await;
    assert!(denied.contains("serviceName") && denied.contains("stateward.dev"), "{denied}");
    tested(&testbed, &pod).await;
    canary_namespace_holds_nothing(&testbed).await;
    bug_report(&testbed);

    // The pods meet the strictest level of PodSecurity: with it enforced, new ones are still made.
    let label = ["label", "ns", "stateward", "pod-security.kubernetes.io/enforce=restricted"];
    testbed.kubectl(&label).await.unwrap().ok().unwrap();
    let trusted = bundle(&testbed).await;
    // The kind as an older chart would have left it.
    let kind = testbed::client::path_of(&crd::crd()).unwrap();
    let mut older = testbed.get(&kind).await.unwrap().ok().unwrap();
    for (at, field) in [
        ("", "status"),
        ("/metadata", "managedFields"),
        ("/metadata", "resourceVersion"),
        ("/spec/versions/0", "additionalPrinterColumns"),
    ] {
        older.pointer_mut(at).unwrap().as_object_mut().unwrap().remove(field).unwrap();
    }
    let by_helm = format!("{kind}?fieldManager=helm&force=true");
    let older = testbed.admin().request("PATCH", &by_helm, APPLY_PATCH, older).await.unwrap();
    assert!(older.ok().unwrap().pointer("/spec/versions/0/additionalPrinterColumns").is_none());
    let upgrade = [
        "upgrade",
        "stateward",
        CHART,
        PORT,
        "--set=webhook.failurePolicy=Fail,mode=audit,podAnnotations.a=b",
    ];
    let notes = helm(&testbed, &upgrade).await.ok().unwrap();
    assert_eq!(notes.matches("RISK:").count(), 1, "{notes}");
    testbed
        .wait_object(DEPLOYMENT, LONG, |live| {
            live["status"]["observedGeneration"] == live["metadata"]["generation"]
                && live["status"]["updatedReplicas"] == 2
                && live["status"]["availableReplicas"] == 2
        })
        .await
        .unwrap();
    assert_eq!(bundle(&testbed).await, trusted, "the upgrade took the bundle away");
    let upgraded = testbed.get(&kind).await.unwrap().ok().unwrap();
    assert_eq!(upgraded["spec"]["versions"], crd::crd()["spec"]["versions"], "the kind is old");
    // The new policy holds without a restart: now the API server's own refusal comes through.
    pod.refresh(&testbed).await;
    pod.enforcing("0").await;
    let refused = answered(&testbed, 422).await;
    assert!(refused.contains(of_the_api_server()), "{refused}");

    helm(&testbed, &["rollback", "stateward", "1"]).await.ok().unwrap();
    pod.refresh(&testbed).await;
    answered(&testbed, 403).await;
    assert_eq!(bundle(&testbed).await, trusted, "the rollback took the bundle away");
    // Helm without server-side apply merges in another way.
    let client_side =
        ["upgrade", "stateward", CHART, PORT, "--server-side=false", "--set=replicas=3"];
    helm(&testbed, &client_side).await.ok().unwrap();
    assert_eq!(bundle(&testbed).await, trusted, "the client-side upgrade took the bundle away");
    // A replacement does empty it, and it heals.
    for kind in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let url = format!("/apis/admissionregistration.k8s.io/v1/{kind}/stateward");
        let mut live = testbed.get(&url).await.unwrap().ok().unwrap();
        live["webhooks"][0]["clientConfig"].as_object_mut().unwrap().remove("caBundle");
        testbed.replace(&url, live).await.unwrap().ok().unwrap();
    }
    testbed::wait::wait_for("the bundle to come back", LONG, async || {
        Ok((bundle(&testbed).await == trusted).then_some(()))
    })
    .await
    .unwrap();
    answered(&testbed, 403).await;

    // An update of the Secret is only for an authority that cannot be used.
    let secret = "/api/v1/namespaces/stateward/secrets/stateward-authority";
    testbed.merge(secret, json!({"data": {"ca.key": null}})).await.unwrap().ok().unwrap();
    testbed::wait::wait_for("another authority", LONG, async || {
        let both = bundle(&testbed).await;
        Ok((both != trusted && both.is_string()).then_some(()))
    })
    .await
    .unwrap();
    answered(&testbed, 403).await;
    assert_eq!(asked(&testbed, "stateward"), granted(&testbed, "stateward").await);

    departed(&testbed).await;
    answered(&testbed, 422).await;
    drop(pod);
    let kept = [
        "secret/stateward-authority",
        "customresourcedefinition.apiextensions.k8s.io/statefulsetresizes.stateward.dev",
    ];
    let kept = BTreeSet::from(kept.map(str::to_owned));
    // The pod of the Job is left to the garbage collector.
    testbed::wait::wait_for("everything else to be gone", LONG, async || {
        let found = left(&testbed).await;
        anyhow::ensure!(found == kept, "{found:?}");
        Ok(Some(()))
    })
    .await
    .unwrap();
    let record = testbed.get(&format!("{}/db", records("default"))).await.unwrap();
    assert_eq!(record.ok().unwrap()["metadata"]["finalizers"], json!(["example.com/keep"]));
    // What stayed is taken over by the next release of that name.
    helm(&testbed, &install).await.ok().unwrap();
}

/// Runs what the Job of the pre-delete hook runs, but for how long it waits.
fn prepare_uninstall(job: &Value, kubeconfig: &Path, timeout: &str) -> std::process::Child {
    let arguments = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    let arguments = arguments.iter().map(|argument| argument.as_str().unwrap());
    std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
        .env("KUBECONFIG", kubeconfig)
        .args(arguments.filter(|argument| !argument.starts_with("--timeout=")))
        .arg(format!("--timeout={timeout}"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

fn said(child: std::process::Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Leaves while a set is being re-created. The Job's pod runs nothing here, so the binary does what
/// it would do, with its arguments and rights; then Helm runs the hook and removes the release.
async fn departed(testbed: &Testbed) {
    // The controller is not part of this test: only its finalizer on a record is.
    let mut held = record("db", &json!({"targets": {"data": {"storage": "20Gi"}}}));
    held["metadata"]["finalizers"] = json!([FINALIZER, "example.com/keep"]);
    testbed.admin().create(&records("default"), held).await.unwrap().ok().unwrap();

    let hooks = objects(&helm(testbed, &["get", "hooks", "stateward"]).await.ok().unwrap());
    let of_uninstall = |object: &&Value| object["metadata"]["name"] == "stateward-uninstall";
    let hooks: Vec<&Value> = hooks.iter().filter(of_uninstall).collect();
    let (jobs, rights): (Vec<&Value>, Vec<&Value>) =
        hooks.into_iter().partition(|object| object["kind"] == "Job");
    assert_eq!((jobs.len(), rights.len()), (1, 3));
    for object in &rights {
        apply(testbed, object, &[]).await.ok().unwrap();
    }
    let account = "stateward-uninstall";
    let account = testbed.kubeconfig_for_service_account("stateward", account).await.unwrap();
    let (code, text) = said(prepare_uninstall(jobs[0], &account, "2s"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("MutatingWebhookConfiguration stateward is deleted"), "{text}");
    assert!(text.contains("StatefulSet default/db is being re-created: waiting"), "{text}");
    assert!(text.contains("default/db after 2 s: the controller still has to re-create"), "{text}");
    answered(testbed, 422).await;

    let waiting = prepare_uninstall(jobs[0], &account, "60s");
    let path = format!("{}/db", records("default"));
    let free = json!({"metadata": {"finalizers": ["example.com/keep"]}});
    testbed.merge(&path, free).await.unwrap().ok().unwrap();
    let (code, text) = said(waiting);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.ends_with("no StatefulSet is being re-created\n"), "{text}");
    for object in &rights {
        let path = testbed::client::path_of(object).unwrap();
        testbed.delete(&path, Value::Null).await.unwrap().ok().unwrap();
    }
    helm(testbed, &["uninstall", "stateward", "--wait"]).await.ok().unwrap();
}

/// Leaving that fails takes the configurations away and leaves the release; a rollback brings them
/// back.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_failed_uninstall_is_undone() {
    let testbed = Testbed::start().await.unwrap();
    // So the Job has a pod that never runs.
    let install =
        ["install", "stateward", CHART, "--create-namespace", "--set=nodeSelector.no=where"];
    helm(&testbed, &install).await.ok().unwrap();
    let output = helm(&testbed, &["uninstall", "stateward", "--timeout=3s"]).await;
    assert!(!output.success(), "{}", output.stdout);
    let configurations =
        ["mutating", "validating"].map(|kind| format!("{kind}webhookconfiguration/stateward"));
    let delete = ["delete", &configurations[0], &configurations[1]];
    testbed.kubectl(&delete).await.unwrap().ok().unwrap();

    let upgrade = helm(&testbed, &["upgrade", "stateward", CHART]).await;
    assert!(upgrade.stderr.contains("has no deployed releases"), "{}", upgrade.stderr);
    let history = helm(&testbed, &["history", "stateward", "--max=1", "-o=json"]).await;
    let history: Value = serde_json::from_str(&history.ok().unwrap()).unwrap();
    let revision = history[0]["revision"].to_string();
    helm(&testbed, &["rollback", "stateward", &revision]).await.ok().unwrap();
    let get = ["get", &configurations[0], &configurations[1]];
    testbed.kubectl(&get).await.unwrap().ok().unwrap();
    helm(&testbed, &["upgrade", "stateward", CHART]).await.ok().unwrap();
}

/// A bug report has what there is in a cluster, and neither keys nor bundles.
fn bug_report(testbed: &Testbed) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
        .env("KUBECONFIG", testbed.kubeconfig())
        .arg("bug-report")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["enforcing"], true, "{text}");
    assert!(found["cluster"]["gitVersion"].as_str().unwrap().starts_with("v1."), "{text}");
    assert!(found["policy"].as_str().unwrap().contains("mode: enforce"), "{text}");
    assert!(found["deployment"]["args"].to_string().contains("--cluster-certs"), "{text}");
    let client = &found["validatingwebhookconfigurations"]["webhooks"][0]["clientConfig"];
    assert!(client["caBundle"].as_str().unwrap().ends_with(" bytes"), "{client}");
    for word in ["LS0tLS1", "BEGIN", "managedFields", "ca.key"] {
        assert!(!text.contains(word), "{word}");
    }
}

/// The right to send canaries is no right to make anything.
async fn canary_namespace_holds_nothing(testbed: &Testbed) {
    let quota = "/api/v1/namespaces/stateward-canary/resourcequotas/nothing";
    testbed.wait_object(quota, LONG, |quota| quota["status"]["hard"].is_object()).await.unwrap();
    let account = testbed.kubeconfig_for_service_account("stateward", "stateward").await.unwrap();
    let session = testbed.session(&account).await.unwrap();
    let mut one = set("stateward-canary", "stateward-canary");
    one["metadata"]["annotations"] = json!({"stateward.dev/canary": "validate"});
    let sets = "/apis/apps/v1/namespaces/stateward-canary/statefulsets";
    let reply = session.create(sets, one).await.unwrap();
    assert_eq!(reply.status, 403, "{}", reply.body);
    assert!(reply.message().contains("exceeded quota: nothing"), "{}", reply.message());
}

/// `helm test` with the probe on this machine: the pod's own arguments, files and account. Gives the
/// exit code and the text of each run, which has `more` arguments.
pub(crate) async fn helm_test(testbed: &Testbed, more: &[&[String]]) -> Vec<(Option<i32>, String)> {
    let hooks = helm(testbed, &["get", "hooks", "stateward"]).await.ok().unwrap();
    let mut list = objects(&hooks);
    list.retain(|object| object["metadata"]["name"] == "stateward-test");
    let probe = list.iter().find(|object| object["kind"] == "Pod").unwrap().clone();
    let account = probe["spec"]["serviceAccountName"].as_str().unwrap();
    for object in list.iter().filter(|object| object["kind"] != "Pod") {
        apply(testbed, object, &[]).await.ok().unwrap();
    }
    let kubeconfig = testbed.kubeconfig_for_service_account("stateward", account).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    files(testbed, &folder, &probe["spec"]).await;
    let container = &probe["spec"]["containers"][0];
    let arguments: Vec<String> = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|argument| self::argument(argument, container, folder.path()))
        .collect();
    let run = |more: &&[String]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
            .env("KUBECONFIG", &kubeconfig)
            .args(&arguments)
            .args(*more)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
    };
    let runs = more.iter().map(run).collect();
    // Helm makes and removes these itself; kwok's pod ends well, since it runs nothing.
    for object in list.iter().filter(|object| object["kind"] != "Pod") {
        let path = testbed::client::path_of(object).unwrap();
        testbed.delete(&path, Value::Null).await.unwrap().ok().unwrap();
    }
    runs
}

async fn tested(testbed: &Testbed, pod: &Pod) {
    // Nobody listens at the second one.
    let wrong = [format!("--connect={}:1", pod.service), "--timeout=3s".to_owned()];
    let mut runs = helm_test(testbed, &[&[pod.connect()], &wrong]).await.into_iter();
    let (code, text) = runs.next().unwrap();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("mutate.stateward.dev at stateward.stateward.svc:18443/mutate answered"));
    assert!(text.contains("validate.stateward.dev at"), "{text}");
    let (code, text) = runs.next().unwrap();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("mutate.stateward.dev") && text.contains("cannot connect"), "{text}");
}

/// As Argo CD and Flux do it: rendered, applied, pruned, without hooks and with an existing Secret.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_chart_is_applied_and_pruned_without_helm() {
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    testbed.ensure_namespace("stateward").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
        .args(["certs", "--name=stateward.stateward.svc", "--dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let secret = [
        "create".to_owned(),
        "secret".to_owned(),
        "tls".to_owned(),
        "mine".to_owned(),
        "-n=stateward".to_owned(),
        format!("--cert={}", at("tls.crt")),
        format!("--key={}", at("tls.key")),
    ];
    testbed.kubectl(&secret).await.unwrap().ok().unwrap();
    let authority = format!("--set-file=certificates.secret.caBundle={}", at("ca.crt"));
    let line = [
        "template",
        "stateward",
        CHART,
        PORT,
        "--skip-tests",
        "--set=certificates.source=secret,certificates.secret.name=mine",
        authority.as_str(),
    ];
    let all = helm(&testbed, &line).await.ok().unwrap();
    let server_side = ["apply", "--server-side", "-f", "-"];
    testbed.kubectl_with("admin", &server_side, Some(&all)).await.unwrap().ok().unwrap();
    let pod = Pod::start(&testbed).await;
    answered(&testbed, 403).await;
    // The Job was applied with all the rest, and must not take away what was just installed.
    let job = objects(&all).into_iter().find(|object| object["kind"] == "Job").unwrap();
    let account = "stateward-uninstall";
    let account = testbed.kubeconfig_for_service_account("stateward", account).await.unwrap();
    let (code, text) = said(prepare_uninstall(&job, &account, "60s"));
    assert_eq!((code, text.ends_with("nothing is done\n")), (Some(0), true), "{text}");
    answered(&testbed, 403).await;
    // Pruned in the worst order: the webhook is gone first, then its registration.
    drop(pod);
    answered(&testbed, 422).await;
    let delete = ["delete", "-f", "-", "--wait=false"];
    testbed.kubectl_with("admin", &delete, Some(&all)).await.unwrap().ok().unwrap();
    // The kind goes when its records are gone, which takes a moment.
    let mine = BTreeSet::from(["secret/mine".to_owned()]);
    testbed
        .wait_for("all but our own Secret to be gone", LONG, async || {
            Ok((left(&testbed).await == mine).then_some(()))
        })
        .await
        .unwrap();
}

/// Helm applies on the server, so what kubectl applied before conflicts with it.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn helm_takes_over_what_kubectl_applied() {
    let readme = std::fs::read_to_string(format!("{CHART}/README.md")).unwrap();
    let documented = "--take-ownership --force-conflicts";
    assert!(readme.contains(documented));
    for apply in ["kubectl apply --server-side -f -", "kubectl apply -f -"] {
        let testbed = Testbed::builder().controllers(false).start().await.unwrap();
        let line = format!("stateward manifests --install | {apply}");
        let applied = crate::resize_commands::typed(&testbed, &line).await;
        assert_eq!(applied.status, 0, "{applied:?}");
        let install = async |verb: &[&str], flags: &str| {
            let flags: Vec<&str> = flags.split_whitespace().collect();
            helm(&testbed, &[verb, &["stateward", CHART], &flags].concat()).await
        };
        let refused = install(&["install"], "").await;
        assert!(refused.stderr.contains("invalid ownership metadata"), "{refused:?}");
        let refused = install(&["install"], "--take-ownership").await;
        assert!(refused.stderr.contains("conflict occurred while applying"), "{refused:?}");
        // The failed release has the name, so that a second install is refused.
        install(&["upgrade", "--install"], documented).await.ok().unwrap();
        helm(&testbed, &["upgrade", "stateward", CHART]).await.ok().unwrap();
    }
}
