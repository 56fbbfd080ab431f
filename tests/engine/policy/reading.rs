//! What is a policy file, and what is said of one that is not.

use std::process::Command;

use stateward_core::policy::Policy;

/// The policy's fault, as `line:column: message`.
fn fault(text: &str) -> String {
    Policy::parse(text, "test").map_or_else(|error| error.to_string(), |_| "none".to_owned())
}

#[test]
fn what_is_right_is_read() {
    for text in [
        "version: 1\n",
        "\u{feff}# a comment\n---\nversion: 1\nrules:\nscopes:\n",
        "version: 1\nresize: orchestrate\n",
        "version: 1\nresize: {mode: orchestrate, authorize: sets}\n",
        "version: 1\nresize: {authorize: claims}\n",
        "version: 1\nresize:\n",
        "version: 1\nrules: {sts-selector: off, sts-image-latest: {action: off}}\n",
        "version: 1\nrules: {sts-replica-jump: {params: {max-step: 3}}}\n",
        "version: 1\nrules: {pvc-fractional-or-huge: {params: {max-growth-factor: 3}}}\n",
        "{\"version\": 1, \"rules\": {\"sts-selector\": \"warn\"}}",
    ] {
        assert_eq!(fault(text), "none", "{text}");
    }
}

#[test]
fn what_is_wrong_is_named_at_its_place() {
    let rule = "version: 1\nrules:\n  sts-replica-jump:\n";
    for (text, says) in [
        ("", "1:1: this policy is empty; its first line is version: 1"),
        ("# nothing\n", "1:1: this policy is empty; its first line is version: 1"),
        ("[1]\n", "1:1: a policy is a mapping that begins with version: 1"),
        ("mode: audit\n", "1:1: version is missing"),
        ("version: 2\n", "1:10: version: this stateward reads version 1, not 2"),
        ("version: '1'\n", "1:10: version: \"1\" is a string, not a whole number from 0 on"),
        ("version: 1\nruls: {}\n", "2:1: there is no key \"ruls\" here; did you mean \"rules\"?"),
        (
            "version: 1\nmode: enforced\n",
            "2:7: mode: \"enforced\" is no value of this key; did you mean \"enforce\"?",
        ),
        (
            "version: 1\nresize: no\n",
            "2:9: resize: false is a boolean, not reject, orchestrate, ignore, or a mapping with mode and authorize",
        ),
        (
            "version: 1\nresize: orchestrat\n",
            "2:9: resize: \"orchestrat\" is no value of this key; did you mean \"orchestrate\"?",
        ),
        (
            "version: 1\nresize: {autorize: sets}\n",
            "2:10: there is no key \"autorize\" here; did you mean \"authorize\"?",
        ),
        (
            "version: 1\nresize: {authorize: claim}\n",
            "2:21: resize.authorize: \"claim\" is no value of this key; did you mean \"claims\"?",
        ),
        ("version: 1\nhelp: {url: 3}\n", "2:13: help.url: 3 is a number, not a string"),
        (
            "version: 1\nallow: {second-person: true}\n",
            "2:24: allow.second-person: it needs users or groups: nobody could confirm a deletion",
        ),
        ("version: 1\nallow: {users: dev}\n", "2:16: allow.users: \"dev\" is a string, not a list"),
        (
            "version: 1\nrules:\n  sts-vct-size-shrnk: off\n",
            "3:3: there is no rule \"sts-vct-size-shrnk\"; did you mean \"sts-vct-size-shrink\"?",
        ),
        (
            "version: 1\nrules:\n  sts-selector: of\n",
            "3:17: rules.sts-selector: \"of\" is not deny, warn, off, or a mapping with action, \
             params and help",
        ),
        (
            &format!("{rule}    action: on\n"),
            "4:13: rules.sts-replica-jump.action: true is a boolean, not deny, warn or off",
        ),
        (
            &format!("{rule}    actoin: deny\n"),
            "4:5: there is no key \"actoin\" here; did you mean \"action\"?",
        ),
        (
            &format!("{rule}    params:\n      max-stp: 3\n"),
            "5:7: there is no key \"max-stp\" here; did you mean \"max-step\"?",
        ),
        (
            &format!("{rule}    params:\n      max-step: x\n"),
            "5:17: rules.sts-replica-jump.params.max-step: \"x\" is a string, not a whole number \
             from 0 on",
        ),
        (
            "version: 1\nscopes:\n- rules:\n    sts-replica-jump:\n      params: {max-step: -1}\n",
            "5:26: scopes[0].rules.sts-replica-jump.params.max-step: -1 is not a whole number from \
             0 on",
        ),
        (
            "version: 1\nrules: {pvc-fractional-or-huge: {params: {max-growth-factor: 0}}}\n",
            "2:62: rules.pvc-fractional-or-huge.params.max-growth-factor: 0 is not a whole number \
             from 1 on",
        ),
        (
            "version: 1\nrules: {sts-selector: {params: {a: 1}}}\n",
            "2:33: there is no key \"a\" here",
        ),
        (
            "version: 1\nscopes:\n- namespaces: [a]\n",
            "3:3: there is no key \"namespaces\" here; known are match, rules, resize, \
             anti-affinity, pod-defaults, size-on-create, claim-template-metadata",
        ),
        (
            "version: 1\nscopes:\n- match: {kinds: [Deployment]}\n",
            "3:19: scopes[0].match.kinds[0]: \"Deployment\" is no value of this key; known are \
             StatefulSet, PersistentVolumeClaim, Scale, Namespace, PersistentVolume, \
             StorageClass, VolumeSnapshot",
        ),
        ("version: 1\n\tmode: audit\n", "2:1: a tab in the indentation: YAML takes spaces only"),
        ("version: 1\nversion: 1\n", "2:1: duplicate key \"version\""),
        (
            "version: 1\n---\nversion: 1\n",
            "3:1: a second document begins here; write all of it in one",
        ),
        ("version: 1\nrules: {{{ .Values.rules }}}\n", "2:10: a mapping cannot be a key"),
    ] {
        assert_eq!(fault(text), says, "{text}");
    }
}

fn lint(arguments: &[&str], folder: &std::path::Path) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_stateward"))
        .args(["policy", "lint"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn lint_says_which_file_and_what() {
    let folder = tempfile::tempdir().unwrap();
    let said =
        |code, stdout: &str, stderr: &str| (Some(code), stdout.to_owned(), stderr.to_owned());
    assert_eq!(
        lint(&[], folder.path()),
        said(2, "", "error: no stateward.yaml here or above; nothing to lint\n"),
        "a file that is not there is not right"
    );
    std::fs::write(folder.path().join("good.yaml"), "version: 1\n").unwrap();
    assert_eq!(lint(&["good.yaml"], folder.path()), said(0, "good.yaml: no fault found\n", ""));
    std::fs::write(folder.path().join("stateward.yaml"), "version: 1\nmod: audit\n").unwrap();
    let below = folder.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    let (code, stdout, stderr) = lint(&[], &below);
    assert_eq!((code, &*stderr), (Some(1), ""));
    let says = "stateward.yaml:2:1: there is no key \"mod\" here; did you mean \"mode\"?\n";
    assert!(stdout.starts_with("error: ") && stdout.ends_with(says), "{stdout}");
    let (code, stdout, stderr) = lint(&["gone.yaml"], folder.path());
    assert_eq!((code, &*stdout), (Some(2), ""));
    assert!(stderr.starts_with("error: cannot read the policy \"gone.yaml\": "), "{stderr}");
}

#[test]
fn lint_finds_every_fault_at_once() {
    let policy = "\
version: 2
mod: audit
resize: orchestrat
rules:
  sts-selectr: off
  sts-replica-jump: {params: {max-step: -1}}
  sts-service-name: of
scopes:
- match: {kinds: [Deployment, Scale], namespaces: [1]}
- rules: {sts-replica-jump: {params: {max-stp: 1}}}
";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stateward.yaml"), policy).unwrap();
    let (code, stdout, stderr) = lint(&["stateward.yaml"], folder.path());
    assert_eq!((code, &*stderr), (Some(1), ""), "{stdout}");
    let places: Vec<&str> = stdout
        .lines()
        .map(|line| {
            let rest = line.strip_prefix("error: stateward.yaml:").unwrap();
            rest.split(": ").next().unwrap()
        })
        .collect();
    assert_eq!(
        places,
        ["1:10", "2:1", "3:9", "5:3", "6:41", "7:21", "9:19", "9:52", "10:39"],
        "{stdout}"
    );
    // What one fault hides is not guessed at.
    std::fs::write(folder.path().join("stateward.yaml"), "version: 1\nrules: {{{ .x }}}\n")
        .unwrap();
    let (code, stdout, _) = lint(&[], folder.path());
    assert_eq!((code, stdout.lines().count()), (Some(1), 1), "{stdout}");
}

#[test]
fn lint_finds_a_fault_exactly_where_a_policy_is_refused() {
    for text in
        ["", "[]", "version: 1", "a: 1", "version: x\nscopes: [a]", "scopes: [{}, [], {a: b}]"]
    {
        assert_eq!(Policy::errors(text).is_empty(), Policy::parse(text, "x").is_ok(), "{text}");
    }
}
