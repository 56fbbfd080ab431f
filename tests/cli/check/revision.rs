//! Old and new: two files, two revisions, two renderings.

use crate::folder::{CLAIM, Folder, SET, replicas, set, size};

/// A set that takes nobody's place.
fn unlike(name: &str) -> String {
    set(name)
        .replace("/var/lib/postgresql/data", "/data")
        .replace("postgres", "redis")
        .replace("app: db", "app: other")
}

#[test]
fn objects_pair_by_kind_namespace_and_name_wherever_they_stand() {
    let elsewhere = SET.replacen("namespace: shop", "namespace: other", 1);
    let folder = Folder::new(&[
        ("old/everything.yaml", &format!("{CLAIM}---\n{SET}---\n{elsewhere}")),
        ("new/sets/a.yaml", &size("5Gi")),
        ("new/sets/b.yaml", &elsewhere),
        ("new/c.yaml", CLAIM),
        ("new/d.yaml", &set("another")),
    ]);
    let ran = folder.judged(1, &["--old", "old", "new"]);
    assert_eq!(ran.verdicts(), ["sts-vct-size-shrink deny kubernetes"]);
    let finding = &ran.json()["findings"][0];
    assert_eq!(finding["old"]["file"], "old/everything.yaml");
    assert_eq!(finding["old"]["line"], 39);
    assert_eq!(finding["new"]["file"], "new/sets/a.yaml");
    let operations: Vec<String> = ran.json()["judged"]
        .as_array()
        .unwrap()
        .iter()
        .map(|j| format!("{} {}", j["operation"], j["object"]["name"]).replace('"', ""))
        .collect();
    assert_eq!(operations, ["UPDATE data-db-0", "CREATE another", "UPDATE db", "UPDATE db"]);
}

#[test]
fn either_side_may_come_from_standard_input() {
    let folder = Folder::new(&[("new.yaml", &size("5Gi")), ("old.yaml", SET)]);
    for (input, arguments) in
        [(SET, ["--old", "-", "new.yaml"]), (&*size("5Gi"), ["--old", "old.yaml", "-"])]
    {
        let ran = folder.check_with(input, &[&["--format", "json"], &arguments[..]].concat());
        assert_eq!(ran.verdicts(), ["sts-vct-size-shrink deny kubernetes"], "{arguments:?}");
    }
    let ran = folder.check(&["--old", "-", "-"]);
    assert_eq!((ran.code, &*ran.stdout), (Some(2), ""));
    assert!(ran.stderr.contains("cannot both come from standard input"), "{}", ran.stderr);
}

#[test]
fn an_object_that_is_gone_is_a_deletion_only_on_request() {
    let deletes = SET.replace(
        "  replicas: 3",
        "  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}\n  replicas: 3",
    );
    let folder = Folder::new(&[("old.yaml", &deletes), ("new.yaml", &unlike("other"))]);
    let ran = folder.judged(0, &["--old", "old.yaml", "new.yaml"]);
    assert_eq!(ran.json()["summary"]["objects"], 1);
    let ran = folder.judged(1, &["--old", "old.yaml", "new.yaml", "--deletions"]);
    assert!(
        ran.verdicts().contains(&"sts-delete-pvc-retention-delete deny policy".to_owned()),
        "{:?}",
        ran.verdicts()
    );
    let finding = &ran.json()["findings"][0];
    assert_eq!(finding["operation"], "DELETE");
    assert_eq!((&finding["old"]["file"], &finding["new"]), (&"old.yaml".into(), &().into()));
}

#[test]
fn a_revision_is_compared_from_any_folder() {
    let folder = Folder::repository(&[("deploy/db/set.yaml", SET)]);
    folder.write("deploy/db/renamed.yaml", &size("5Gi"));
    std::fs::remove_file(folder.path().join("deploy/db/set.yaml")).unwrap();
    for (below, path, file) in [
        (".", "deploy", "deploy/db/renamed.yaml"),
        ("deploy", ".", "db/renamed.yaml"),
        ("deploy/db", "../db", "../db/renamed.yaml"),
    ] {
        let ran = folder.check_in(below, &["--old-ref", "HEAD", path, "--format", "json"]);
        assert_eq!(ran.code, Some(1), "{below}: {ran:?}");
        let finding = &ran.json()["findings"][0];
        assert_eq!(finding["new"]["file"], file);
        let old = finding["old"]["file"].as_str().unwrap();
        assert!(old.starts_with("HEAD:") && old.ends_with("db/set.yaml"), "{old}");
        assert_eq!(finding["old"]["value"], "10Gi");
    }
    assert_eq!(folder.git(&["status", "--porcelain"]).lines().count(), 2, "the work tree stays");
    let ran = folder.check(&["--old-ref", "v9", "deploy"]);
    assert_eq!((ran.code, &*ran.stdout), (Some(2), ""));
    assert!(
        ran.stderr.starts_with("error: no revision \"v9\" in this repository; "),
        "{}",
        ran.stderr
    );
}

#[test]
fn annotations_name_files_from_the_root_of_the_repository() {
    let folder = Folder::repository(&[("deploy/db/set.yaml", SET)]);
    folder.write("deploy/db/set.yaml", &size("5Gi"));
    for (below, path) in [(".", "deploy"), ("deploy", "."), ("deploy/db", "../db/set.yaml")] {
        let sarif = folder.path().join("out.sarif");
        let sarif_format = format!("sarif={}", sarif.display());
        let formats = ["--format", "github", "--format", &sarif_format];
        let ran = folder.check_in(below, &[&["--old-ref", "HEAD", path], &formats[..]].concat());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stdout.starts_with("::error file=deploy/db/set.yaml,line="), "{}", ran.stdout);
        let log = folder.read("out.sarif");
        assert!(log.contains("\"uri\": \"deploy/db/set.yaml\""), "{log}");
        assert!(log.contains("\"uri\": \"HEAD%3Adeploy/db/set.yaml\""), "{log}");
    }
}

#[test]
fn a_change_cannot_relax_its_own_check() {
    let strict = "version: 1\nrules: {sts-scale-to-zero: deny}\n";
    let folder = Folder::repository(&[("deploy/db.yaml", SET), ("stateward.yaml", strict)]);
    folder.write("deploy/db.yaml", &replicas(0));
    folder.write("stateward.yaml", "version: 1\nrules: {sts-scale-to-zero: off}\n");
    for below in [".", "deploy"] {
        let path = if below == "." { "deploy" } else { "." };
        let ran = folder.check_in(below, &["--old-ref", "HEAD", path, "--verbose"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_eq!(
            ran.stderr,
            "note: the policy is that of HEAD:stateward.yaml; the one of the work tree counts once \
             it is merged, or with --policy\npolicy: HEAD:stateward.yaml\n"
        );
        assert!(ran.stdout.contains("stateward.dev/allow: sts-scale-to-zero"), "{}", ran.stdout);
    }
    let named =
        folder.check(&["--old-ref", "HEAD", "--policy", "stateward.yaml", "deploy", "--verbose"]);
    assert_eq!((named.code, &*named.stderr), (Some(0), "policy: stateward.yaml\n"));
    // Without a revision the nearest file counts, here the new one.
    let ran = folder.check_in("deploy", &["db.yaml", "--verbose"]);
    assert!(ran.stderr.ends_with("/stateward.yaml\n"), "{}", ran.stderr);
    // A change that brings the first policy is judged by the defaults.
    let young = Folder::repository(&[("db.yaml", SET)]);
    young.write("stateward.yaml", "version: 1\nrules: {sts-vct-size-shrink: off}\n");
    let ran = young.check(&["--old-ref", "HEAD", "db.yaml", "--verbose"]);
    assert!(ran.stderr.ends_with("\npolicy: built-in defaults\n"), "{}", ran.stderr);
}

/// A chart in miniature: a template and its values.
const RENDER: &str = "echo '# Source: db/templates/set.yaml'; sed \"s/SIZE/$(cat size)/\" set.tpl";

#[test]
fn rendered_output_is_judged_and_named_by_its_template() {
    let template = size("SIZE");
    let folder = Folder::repository(&[("chart/set.tpl", &template), ("chart/size", "10Gi")]);
    folder.write("chart/size", "5Gi");
    let arguments = ["--old-ref", "HEAD", "--render", RENDER];
    let ran = folder.check_in("chart", &[&arguments[..], &["--format", "json"]].concat());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.verdicts(), ["sts-vct-size-shrink deny kubernetes"]);
    let finding = &ran.json()["findings"][0];
    for (side, file) in [("old", "HEAD:rendered"), ("new", "rendered")] {
        assert_eq!(finding[side]["file"], file);
        assert_eq!(finding[side]["template"], "db/templates/set.yaml");
    }
    let text = folder.check_in("chart", &arguments).stdout;
    assert!(text.contains("= note: rendered from db/templates/set.yaml\n"), "{text}");
    let alone = folder.check_in("chart", &["--render", RENDER]);
    assert_eq!((alone.code, &*alone.stdout), (Some(0), "1 object judged: nothing found\n"));
}

#[test]
fn a_rendering_that_fails_in_either_revision_is_said_with_the_revision() {
    let folder = Folder::repository(&[("good.yaml", SET), (".gitignore", "made.yaml\n")]);
    folder.write("made.yaml", SET);
    // What git ignores is in no revision, so the command is wrong.
    let ran = folder.check(&["--old-ref", "HEAD", "--render", "cat made.yaml"]);
    assert_eq!((ran.code, &*ran.stdout), (Some(2), ""));
    assert!(ran.stderr.starts_with("error: `cat made.yaml` at HEAD ended with "), "{}", ran.stderr);
    assert!(ran.stderr.contains("No such file"), "{}", ran.stderr);
    let ran = folder.check(&["--old-ref", "HEAD", "--render", "cat good.yaml"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = folder.check(&["--old-ref", "nowhere", "--render", "cat good.yaml"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("no revision \"nowhere\""), "{}", ran.stderr);
}

#[test]
fn a_copy_in_a_second_file_hides_no_change() {
    let folder = Folder::repository(&[("deploy/db.yaml", SET)]);
    let bare = size("5Gi").replacen("  namespace: shop\n", "", 1);
    for (name, copy) in
        [("zz.yaml", size("5Gi")), ("a.yaml", size("5Gi")), ("b/zz.yaml", bare.clone())]
    {
        let name = format!("deploy/{name}");
        folder.write(&name, &copy);
        let ran = folder.judged(1, &["--old-ref", "HEAD", "deploy"]);
        assert_eq!(ran.verdicts(), ["sts-vct-size-shrink deny kubernetes"], "{name}");
        let finding = &ran.json()["findings"][0];
        assert_eq!(finding["new"]["file"], *name);
        assert_eq!(finding["old"]["file"], "HEAD:deploy/db.yaml");
        std::fs::remove_file(folder.path().join(&name)).unwrap();
    }
    // Without a namespace the same object may be meant.
    folder.write("deploy/db.yaml", &bare);
    let ran = folder.judged(1, &["--old-ref", "HEAD", "deploy"]);
    assert_eq!(ran.verdicts(), ["sts-vct-size-shrink deny kubernetes"]);
}

#[test]
fn an_object_that_is_gone_is_counted_and_named() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n";
    let folder = Folder::repository(&[
        ("deploy/db.yaml", SET),
        ("deploy/claim.yaml", CLAIM),
        ("deploy/web.yaml", deployment),
    ]);
    folder.write("deploy/db.yaml", &unlike("db2"));
    std::fs::remove_file(folder.path().join("deploy/web.yaml")).unwrap();
    let arguments = ["--old-ref", "HEAD", "deploy"];
    let ran = folder.check(&arguments);
    let count = "2 objects judged: nothing found; 1 removed, not judged without --deletions\n";
    assert_eq!((ran.code, &*ran.stdout), (Some(0), count));
    let ran = folder.check(&[&arguments[..], &["--verbose"]].concat());
    let removed =
        "removed: StatefulSet shop/db (HEAD:deploy/db.yaml:1), not judged without --deletions";
    assert!(ran.stdout.lines().any(|line| line == removed), "{}", ran.stdout);
    let json = folder.judged(0, &arguments).json();
    assert_eq!(json["removed"][0]["object"]["name"], "db");
    assert_eq!((&json["removed"][0]["line"], &json["summary"]["removed"]), (&1.into(), &1.into()));
    let ran = folder.check(&[&arguments[..], &["--deletions"]].concat());
    assert!(!ran.stdout.contains("removed"), "{}", ran.stdout);
}

#[test]
fn a_new_policy_that_does_not_count_yet_is_said() {
    let folder = Folder::repository(&[("db.yaml", SET)]);
    let quiet = folder.check(&["--old-ref", "HEAD", "db.yaml"]);
    assert_eq!((quiet.code, &*quiet.stderr), (Some(0), ""));
    folder.write("stateward.yaml", "version: 1\n");
    let ran = folder.check(&["--old-ref", "HEAD", "db.yaml"]);
    assert_eq!(
        (ran.code, &*ran.stderr),
        (
            Some(0),
            "note: HEAD has no stateward.yaml: the built-in defaults count; the one of the work \
             tree counts once it is merged, or with --policy\n"
        )
    );
    let named = folder.check(&["--old-ref", "HEAD", "--policy", "stateward.yaml", "db.yaml"]);
    assert_eq!((named.code, &*named.stderr), (Some(0), ""));
}

#[test]
fn a_folder_that_is_gone_holds_objects_that_are_gone() {
    let folder = Folder::repository(&[("deploy/db.yaml", SET)]);
    std::fs::remove_dir_all(folder.path().join("deploy")).unwrap();
    let ran = folder.check(&["--old-ref", "HEAD", "deploy"]);
    let says = "no StatefulSet or PersistentVolumeClaim to judge; 1 removed, not judged without \
                --deletions\n";
    assert_eq!((ran.code, &*ran.stdout), (Some(0), says));
    let ran = folder.judged(0, &["--old-ref", "HEAD", "deploy/db.yaml", "--deletions"]);
    assert_eq!(ran.json()["judged"][0]["operation"], "DELETE");
    // What was never there is a slip of the pen.
    let ran = folder.judged(2, &["--old-ref", "HEAD", "deploi"]);
    assert_eq!(ran.errors(), ["deploi:0:0: no such file or folder"]);
}

/// A pre-commit hook runs before the first commit, too.
#[test]
fn everything_is_new_before_the_first_commit_of_a_branch() {
    let folder = Folder::new(&[("db.yaml", &size("1Ki"))]);
    folder.git(&["init", "--quiet"]);
    for old in [&["--old-ref", "HEAD", "."][..], &["--old-ref", "HEAD", "--render", "cat db.yaml"]]
    {
        let ran = folder.judged(0, old);
        assert_eq!(ran.json()["judged"][0]["operation"], "CREATE", "{old:?}");
        let says = "note: this branch has no commit yet, so every object is judged as new\n";
        assert_eq!(ran.stderr, says);
    }
    // Another name is still a mistake.
    let ran = folder.check(&["--old-ref", "HEAD^", "."]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    // So is a revision that a repository with commits lacks; a branch without one has nothing old.
    folder.commit();
    assert_eq!(folder.check(&["--old-ref", "other", "."]).code, Some(2));
    folder.git(&["checkout", "--quiet", "--orphan", "other"]);
    folder.judged(0, &["--old-ref", "HEAD", "."]);
}

#[test]
fn a_rendering_of_what_is_new_in_this_revision_is_judged_as_new() {
    let folder = Folder::repository(&[("other.yaml", SET)]);
    folder.write("overlays/new/set.yaml", &set("new"));
    for command in ["cat overlays/new/set.yaml", "cd 'overlays/new' && cat set.yaml"] {
        for committed in [false, true] {
            let reference = if committed { "HEAD^" } else { "HEAD" };
            if committed {
                folder.commit();
            }
            let ran = folder.judged(0, &["--old-ref", reference, "--render", command]);
            assert_eq!(ran.json()["judged"][0]["operation"], "CREATE");
            let note = format!("is not in {reference}, so every rendered object is judged as new");
            assert!(ran.stderr.starts_with("note: overlays/new"), "{}", ran.stderr);
            assert!(ran.stderr.contains(&note), "{}", ran.stderr);
            if committed {
                folder.git(&["reset", "--quiet", "HEAD^"]);
            }
        }
    }
}

#[test]
fn findings_in_renderings_name_files_that_exist() {
    let chart = "apiVersion: v2\nname: db # the chart\nversion: 1.0.0\n";
    let template = "charts/data-base/templates/set.yaml";
    let folder = Folder::repository(&[
        (template, &set("db")),
        ("charts/data-base/Chart.yaml", chart),
        ("charts/other/Chart.yaml", "name: 'other'\n"),
        ("charts/other/templates/set.yaml", ""),
        ("overlays/prod/kustomization.yaml", "resources: [set.yaml]\n"),
        ("overlays/prod/set.yaml", SET),
    ]);
    folder.write(template, &size("5Gi"));
    folder.write("overlays/prod/set.yaml", &size("5Gi"));
    let helm = |source: &str, folder: &str| {
        format!(
            "echo '# Source: {source}'; : helm template charts/other {folder}; cat {folder}/templates/set.yaml"
        )
    };
    for (below, command, file) in [
        (".", helm("db/templates/set.yaml", "charts/data-base"), template),
        (".", helm("db/templates/set.yaml", "./charts/data-base/"), template),
        ("charts", helm("db/templates/set.yaml", "data-base"), template),
        ("charts/data-base", helm("db/templates/set.yaml", "."), template),
        // A chart within the chart is packed.
        (
            ".",
            helm("db/charts/sub/templates/set.yaml", "charts/data-base"),
            "charts/data-base/Chart.yaml",
        ),
        (
            ".",
            "cat overlays/prod/set.yaml; : kustomize build overlays/prod".to_owned(),
            "overlays/prod/kustomization.yaml",
        ),
        (
            "overlays",
            "cat prod/set.yaml; : kustomize build prod/".to_owned(),
            "overlays/prod/kustomization.yaml",
        ),
    ] {
        let arguments = ["--old-ref", "HEAD", "--render", &command];
        let run = |format: &str| {
            folder.check_in(below, &[&arguments[..], &["--format", format]].concat()).stdout
        };
        let github = run("github");
        assert!(github.starts_with(&format!("::error file={file},title=denied")), "{github}");
        let sarif = run("sarif");
        assert!(sarif.contains(&format!("\"uri\": \"{file}\"")), "{command}: {sarif}");
        let markdown = run("markdown");
        assert!(markdown.contains(&format!("| `{file}` |")), "{command}: {markdown}");
    }
}

#[test]
fn places_of_the_old_revision_are_no_places_of_annotations() {
    let folder =
        Folder::repository(&[("x/a.yaml", "kind: StatefulSet\n\tb: c\n"), ("x/b.yaml", SET)]);
    std::fs::remove_file(folder.path().join("x/a.yaml")).unwrap();
    std::fs::remove_file(folder.path().join("x/b.yaml")).unwrap();
    let arguments = ["--old-ref", "HEAD", "--deletions", "x", "--format"];
    let github = folder.check(&[&arguments[..], &["github"]].concat()).stdout;
    assert!(!github.contains("file=HEAD"), "{github}");
    let sarif = folder.check(&[&arguments[..], &["sarif"]].concat()).stdout;
    assert!(!sarif.contains("HEAD%3A"), "{sarif}");
    assert!(sarif.contains("\"uri\": \"x/b.yaml\""), "{sarif}");
}
