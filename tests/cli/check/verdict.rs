//! Who refuses, whatever policy and annotations say.

use crate::folder::{CLAIM, Folder, Ran, SET, annotated, replicas, size};

/// Judges the edit from the first manifest to the second under a policy.
fn edit(policy: &str, old: &str, new: &str, code: i32) -> Ran {
    let folder = Folder::new(&[
        ("old.yaml", old),
        ("new.yaml", new),
        ("stateward.yaml", &format!("version: 1\n{policy}")),
    ]);
    folder.judged(code, &["--old", "old.yaml", "new.yaml"])
}

#[test]
fn what_kubernetes_refuses_nobody_can_allow() {
    let renamed = |set: &str| set.replace("serviceName: db", "serviceName: dbs");
    let allow = "{stateward.dev/allow: sts-service-name, stateward.dev/allow-reason: because}";
    let off = "rules: {sts-service-name: off}\n";
    for (policy, old, new) in [
        ("", SET.to_owned(), renamed(SET)),
        (off, SET.to_owned(), renamed(SET)),
        ("mode: audit\n", SET.to_owned(), renamed(SET)),
        ("rules: {sts-service-name: warn}\n", SET.to_owned(), renamed(SET)),
        ("", annotated(allow), renamed(&annotated(allow))),
    ] {
        let ran = edit(policy, &old, &new, 1);
        assert_eq!(ran.verdicts(), ["sts-service-name deny kubernetes"], "{policy}");
        assert_eq!(ran.json()["findings"][0]["howToAllow"], serde_json::Value::Null);
    }
}

#[test]
fn what_only_the_policy_refuses_the_policy_can_allow() {
    let zero = |set: &str| set.replace("replicas: 3", "replicas: 0");
    let deny = "rules: {sts-scale-to-zero: deny}\n";
    let denied = ["sts-scale-to-zero deny policy"];
    let warned = ["sts-scale-to-zero warn -"];
    assert_eq!(edit("", SET, &zero(SET), 0).verdicts(), warned);
    assert_eq!(edit(deny, SET, &zero(SET), 1).verdicts(), denied);
    assert_eq!(edit(&format!("mode: audit\n{deny}"), SET, &zero(SET), 0).verdicts(), warned);
    let off = "rules: {sts-scale-to-zero: off}\n";
    assert_eq!(edit(off, SET, &zero(SET), 0).verdicts(), [""; 0]);
    let allow = "{stateward.dev/allow: sts-scale-to-zero, stateward.dev/allow-reason: at night}";
    assert_eq!(edit(deny, SET, &zero(&annotated(allow)), 0).verdicts(), [""; 0]);
    let no_reason = "{stateward.dev/allow: sts-scale-to-zero}";
    assert_eq!(edit(deny, SET, &zero(&annotated(no_reason)), 1).verdicts(), denied);
    let ended = "{stateward.dev/allow: sts-scale-to-zero, stateward.dev/allow-reason: at night, \
                 stateward.dev/allow-until: '2020-01-01T00:00:00Z'}";
    assert_eq!(edit(deny, SET, &zero(&annotated(ended)), 1).verdicts(), denied);
    let firm = format!("overrides: false\n{deny}");
    let ran = edit(&firm, SET, &zero(&annotated(allow)), 1);
    assert_eq!(ran.verdicts(), denied);
    let ignored = "stateward.dev/allow does not count: the policy lets nobody use it";
    assert_eq!(ran.json()["findings"][0]["howToAllow"], ignored);
    let ran = edit(&firm, SET, &zero(SET), 1);
    assert_eq!(ran.json()["findings"][0]["howToAllow"], serde_json::Value::Null);
    let ran = edit(deny, SET, &zero(SET), 1);
    assert_eq!(
        ran.json()["findings"][0]["howToAllow"],
        "to allow it on purpose: annotations stateward.dev/allow: sts-scale-to-zero and \
         stateward.dev/allow-reason"
    );
}

#[test]
fn growth_of_a_claim_template_is_refused_unless_it_is_carried_out() {
    let refused = ["sts-vct-size-grow deny kubernetes"];
    let carried_out = ["sts-vct-size-grow warn -"];
    let grown = size("20Gi");
    for (policy, code, verdicts) in [
        ("", 1, refused),
        ("resize: reject\n", 1, refused),
        ("resize: ignore\n", 1, refused),
        ("resize: orchestrate\n", 0, carried_out),
        // Nothing is patched in audit, so nothing is carried out.
        ("resize: orchestrate\nmode: audit\n", 1, refused),
        ("resize: orchestrate\nrules: {sts-vct-size-grow: off}\n", 0, carried_out),
        ("scopes: [{match: {namespaces: [sh*]}, resize: orchestrate}]\n", 0, carried_out),
        ("scopes: [{match: {namespaces: [other]}, resize: orchestrate}]\n", 1, refused),
    ] {
        assert_eq!(edit(policy, SET, &grown, code).verdicts(), verdicts, "{policy}");
    }
    let ran = edit("resize: orchestrate\n", SET, &grown, 0);
    let finding = &ran.json()["findings"][0];
    assert!(finding["why"].as_str().unwrap().ends_with("is recorded as a request."));
    assert_eq!(finding["remedy"], serde_json::json!([]), "nothing is left for a person to do");
    let asks = |mode: &str| annotated(&format!("{{stateward.dev/resize: {mode}}}"));
    let asks_and_grows = |mode: &str| asks(mode).replace("10Gi", "20Gi");
    assert_eq!(
        edit("", &asks("orchestrate"), &asks_and_grows("orchestrate"), 0).verdicts(),
        carried_out
    );
    assert_eq!(
        edit("resize: orchestrate\n", &asks("ignore"), &asks_and_grows("ignore"), 1).verdicts(),
        refused
    );
    let firm = "resize: orchestrate\noverrides: false\n";
    assert_eq!(edit(firm, &asks("ignore"), &asks_and_grows("ignore"), 0).verdicts(), carried_out);
    // Another edit that is refused stays refused.
    let both = grown.replace("serviceName: db", "serviceName: dbs");
    assert_eq!(
        edit("resize: orchestrate\n", SET, &both, 1).verdicts(),
        ["sts-service-name deny kubernetes", "sts-vct-size-grow warn -"]
    );
}

#[test]
fn labels_of_claim_templates_are_restored_where_the_policy_says_so() {
    let labelled =
        SET.replace("metadata: {name: data}", "metadata: {name: data, labels: {v: '2'}}");
    assert_eq!(edit("", SET, &labelled, 1).verdicts(), ["sts-vct-metadata deny kubernetes"]);
    let restore = "claim-template-metadata: restore\n";
    assert_eq!(edit(restore, SET, &labelled, 0).verdicts(), ["sts-vct-metadata warn -"]);
}

#[test]
fn practice_is_a_warning() {
    let sloppy = SET.replace("postgres:17.2", "postgres");
    let folder = Folder::new(&[("db.yaml", &sloppy)]);
    assert_eq!(folder.judged(0, &["db.yaml"]).verdicts(), ["sts-image-latest warn -"]);
    folder.judged(1, &["db.yaml", "--fail-on", "warn"]);
    folder.write("stateward.yaml", "version: 1\nrules: {sts-image-latest: deny}\n");
    assert_eq!(folder.judged(1, &["db.yaml"]).verdicts(), ["sts-image-latest deny policy"]);
}

#[test]
fn a_claim_that_grows_is_judged_by_its_class_where_that_is_among_the_inputs() {
    let class = |allows: bool| {
        format!(
            "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: fast}}\n\
             provisioner: a.b\nallowVolumeExpansion: {allows}\n"
        )
    };
    let folder =
        Folder::new(&[("old.yaml", CLAIM), ("new/claim.yaml", &CLAIM.replacen("10Gi", "20Gi", 1))]);
    let arguments = ["--old", "old.yaml", "new"];
    let ran = folder.judged(0, &arguments);
    let json = ran.json();
    assert_eq!(json["notJudged"][0]["rule"], "pvc-expand-class-disallows");
    assert_eq!(json["notJudged"][0]["needs"], "StorageClass fast");
    assert_eq!(
        folder.check(&arguments).stdout,
        "not judged: PersistentVolumeClaim shop/data-db-0 (new/claim.yaml:1): \
         pvc-expand-class-disallows needs StorageClass fast\n1 object judged: nothing found; 1 not judged\n"
    );
    folder.write("new/class.yaml", &class(true));
    let ran = folder.check(&arguments);
    assert_eq!((ran.code, &*ran.stdout), (Some(0), "1 object judged: nothing found\n"));
    folder.write("new/class.yaml", &class(false));
    let ran = folder.judged(1, &arguments);
    assert_eq!(ran.verdicts(), ["pvc-expand-class-disallows deny kubernetes"]);
    assert_eq!(ran.json()["notJudged"], serde_json::json!([]));
}

#[test]
fn a_manifest_that_names_an_owner_is_judged_like_any_other() {
    let owner = "  ownerReferences:\n    - {apiVersion: db.example/v1, kind: Database, name: db, uid: u, \
                 controller: true}\n";
    let with_owner = |set: &str| set.replacen("spec:\n", &format!("{owner}spec:\n"), 1);
    let deny = "rules: {sts-scale-to-zero: deny}\nresize: orchestrate\n";
    let zero = edit(deny, &with_owner(SET), &with_owner(&replicas(0)), 1);
    assert_eq!(zero.verdicts(), ["sts-scale-to-zero deny policy"]);
    // The operator relies on being refused: growth is not carried out either.
    let grown = edit(deny, &with_owner(SET), &with_owner(&size("20Gi")), 1);
    assert_eq!(grown.verdicts(), ["sts-vct-size-grow deny kubernetes"]);
    let opted_in = "{stateward.dev/owner-managed: allow}";
    let zero = annotated(opted_in).replace("replicas: 3", "replicas: 0");
    assert_eq!(
        edit(deny, &with_owner(&annotated(opted_in)), &with_owner(&zero), 1).verdicts(),
        ["sts-scale-to-zero deny policy"]
    );
}

#[test]
fn a_claim_that_shrinks_in_git_is_a_warning_in_every_format() {
    let claim = CLAIM.replace("status: {phase: Bound, capacity: {storage: 10Gi}}\n", "");
    let folder = Folder::new(&[
        ("old.yaml", &claim),
        ("new.yaml", &claim.replace("10Gi", "5Gi")),
        ("live.yaml", CLAIM),
    ]);
    let arguments = ["--old", "old.yaml", "new.yaml"];
    let says = "PersistentVolumeClaim shop/data-db-0: would shrink, 10Gi → 5Gi; refused once the \
                claim is bound";
    let text = folder.check(&arguments);
    assert_eq!(text.code, Some(0), "{text:?}");
    assert!(text.stdout.starts_with(&format!("warning: {says}\n --> new.yaml:8:35\n")), "{text:?}");
    assert!(text.stdout.ends_with("1 object judged: 1 warning; 1 not judged\n"), "{text:?}");
    assert_eq!(folder.check(&[&arguments[..], &["--fail-on", "warn"]].concat()).code, Some(1));
    let github = folder.check(&[&arguments[..], &["--format", "github"]].concat()).stdout;
    assert!(
        github.starts_with("::warning file=new.yaml,line=8,col=35,title=warning pvc-shrink::"),
        "{github}"
    );
    let notice = "::notice file=new.yaml,line=1,col=1,title=not judged::PersistentVolumeClaim \
                  shop/data-db-0 (new.yaml:1): pvc-expand-unbound needs ";
    assert!(github.contains(notice), "{github}");
    let markdown = folder.check(&[&arguments[..], &["--format", "markdown"]].concat()).stdout;
    assert!(markdown.contains(&format!("| warning | {says} | `new.yaml:8` |\n")), "{markdown}");
    assert!(markdown.contains("<summary>1 not judged</summary>"), "{markdown}");
    // The live claim decides.
    let live = folder.judged(1, &["--old", "live.yaml", "new.yaml"]);
    assert_eq!(live.verdicts(), ["pvc-shrink deny kubernetes"]);
    // What was not judged is said where nothing else is, too.
    folder.write("new.yaml", &claim.replace("10Gi", "20Gi"));
    let markdown = folder.check(&[&arguments[..], &["--format", "markdown"]].concat()).stdout;
    assert!(
        markdown.starts_with(
            "**stateward**: 1 object judged: nothing found; 1 not judged\n\n<details><summary>1 not \
             judged</summary>\n\n- "
        ),
        "{markdown}"
    );
}

#[test]
fn a_name_that_is_missing_or_a_namespace_that_cannot_be_is_refused() {
    let claim = |metadata: &str| CLAIM.replacen("{name: data-db-0, namespace: shop}", metadata, 1);
    let required = "name or generateName is required";
    for (manifest, object, says) in [
        (claim("{namespace: shop}"), "PersistentVolumeClaim shop/(no name)", required),
        (claim("{}"), "PersistentVolumeClaim (no name)", required),
        (SET.replacen("name: db", "name: \"\"", 1), "StatefulSet shop/(no name)", required),
        (
            claim("{name: a, namespace: Sh op}"),
            "PersistentVolumeClaim Sh op/a",
            "\"Sh op\" is no name of a namespace",
        ),
    ] {
        let folder = Folder::new(&[("a.yaml", &manifest)]);
        let ran = folder.check(&["a.yaml", "--verbose"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stdout.starts_with(&format!("denied: {object}: {says}\n")), "{}", ran.stdout);
        let judged = format!("judged: CREATE {object} (a.yaml:1)");
        assert!(ran.stdout.contains(&judged), "{}", ran.stdout);
    }
    let folder = Folder::new(&[("a.yaml", &claim("{generateName: a-}"))]);
    let ran = folder.check(&["a.yaml", "--verbose"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("judged: CREATE PersistentVolumeClaim a-* (a.yaml:1)\n"));
}

#[test]
fn an_annotation_that_allows_nothing_says_why() {
    let reason = "stateward.dev/allow-reason: a lab";
    for (annotations, why) in [
        (
            "stateward.dev/allow: sts-image-latest".to_owned(),
            "stateward.dev/allow-reason is missing",
        ),
        (
            format!("stateward.dev/allow: sts-imge-latest, {reason}"),
            "there is no rule \"sts-imge-latest\"; did you mean \"sts-image-latest\"?",
        ),
        (
            format!(
                "stateward.dev/allow: sts-image-latest, {reason}, stateward.dev/allow-until: soon"
            ),
            "stateward.dev/allow-until is no time such as 2030-01-31T12:00:00Z",
        ),
        (
            format!(
                "stateward.dev/allow: sts-image-latest, {reason}, \
                 stateward.dev/allow-until: \"2020-01-01T00:00:00Z\""
            ),
            "stateward.dev/allow-until: 2020-01-01T00:00:00Z has passed",
        ),
    ] {
        let manifest = annotated(&format!("{{{annotations}}}")).replace("17.2", "latest");
        let folder = Folder::new(&[("db.yaml", &manifest)]);
        let ran = folder.check(&["db.yaml", "--verbose"]);
        let says = format!("stateward.dev/allow does not count: {why}\n");
        assert!(ran.stdout.contains(&format!("  = {says}")), "{}", ran.stdout);
        let judged = format!(
            "judged: CREATE StatefulSet shop/db (db.yaml:1), as PostgreSQL: image postgres:latest; {says}"
        );
        assert!(ran.stdout.contains(&judged), "{}", ran.stdout);
        // Where the finding is denied, it takes the place of the advice to annotate.
        folder.write("stateward.yaml", "version: 1\nrules: {sts-image-latest: deny}\n");
        let ran = folder.check(&["db.yaml"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stdout.contains(&says) && !ran.stdout.contains("on purpose"), "{}", ran.stdout);
    }
}

#[test]
fn a_refused_growth_names_the_setting_that_would_carry_it_out() {
    let says = "set resize: orchestrate in stateward.yaml";
    let steps = |policy: &str, code| edit(policy, SET, &size("20Gi"), code).stdout;
    assert!(steps("", 1).contains(says));
    assert!(!steps("resize: orchestrate\n", 0).contains(says));
    assert!(!edit("", SET, &size("5Gi"), 1).stdout.contains(says), "shrinking has no such way");
}

/// Two re-creations, one after the other, would each undo the other.
#[test]
fn several_refusals_have_one_re_creation() {
    let new = SET
        .replace("serviceName: db", "serviceName: other\n  podManagementPolicy: Parallel")
        .replace("metadata: {name: data}", "metadata: {name: data, labels: {tier: gold}}")
        .replace("10Gi", "20Gi")
        .replace("accessModes: [ReadWriteOnce]", "accessModes: [ReadWriteOncePod]");
    let folder = Folder::new(&[("old.yaml", SET), ("new.yaml", &new)]);
    let ran = folder.judged(1, &["--old", "old.yaml", "new.yaml"]);
    let json = ran.json();
    let findings = json["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 5, "{ran:?}");
    let commands: Vec<&str> = findings
        .iter()
        .flat_map(|finding| finding["remedy"].as_array().unwrap())
        .filter_map(|step| step["command"].as_str())
        .collect();
    let count = |part: &str| commands.iter().filter(|command| command.contains(part)).count();
    assert_eq!((count("kubectl patch --local"), count("replace --force")), (1, 1), "{commands:?}");
    let write = commands.iter().find(|command| command.contains("--local -f - --type")).unwrap();
    for change in ["other", "Parallel", "gold", "20Gi", "ReadWriteOncePod"] {
        assert!(write.contains(change), "{change}: {write}");
    }
    // The others name it, in their own words.
    let names = |finding: &serde_json::Value| {
        finding["remedy"].as_array().unwrap().iter().any(|step| {
            let text = step["text"].as_str().unwrap();
            text.contains("re-create the set once for all changes, as sts-")
        })
    };
    assert_eq!(findings.iter().filter(|finding| names(finding)).count(), 4, "{ran:?}");
    assert!(ran.stdout.contains("or, for the claims of later pods only, re-create the set once"));
    // What stays beside the re-creation does.
    assert_eq!(count("patch pvc data-db-$i"), 1, "{commands:?}");
}

#[test]
fn a_template_that_is_added_takes_the_other_changes_of_templates_along() {
    let second = "    - metadata: {name: wal}\n      spec:\n        accessModes: [ReadWriteOnce]\n        \
                  resources: {requests: {storage: 1Gi}}\n";
    let new = format!("{SET}{second}")
        .replace("metadata: {name: data}", "metadata: {name: data, labels: {tier: gold}}")
        .replace(
            "mountPath: /var/lib/postgresql/data}",
            "mountPath: /var/lib/postgresql/data}, {name: wal, mountPath: /wal}",
        );
    let folder = Folder::new(&[("old.yaml", SET), ("new.yaml", &new)]);
    let ran = folder.judged(1, &["--old", "old.yaml", "new.yaml"]);
    let text = ran.stdout.clone();
    let write = text.lines().find(|line| line.contains("--local -f - --type json")).unwrap();
    assert!(!write.contains("volumeClaimTemplates/0"), "{write}");
    assert!(write.contains("gold") && write.contains("wal"), "{write}");
    assert!(text.contains("keep running without the new volume"), "{text}");
}

#[test]
fn many_refusals_are_combined_into_one_way_out() {
    let template = |number: usize, label: &str| {
        format!(
            "    - metadata: {{name: t{number}, labels: {{a: {label}}}}}\n      spec: {{accessModes: \
             [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n"
        )
    };
    let all = |label: &str| {
        let (head, _) = SET.split_once("    - metadata: {name: data}").unwrap();
        let templates: String = (0..1000).map(|number| template(number, label)).collect();
        format!("{head}{templates}")
            .replace("[{name: data, mountPath: /var/lib/postgresql/data}]", "[]")
    };
    let folder = Folder::new(&[("old.yaml", &all("one")), ("new.yaml", &all("two"))]);
    let ran = folder.judged(1, &["--old", "old.yaml", "new.yaml"]);
    assert!(ran.stdout.contains("re-create the set once for all changes"));
}

#[test]
fn a_claim_for_one_node_that_two_sets_mount_is_warned_of() {
    let (head, _) = SET.split_once("  volumeClaimTemplates:").unwrap();
    let set = |name: &str, claim: &str| {
        format!(
            "{head}      volumes: [{{name: data, persistentVolumeClaim: {{claimName: {claim}}}}}]\n"
        )
        .replace("replicas: 3", "replicas: 1")
        .replacen("name: db", &format!("name: {name}"), 1)
    };
    let claim = CLAIM.replace("data-db-0", "shared");
    let shared = claim.replace("ReadWriteOnce", "ReadWriteMany");
    let both = format!("{}---\n{}", set("a", "shared"), set("b", "shared"));
    let warned = "sts-shared-pvc warn -";
    let judge = |old: Option<&str>, new: &str| {
        let folder = Folder::new(&[("old.yaml", old.unwrap_or_default()), ("new.yaml", new)]);
        let old: &[&str] = if old.is_some() { &["--old", "old.yaml"] } else { &[] };
        folder.judged(0, &[old, &["new.yaml"]].concat()).verdicts()
    };
    let (with, with_shared) = (format!("{claim}---\n{both}"), format!("{shared}---\n{both}"));
    assert_eq!(judge(None, &with), [warned, warned]);
    assert_eq!(judge(None, &with_shared), [""; 0]);
    assert_eq!(judge(None, &both), [""; 0], "the access modes are not known");
    // One set is added beside the other, or mounts its claim from now on.
    let one = format!("{claim}---\n{}", set("a", "shared"));
    assert_eq!(judge(Some(&one), &with), [warned]);
    assert_eq!(judge(Some(&with), &with), [""; 0]);
    let emptied = set("b", "x").replace("persistentVolumeClaim: {claimName: x}", "emptyDir: {}");
    assert_eq!(judge(Some(&format!("{one}---\n{emptied}")), &with), [warned]);
    // The same name in another namespace is another claim.
    let elsewhere = with.replacen("name: b\n  namespace: shop", "name: b\n  namespace: lab", 1);
    assert_eq!(judge(None, &elsewhere), [""; 0]);
}
