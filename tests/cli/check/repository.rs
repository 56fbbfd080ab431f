//! Repositories as people have them: charts, overlays, and files that are no manifests.

use crate::folder::{CLAIM, Folder, Ran, SET, replicas, set, size};

const TEMPLATE: &str = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  \
                        name: {{ .Release.Name }}\nspec:\n  {{- toYaml .Values.spec | nindent 2 }}\n";
const PATCH: &str = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db, namespace: shop}\n\
                     spec: {template: {spec: {terminationGracePeriodSeconds: 120}}}\n";

/// `level file: message` of each notice.
fn notices(ran: &Ran) -> Vec<String> {
    let text = |notice: &serde_json::Value, key: &str| notice[key].as_str().unwrap().to_owned();
    let json = ran.json();
    let one = |notice: &serde_json::Value| {
        let [level, file, message] = ["level", "file", "message"].map(|key| text(notice, key));
        format!("{level} {file}: {message}")
    };
    json["notices"].as_array().unwrap().iter().map(one).collect()
}

/// The files whose objects were judged.
fn judged(ran: &Ran) -> Vec<String> {
    let json = ran.json();
    let file = |judged: &serde_json::Value| judged["file"].as_str().unwrap().to_owned();
    json["judged"].as_array().unwrap().iter().map(file).collect()
}

#[test]
fn templates_of_a_chart_are_left_out_and_counted() {
    let chart = "apiVersion: v2\nname: db\nversion: 1.0.0\n";
    for (chart_file, template, shown) in [
        ("charts/db/Chart.yaml", "charts/db/templates/set.yaml", "charts/db"),
        ("charts/db/Chart.yaml", "charts/db/templates/sub/set.yaml", "charts/db"),
        ("a/charts/b/Chart.yaml", "a/charts/b/templates/tests/set.yaml", "a/charts/b"),
        ("Chart.yaml", "templates/set.yaml", "."),
    ] {
        let values = chart_file.replace("Chart.yaml", "values-prod.yaml");
        let folder = Folder::repository(&[
            (chart_file, chart),
            (&values, "set: {kind: StatefulSet, name: {{ tpl .x }}}\n"),
            (template, TEMPLATE),
            ("db.yaml", SET),
        ]);
        for arguments in [&["."][..], &["--old-ref", "HEAD", "."]] {
            let ran = folder.judged(0, arguments);
            assert_eq!(judged(&ran), ["db.yaml"]);
            let expected = format!(
                "note {shown}: 2 files of this chart left out; to judge what it renders, use \
                 --render 'helm template NAME {shown}'"
            );
            assert_eq!(notices(&ran), [expected]);
            assert_eq!(ran.json()["summary"]["leftOut"], 2);
        }
        let text = folder.check(&["."]).stdout;
        assert!(
            text.ends_with("judged: nothing found; 1 document skipped; 2 files left out\n"),
            "{text}"
        );
        // Whoever names a template wants to know what is wrong with it.
        let ran = folder.judged(2, &[template]);
        assert!(ran.errors()[0].contains("unresolved Helm template"), "{ran:?}");
    }
    // A folder of that name without a chart holds manifests.
    let folder = Folder::new(&[("templates/db.yaml", SET)]);
    assert_eq!(judged(&folder.judged(0, &["."])), ["templates/db.yaml"]);
}

#[test]
fn what_a_kustomization_patches_with_is_no_manifest() {
    let config = "data: {a: \"kind: StatefulSet\"}\n";
    for (kustomization, left_out) in [
        ("patches: [{path: grace.yaml}]", "overlays/prod/grace.yaml"),
        (
            "patches: [{path: ./grace.yaml, target: {kind: StatefulSet}}]",
            "overlays/prod/grace.yaml",
        ),
        ("patchesStrategicMerge: [grace.yaml]", "overlays/prod/grace.yaml"),
        ("patchesStrategicMerge: [../common/grace.yaml]", "overlays/common/grace.yaml"),
        ("components: [../x]\npatches:\n- path: sub/grace.yaml", "overlays/prod/sub/grace.yaml"),
        (
            "configMapGenerator: [{name: a, files: [db.yaml=grace.yaml]}]",
            "overlays/prod/grace.yaml",
        ),
    ] {
        let text = format!("resources: [../../base]\n{kustomization}\n");
        let names = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
        let names = if left_out.contains("sub") { &names[..] } else { &names[..1] };
        for name in names {
            let folder = Folder::repository(&[
                ("base/set.yaml", SET),
                ("base/kustomization.yaml", "resources: [set.yaml]\n"),
                (&format!("overlays/prod/{name}"), &text),
                ("overlays/prod/config.yaml", config),
            ]);
            folder.write(left_out, PATCH);
            // New in the work tree, and known to the old revision as well.
            for committed in [false, true] {
                if committed {
                    folder.commit();
                }
                for arguments in [&["."][..], &["--old-ref", "HEAD", "."]] {
                    let ran = folder.judged(0, arguments);
                    assert_eq!(judged(&ran), ["base/set.yaml"], "{kustomization}");
                    let notices = notices(&ran);
                    assert!(
                        notices[0].ends_with("use --render 'kustomize build overlays/prod'"),
                        "{notices:?}"
                    );
                }
            }
        }
    }
}

/// Nobody judges what a patch or a template changes, and that is said aloud.
#[test]
fn a_change_of_what_is_left_out_is_warned_of() {
    let files = [
        ("base/set.yaml", SET),
        ("base/kustomization.yaml", "resources: [set.yaml]\n"),
        (
            "overlays/prod/kustomization.yaml",
            "resources: [../../base]\npatches: [{path: p.yaml}]\n",
        ),
        ("overlays/prod/p.yaml", PATCH),
        ("charts/db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n"),
        ("charts/db/values.yaml", "a: 1\n"),
        ("charts/db/templates/set.yaml", TEMPLATE),
    ];
    let chart = "--render 'helm template NAME charts/db'";
    let overlay = "--render 'kustomize build overlays/prod'";
    for (file, text, hint) in [
        ("overlays/prod/p.yaml", Some(PATCH.replace("120", "0")), overlay),
        ("charts/db/templates/set.yaml", Some(TEMPLATE.replace("spec", "spec2")), chart),
        ("charts/db/templates/new.yaml", Some(TEMPLATE.to_owned()), chart),
        ("charts/db/values.yaml", Some("a: 2\n".to_owned()), chart),
        ("charts/db/templates/set.yaml", None, chart),
        // What describes the folder, and what templates include.
        (
            "overlays/prod/kustomization.yaml",
            Some("resources: [../../base]\npatches: [{path: p.yaml}]\nnamePrefix: a-\n".to_owned()),
            overlay,
        ),
        (
            "base/kustomization.yaml",
            Some("resources: [set.yaml]\nnamePrefix: a-\n".to_owned()),
            "--render 'kustomize build base'",
        ),
        ("base/kustomization.yaml", None, "--render 'kustomize build base'"),
        ("charts/db/templates/_helpers.tpl", Some("{{ define \"a\" }}".to_owned()), chart),
        (
            "charts/db/Chart.yaml",
            Some("apiVersion: v2\nname: db\nversion: 1.0.1\n".to_owned()),
            chart,
        ),
        ("charts/db/Chart.lock", Some("dependencies: []\n".to_owned()), chart),
    ] {
        let folder = Folder::repository(&files);
        assert!(!folder.check(&["--old-ref", "HEAD", "."]).stdout.contains("warning"));
        match text {
            Some(text) => folder.write(file, &text),
            None => std::fs::remove_file(folder.path().join(file)).unwrap(),
        }
        for below in [".", "base"] {
            let path = if below == "." { "." } else { ".." };
            let ran = folder.check_in(below, &["--old-ref", "HEAD", path]);
            assert_eq!(ran.code, Some(0), "{ran:?}");
            let warning = ran.stdout.lines().find(|line| line.starts_with("warning: "));
            let warning = warning.unwrap_or_else(|| panic!("{file}: {ran:?}"));
            assert!(warning.contains(": 1 changed file not judged: "), "{warning}");
            let hint = if below == "." {
                hint.to_owned()
            } else {
                hint.replace(" charts", " ../charts").replace("build ", "build ../")
            };
            assert!(warning.contains(&hint), "{warning}");
        }
    }
}

#[test]
fn what_some_kustomization_applies_is_a_manifest() {
    let folder = Folder::new(&[
        ("a/kustomization.yaml", "patches: [{path: ../set.yaml}]\n"),
        ("b/kustomization.yaml", "resources: [../set.yaml]\n"),
        ("c/kustomization.yaml", "patches: [\n"),
        ("d/kustomization.yaml", "patches:\n- patch: |\n    kind: StatefulSet\n    a: set.yaml\n"),
        ("set.yaml", SET),
    ]);
    let ran = folder.judged(0, &["."]);
    assert_eq!(judged(&ran), ["set.yaml"]);
}

#[test]
fn files_are_left_out_by_pattern() {
    let jinja = SET.replace("replicas: 3", "{% if x %}replicas: {{ x }}{% endif %}");
    let folder = Folder::repository(&[
        ("db.yaml", SET),
        ("ansible/db.yaml", &jinja),
        ("ansible/roles/other/db.yaml", &jinja),
        ("x/db.j2.yaml", &jinja),
    ]);
    folder.judged(2, &["."]);
    let excluded = ["--exclude", "ansible/", "--exclude", "*.j2.yaml"];
    for arguments in [&["."][..], &["--old-ref", "HEAD", "."]] {
        let ran = folder.judged(0, &[&excluded[..], arguments].concat());
        assert_eq!(judged(&ran), ["db.yaml"]);
    }
    folder.write(".statewardignore", "# not ours\n/ansible\nx/*.j2.yaml\n");
    assert_eq!(judged(&folder.judged(0, &["."])), ["db.yaml"]);
    // From a folder below, too, and by name all the same.
    assert_eq!(folder.check_in("ansible", &["."]).code, Some(0));
    folder.judged(2, &["ansible/db.yaml"]);
    // A change cannot hide from its own check by way of the file.
    folder.write("ansible/new.yaml", &jinja);
    folder.judged(2, &["--old-ref", "HEAD", "."]);
    folder.commit();
    assert_eq!(judged(&folder.judged(0, &["--old-ref", "HEAD", "."])), ["db.yaml"]);
    let ran = folder.check(&["--exclude", "a[", "."]);
    assert!(ran.stderr.contains("--exclude:1: \"a[\" is not a pattern"), "{ran:?}");
}

#[test]
fn what_is_read_nowhere_blocks_nothing() {
    let folder = Folder::repository(&[
        ("db.yaml", SET),
        ("other.yaml", "kind: ConfigMap\n\ta: b\n"),
        ("jinja.yaml", "{% if x %}\na: b\n{% endif %}\n"),
        ("values.yaml", "a: {{ b }}\n"),
    ]);
    std::fs::write(folder.path().join("secret.yaml"), b"\0GITCRYPT\0\xff\xfe\x01").unwrap();
    let ran = folder.judged(0, &["."]);
    assert_eq!(judged(&ran), ["db.yaml"]);
    let notices = notices(&ran);
    assert_eq!(notices.len(), 4, "{notices:?}");
    assert!(notices.iter().all(|notice| notice.starts_with("warning ")), "{notices:?}");
    let text = folder.check(&["."]).stdout;
    assert!(text.contains("warning: other.yaml:2:1: a tab in the indentation"), "{text}");
    // What may hide a judged object is an error still.
    for (name, text) in [
        ("a.yaml", SET.replace("  replicas: 3", "\treplicas: 3")),
        ("b.yaml", "items:\n- {kind: statefulset\n".to_owned()),
        ("c.yaml", "{\"kind\": \"PersistentVolumeClaim\"".to_owned()),
    ] {
        let folder = Folder::new(&[(name, &text)]);
        folder.judged(2, &["."]);
    }
}

#[test]
fn the_last_of_repeated_keys_counts_and_is_warned_of() {
    let repeated = SET.replace("  replicas: 3", "  replicas: 3\n  replicas: -1");
    let json = r#"{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a", "name": "b"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}"#;
    let config =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: b}\ndata: {c: d}\n";
    let folder = Folder::new(&[("a.yaml", &repeated), ("b.json", json), ("c.yaml", config)]);
    let ran = folder.judged(1, &["."]);
    assert_eq!(ran.verdicts(), ["sts-invalid-value deny kubernetes"]);
    assert_eq!(ran.json()["findings"][0]["new"]["line"], 8);
    assert_eq!(ran.json()["judged"][1]["object"]["name"], "b");
    assert_eq!(
        notices(&ran),
        [
            "warning a.yaml: the key \"replicas\" replaces the one of line 7, column 3; kubectl \
             applies only this one",
            "warning b.json: the key \"name\" replaces the one of line 1, column 68; kubectl applies \
             only this one",
            "warning c.yaml: the key \"data\" replaces the one of line 4, column 1; kubectl applies \
             only this one",
        ]
    );
}

#[test]
fn variables_of_flux_without_a_default_are_named_and_the_rest_is_judged() {
    for (text, field) in [
        (SET.replace("replicas: 3", "replicas: ${n}"), "spec.replicas"),
        (size("\"${size}\""), "spec.volumeClaimTemplates[0].spec.resources.requests.storage"),
    ] {
        let text = text.replace("postgres:17.2", "postgres:latest");
        let folder = Folder::new(&[("a.yaml", &text), ("b.yaml", &replicas(0).replace("db", "x"))]);
        let ran = folder.judged(0, &["."]);
        let json = ran.json();
        let needs = json["notJudged"][0]["needs"].as_str().unwrap();
        assert!(needs.starts_with("the value of ${"), "{needs}");
        assert!(needs.contains(&format!(" in {field}: ")), "{needs}");
        assert!(needs.ends_with("--render 'kustomize build FOLDER | flux envsubst'"), "{needs}");
        assert_eq!(json["summary"]["objects"], 2);
        assert_eq!(json["notJudged"].as_array().unwrap().len(), 1, "{json}");
        assert_eq!(ran.verdicts(), ["sts-image-latest warn -"]);
        // The rest of both sides is compared.
        folder.write("a.yaml", &text.replace("serviceName: db", "serviceName: other"));
        folder.write("old.yaml", &text);
        let ran = folder.judged(1, &["--old", "old.yaml", "a.yaml"]);
        assert_eq!(ran.verdicts(), ["sts-service-name deny kubernetes"], "{field}");
        // Whatever the other side has there is no change.
        for (old, new) in [(SET, &*text), (&*text, SET)] {
            folder.write("old.yaml", &old.replace("postgres:17.2", "postgres:latest"));
            folder.write("a.yaml", &new.replace("serviceName: db", "serviceName: other"));
            let ran = folder.judged(1, &["--old", "old.yaml", "a.yaml"]);
            assert_eq!(ran.verdicts(), ["sts-service-name deny kubernetes"], "{field}");
            assert_eq!(ran.json()["summary"]["notJudged"], 1);
        }
    }
    // Nobody knows if what a variable becomes is a name, a version or a change.
    let claim = CLAIM.replace("data-db-0", "\"${APP}\"").replace("fast", "\"${CLASS}\"");
    let image = SET.replace("17.2", "${TAG}").replace("app: db}", "app: \"${APP}\"}");
    let folder = Folder::new(&[("a.yaml", &claim), ("b.yaml", &image), ("old/a.yaml", &claim)]);
    let ran = folder.judged(0, &["a.yaml", "b.yaml"]);
    assert_eq!(ran.verdicts(), [""; 0]);
    let needs = ran.json()["notJudged"].to_string();
    assert!(needs.contains("${APP} in metadata.name"), "{needs}");
    folder.write("a.yaml", &claim.replace("${CLASS}", "slow"));
    let ran = folder.judged(0, &["--old", "old", "a.yaml"]);
    assert!(ran.json()["notJudged"].to_string().contains("${CLASS} in spec.storageClassName"));
    // Where one breaks the YAML, nothing else can be said.
    let folder = Folder::new(&[("a.yaml", &size("${size}"))]);
    let errors = folder.judged(2, &["."]).errors();
    assert!(errors[0].starts_with("a.yaml:29:41: unresolved variable (`${`): "), "{errors:?}");
}

#[test]
fn a_variable_of_flux_with_a_default_is_judged_as_the_default() {
    for (operator, replicas) in [(":=", "replicas: ${n:=3}"), (":-", "replicas: \"${n:-3}\"")] {
        let text = SET
            .replace("replicas: 3", replicas)
            .replace("10Gi", &format!("\"${{size{operator}10Gi}}\""))
            .replacen("name: db", &format!("name: ${{name{operator}db}}"), 1)
            .replacen("namespace: shop", &format!("namespace: \"${{env{operator}shop}}\""), 1);
        let folder = Folder::new(&[("old.yaml", &text), ("new.yaml", SET)]);
        for (old, new) in [("old.yaml", "new.yaml"), ("new.yaml", "old.yaml")] {
            let ran = folder.judged(0, &["--old", old, new]);
            assert_eq!(ran.verdicts(), [""; 0], "{operator}");
            assert_eq!(ran.json()["summary"]["notJudged"], 0);
        }
        folder.write("new.yaml", &text.replace("10Gi", "5Gi"));
        let ran = folder.judged(1, &["--old", "old.yaml", "new.yaml"]);
        assert_eq!(ran.verdicts(), ["sts-vct-size-shrink deny kubernetes"]);
        assert_eq!(ran.json()["findings"][0]["new"]["value"], "5Gi");
    }
    // A number in quotes is none without a variable.
    let folder = Folder::new(&[("a.yaml", &SET.replace("replicas: 3", "replicas: \"3\""))]);
    assert_eq!(folder.judged(2, &["."]).verdicts(), ["malformed error -"]);
}

#[test]
fn what_git_ignores_is_not_compared() {
    let folder = Folder::repository(&[
        (".gitignore", "rendered/\n*.tmp.yaml\n"),
        ("deploy/db.yaml", SET),
        ("other/.gitignore", "local.yaml\n"),
    ]);
    for name in ["rendered/db.yaml", "deploy/db.tmp.yaml", "other/local.yaml"] {
        folder.write(name, &size("5Gi"));
    }
    let ran = folder.judged(0, &["--old-ref", "HEAD", "."]);
    assert_eq!(judged(&ran), ["deploy/db.yaml"]);
    assert_eq!(folder.check_in("deploy", &["--old-ref", "HEAD", "."]).code, Some(0));
    // By name, and without git, they are read.
    let ran = folder.judged(0, &["--old-ref", "HEAD", "deploy/db.yaml", "rendered/db.yaml"]);
    assert_eq!(judged(&ran), ["deploy/db.yaml", "rendered/db.yaml"]);
    assert_eq!(judged(&folder.judged(0, &["rendered"])), ["rendered/db.yaml"]);
}

#[test]
fn a_file_is_read_once_however_often_it_is_named() {
    let folder = Folder::repository(&[("deploy/db.yaml", SET), ("deploy/x/y.yaml", &set("other"))]);
    for paths in [
        &["deploy", "deploy/db.yaml"][..],
        &["deploy", "./deploy", "deploy/"],
        &["deploy/db.yaml", "./deploy/db.yaml", "deploy/x/../db.yaml", "deploy/x"],
        &["deploy/x", "deploy"],
    ] {
        for revision in [&[][..], &["--old-ref", "HEAD"]] {
            let ran = folder.judged(0, &[revision, paths].concat());
            assert_eq!(ran.json()["summary"]["objects"], 2, "{paths:?}");
        }
    }
}

#[test]
fn what_a_sparse_checkout_lacks_is_not_deleted() {
    let folder = Folder::repository(&[("a/db.yaml", SET), ("b/db.yaml", &set("b"))]);
    folder.git(&["sparse-checkout", "set", "a"]);
    assert!(!folder.path().join("b/db.yaml").exists());
    let ran = folder.judged(0, &["--old-ref", "HEAD", "--deletions", "."]);
    assert_eq!(ran.json()["summary"]["objects"], 1, "{ran:?}");
    assert_eq!(notices(&ran), ["note .: outside of the sparse checkout, and so not compared"]);
}

#[test]
fn what_a_filter_keeps_elsewhere_is_taken_from_it() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    let folder = Folder::repository(&[(".gitattributes", "*.yaml filter=play\n")]);
    // Plays Git LFS: the repository holds a pointer, and the work tree the text.
    folder.write("kept", SET);
    folder.write("pointer", pointer);
    let kept = folder.path().join("kept").display().to_string();
    let at = folder.path().join("pointer").display().to_string();
    folder.git(&["config", "filter.play.clean", &format!("cat >/dev/null; cat {at}")]);
    folder.git(&["config", "filter.play.smudge", &format!("cat >/dev/null; cat {kept}")]);
    folder.write("deploy/db.yaml", SET);
    folder.commit();
    folder.write("deploy/db.yaml", &size("5Gi"));
    let ran = folder.judged(1, &["--old-ref", "HEAD", "deploy"]);
    assert_eq!(ran.verdicts(), ["sts-vct-size-shrink deny kubernetes"]);
    folder.git(&["config", "--unset", "filter.play.smudge"]);
    let ran = folder.judged(0, &["--old-ref", "HEAD", "deploy"]);
    assert!(notices(&ran)[0].contains("pointer of Git LFS"), "{ran:?}");
}

#[test]
fn any_filter_and_encoding_of_git_is_undone() {
    // A filter of somebody's own, as for encrypted files.
    let folder = Folder::repository(&[(".gitattributes", "*.yaml filter=rot\n")]);
    let rot = "tr A-Za-z N-ZA-Mn-za-m";
    folder.git(&["config", "filter.rot.clean", rot]);
    folder.git(&["config", "filter.rot.smudge", rot]);
    folder.write("deploy/db.yaml", SET);
    folder.write("deploy/with space/db.yaml", &set("two"));
    folder.commit();
    assert!(!folder.git(&["show", "HEAD:deploy/db.yaml"]).contains("StatefulSet"));
    folder.write("deploy/db.yaml", &size("5Gi"));
    folder.write("deploy/with space/db.yaml", &set("two").replace("10Gi", "4Gi"));
    for (below, path) in [(".", "deploy"), ("deploy", ".")] {
        let ran = folder.check_in(below, &["--format", "json", "--old-ref", "HEAD", path]);
        assert_eq!(ran.verdicts(), ["sts-vct-size-shrink deny kubernetes"; 2], "{below}");
    }
    // What the work tree holds in another encoding is read alike on both sides.
    let folder = Folder::repository(&[
        (".gitattributes", "u.yaml text working-tree-encoding=UTF-16LE-BOM\n"),
        ("db.yaml", SET),
    ]);
    let mut utf16 = vec![0xff, 0xfe];
    utf16.extend(set("u").encode_utf16().flat_map(u16::to_le_bytes));
    std::fs::write(folder.path().join("u.yaml"), utf16).unwrap();
    folder.commit();
    folder.judged(0, &["--old-ref", "HEAD", "."]);
    folder.write("db.yaml", &size("5Gi"));
    let ran = folder.judged(1, &["--old-ref", "HEAD", "."]);
    assert_eq!(ran.verdicts(), ["sts-vct-size-shrink deny kubernetes"]);
    // A filter that fails hides no other file.
    let folder = Folder::repository(&[("a.yaml", SET), ("b.yaml", &set("b"))]);
    folder.write(".gitattributes", "b.yaml filter=gone\n");
    folder.git(&["config", "filter.gone.smudge", "false"]);
    folder.git(&["config", "filter.gone.required", "true"]);
    folder.write("a.yaml", &size("5Gi"));
    let ran = folder.judged(1, &["--old-ref", "HEAD", "."]);
    assert_eq!(ran.verdicts(), ["sts-vct-size-shrink deny kubernetes"]);
}

/// `kubectl apply -f` reads them too, so a change could hide in them.
#[test]
fn hidden_files_are_read_and_the_history_is_not() {
    let files = [".db.yaml", ".k8s/db.yaml", "a/.deploy/db.yaml", "db.YAML", ".git/db.yaml"];
    for file in files {
        let folder =
            Folder::new(&[(&format!("old/{file}"), SET), (&format!("new/{file}"), &size("5Gi"))]);
        let ran = folder.check(&["--old", "old", "new"]);
        let wanted = i32::from(!file.starts_with(".git/"));
        assert_eq!(ran.code, Some(wanted), "{file}: {}{}", ran.stdout, ran.stderr);
    }
}

/// A named pipe in a folder is no manifest: nobody would ever write to it.
#[test]
fn a_pipe_in_a_folder_is_not_waited_for() {
    let folder = Folder::new(&[("db.yaml", SET)]);
    let made =
        std::process::Command::new("mkfifo").arg(folder.path().join("a.yaml")).status().unwrap();
    assert!(made.success());
    let ran = folder.check(&["."]);
    assert_eq!((ran.code, &*ran.stdout), (Some(0), "1 object judged: nothing found\n"));
}

const LFS: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";

#[test]
fn a_pointer_of_git_lfs_is_named_and_blocks_no_change() {
    let folder = Folder::repository(&[("a.yaml", LFS), ("b.json", LFS), ("db.yaml", SET)]);
    let says = |name: &str| {
        format!("warning {name}: this is a pointer of Git LFS, and the file itself is not here")
    };
    for arguments in [&["."][..], &["--old-ref", "HEAD", "."], &["--old", ".", "."]] {
        let ran = folder.judged(0, arguments);
        assert_eq!(notices(&ran), [says("a.yaml"), says("b.json")], "{arguments:?}");
        assert_eq!(judged(&ran), ["db.yaml"]);
    }
    folder.judged(0, &["--old-ref", "HEAD", "a.yaml"]);
    // A file that is named is meant to be judged.
    folder.judged(2, &["a.yaml"]);
    folder.write("db.yaml", LFS);
    folder.judged(2, &["--old-ref", "HEAD", "."]);
}

#[test]
fn what_was_in_a_file_that_can_no_longer_be_read_is_not_deleted() {
    for text in ["kind: ConfigMap\n\ta: b\n", "a: {{ b }}\n", "{% if a %}\n", LFS, "a: [\n"] {
        let folder = Folder::repository(&[("a/db.yaml", SET), ("a/other.yaml", &set("other"))]);
        folder.write("a/db.yaml", text);
        for arguments in [&[][..], &["--deletions"]] {
            let ran = folder.judged(2, &[&["--old-ref", "HEAD", "a"], arguments].concat());
            let errors = ran.errors();
            assert_eq!(errors.len(), 1, "{ran:?}");
            assert!(errors[0].starts_with("a/db.yaml:"), "{errors:?}");
            let held = "; StatefulSet shop/db was defined here before";
            assert!(errors[0].ends_with(held), "{errors:?}");
            assert_eq!(ran.verdicts(), [""; 0]);
            assert_eq!(ran.json()["summary"]["removed"], 0);
        }
        // The set moves, and another file takes the name of its own.
        folder.write("a/moved.yaml", SET);
        folder.judged(0, &["--old-ref", "HEAD", "a"]);
        // Two folders that are compared have different names.
        let folder = Folder::new(&[("old/a/db.yaml", SET), ("new/a/db.yaml", text)]);
        folder.judged(2, &["--old", "old", "new"]);
        folder.judged(0, &["--old", "new", "new"]);
    }
}

#[test]
fn a_chart_or_kustomization_that_is_added_hides_no_change() {
    let kustomization = "patches: [{path: templates/db.yaml}]\n";
    for (name, text) in [
        ("a/Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n"),
        ("a/kustomization.yaml", kustomization),
    ] {
        let folder = Folder::repository(&[("a/templates/db.yaml", SET)]);
        folder.write(name, text);
        let unchanged = folder.judged(0, &["--old-ref", "HEAD", "."]);
        assert_eq!(judged(&unchanged), ["a/templates/db.yaml"]);
        assert!(notices(&unchanged)[0].contains("1 changed file not judged"), "{unchanged:?}");
        folder.write("a/templates/db.yaml", &size("5Gi"));
        for (below, path) in [(".", "."), (".", "./a"), ("a", "."), ("a", "../a/")] {
            let arguments = ["--format", "json", "--old-ref", "HEAD", path];
            let ran = folder.check_in(below, &arguments);
            assert_eq!(ran.verdicts(), ["sts-vct-size-shrink deny kubernetes"], "{below} {path}");
        }
        folder.commit();
        assert_eq!(judged(&folder.judged(0, &["--old-ref", "HEAD", "."])), [""; 0]);
    }
}

#[test]
fn a_dead_link_that_was_there_before_blocks_nothing() {
    let folder = Folder::new(&[("db.yaml", SET)]);
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
    };
    link("nowhere.yaml", "dead.yaml");
    link("loop.yaml", "loop.yaml");
    link("/nowhere/at/all", "out.yaml");
    link("nowhere", "folder");
    folder.git(&["init", "--quiet"]);
    folder.commit();
    for arguments in [&["."][..], &["dead.yaml", "loop.yaml", "out.yaml", "db.yaml"]] {
        let ran = folder.judged(0, &[&["--old-ref", "HEAD"], arguments].concat());
        let says = "this link leads to nothing that could be read";
        let expected = ["dead", "loop", "out"].map(|name| format!("warning {name}.yaml: {says}"));
        assert_eq!(notices(&ran), expected);
    }
    folder.judged(0, &["--old", ".", "."]);
    link("nowhere.yaml", "new.yaml");
    let ran = folder.judged(2, &["--old-ref", "HEAD", "."]);
    assert_eq!(ran.errors().len(), 1, "{ran:?}");
}

#[test]
fn a_comment_about_a_set_makes_no_error() {
    for (name, text) in [
        ("a.yaml", "# kind: StatefulSet\na: {{ b }}\n"),
        ("b.yaml", "a: {{ b }}   # for the StatefulSet\n"),
        ("c.yaml", "{# a StatefulSet #}\n{% if x %}\n"),
        ("d.yaml", "{{- /* a StatefulSet */}}\na: {{ b }}\n"),
        ("e.json", "// kind: StatefulSet\n{\"a\": 1, // of a PersistentVolumeClaim\n}"),
        ("f.yaml", "a: [\r\n  # StorageClass\r\n"),
    ] {
        let folder = Folder::repository(&[(name, text)]);
        assert_eq!(notices(&folder.judged(0, &["."])).len(), 1, "{name}");
        folder.write(name, &format!("{text}\nkind: StatefulSet\n"));
        folder.judged(2, &["."]);
    }
}

#[test]
fn a_manifest_that_becomes_a_patch_is_compared_as_its_base() {
    let folder = Folder::repository(&[("prod/db.yaml", SET)]);
    folder.write("prod/db.yaml", PATCH);
    folder.write("prod/kustomization.yaml", "resources: [../base]\npatches: [{path: db.yaml}]\n");
    folder.write("base/db.yaml", SET);
    folder.write("base/kustomization.yaml", "resources: [db.yaml]\n");
    let ran = folder.judged(0, &["--old-ref", "HEAD", "--deletions", "."]);
    assert_eq!((ran.verdicts(), judged(&ran)), (vec![], vec!["base/db.yaml".to_owned()]));
}
