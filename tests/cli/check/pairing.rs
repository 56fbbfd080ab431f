//! Which old manifest a new one is compared with.

use crate::folder::{CLAIM, Folder, SET, set, size};

const SHRINK: &str = "sts-vct-size-shrink deny kubernetes";

#[test]
fn a_branch_is_compared_with_where_it_left() {
    let folder = Folder::repository(&[("deploy/db.yaml", SET)]);
    folder.git(&["branch", "-M", "main"]);
    folder.git(&["checkout", "--quiet", "-b", "change"]);
    folder.write("deploy/other.yaml", &set("other"));
    folder.commit();
    folder.git(&["checkout", "--quiet", "main"]);
    folder.write("deploy/db.yaml", &size("20Gi"));
    folder.commit();
    folder.git(&["checkout", "--quiet", "change"]);
    for reference in ["main", "main...HEAD", "main...", "change...main"] {
        let ran = folder.judged(0, &["--old-ref", reference, "deploy"]);
        assert_eq!(ran.verdicts(), [""; 0], "{reference}");
    }
    // The tip itself is compared on request.
    for reference in ["main..", "main..HEAD"] {
        let ran = folder.judged(1, &["--old-ref", reference, "deploy"]);
        assert_eq!(ran.verdicts(), [SHRINK], "{reference}");
    }
    // What the branch itself does is still seen, and what it names exists.
    folder.write("deploy/db.yaml", &size("5Gi"));
    let ran = folder.judged(1, &["--old-ref", "main", "deploy"]);
    assert_eq!(ran.verdicts(), [SHRINK]);
    let old = ran.json()["findings"][0]["old"]["file"].as_str().unwrap().to_owned();
    assert!(folder.git(&["show", &old]).contains("10Gi"), "{old}");
    let verbose = folder.check(&["--old-ref", "main", "--verbose", "deploy"]);
    assert!(verbose.stderr.contains("note: HEAD and main parted at "), "{}", verbose.stderr);
    for reference in ["nowhere...HEAD", "HEAD...nowhere", "nowhere.."] {
        let ran = folder.check(&["--old-ref", reference, "deploy"]);
        assert!(ran.stderr.contains("no revision \"nowhere\""), "{ran:?}");
    }
}

#[test]
fn without_a_common_ancestor_the_revision_itself_is_the_old_state() {
    let folder = Folder::repository(&[("deploy/db.yaml", SET)]);
    folder.git(&["branch", "-M", "main"]);
    folder.git(&["checkout", "--quiet", "--orphan", "other"]);
    folder.write("deploy/db.yaml", &size("5Gi"));
    folder.commit();
    let ran = folder.check(&["--old-ref", "main", "deploy"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.starts_with("warning: this clone holds no common ancestor of HEAD and main"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_policy_of_the_past_is_not_chosen_by_an_old_branch() {
    let folder = Folder::repository(&[("deploy/db.yaml", SET)]);
    folder.git(&["branch", "-M", "main"]);
    folder.git(&["checkout", "--quiet", "-b", "change"]);
    folder.git(&["checkout", "--quiet", "main"]);
    folder.write("stateward.yaml", "version: 1\nrules: {sts-scale-to-zero: deny}\n");
    folder.commit();
    folder.git(&["checkout", "--quiet", "change"]);
    folder.write("deploy/db.yaml", &crate::folder::replicas(0));
    let ran = folder.judged(1, &["--old-ref", "main", "deploy"]);
    assert_eq!(ran.verdicts(), ["sts-scale-to-zero deny policy"]);
}

#[test]
fn a_copied_folder_is_new() {
    for (original, copy) in [
        ("clusters/eu/db.yaml", "clusters/us/db.yaml"),
        ("overlays/dev/set/db.yaml", "overlays/staging/set/db.yaml"),
        ("a/db.yaml", "b/renamed.yaml"),
    ] {
        for text in [SET.to_owned(), SET.replacen("  namespace: shop\n", "", 1)] {
            let smaller = text.replace("10Gi", "8Gi");
            let folder = Folder::repository(&[(original, &text)]);
            folder.write(copy, &smaller);
            let ran = folder.judged(0, &["--old-ref", "HEAD", "."]);
            let operations: Vec<String> = ran.json()["judged"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| format!("{} {}", one["operation"], one["file"]).replace('"', ""))
                .collect();
            assert!(operations.contains(&format!("UPDATE {original}")), "{operations:?}");
            assert!(operations.contains(&format!("CREATE {copy}")), "{operations:?}");
            // The original moved there: that is a change.
            std::fs::remove_file(folder.path().join(original)).unwrap();
            let ran = folder.judged(1, &["--old-ref", "HEAD", "."]);
            assert_eq!(ran.verdicts(), [SHRINK], "{copy}");
        }
    }
}

#[test]
fn folders_that_are_renamed_together_stay_apart() {
    let (dev, prod) = (size("10Gi"), size("20Gi"));
    for (one, two, moved_one, moved_two) in [
        ("dev", "prod", "development", "production"),
        ("a", "b", "x", "y"),
        ("env/a", "env/b", "clusters/1", "clusters/2"),
    ] {
        let folder = Folder::repository(&[
            (&format!("{one}/db.yaml"), &dev),
            (&format!("{two}/db.yaml"), &prod),
        ]);
        for (from, to, text) in [(one, moved_one, &dev), (two, moved_two, &prod)] {
            std::fs::remove_dir_all(folder.path().join(from)).unwrap();
            folder.write(&format!("{to}/db.yaml"), text);
        }
        let ran = folder.judged(0, &["--old-ref", "HEAD", "."]);
        assert_eq!((ran.verdicts(), ran.errors()), (vec![], vec![]), "{one}");
        folder.write(&format!("{moved_two}/db.yaml"), &size("15Gi"));
        let ran = folder.judged(1, &["--old-ref", "HEAD", "."]);
        assert_eq!(ran.verdicts(), [SHRINK], "{one}");
        assert_eq!(ran.json()["findings"][0]["old"]["value"], "20Gi", "{one}");
    }
}

#[test]
fn equal_environments_that_are_renamed_and_changed_are_compared() {
    for (names, moved) in [(["a", "b"], ["x", "y"]), (["dev", "prod"], ["prod", "test"])] {
        let folder = Folder::repository(
            &names
                .map(|name| format!("{name}/db.yaml"))
                .each_ref()
                .map(|file| (file.as_str(), SET)),
        );
        for name in names {
            std::fs::remove_dir_all(folder.path().join(name)).unwrap();
        }
        for (name, text) in moved.iter().zip([size("5Gi"), crate::folder::replicas(4)]) {
            folder.write(&format!("{name}/db.yaml"), &text);
        }
        let ran = folder.judged(1, &["--old-ref", "HEAD", "."]);
        assert_eq!(ran.verdicts(), [SHRINK], "{names:?}");
        assert_eq!(ran.errors(), [""; 0]);
    }
}

#[test]
fn what_could_not_be_read_may_be_mended() {
    for broken in [
        SET.replace("  replicas: 3", "\treplicas: 3"),
        SET.replacen("name: db", "name: 5", 1),
        format!("<<<<<<< HEAD\n{SET}=======\n>>>>>>> x\n"),
    ] {
        let folder =
            Folder::repository(&[("deploy/db.yaml", &broken), ("deploy/a.yaml", &set("a"))]);
        // As it is, nobody's change is to blame.
        folder.judged(0, &["--old-ref", "HEAD", "deploy"]);
        // Without the comparison it is an error.
        folder.judged(2, &["deploy"]);
        folder.write("deploy/db.yaml", SET);
        let ran = folder.judged(0, &["--old-ref", "HEAD", "deploy"]);
        let notice = ran.json()["notices"][0].clone();
        assert_eq!(
            (&notice["level"], &notice["file"]),
            (&"warning".into(), &"HEAD:deploy/db.yaml".into())
        );
        let message = notice["message"].as_str().unwrap();
        assert!(message.starts_with("the old manifest could not be read"), "{message}");
        assert_eq!(ran.json()["summary"]["objects"], 2);
        std::fs::remove_file(folder.path().join("deploy/db.yaml")).unwrap();
        folder.judged(0, &["--old-ref", "HEAD", "deploy"]);
        // A new fault is an error.
        folder.write("deploy/b.yaml", &broken);
        folder.judged(2, &["--old-ref", "HEAD", "deploy"]);
    }
}

/// A change that leaves what cannot be judged as it is, mends it, moves it or deletes it.
#[test]
fn what_cannot_be_decoded_blocks_no_other_change() {
    for broken in [
        SET.replace("replicas: 3", "replicas: three"),
        size("10GB"),
        SET.replace("app: db}\n  template", "app: 5}\n  template"),
        SET.replace("spec:\n  replicas: 3", "spec:\n  ordinals: 1\n  replicas: 3"),
        CLAIM.replace("10Gi}}", "ten}}"),
        CLAIM.replace("[ReadWriteOnce]", "ReadWriteOnce"),
        SET.replace("apps/v1", "apps/v1beta1"),
        SET.replace("StatefulSet", "Statefulset"),
        format!("{SET}---\n{}", size("12Gi")),
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: x}\n\
         allowVolumeExpansion: 1\n"
            .to_owned(),
    ] {
        let folder = Folder::repository(&[("a/x.yaml", &broken), ("a/other.yaml", &set("other"))]);
        // It stays as it is, beside another change.
        folder.write("a/other.yaml", &set("other").replace("replicas: 3", "replicas: 4"));
        let ran = folder.judged(0, &["--old-ref", "HEAD", "a"]);
        assert!(!ran.json()["notices"].as_array().unwrap().is_empty(), "{broken}");
        folder.write("a/other.yaml", &set("other").replace("10Gi", "5Gi"));
        let ran = folder.judged(1, &["--old-ref", "HEAD", "a"]);
        assert_eq!(ran.verdicts(), [SHRINK], "{broken}");
        folder.write("a/other.yaml", &set("other"));
        // Something else of the same file changes.
        let third = set("third").replace("app: db", "app: third");
        folder.write("a/x.yaml", &format!("{broken}---\n{third}"));
        folder.judged(0, &["--old-ref", "HEAD", "a"]);
        // It is mended.
        let sound = match () {
            () if broken.contains("kind: Pers") => CLAIM.to_owned(),
            () if broken.contains("12Gi") => size("12Gi"),
            () => SET.to_owned(),
        };
        folder.write("a/x.yaml", &sound);
        folder.judged(0, &["--old-ref", "HEAD", "a"]);
        // It moves, and is deleted.
        std::fs::remove_file(folder.path().join("a/x.yaml")).unwrap();
        folder.write("a/b/x.yaml", &broken);
        folder.judged(0, &["--old-ref", "HEAD", "a"]);
        std::fs::remove_file(folder.path().join("a/b/x.yaml")).unwrap();
        folder.judged(0, &["--old-ref", "HEAD", "a"]);
        folder.judged(0, &["--old-ref", "HEAD", "a", "--deletions"]);
    }
}

#[test]
fn a_field_that_cannot_be_decoded_hides_no_other_field() {
    let broken = SET.replace("replicas: 3", "replicas: three");
    let worse = broken.replace("10Gi", "5Gi");
    for (old, new, code, verdicts) in [
        (&*broken, &*worse, 1, &[SHRINK][..]),
        (&broken, &size("5Gi"), 1, &[SHRINK]),
        (SET, &worse, 2, &["malformed error -", SHRINK]),
        (&broken, &broken.replace("three", "four"), 2, &["malformed error -"]),
        (&broken, &size("10GB"), 2, &["malformed error -"]),
    ] {
        let folder = Folder::new(&[("old.yaml", old), ("new.yaml", new)]);
        let ran = folder.judged(code, &["--old", "old.yaml", "new.yaml"]);
        assert_eq!(ran.verdicts(), verdicts, "{new}");
    }
    // An annotation that cannot be read is mended, or stays.
    let limit = crate::folder::annotated("{stateward.dev/resize-max: lots}");
    let grown = |set: &str| set.replace("10Gi", "11Gi");
    for (old, new) in [(&*limit, &grown(SET)), (&limit, &grown(&limit))] {
        let folder = Folder::new(&[("old.yaml", old), ("new.yaml", new)]);
        let ran = folder.check(&["--old", "old.yaml", "new.yaml"]);
        assert_ne!(ran.code, Some(2), "{ran:?}");
    }
}

#[test]
fn a_live_object_keeps_what_the_manifest_does_not_name() {
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data-db-0, namespace: shop}\n\
                 spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Gi}}}\n";
    let live = CLAIM.replacen(
        "namespace: shop}",
        "namespace: shop, uid: \"1\", resourceVersion: \"2\", finalizers: [kubernetes.io/pvc-protection]}",
        1,
    );
    let folder = Folder::new(&[("live.yaml", &live), ("claim.yaml", claim)]);
    let ran = folder.judged(0, &["--old", "live.yaml", "claim.yaml"]);
    assert_eq!(ran.verdicts(), [""; 0]);
    folder.write("claim.yaml", &claim.replace("10Gi", "5Gi"));
    let ran = folder.judged(1, &["--old", "live.yaml", "claim.yaml"]);
    assert_eq!(ran.verdicts(), ["pvc-shrink deny kubernetes"]);
    // A manifest that names another value changes it.
    folder.write("claim.yaml", &claim.replace("spec: {", "spec: {storageClassName: slow, "));
    let ran = folder.judged(1, &["--old", "live.yaml", "claim.yaml"]);
    assert_eq!(ran.verdicts(), ["pvc-immutable-edit deny kubernetes"]);
    // A set that was scaled by somebody else stays so.
    let live = SET
        .replacen("namespace: shop", "namespace: shop\n  uid: \"1\"\n  resourceVersion: \"2\"", 1)
        .replace("replicas: 3", "replicas: 12");
    folder.write("live.yaml", &live);
    folder.write("set.yaml", &SET.replace("  replicas: 3\n", ""));
    let ran = folder.judged(0, &["--old", "live.yaml", "set.yaml"]);
    assert_eq!(ran.verdicts(), [""; 0]);
    // Two manifests of a repository are compared as they are.
    folder.write("old.yaml", &SET.replace("replicas: 3", "replicas: 12"));
    let ran = folder.judged(0, &["--old", "old.yaml", "set.yaml"]);
    assert!(!ran.verdicts().is_empty());
}

#[test]
fn renamed_folders_pair_by_what_is_in_them() {
    let image = |set: String| set.replace("postgres:17.2", "postgres:17.4");
    for (from, to) in [(["dev", "prod"], ["eins", "zwei"]), (["dev", "prod"], ["p-dev", "q-prod"])]
    {
        let texts = [size("10Gi"), size("20Gi")];
        let path = |name: &str| format!("{name}/db.yaml");
        let folder =
            Folder::repository(&[(&path(from[0]), &texts[0]), (&path(from[1]), &texts[1])]);
        for ((from, to), text) in from.iter().zip(to).zip(texts) {
            std::fs::remove_dir_all(folder.path().join(from)).unwrap();
            folder.write(&path(to), &image(text));
        }
        let ran = folder.judged(0, &["--old-ref", "HEAD", "--deletions", "."]);
        assert_eq!((ran.verdicts(), ran.errors()), (vec![], vec![]), "{to:?}");
        assert_eq!(ran.json()["summary"]["objects"], 2);
    }
}

#[test]
fn copies_in_one_folder_are_judged_once() {
    let warning = "StatefulSet shop/db is also defined at d/a.yaml:1:1; both say the same, and are \
                   judged once";
    let folder = Folder::repository(&[("d/a.yaml", SET)]);
    folder.write("d/b.yaml", SET);
    for arguments in [&["d"][..], &["--old-ref", "HEAD", "--deletions", "d"], &["--old", "d", "d"]]
    {
        let ran = folder.judged(0, arguments);
        assert_eq!(ran.json()["summary"]["objects"], 1, "{arguments:?}");
        let notice = &ran.json()["notices"][0];
        assert_eq!((&notice["level"], &notice["message"]), (&"warning".into(), &warning.into()));
    }
    folder.write("d/a.yaml", &size("5Gi"));
    folder.write("d/b.yaml", &size("5Gi"));
    assert_eq!(folder.judged(1, &["--old-ref", "HEAD", "d"]).verdicts(), [SHRINK]);
    // Both were there, and one changes.
    folder.write("d/a.yaml", SET);
    folder.write("d/b.yaml", SET);
    folder.commit();
    folder.write("d/b.yaml", &size("5Gi"));
    assert_eq!(folder.judged(1, &["--old-ref", "HEAD", "d"]).verdicts(), [SHRINK]);
    // Each of several folders is applied by itself.
    let folder = Folder::new(&[("a/db.yaml", SET), ("b/db.yaml", SET)]);
    let ran = folder.judged(0, &["."]);
    assert_eq!(ran.json()["summary"]["objects"], 2);
    assert_eq!(ran.json()["notices"], serde_json::json!([]));
}

#[test]
fn two_that_are_applied_together_have_one_old_state() {
    let folder = Folder::repository(&[("d/a.yaml", SET)]);
    std::fs::remove_file(folder.path().join("d/a.yaml")).unwrap();
    folder.write("d/b.yaml", &size("5Gi"));
    folder.write("d/c.yaml", &size("6Gi"));
    let ran = folder.judged(1, &["--old-ref", "HEAD", "--deletions", "d"]);
    assert_eq!(ran.verdicts(), [SHRINK, SHRINK]);
    let message = ran.json()["notices"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.ends_with("both are applied, and judged"), "{message}");
}
