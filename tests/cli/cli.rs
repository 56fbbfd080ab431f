//! The built program as people and pipelines run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use serde_json::Value;
use stateward_core::rules::RULES;

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn stateward(args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_stateward")).args(args).output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn prints(args: &[&str]) -> String {
    let ran = stateward(args);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{args:?}");
    assert!(!ran.stdout.is_empty(), "{args:?} prints nothing");
    ran.stdout
}

/// What it says where it cannot run.
fn fails(args: &[&str]) -> String {
    let ran = stateward(args);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{args:?}: {}", ran.stderr);
    ran.stderr
}

/// Every command that prints several formats takes `-o`, as kubectl does.
#[test]
fn formats_have_the_short_option_of_kubectl() {
    fn visit(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        for argument in command.get_arguments().filter(|one| one.get_long() == Some("format")) {
            assert_eq!(argument.get_short(), Some('o'), "{path}");
            found.push(path.to_owned());
        }
        for command in command.get_subcommands() {
            visit(command, &format!("{path} {}", command.get_name()), found);
        }
    }
    let mut found = Vec::new();
    visit(&<stateward::cli::Cli as clap::CommandFactory>::command(), "stateward", &mut found);
    assert!(found.iter().any(|path| path == "stateward resize status"), "{found:?}");
    assert_eq!(prints(&["rules", "-o", "json"]), prints(&["rules", "--format", "json"]));
}

const COMMANDS: [&str; 15] = [
    "check",
    "review",
    "serve",
    "controller",
    "resize",
    "rules",
    "explain",
    "policy",
    "manifests",
    "prepare-uninstall",
    "disable",
    "enable",
    "certs",
    "completions",
    "man",
];

#[test]
fn help_lists_the_commands_each_with_an_example() {
    let help = prints(&["--help"]);
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is not listed");
        let help = prints(&[command, "--help"]);
        assert!(help.contains("Example:\n  "), "{command} has no example");
        assert!(help.contains(&format!("stateward {command} ")), "{command}: another's example");
    }
    assert!(prints(&["check", "--help"]).contains("judged as a CREATE"), "the long help is lost");
    let version = prints(&["--version"]);
    let (number, commit) = version.trim().split_once(" (").unwrap();
    assert_eq!(number, concat!("stateward ", env!("CARGO_PKG_VERSION")));
    assert!(commit.len() > 1 && commit.ends_with(')'), "{version}");
}

#[test]
fn the_help_of_serve_is_grouped_and_its_short_form_leaves_intervals_out() {
    let (short, long) = (prints(&["serve", "-h"]), prints(&["serve", "--help"]));
    for heading in ["TLS", "Cluster", "Resize timing"] {
        assert!(long.contains(&format!("\n{heading}:\n")), "{heading}: {long}");
    }
    let controller = prints(&["controller", "-h"]);
    for advanced in ["--just-changed", "--back-off", "--resync"] {
        assert!(long.contains(advanced), "{advanced}: {long}");
        assert!(!short.contains(advanced) && !controller.contains(advanced), "{advanced}");
    }
}

#[test]
fn an_unknown_command_is_refused() {
    assert!(fails(&["chek"]).contains("'check'"), "no hint");
    assert!(fails(&[]).contains("Usage: stateward"));
}

#[test]
fn arguments_that_exclude_each_other_are_refused() {
    for args in [
        &["check"][..],
        &["check", "--old", "a", "--old-ref", "b", "c"],
        &["check", "--render", "helm template", "c"],
        &["check", "--fail-on", "error", "c"],
        &["check", "--kubernetes-version", "new", "c"],
        &["serve"],
        &["resize", "plan", "db"],
        &["resize", "apply", "deploy/db", "--size", "1Gi"],
        &["resize", "apply", "db", "--size", "1GB i"],
        &["resize", "status", "db", "--size", "1Gi"],
        &["serve", "--dev", "--tls-cert", "a", "--tls-key", "b"],
        &["serve", "--tls-cert", "a"],
        &["disable"],
        &["disable", "48h"],
        &["resize", "status", "db", "-A"],
        &["resize", "status", "-A", "-n", "shop"],
        &["manifests"],
        &["manifests", "--ca", "a"],
        &["manifests", "--url", "https://a"],
        &["manifests", "--crds", "--service", "b"],
        &["manifests", "--rights", "--system-namespace", "a/b"],
        &["manifests", "--cluster-certs", "--service", "a/b"],
        &["manifests", "--install", "--system-namespace", "a"],
        &["manifests", "--cluster-certs", "--service", "b", "--exclude-user", "a' || 'b"],
        &["bug-report", "--namespace", "a"],
        &["manifests", "--ca", "a", "--url", "https://a", "--service", "b"],
        &["manifests", "--ca", "a", "--url", "https://a", "--timeout", "31"],
        &["manifests", "--ca", "a", "--url", "https://a/path"],
        &["manifests", "--ca", "a", "--url", "https://a//"],
    ] {
        assert!(fails(args).starts_with("error: "), "{args:?}");
    }
}

#[test]
fn a_word_that_is_no_log_level_is_refused_and_does_not_silence_errors() {
    for command in [&["serve", "--dev"][..], &["controller"]] {
        for (level, said) in [("warning", "did you mean \"warn\"?"), ("verbose", "is no level")] {
            let error = fails(&[command, &["--log-level", level]].concat());
            assert!(error.contains(said), "{command:?}: {error}");
        }
    }
}

#[test]
fn a_port_that_is_taken_is_named_before_any_key_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let certs = folder.path().join("certs");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--health-listen"] {
        let other = if option == "--listen" { "--health-listen" } else { "--listen" };
        let error = fails(&[
            "serve",
            "--dev",
            "--certs-dir",
            certs.to_str().unwrap(),
            option,
            &address,
            other,
            "127.0.0.1:0",
        ]);
        assert!(error.contains(&format!("choose another address with {option}")), "{error}");
        assert!(!certs.exists(), "a key was written");
    }
    prints(&["certs", "--dir", certs.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(certs.join(".gitignore")).unwrap(), "*\n");
}

#[test]
fn serve_says_which_modes_there_are() {
    let said = fails(&["serve"]);
    assert!(said.contains("<--dev|--tls-cert <FILE>|--cluster-certs>"), "{said}");
}

#[test]
fn formats_are_refused_before_anything_runs() {
    let unknown = fails(&["check", "--format", "xml", "."]);
    assert!(unknown.contains("there is no format \"xml\"; there are text, json"), "{unknown}");
    let both = fails(&["check", "--format", "text", "--format", "json", "."]);
    assert!(both.contains("text and json would both go to standard output"), "{both}");
}

#[test]
fn rules_lists_every_rule_in_each_format() {
    let table = prints(&["rules"]);
    assert_eq!(table.lines().count(), RULES.len() + 1);
    let markdown = prints(&["rules", "--format", "markdown"]);
    assert_eq!(markdown.lines().count(), RULES.len() + 2);
    let json: Value = serde_json::from_str(&prints(&["rules", "--format", "json"])).unwrap();
    assert_eq!(json.as_array().unwrap().len(), RULES.len());
    for (index, entry) in RULES.iter().enumerate() {
        let id = entry.meta.id;
        assert!(table.lines().nth(index + 1).unwrap().starts_with(id), "{id}");
        assert!(markdown.contains(&format!("| `{id}` | {} |", entry.meta.group.name())), "{id}");
        assert_eq!(json[index]["id"], id);
        assert_eq!(json[index]["action"]["check"], entry.meta.default_action(false).name());
        let judges = &json[index]["judges"];
        let by_check_alone = entry.meta.judges.is_empty() && judges == &serde_json::json!([]);
        assert!(by_check_alone || judges[0]["operations"][0].is_string(), "{id}");
    }
}

#[test]
fn explain_shows_why_and_both_examples() {
    for entry in RULES {
        let page = prints(&["explain", entry.meta.id]);
        for part in [entry.meta.title, "Why:", "Way out:", "Finds fault with", "Passes"] {
            assert!(page.contains(part), "{}: {part:?} is missing", entry.meta.id);
        }
        // Both examples stand there in full, an UPDATE as a difference.
        for example in [entry.meta.bad, entry.meta.good] {
            let name = example.lines().find(|line| line.contains("metadata: {name: ")).unwrap();
            assert!(page.contains(name.trim()), "{}: {name}", entry.meta.id);
        }
        assert!(page.contains(entry.meta.source), "{}", entry.meta.id);
    }
}

#[test]
fn explain_names_the_nearest_rule() {
    assert_eq!(
        fails(&["explain", "sts-vct-size-shrnk"]),
        "error: there is no rule \"sts-vct-size-shrnk\"; did you mean \"sts-vct-size-shrink\"?\n"
    );
    assert!(fails(&["explain", "zzzzzz"]).starts_with("error: there is no rule \"zzzzzz\"; "));
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = prints(&["completions", shell]);
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
}

#[test]
fn man_prints_a_page_or_writes_all() {
    assert!(prints(&["man"]).contains(".TH stateward 1"));
    assert!(prints(&["man", "policy", "lint"]).contains(".TH stateward-policy-lint 1"));
    assert!(fails(&["man", "chek"]).contains("did you mean \"check\"?"));
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("pages");
    let ran = stateward(&["man", "--dir", pages.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    for command in COMMANDS {
        let page = std::fs::read_to_string(pages.join(format!("stateward-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
    let names = std::fs::read_dir(&pages).unwrap().map(|page| page.unwrap().file_name());
    let of_help = names.filter(|name| name.to_string_lossy().contains("-help"));
    assert_eq!(of_help.count(), 0, "nobody reads the page of a page");
}

/// A kubeconfig of a server that is not there.
const NOBODY: &str = "{apiVersion: v1, kind: Config, current-context: dev, \
    contexts: [{name: dev, context: {cluster: c, user: u}}], \
    clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: u, user: {}}]}";

#[test]
fn every_command_that_asks_a_cluster_says_which_one_and_why_it_cannot() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = home.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (nobody, broken) = (file("nobody", NOBODY), file("broken", "a: ["));
    let gone = home.path().join("gone").display().to_string();
    let unset = home.path().join(".kube/config").display().to_string();
    for command in [
        &["status"][..],
        &["probe", "--timeout", "1s"],
        &["prepare-uninstall"],
        &["resize", "status", "db"],
    ] {
        for (arguments, says) in [
            (&[][..], format!("no cluster: no kubeconfig at {unset} (KUBECONFIG is unset) and no service account\n")),
            (&["--kubeconfig", &gone], format!("there is no kubeconfig {gone}\n")),
            (&["--kubeconfig", &broken], format!("the kubeconfig {broken} is broken: line 1 column 4: unclosed bracket '['\n")),
            (&["--kubeconfig", &nobody, "--context", "dv"], format!("the kubeconfig {nobody} has no context \"dv\"; did you mean \"dev\"?\n")),
            (
                &["--kubeconfig", &nobody],
                "the API server at https://127.0.0.1:1 (context dev) cannot be reached: Connection refused\n".to_owned(),
            ),
        ] {
            let output = Command::new(env!("CARGO_BIN_EXE_stateward"))
                .args([command, arguments].concat())
                .env("HOME", home.path())
                .env_remove("KUBECONFIG")
                .env_remove("KUBERNETES_SERVICE_HOST")
                .output()
                .unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(said.contains(&says), "{command:?} {arguments:?}: {said}");
            for line in said.lines() {
                assert!(line.matches("Connection refused").count() < 2, "said twice: {line}");
            }
            assert_eq!(output.status.code(), Some(2), "{command:?} {arguments:?}");
        }
    }
}

/// A certificate of an authority, made for this test.
fn authority(folder: &Path) -> (PathBuf, rcgen::Certificate) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let file = folder.join("ca.crt");
    std::fs::write(&file, certificate.pem()).unwrap();
    std::fs::write(folder.join("ca.key"), key.serialize_pem()).unwrap();
    (file, certificate)
}

fn configurations(args: &[&str]) -> (Value, Value) {
    let yaml = prints(args);
    let documents: Vec<Value> = serde_saphyr::from_multiple(&yaml).unwrap();
    let [mutating, validating] = <[Value; 2]>::try_from(documents).unwrap();
    (mutating, validating)
}

fn rules(configuration: &Value) -> Vec<String> {
    let texts = |value: &Value| -> String {
        let texts: Vec<&str> =
            value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        texts.join(",")
    };
    let rules = configuration["webhooks"][0]["rules"].as_array().unwrap();
    rules
        .iter()
        .map(|rule| {
            let cluster = ["namespaces", "persistentvolumes", "storageclasses"];
            let resource = rule["resources"][0].as_str().unwrap();
            let parent = resource.split('/').next().unwrap();
            let scope = if cluster.contains(&parent) { "Cluster" } else { "Namespaced" };
            assert_eq!(rule["scope"], scope, "{resource}");
            let [group, version, resource, operations] =
                ["apiGroups", "apiVersions", "resources", "operations"]
                    .map(|key| texts(&rule[key]));
            format!("{group}/{version} {resource} {operations}")
        })
        .collect()
}

#[test]
fn manifests_hold_what_the_design_promises() {
    let folder = tempfile::tempdir().unwrap();
    let (file, certificate) = authority(folder.path());
    let ca = file.to_str().unwrap();
    let (mutating, validating) =
        configurations(&["manifests", "--ca", ca, "--url", "https://127.0.0.1:9443/"]);
    assert_eq!(mutating["kind"], "MutatingWebhookConfiguration");
    assert_eq!(validating["kind"], "ValidatingWebhookConfiguration");
    for (configuration, name) in [(&mutating, "mutate"), (&validating, "validate")] {
        assert_eq!(configuration["apiVersion"], "admissionregistration.k8s.io/v1");
        let webhook = &configuration["webhooks"][0];
        assert_eq!(webhook["name"], format!("{name}.stateward.dev"));
        let client = &webhook["clientConfig"];
        assert_eq!(client["url"], format!("https://127.0.0.1:9443/{name}"));
        let bundle = client["caBundle"].as_str().unwrap();
        let bundle = base64::engine::general_purpose::STANDARD.decode(bundle).unwrap();
        assert_eq!(bundle, certificate.pem().into_bytes());
        assert_eq!(webhook["sideEffects"], "NoneOnDryRun");
        assert_eq!(webhook["admissionReviewVersions"], serde_json::json!(["v1"]));
        assert_eq!(webhook["matchPolicy"], "Equivalent");
        assert_eq!(webhook["failurePolicy"], "Ignore");
        assert_eq!(webhook["timeoutSeconds"], 3);
        assert_eq!(
            webhook["namespaceSelector"]["matchExpressions"],
            serde_json::json!([{
                "key": "kubernetes.io/metadata.name",
                "operator": "NotIn",
                "values": ["kube-system"]
            }])
        );
        assert!(webhook.get("objectSelector").is_none(), "a Scale has no labels");
        conditions(webhook);
    }
    assert_eq!(mutating["webhooks"][0]["reinvocationPolicy"], "IfNeeded");
    assert!(validating["webhooks"][0].get("reinvocationPolicy").is_none());
    assert_eq!(
        rules(&mutating),
        ["apps/v1 statefulsets CREATE,UPDATE", "/v1 persistentvolumeclaims CREATE,UPDATE"]
    );
    assert_eq!(
        rules(&validating),
        [
            "apps/v1 statefulsets CREATE,UPDATE,DELETE",
            "/v1 persistentvolumeclaims CREATE,UPDATE,DELETE",
            "apps/v1 statefulsets/scale UPDATE",
            "/v1 namespaces CREATE,UPDATE,DELETE",
            "/v1 persistentvolumes CREATE,UPDATE,DELETE",
            "storage.k8s.io/v1 storageclasses CREATE,UPDATE,DELETE",
            "snapshot.storage.k8s.io/v1 volumesnapshots CREATE,UPDATE,DELETE",
            "apps/v1 statefulsets/status UPDATE",
            "/v1 persistentvolumeclaims/status UPDATE",
            "/v1 namespaces/status UPDATE",
            "/v1 namespaces/finalize UPDATE",
            "/v1 persistentvolumes/status UPDATE",
        ]
    );
}

fn conditions(webhook: &Value) {
    let condition = |name: &str| {
        let conditions = webhook["matchConditions"].as_array().unwrap();
        let found = conditions.iter().find(|condition| condition["name"] == name).unwrap();
        found["expression"].as_str().unwrap().to_owned()
    };
    let users = condition("not-the-control-plane");
    for user in [
        "'system:kube-controller-manager'",
        "'system:serviceaccount:kube-system:generic-garbage-collector'",
        "'system:serviceaccount:kube-system:namespace-controller'",
        "'system:serviceaccount:kube-system:pvc-protection-controller'",
        "'system:serviceaccount:kube-system:pv-protection-controller'",
        "'system:serviceaccount:kube-system:statefulset-controller'",
        "'system:serviceaccount:kube-system:persistent-volume-binder'",
        "'system:serviceaccount:kube-system:expand-controller'",
    ] {
        assert!(users.contains(user), "{user} would be blocked");
    }
    assert_eq!(users.matches("'system:").count(), 8, "the autoscaler and others are judged");
    let owner = condition("not-left-to-its-owner");
    assert!(owner.contains("|| [object, oldObject].exists(x, x != null && "), "{owner}");
    assert!(
        owner.contains(".size() > 100 || "),
        "an object with very many owners is judged: {owner}"
    );
    let operator = condition("not-operator-of/rabbitmqclusters.rabbitmq.com");
    assert!(operator.contains("authorizer.group('rabbitmq.com').resource('rabbitmqclusters')"));
    assert!(owner.contains("annotations[?'stateward.dev/owner-managed'].orValue('') == 'allow'"));
    let going = condition("not-going-away");
    assert!(going.starts_with("object == null || oldObject == null || "), "{going}");
    let volume = condition("volume-with-data");
    assert!(
        volume.starts_with("request.resource.resource != 'persistentvolumes' || "),
        "other kinds are sent: {volume}"
    );
    let all = webhook["matchConditions"].to_string();
    assert!(!all.contains("request.namespace"), "a request about a volume has no namespace");
}

#[test]
fn manifests_follow_their_options() {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = authority(folder.path());
    let (mutating, _) = configurations(&[
        "manifests",
        "--ca",
        file.to_str().unwrap(),
        "--service",
        "web:8443",
        "--system-namespace",
        "own",
        "--exclude-user",
        "admin",
        "--namespace-selector",
        "team=a",
        "--namespace-selector",
        "!off",
        "--exclude-namespace",
        "other",
        "--failure-policy",
        "Fail",
        "--timeout",
        "10",
    ]);
    let webhook = &mutating["webhooks"][0];
    assert_eq!(
        webhook["clientConfig"]["service"],
        serde_json::json!({"namespace": "own", "name": "web", "port": 8443, "path": "/mutate"})
    );
    assert!(webhook["clientConfig"].get("url").is_none());
    assert_eq!(
        webhook["namespaceSelector"]["matchExpressions"],
        serde_json::json!([
            {
                "key": "kubernetes.io/metadata.name",
                "operator": "NotIn",
                "values": ["kube-system", "own", "other"]
            },
            {"key": "team", "operator": "In", "values": ["a"]},
            {"key": "off", "operator": "DoesNotExist"},
        ])
    );
    let condition = &webhook["matchConditions"][2];
    assert_eq!(condition["name"], "not-an-excluded-user");
    assert_eq!(condition["expression"], "!(request.userInfo.username in ['admin'])");
    assert_eq!(
        (&webhook["failurePolicy"], &webhook["timeoutSeconds"]),
        (&"Fail".into(), &10.into())
    );
}

#[test]
fn manifests_want_the_certificate_of_an_authority() {
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path());
    std::fs::write(folder.path().join("empty"), "").unwrap();
    let says = |name: &str| {
        let file = folder.path().join(name);
        fails(&["manifests", "--ca", file.to_str().unwrap(), "--url", "https://a"])
    };
    assert!(says("ca.key").contains("holds a private key"), "{}", says("ca.key"));
    assert!(says("empty").contains("holds no certificate"), "{}", says("empty"));
    let gone = says("gone");
    assert!(gone.starts_with("error: cannot read \"") && gone.contains("No such file"), "{gone}");
}

#[test]
fn a_reader_who_has_enough_is_no_error() {
    let facts = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/new.yaml");
    for arguments in [&["man", "check"][..], &["audit", "--facts", facts, "-o", "json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = Command::new(env!("CARGO_BIN_EXE_stateward"))
            .args(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}
