//! What the chart renders, for all combinations of values that matter.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stateward_resize::rights;
use testbed::{Output, Testbed};
use tokio::sync::OnceCell;

use crate::chart::{CHART, objects};
use crate::rights::printed;

/// Values beside the defaults, by what they are for. Together they render every branch of every
/// template; a test says so.
const COMBINATIONS: [(&str, &str); 16] = [
    ("defaults", "{}"),
    (
        "audit",
        "{mode: audit, policy: {help: {contact: \"#storage\"}}, canary: {namespaceLabels: {a: b}}}",
    ),
    (
        "fail at any price",
        "{replicas: 1, webhook: {failurePolicy: Fail, timeoutSeconds: 20},
          podDisruptionBudget: {enabled: false}}",
    ),
    (
        "fail with care",
        "{replicas: 3, priorityClassName: system-cluster-critical, webhook: {failurePolicy: Fail,
          excludeNamespaces: [monitoring, logging], annotations: {a/b: c},
          namespaceRequirements: [{key: stateward, operator: NotIn, values: [\"off\"]}]}}",
    ),
    (
        "node network",
        "{hostNetwork: true, ports: {webhook: 10443, health: 10080}, listenAddress: \"::\",
          service: {port: 8443, annotations: {a/b: c}}, fullnameOverride: sw,
          image: {registry: \"mirror.example.com:5000\"}}",
    ),
    (
        "existing Secret",
        "{certificates: {source: secret, secret: {name: mine,
          caBundle: \"-----BEGIN CERTIFICATE-----\\nMAo=\\n-----END CERTIFICATE-----\\n\"}},
          networkPolicy: {enabled: true, from: [{ipBlock: {cidr: 10.0.0.0/8}}]}}",
    ),
    (
        "existing Secret, injected bundle",
        "{certificates: {source: secret, secret: {name: mine}}, serviceAccount: {create: false},
          controller: {enabled: false}, networkPolicy: {enabled: true}, canary: {enabled: false},
          events: {enabled: false}}",
    ),
    (
        "cert-manager",
        "{certificates: {source: cert-manager}, policy: {resize: reject},
          monitoring: {serviceMonitor: {enabled: true, labels: {release: p}, namespace: watch,
          relabelings: [{targetLabel: a, replacement: b}],
          metricRelabelings: [{action: drop, regex: a, sourceLabels: [b]}]},
          alerts: {enabled: true, labels: {release: p}}, dashboard: {enabled: true}}}",
    ),
    (
        "API servers with a certificate",
        "{webhook: {failurePolicy: Fail, clientCA: {secret: clients, key: root.pem,
          names: [kube-apiserver, \"CN=x: {y}\"], testSecret: tester}},
          priorityClassName: system-cluster-critical}",
    ),
    (
        "clients of an authority",
        "{webhook: {clientCA: {configMap: clients}, namespaceRequirements: [{key: team, operator:
          Exists}]}, policy: {resize: ignore}}",
    ),
    (
        "requests without a controller",
        "{controller: {enabled: false}, policy: {resize: orchestrate}}",
    ),
    (
        "requests of whoever may edit sets",
        "{policy: {resize: {authorize: sets}}, monitoring: {alerts: {enabled: true}}}",
    ),
    (
        "no roles and no kind",
        "{rbac: {create: false}, crds: {install: false}, canary: {namespace: probes}}",
    ),
    (
        "claims of new replicas",
        "{webhook: {newClaims: true, excludeNamespaces: [a], failurePolicy: Fail},
          policy: {size-on-create: claims}}",
    ),
    ("nothing kept", "{crds: {keep: false}, webhook: {excludeUsers: [admin, ops@example.com]}}"),
    (
        "everything of one's own",
        "{certificates: {source: own}, networkPolicy: {enabled: true},
          existingPolicyConfigMap: rules, kubernetesVersion: \"1.33\",
          image: {digest: \"sha256:DIGEST\"}, imagePullSecrets: [{name: r}],
          serviceAccount: {name: sa, annotations: {a/b: c}}, podAnnotations: {a/b: c},
          podLabels: {team: db}, nodeSelector: {a: b}, tolerations: [{operator: Exists}],
          affinity: {nodeAffinity: {}}, extraArgs: [--max-reviews=64],
          commonLabels: {team: dba}, extraEnv: [{name: A, value: b}],
          extraVolumes: [{name: v, emptyDir: {}}], extraVolumeMounts: [{name: v, mountPath: /v}],
          updateStrategy: {type: Recreate}, hooks: {extraEnv: [{name: A, value: b}]},
          controller: {replicas: 3, extraArgs: [--dry], terminationGracePeriodSeconds: 60,
          extraEnv: [{name: A, value: b}], extraVolumes: [{name: v, emptyDir: {}}],
          extraVolumeMounts: [{name: v, mountPath: /v}], updateStrategy: {type: Recreate}},
          topologySpreadConstraints: [{maxSkew: 1, topologyKey: rack, whenUnsatisfiable:
          DoNotSchedule, labelSelector: {matchLabels: {app.kubernetes.io/name: stateward}}}]}",
    ),
];

/// One API server for all of them; nothing is changed in it.
pub(crate) async fn shared() -> &'static Testbed {
    static SHARED: OnceCell<Testbed> = OnceCell::const_new();
    let start = async || Testbed::builder().controllers(false).start().await.unwrap();
    SHARED.get_or_init(start).await
}

/// What a chart is made of besides its templates.
const OTHERS: [&str; 9] = [
    "Chart.yaml",
    "values.yaml",
    "files/alerts.yaml",
    "files/alerts-resize.yaml",
    "files/crds.yaml",
    "files/dashboard.json",
    "files/controller-policies.yaml",
    "files/operators.yaml",
    "files/rights.yaml",
];

fn values(combination: &str) -> String {
    combination.replace("DIGEST", &"0".repeat(64))
}

async fn template(chart: &Path, release: &str, values: &str, more: &[&str]) -> Output {
    let mut line = vec!["template", release, chart.to_str().unwrap(), "-n", "stateward", "-f", "-"];
    line.extend(more);
    shared().await.helm_with("admin", &line, Some(values)).await.unwrap()
}

/// Everything but the pods of `helm test`, by kind and name.
async fn rendered(values: &str) -> BTreeMap<(String, String), Value> {
    let output = template(Path::new(CHART), "stateward", values, &["--skip-tests"]).await;
    let mut found = BTreeMap::new();
    for object in objects(&output.ok().unwrap()) {
        let text = |pointer: &str| object.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let key = (text("/kind"), text("/metadata/name"));
        assert!(found.insert(key.clone(), object).is_none(), "{key:?} is there twice");
    }
    found
}

/// Takes out what only Helm reads: its labels, and annotations of the hooks that it runs.
fn without_helm(value: &mut Value) {
    let helms = |key: &str| key.starts_with("helm.sh/") || key == "app.kubernetes.io/managed-by";
    match value {
        Value::Object(members) => {
            for part in ["labels", "annotations"] {
                let Some(Value::Object(map)) = members.get_mut(part) else { continue };
                map.retain(|key, _| !helms(key));
                if map.is_empty() {
                    members.remove(part);
                }
            }
            members.values_mut().for_each(without_helm);
        }
        Value::Array(items) => items.iter_mut().for_each(without_helm),
        _ => {}
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn stateward_prints_what_the_chart_installs() {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "stateward"},
    });
    let mut all = vec![namespace];
    all.extend(rendered("{}").await.into_values().filter(|object| {
        let annotations = &object["metadata"]["annotations"];
        annotations["helm.sh/hook"].is_null()
    }));
    all.iter_mut().for_each(without_helm);
    // Namespaces and the kind first: what is in them is refused before.
    let first = |object: &Value| {
        !matches!(object["kind"].as_str(), Some("Namespace" | "CustomResourceDefinition"))
    };
    all.sort_by_key(first);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/install.yaml");
    if std::env::var_os("STATEWARD_UPDATE").is_some() {
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        let text = serde_saphyr::to_string_multiple_with_options(&all, options).unwrap();
        std::fs::write(file, text).unwrap();
        return;
    }
    assert_eq!(
        objects(&printed(&["--install"])),
        all,
        "STATEWARD_UPDATE=1 cargo test --test cluster what_the_chart_installs writes it again"
    );
    let printed = printed(&["--install", "--image", "registry.example.com/stateward:1"]);
    let image = "image: registry.example.com/stateward:1";
    assert_eq!(printed.matches("image: ").count(), printed.matches(image).count(), "{printed}");
    // A cluster takes it, twice.
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    for _ in 0..2 {
        let apply = ["apply", "--server-side", "-f", "-"];
        testbed.kubectl_with("admin", &apply, Some(&printed)).await.unwrap().ok().unwrap();
    }
}

fn configurations(all: &BTreeMap<(String, String), Value>) -> Vec<Value> {
    let ours = all.iter().filter(|((kind, _), _)| kind.ends_with("WebhookConfiguration"));
    ours.map(|(_, object)| object.clone()).collect()
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn configurations_are_those_that_stateward_prints() {
    let cases: [(&str, &[&str]); 3] = [
        ("{}", &["--service=stateward"]),
        ("{webhook: {newClaims: true}}", &["--service=stateward", "--new-claims"]),
        (
            "{service: {port: 8443}, webhook: {failurePolicy: Fail, timeoutSeconds: 2,
              excludeNamespaces: [monitoring], excludeUsers: [admin, ops@example.com],
              namespaceRequirements: [{key: team, operator: In,
              values: [db]}, {key: legacy, operator: DoesNotExist}]}}",
            &[
                "--service=stateward:8443",
                "--failure-policy=Fail",
                "--timeout=2",
                "--exclude-namespace=monitoring",
                "--exclude-user=admin",
                "--exclude-user=ops@example.com",
                "--namespace-selector=team=db",
                "--namespace-selector=!legacy",
            ],
        ),
    ];
    for (values, arguments) in cases {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
            .args(["manifests", "--cluster-certs"])
            .args(arguments)
            .output()
            .unwrap();
        let printed = objects(&String::from_utf8(output.stdout).unwrap());
        let mut ours = configurations(&rendered(values).await);
        assert_eq!(ours.len(), 2);
        for object in &mut ours {
            // Helm's own labels come on top.
            object["metadata"]["labels"] = json!({"app.kubernetes.io/name": "stateward"});
        }
        assert_eq!(ours, printed, "{values}");
    }
}

/// The rights that are documented for those who do without the chart are those of the chart.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn rights_are_those_of_the_documented_file() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/certs/cluster/rbac.yaml");
    let documented = objects(&std::fs::read_to_string(file).unwrap());
    let mut rendered = rendered("{}").await;
    for object in documented {
        let text = |pointer: &str| object.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let key = (text("/kind"), text("/metadata/name"));
        if key == ("Namespace".to_owned(), "stateward".to_owned()) {
            // Helm makes it.
            continue;
        }
        let mut ours = rendered.remove(&key).unwrap_or_else(|| panic!("no {key:?} in the chart"));
        let metadata = ours["metadata"].as_object_mut().unwrap();
        let labels = metadata["labels"].as_object_mut().unwrap();
        labels.retain(|key, _| key.starts_with("pod-security"));
        if labels.is_empty() {
            metadata.remove("labels");
        }
        ours.as_object_mut().unwrap().remove("automountServiceAccountToken");
        assert_eq!(ours, object);
    }
}

/// What resizes need is what `stateward manifests` prints, but for what Helm adds.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn objects_of_resizes_are_those_that_stateward_prints() {
    let rendered = rendered("{}").await;
    let printed = objects(&printed(&["--crds", "--rights"]));
    assert_eq!(printed.len(), 5 + 1 + 2 * 4 + 3 * 2);
    for object in printed {
        let text = |pointer: &str| object.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let key = (text("/kind"), text("/metadata/name"));
        let mut ours = rendered[&key].clone();
        let metadata = ours["metadata"].as_object_mut().unwrap();
        let added = metadata["labels"].as_object_mut().unwrap();
        for label in [
            "app.kubernetes.io/instance",
            "app.kubernetes.io/version",
            "app.kubernetes.io/managed-by",
            "helm.sh/chart",
        ] {
            assert!(added.remove(label).is_some(), "{key:?}: {label}");
        }
        let kept = metadata
            .remove("annotations")
            .is_some_and(|annotations| annotations["helm.sh/resource-policy"] == "keep");
        assert_eq!(kept, key.0 == "CustomResourceDefinition", "{key:?}");
        assert_eq!(ours, object, "{key:?}");
    }
}

/// Where the policy asks for no right to patch claims, nothing of ours asks for it.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_admission_policy_is_there_unless_sets_authorize() {
    for (values, expected) in [
        ("{}", true),
        ("{policy: {resize: orchestrate}}", true),
        ("{policy: {resize: {mode: orchestrate}}}", true),
        ("{policy: {resize: {mode: orchestrate, authorize: claims}}}", true),
        ("{policy: {resize: {mode: orchestrate, authorize: sets}}}", false),
        ("{existingPolicyConfigMap: mine, policy: {resize: {authorize: sets}}}", false),
        ("{controller: {enabled: false}}", false),
    ] {
        let all = rendered(values).await;
        for kind in ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] {
            let key = (kind.to_owned(), "resize-requested.stateward.dev".to_owned());
            assert_eq!(all.contains_key(&key), expected, "{values}: {kind}");
        }
        let roles = all.keys().filter(|(_, name)| name.starts_with("stateward-resize")).count();
        assert_eq!(roles, if values.contains("enabled: false") { 0 } else { 2 }, "{values}");
    }
}

/// Helm, and the real API server with the strictness of kubectl, take every combination.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn helm_renders_every_combination_of_values() {
    let testbed = shared().await;
    for name in ["stateward", "stateward-canary", "sw-canary", "probes", "watch"] {
        testbed.ensure_namespace(name).await.unwrap();
    }
    for file in [
        "cert-manager/crd-certificates.yaml",
        "cert-manager/crd-issuers.yaml",
        "prometheus-operator/crd-prometheusrules.yaml",
        "prometheus-operator/crd-servicemonitors.yaml",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
        let mut crd = objects(&std::fs::read_to_string(path).unwrap()).remove(0);
        // Some are templates of a chart, but for these.
        crd["metadata"].as_object_mut().unwrap().remove("labels");
        established(testbed, crd).await;
    }
    for (name, combination) in COMBINATIONS {
        let values = values(combination);
        let lint = ["lint", "--strict", CHART, "-f", "-"];
        let lint = testbed.helm_with("admin", &lint, Some(&values)).await.unwrap();
        lint.ok().unwrap_or_else(|error| panic!("{name}: {error}"));
        let all = template(Path::new(CHART), "stateward", &values, &[]).await.ok().unwrap();
        let all = objects(&all);
        let expected = if name == "cert-manager" { 4 } else { 0 };
        let of = |one: &&Value| one["apiVersion"].as_str().unwrap().starts_with("cert-manager");
        assert_eq!(all.iter().filter(of).count(), expected, "{name}");
        let stream = json!({"apiVersion": "v1", "kind": "List", "items": all}).to_string();
        let dry = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
        let applied = testbed.kubectl_with("admin", &dry, Some(&stream)).await.unwrap();
        applied.ok().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

async fn established(testbed: &Testbed, crd: Value) {
    testbed.apply(crd.clone()).await.unwrap();
    let path = testbed::client::path_of(&crd).unwrap();
    // kubectl wait fails where there are no conditions yet.
    testbed
        .wait_object(&path, std::time::Duration::from_secs(30), |crd| {
            crd["status"]["conditions"].as_array().is_some_and(|conditions| {
                conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True")
            })
        })
        .await
        .unwrap();
}

/// The rules and the dashboard in the cluster are the files that promtool and Prometheus have tested,
/// and the `ServiceMonitor` finds the port of the metrics.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn monitoring_is_made_of_the_tested_files() {
    let all = rendered(
        "{monitoring: {serviceMonitor: {enabled: true}, alerts: {enabled: true},
          dashboard: {enabled: true}}}",
    )
    .await;
    let object = |kind: &str, name: &str| &all[&(kind.to_owned(), name.to_owned())];
    let read = |file: &str| std::fs::read_to_string(Path::new(CHART).join("files").join(file));
    let alerts = |file| serde_saphyr::from_str::<Value>(&read(file).unwrap()).unwrap();
    let mut expected = alerts("alerts.yaml");
    let more = alerts("alerts-resize.yaml")["groups"].as_array().unwrap().clone();
    expected["groups"].as_array_mut().unwrap().extend(more);
    // The same time in seconds, where it is made of values.
    let text = expected.to_string().replace("< 24 * 3600", "< 86400");
    let expected: Value =
        serde_json::from_str(&text.replace("< 30 * 24 * 3600", "< 2592000")).unwrap();
    assert_eq!(object("PrometheusRule", "stateward")["spec"], expected);
    let dashboard = object("ConfigMap", "stateward-dashboard");
    let held = dashboard["data"]["stateward.json"].as_str().unwrap();
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(parse(held), parse(&read("dashboard.json").unwrap()));
    let (service, monitor) =
        (object("Service", "stateward-metrics"), object("ServiceMonitor", "stateward"));
    let wanted = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    let labelled = |object: &Value| {
        wanted.iter().all(|(key, value)| object["metadata"]["labels"].get(key) == Some(value))
    };
    assert!(labelled(service) && !labelled(object("Service", "stateward")));
    let (port, endpoint) = (&service["spec"]["ports"][0], &monitor["spec"]["endpoints"][0]);
    assert_eq!(port["name"], endpoint["port"]);
    let container = &object("Deployment", "stateward")["spec"]["template"]["spec"]["containers"][0];
    let ports = container["ports"].as_array().unwrap();
    assert!(ports.iter().any(|one| one["name"] == port["targetPort"]), "{ports:?}");
}

/// Alerts fire where something should have happened and did not, however short a certificate lives;
/// and those about the controller are not there without it.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn alerts_fit_the_values() {
    let alerts = "monitoring: {alerts: {enabled: true}}";
    for (values, leaf, authority, groups) in [
        ("certificates: {own: {certificateLifetime: 24h}}", "14400", "2592000", 2),
        ("certificates: {own: {authorityLifetime: 720h30m}}", "86400", "432300", 2),
        ("certificates: {source: secret, secret: {name: a}}", "24 * 3600", "30 * 24 * 3600", 2),
        ("controller: {enabled: false}", "86400", "2592000", 1),
    ] {
        let all = rendered(&format!("{{{alerts}, {values}}}")).await;
        let rule = &all[&("PrometheusRule".to_owned(), "stateward".to_owned())];
        let found = rule["spec"]["groups"].as_array().unwrap();
        assert_eq!(found.len(), groups, "{values}");
        let expression = |name: &str| {
            let rules = found[0]["rules"].as_array().unwrap();
            let rule = rules.iter().find(|rule| rule["alert"] == name).unwrap();
            rule["expr"].as_str().unwrap().to_owned()
        };
        for (name, seconds) in
            [("StatewardCertificateExpires", leaf), ("StatewardAuthorityExpires", authority)]
        {
            let text = expression(name);
            assert!(text.ends_with(&format!("- time() < {seconds}")), "{values}: {text}");
        }
    }
}

/// Both processes log as the values say.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_log_is_that_of_the_values() {
    let all = rendered("{log: {format: text, level: debug}}").await;
    for name in ["stateward", "stateward-controller"] {
        let arguments = arguments(&all, "Deployment", name);
        for wanted in ["--log-format=text", "--log-level=debug"] {
            assert!(arguments.iter().any(|found| found == wanted), "{name}: {arguments:?}");
        }
    }
}

/// The Job of the pre-delete hook ends a little after its wait, and is not repeated.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_uninstall_hook_runs_once() {
    let all = rendered("{controller: {uninstallSeconds: 100}}").await;
    let job = &all[&("Job".to_owned(), "stateward-uninstall".to_owned())];
    assert_eq!(job["spec"]["backoffLimit"], 0);
    assert_eq!(job["spec"]["activeDeadlineSeconds"], 130);
    let arguments = arguments(&all, "Job", "stateward-uninstall");
    assert!(arguments.iter().any(|found| found == "--timeout=100s"), "{arguments:?}");
}

/// Helm does not know the version of the cluster where it renders without one; stateward asks for it.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_version_is_that_of_the_cluster_unless_it_is_set() {
    for (values, expected) in
        [("{}", None), ("{kubernetesVersion: \"1.33\"}", Some("--kubernetes-version=1.33"))]
    {
        let arguments = arguments(&rendered(values).await, "Deployment", "stateward");
        let mut found = arguments.iter().filter(|one| one.starts_with("--kubernetes-version"));
        assert_eq!(found.next().map(String::as_str), expected, "{arguments:?}");
    }
}

/// Whoever may patch the configurations may in effect do anything; cert-manager leaves `get`.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn only_own_certificates_take_the_right_to_patch_configurations() {
    for (values, verbs) in [
        ("{}", json!(["get", "patch"])),
        ("{certificates: {source: cert-manager}}", json!(["get"])),
        ("{certificates: {source: secret, secret: {name: a}}}", json!(["get"])),
    ] {
        let all = rendered(values).await;
        let mut found = 0;
        for ((kind, name), object) in &all {
            if !kind.ends_with("Role") || name == "stateward-uninstall" {
                continue;
            }
            for rule in object["rules"].as_array().unwrap() {
                let resources = rule["resources"].as_array().unwrap();
                if resources.iter().any(|one| one == "mutatingwebhookconfigurations") {
                    assert_eq!(rule["verbs"], verbs, "{values}: {name}");
                    found += 1;
                }
            }
        }
        assert_eq!(found, 1, "{values}");
        // What signs a certificate is replaced while that certificate is in use.
        let key = ("Certificate".to_owned(), "stateward-ca".to_owned());
        if let Some(authority) = all.get(&key) {
            assert_eq!(authority["spec"]["privateKey"]["rotationPolicy"], "Never");
        }
        assert_eq!(all.contains_key(&key), values.contains("cert-manager"), "{values}");
    }
}

/// What a container of a workload is called with.
fn arguments(all: &BTreeMap<(String, String), Value>, kind: &str, name: &str) -> Vec<String> {
    let pod = &all[&(kind.to_owned(), name.to_owned())]["spec"]["template"]["spec"];
    let arguments = pod["containers"][0]["args"].as_array().unwrap();
    arguments.iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// The policy that the chart writes is one that stateward reads.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn policies_from_values_are_right() {
    let all = rendered("{}").await;
    let map = &all[&("ConfigMap".to_owned(), "stateward".to_owned())];
    assert!(map["data"]["stateward.yaml"].as_str().unwrap().contains("resize: orchestrate"));
    let combination = "{policy: {resize: {authorize: sets}}}";
    let all = rendered(combination).await;
    let map = &all[&("ConfigMap".to_owned(), "stateward".to_owned())];
    let text = map["data"]["stateward.yaml"].as_str().unwrap();
    assert!(text.contains("resize:\n  authorize: sets\n  mode: orchestrate\n"), "{text}");
    let combination = "{mode: audit, policy: {resize: reject, rules: {sts-image-latest: warn}}}";
    let all = rendered(combination).await;
    let map = &all[&("ConfigMap".to_owned(), "stateward".to_owned())];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stateward.yaml");
    std::fs::write(&file, map["data"]["stateward.yaml"].as_str().unwrap()).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
        .args(["policy", "lint"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&file).unwrap();
    for line in ["mode: audit", "own-namespace: stateward", "version: 1", "resize: reject"] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}

/// Values that cannot work are refused before anything is applied, and say why.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn wrong_values_are_refused() {
    let cases = [
        ("{mode: off}", "/mode"),
        ("{replicaCount: 3}", "replicaCount"),
        ("{replicas: 0}", "/replicas"),
        ("{webhook: {timeoutSeconds: 31}}", "/webhook/timeoutSeconds"),
        ("{webhook: {failurePolicy: fail}}", "/webhook/failurePolicy"),
        ("{certificates: {source: none}}", "/certificates/source"),
        ("{certificates: {source: secret}}", "certificates.secret.name has to name"),
        ("{webhook: {clientCA: {secret: a, configMap: b}}}", "a Secret or a ConfigMap, not both"),
        ("{webhook: {clientCA: {names: [a]}}}", "webhook.clientCA holds no authority"),
        ("{webhook: {clientCA: {testSecret: a}}}", "webhook.clientCA holds no authority"),
        ("{webhook: {clientCA: {secret: a, key: a/b}}}", "/webhook/clientCA/key"),
        ("{certificates: {secret: {caBundle: LS0t}}}", "/certificates/secret/caBundle"),
        ("{controller: {replicas: 0}}", "/controller/replicas"),
        ("{webhook: {excludeUsers: [\"a' || 'b\"]}}", "/webhook/excludeUsers/0"),
        ("{webhook: {objectSelector: {}}}", "objectSelector"),
        ("{livenessProbe: {exec: {command: [a]}}}", "/livenessProbe"),
        ("{canary: {namespace: Canary}}", "/canary/namespace"),
        ("{log: {level: warning}}", "/log/level"),
        ("{policy: {resize: orchestrat}}", "/policy/resize"),
        ("{policy: {rules: {sts-scale-zero: deny}}}", "sts-scale-zero"),
        ("{policy: {scopes: [{match: {namespace: [dev]}}]}}", "/policy/scopes/0/match"),
        ("{policy: {mode: audit}}", "policy.mode is set by the chart"),
        ("{policy: {own-namespace: a}}", "policy.own-namespace is set by the chart"),
    ];
    for (values, said) in cases {
        let output = template(Path::new(CHART), "stateward", values, &[]).await;
        assert!(!output.success(), "{values}");
        assert!(output.stderr.contains(said), "{values}: {}", output.stderr);
    }
}

const SERVICE: (&str, &str) = ("Service", "stateward");
const WEBHOOK: (&str, &str) = ("Deployment", "stateward");
const CONTROLLER: (&str, &str) = ("Deployment", "stateward-controller");
const HOOK: (&str, &str) = ("Job", "stateward-uninstall");
const KIND: (&str, &str) = ("CustomResourceDefinition", "statefulsetresizes.stateward.dev");
const MONITOR: (&str, &str) = ("ServiceMonitor", "stateward");
const MUTATING: (&str, &str) = ("MutatingWebhookConfiguration", "stateward");

/// Values, an object, a field of it (`POD` and `CONTAINER` stand for those of its pods), and what the
/// field then holds, as JSON.
const CHANGES: [(&str, (&str, &str), &str, &str); 40] = [
    ("{commonLabels: {team: dba}}", SERVICE, "/metadata/labels/team", "\"dba\""),
    ("{commonLabels: {team: dba}}", HOOK, "/spec/template/metadata/labels/team", "\"dba\""),
    (
        "{image: {registry: \"mirror:5000\", tag: e}}",
        WEBHOOK,
        "CONTAINER/image",
        "\"mirror:5000/stateward/stateward:e\"",
    ),
    (
        "{image: {registry: a.io/b, repository: c/d, tag: e}}",
        HOOK,
        "CONTAINER/image",
        "\"a.io/b/c/d:e\"",
    ),
    ("{extraEnv: [{name: A}]}", WEBHOOK, "CONTAINER/env/0/name", "\"A\""),
    ("{extraEnv: [{name: A}]}", CONTROLLER, "CONTAINER/env/1", "null"),
    ("{controller: {extraEnv: [{name: A}]}}", CONTROLLER, "CONTAINER/env/1/name", "\"A\""),
    ("{hooks: {extraEnv: [{name: A}]}}", HOOK, "CONTAINER/env/0/name", "\"A\""),
    ("{extraVolumes: [{name: v}]}", WEBHOOK, "POD/volumes/1/name", "\"v\""),
    ("{extraVolumeMounts: [{name: v}]}", WEBHOOK, "CONTAINER/volumeMounts/1/name", "\"v\""),
    ("{controller: {extraVolumes: [{name: v}]}}", CONTROLLER, "POD/volumes/1/name", "\"v\""),
    (
        "{controller: {extraVolumeMounts: [{name: v}]}}",
        CONTROLLER,
        "CONTAINER/volumeMounts/1/name",
        "\"v\"",
    ),
    (
        "{podSecurityContext: {runAsUser: null, runAsGroup: null}}",
        CONTROLLER,
        "POD/securityContext",
        "{\"runAsNonRoot\":true,\"seccompProfile\":{\"type\":\"RuntimeDefault\"}}",
    ),
    (
        "{containerSecurityContext: {privileged: false}}",
        HOOK,
        "CONTAINER/securityContext/privileged",
        "false",
    ),
    ("{nodeSelector: {a: b}}", CONTROLLER, "POD/nodeSelector", "{\"a\":\"b\"}"),
    (
        "{nodeSelector: {a: b}, controller: {nodeSelector: {c: d}}}",
        CONTROLLER,
        "POD/nodeSelector",
        "{\"c\":\"d\"}",
    ),
    (
        "{nodeSelector: {a: b}, controller: {nodeSelector: {c: d}}}",
        WEBHOOK,
        "POD/nodeSelector",
        "{\"a\":\"b\"}",
    ),
    ("{hooks: {nodeSelector: {c: d}}}", HOOK, "POD/nodeSelector", "{\"c\":\"d\"}"),
    (
        "{tolerations: [{key: a}], controller: {tolerations: [{key: b}]}}",
        CONTROLLER,
        "POD/tolerations",
        "[{\"key\":\"b\"}]",
    ),
    ("{hooks: {tolerations: [{key: b}]}}", HOOK, "POD/tolerations", "[{\"key\":\"b\"}]"),
    (
        "{controller: {affinity: {nodeAffinity: {}}}}",
        CONTROLLER,
        "POD/affinity",
        "{\"nodeAffinity\":{}}",
    ),
    ("{hooks: {affinity: {nodeAffinity: {}}}}", HOOK, "POD/affinity", "{\"nodeAffinity\":{}}"),
    (
        "{priorityClassName: a, controller: {priorityClassName: b}}",
        CONTROLLER,
        "POD/priorityClassName",
        "\"b\"",
    ),
    (
        "{priorityClassName: a, hooks: {priorityClassName: b}}",
        HOOK,
        "POD/priorityClassName",
        "\"b\"",
    ),
    (
        "{podAnnotations: {a: b}, controller: {podAnnotations: {c: d}}}",
        CONTROLLER,
        "/spec/template/metadata/annotations",
        "{\"c\":\"d\"}",
    ),
    (
        "{podAnnotations: {a: b}, hooks: {podAnnotations: {c: d}}}",
        HOOK,
        "/spec/template/metadata/annotations",
        "{\"c\":\"d\"}",
    ),
    (
        "{podLabels: {a: b}, controller: {podLabels: {c: d}}}",
        CONTROLLER,
        "/spec/template/metadata/labels/c",
        "\"d\"",
    ),
    ("{updateStrategy: {type: Recreate}}", WEBHOOK, "/spec/strategy", "{\"type\":\"Recreate\"}"),
    (
        "{controller: {updateStrategy: {type: Recreate}}}",
        CONTROLLER,
        "/spec/strategy",
        "{\"type\":\"Recreate\"}",
    ),
    ("{revisionHistoryLimit: 2}", WEBHOOK, "/spec/revisionHistoryLimit", "2"),
    ("{revisionHistoryLimit: 2}", CONTROLLER, "/spec/revisionHistoryLimit", "2"),
    (
        "{livenessProbe: {failureThreshold: 9}}",
        WEBHOOK,
        "CONTAINER/livenessProbe/failureThreshold",
        "9",
    ),
    (
        "{readinessProbe: {initialDelaySeconds: 9}}",
        CONTROLLER,
        "CONTAINER/readinessProbe/initialDelaySeconds",
        "9",
    ),
    ("{crds: {keep: false}}", KIND, "/metadata/annotations", "null"),
    (
        "{canary: {namespace: probes}}",
        ("RoleBinding", "probes"),
        "/metadata/namespace",
        "\"probes\"",
    ),
    (
        "{monitoring: {serviceMonitor: {enabled: true, namespace: watch}}}",
        MONITOR,
        "/metadata/namespace",
        "\"watch\"",
    ),
    (
        "{monitoring: {serviceMonitor: {enabled: true, namespace: watch}}}",
        MONITOR,
        "/spec/namespaceSelector/matchNames",
        "[\"stateward\"]",
    ),
    (
        "{monitoring: {serviceMonitor: {enabled: true, relabelings: [{a: b}]}}}",
        MONITOR,
        "/spec/endpoints/0/relabelings",
        "[{\"a\":\"b\"}]",
    ),
    (
        "{monitoring: {serviceMonitor: {enabled: true, metricRelabelings: [{a: b}]}}}",
        MONITOR,
        "/spec/endpoints/0/metricRelabelings",
        "[{\"a\":\"b\"}]",
    ),
    (
        "{webhook: {excludeUsers: [admin, \"system:node:a\"]}}",
        MUTATING,
        "/webhooks/0/matchConditions/2/expression",
        "\"!(request.userInfo.username in ['admin', 'system:node:a'])\"",
    ),
];

/// Each value changes the field that it is about.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn values_change_the_fields_that_they_name() {
    for (values, (kind, name), field, expected) in CHANGES {
        let pod = "/spec/template/spec";
        let field = field.replace("CONTAINER", "POD/containers/0").replace("POD", pod);
        let all = rendered(values).await;
        let object = &all[&(kind.to_owned(), name.to_owned())];
        let found = object.pointer(&field).unwrap_or(&Value::Null);
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(found, &expected, "{values}: {kind} {name} {field}");
    }
    let all = rendered("{canary: {namespace: probes}}").await;
    let found = arguments(&all, "Deployment", "stateward");
    assert!(found.iter().any(|one| one == "--canary-namespace=probes"), "{found:?}");
    let kinds = async |values| {
        let all = rendered(values).await;
        all.into_keys().map(|(kind, _)| kind).collect::<BTreeSet<_>>()
    };
    assert!(!kinds("{crds: {install: false}}").await.contains("CustomResourceDefinition"));
    let without_roles = kinds("{rbac: {create: false}}").await;
    assert!(without_roles.iter().all(|kind| !kind.contains("Role")), "{without_roles:?}");
}

/// A node of a replica has the image, also while the registry cannot be reached.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_uninstall_hook_prefers_nodes_that_have_the_image() {
    let all = rendered("{}").await;
    let pod = |(kind, name): (&str, &str)| {
        all[&(kind.to_owned(), name.to_owned())]["spec"]["template"].clone()
    };
    let term = &pod(HOOK)["spec"]["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        [0]["podAffinityTerm"];
    assert_eq!(term["topologyKey"], "kubernetes.io/hostname");
    for replica in [WEBHOOK, CONTROLLER] {
        let labels = &pod(replica)["metadata"]["labels"];
        for (key, value) in term["labelSelector"]["matchLabels"].as_object().unwrap() {
            assert_eq!(labels.get(key), Some(value), "{replica:?}");
        }
    }
}

/// No label of the values is one by which pods are selected, and no two are written twice.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn labels_of_the_values_leave_selectors_alone() {
    let labels = "{app.kubernetes.io/name: mine, app.kubernetes.io/component: mine, team: dba}";
    let all = rendered(&format!(
        "{{commonLabels: {labels}, podLabels: {labels}, canary: {{namespaceLabels: {labels}}},
          monitoring: {{serviceMonitor: {{enabled: true, labels: {labels}}}}}}}"
    ))
    .await;
    for ((kind, name), object) in &all {
        assert_eq!(object["metadata"]["labels"]["team"], "dba", "{kind} {name}");
        if kind == "Deployment" {
            let found = &object["spec"]["template"]["metadata"]["labels"];
            for (key, value) in object["spec"]["selector"]["matchLabels"].as_object().unwrap() {
                assert!(value != "mine" && found.get(key) == Some(value), "{name}: {found}");
            }
        }
    }
    let service = &all[&("Service".to_owned(), "stateward".to_owned())];
    assert_eq!(service["spec"]["selector"]["app.kubernetes.io/component"], "webhook");
}

/// The name of a chart is a part of the names of objects, and no label: people find pods by that.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_name_override_names_the_objects() {
    for (release, values, expected) in [
        ("guard", "{}", "guard-stateward"),
        ("guard", "{nameOverride: sw}", "guard-sw"),
        ("sw-prod", "{nameOverride: sw}", "sw-prod"),
        ("guard", "{nameOverride: sw, fullnameOverride: mine}", "mine"),
    ] {
        let output = template(Path::new(CHART), release, values, &[]).await;
        let all = objects(&output.ok().unwrap());
        let service = all.iter().find(|object| object["kind"] == "Service").unwrap();
        assert_eq!(service["metadata"]["name"], expected, "{release}: {values}");
        assert_eq!(service["metadata"]["labels"]["app.kubernetes.io/name"], "stateward");
    }
}

/// What is promised of every pod, whatever the values.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn own_certificates_leave_no_bundle_in_the_templates() {
    for (name, combination) in COMBINATIONS {
        let all = rendered(&values(combination)).await;
        for object in configurations(&all) {
            let bundle = object["webhooks"][0]["clientConfig"].get("caBundle");
            assert_eq!(bundle.is_some(), name == "existing Secret", "{name}");
        }
        let own = !combination.contains("source: secret") && !combination.contains("cert-manager");
        let controller = !combination.contains("controller: {enabled: false}");
        let canary = !combination.contains("canary: {enabled: false}");
        let roles = all.keys().filter(|(kind, _)| kind.contains("Role")).count();
        let webhook = 2 + 2 * usize::from(canary) + 2 * usize::from(own || canary);
        // Of the controller; of people; of the pre-delete hook.
        let resizes = if controller { 4 + 2 + 2 } else { 0 };
        // What the webhook looks up.
        let created = !combination.contains("rbac: {create: false}");
        let expected = if created { webhook + 4 + resizes } else { 0 };
        assert_eq!(roles, expected, "{name}: rights without need");
        let deployments = all.iter().filter(|((kind, _), _)| kind == "Deployment");
        let mut count = 0;
        for ((_, deployment), object) in deployments {
            count += 1;
            let pod = &object["spec"]["template"]["spec"];
            assert_eq!(pod["automountServiceAccountToken"], true, "{name}");
            let own_account = deployment.ends_with("-controller");
            assert_eq!(pod["serviceAccountName"] == rights::CONTROLLER, own_account, "{name}");
            let container = &pod["containers"][0]["securityContext"];
            assert_eq!(container["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(container["capabilities"], json!({"drop": ["ALL"]}), "{name}");
            // Nobody else's pods are selected, such as the controller's by the Service.
            let selector = &object["spec"]["selector"]["matchLabels"];
            assert_eq!(selector.as_object().unwrap().len(), 3, "{name}");
            for (key, value) in selector.as_object().unwrap() {
                assert_eq!(&object["spec"]["template"]["metadata"]["labels"][key], value, "{name}");
            }
        }
        assert_eq!(count, if controller { 2 } else { 1 }, "{name}");
    }
    for entry in std::fs::read_dir(Path::new(CHART).join("templates")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = std::fs::read_to_string(&path).unwrap();
            for word in ["lookup", "genCA", "genSignedCert", "randAlpha"] {
                assert!(!text.contains(word), "{} asks for {word}", path.display());
            }
        }
    }
}

/// Each branch is made to fail in turn; some combination has to notice.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn every_branch_of_every_template_is_rendered() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("stateward");
    let files = templates();
    let root = Path::new(CHART);
    for file in files.iter().map(PathBuf::as_path).chain(OTHERS.map(Path::new)) {
        let to = copy.join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root.join(file), to).unwrap();
    }
    let mut branches = 0;
    for file in &files {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        for end in branch_ends(&text) {
            // Such a branch refuses values; `wrong_values_are_refused` is about those.
            if text[end..].trim_start().starts_with("{{- fail") {
                continue;
            }
            branches += 1;
            let broken = format!("{}{{{{ fail \"reached\" }}}}{}", &text[..end], &text[end..]);
            std::fs::write(copy.join(file), broken).unwrap();
            let mut reached = false;
            for (name, combination) in COMBINATIONS {
                // One release does not say "stateward" in its name.
                let release = if name == "cert-manager" { "guard" } else { "stateward" };
                let notes = ["install", release, copy.to_str().unwrap(), "--dry-run=client"];
                let mut line = notes.to_vec();
                line.extend(["-n", "stateward", "-f", "-"]);
                let values = values(combination);
                let testbed = shared().await;
                let output = testbed.helm_with("admin", &line, Some(&values)).await.unwrap();
                if output.stderr.contains("reached") {
                    reached = true;
                    break;
                }
            }
            let line = text[..end].lines().count();
            assert!(reached, "no combination renders {}:{line}", file.display());
        }
        std::fs::write(copy.join(file), &text).unwrap();
    }
    eprintln!("{branches} branches, all rendered");
    assert!(branches > 40, "only {branches} branches were found");
}

fn templates() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["templates", "templates/tests"] {
        for entry in std::fs::read_dir(Path::new(CHART).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                found.push(path.strip_prefix(CHART).unwrap().to_owned());
            }
        }
    }
    found
}

/// Where the branches of a template begin: after each `if`, `else`, `with` and `range`.
fn branch_ends(text: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    for (start, _) in text.match_indices("{{") {
        let inside = text[start..].trim_start_matches(['{', '-', ' ']);
        let word: String = inside.chars().take_while(char::is_ascii_alphabetic).collect();
        if ["if", "else", "with", "range"].contains(&word.as_str()) {
            ends.push(start + text[start..].find("}}").unwrap() + 2);
        }
    }
    ends
}

/// Risky values are named in the notes, and harmless ones are not.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn notes_warn_of_risks() {
    let risks = [
        ("defaults", 0),
        ("audit", 0),
        ("fail at any price", 4),
        ("fail with care", 0),
        ("node network", 1),
        ("existing Secret", 0),
        ("existing Secret, injected bundle", 1),
        ("cert-manager", 0),
        ("API servers with a certificate", 1),
        ("clients of an authority", 3),
        ("requests without a controller", 1),
        ("requests of whoever may edit sets", 0),
        ("no roles and no kind", 0),
        ("nothing kept", 1),
        ("everything of one's own", 1),
    ];
    for ((name, expected), (_, combination)) in risks.into_iter().zip(COMBINATIONS) {
        let notes = notes(&values(combination)).await;
        assert_eq!(notes.matches("RISK:").count(), expected, "{name}: {notes}");
        assert!(notes.lines().all(|line| line.len() <= 110), "{name}: {notes}");
    }
}

async fn notes(values: &str) -> String {
    let line = ["install", "stateward", CHART, "--dry-run=client", "-n", "stateward", "-f", "-"];
    let output = shared().await.helm_with("admin", &line, Some(values)).await.unwrap();
    let text = output.ok().unwrap();
    text.split_once("NOTES:").unwrap().1.to_owned()
}

/// What the notes say is what these values lead to.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn notes_say_what_holds() {
    let request = "becomes a request: the claims grow";
    let refused = "grows a claim template is denied";
    let audit = "--set mode=audit";
    let metric = "stateward_enforcing, or run\n\n  stateward status\n";
    let label = "require the label team";
    let cases: [(&str, &[&str], &[&str]); 13] = [
        ("{}", &[request, "right to patch claims", audit, metric], &[refused]),
        ("{policy: {resize: reject}}", &[refused, "stateward-resizer"], &[request]),
        ("{policy: {resize: {mode: reject}}}", &[refused], &[request]),
        ("{policy: {resize: ignore}}", &["left to the API server"], &[request, refused]),
        ("{policy: {resize: {mode: orchestrate}}}", &[request, "to patch claims"], &[refused]),
        ("{policy: {resize: {authorize: sets}}}", &[request, "right to edit the set"], &[refused]),
        ("{controller: {enabled: false}}", &[refused, "No controller"], &[request, "RISK"]),
        (
            "{controller: {enabled: false}, policy: {resize: {mode: orchestrate}}}",
            &[refused, "RISK: policy.resize is orchestrate, but no controller"],
            &[request],
        ),
        (
            "{existingPolicyConfigMap: mine, policy: {resize: reject}}",
            &[
                "ConfigMap mine decides what happens to an edit",
                "\"mode: audit\" there denies nothing",
            ],
            &[request, refused, audit, "RISK"],
        ),
        (
            "{canary: {enabled: false}}",
            &["Without canary.enabled you cannot tell"],
            &["stateward status", "stateward_enforcing"],
        ),
        (
            "{webhook: {namespaceRequirements: [{key: team, operator: In, values: [db]}]}}",
            &[label],
            &[],
        ),
        (
            "{webhook: {namespaceRequirements: [{key: team, operator: In, values: [db]}]},
              canary: {namespaceLabels: {team: db}}}",
            &[],
            &[label, "RISK"],
        ),
        (
            "{webhook: {namespaceRequirements: [{key: team, operator: DoesNotExist}]}}",
            &[],
            &[label, "RISK"],
        ),
    ];
    for (values, said, unsaid) in cases {
        let notes = notes(values).await;
        for text in said {
            assert!(notes.contains(text), "{values}: {text} is not in {notes}");
        }
        for text in unsaid {
            assert!(!notes.contains(text), "{values}: {text} is in {notes}");
        }
    }
}
