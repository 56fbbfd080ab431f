//! Old files that are not plain files of the work tree: in submodules, or outside of a sparse checkout.

use crate::folder::{Folder, SET, set};

/// A repository with the set in a submodule `lib`, and the repository of that.
fn with_submodule() -> (Folder, Folder) {
    let library = Folder::repository(&[("deploy/db.yaml", SET)]);
    let folder = Folder::repository(&[("README.md", "x")]);
    let source = library.path().to_str().unwrap();
    folder.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", source, "lib"]);
    folder.commit();
    (folder, library)
}

#[test]
fn old_files_of_a_submodule_are_read_at_its_recorded_commit() {
    let (folder, _library) = with_submodule();
    folder.write("lib/deploy/db.yaml", &SET.replace("10Gi", "5Gi"));
    for path in [".", "lib", "lib/", "lib/deploy", "lib/deploy/db.yaml"] {
        let ran = folder.judged(1, &["--old-ref", "HEAD", path]);
        assert_eq!(ran.verdicts(), ["sts-vct-size-shrink deny kubernetes"], "{path}");
        assert_eq!(ran.json()["findings"][0]["old"]["file"], "HEAD:lib/deploy/db.yaml", "{path}");
    }
    let absolute = folder.path().join("lib/deploy");
    folder.judged(1, &["--old-ref", "HEAD", absolute.to_str().unwrap()]);
    // A rendering of the old revision has them, too.
    let render = ["--old-ref", "HEAD", "--render", "cat lib/deploy/*.yaml"];
    assert_eq!(folder.judged(1, &render).verdicts(), ["sts-vct-size-shrink deny kubernetes"]);
    // One that is removed is still kept by git.
    folder.git(&["rm", "--quiet", "--force", "lib"]);
    let ran = folder.judged(0, &["--old-ref", "HEAD", "lib"]);
    assert_eq!(ran.json()["removed"][0]["file"], "HEAD:lib/deploy/db.yaml");
}

#[test]
fn a_submodule_whose_commit_is_missing_is_never_judged_as_new_in_silence() {
    let (folder, _library) = with_submodule();
    // Another commit is recorded than those that the clone has.
    let missing = "0123456789abcdef0123456789abcdef01234567";
    folder.git(&["update-index", "--cacheinfo", &format!("160000,{missing},lib")]);
    folder.git(&["commit", "--quiet", "--message", "x"]);
    for path in ["lib", "lib/deploy", "lib/deploy/db.yaml"] {
        let ran = folder.check(&["--old-ref", "HEAD", path]);
        assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{path}: {ran:?}");
        let says = format!("those of a submodule, and the clone lacks its commit {missing}");
        assert!(ran.stderr.contains(&says), "{path}: {ran:?}");
    }
    let ran = folder.check(&["--old-ref", "HEAD", "."]);
    let says = "warning: HEAD:lib: the clone lacks commit 0123456789ab of this submodule";
    assert!(ran.stdout.contains(says), "{ran:?}");
    let ran = folder.check(&["--old-ref", "HEAD", "--render", "cat lib/deploy/*.yaml || true"]);
    let says = "warning: HEAD:lib: the clone lacks the old commit of this submodule";
    assert!(ran.stdout.contains(says), "{ran:?}");
}

#[test]
fn what_a_sparse_checkout_lacks_is_not_deleted_by_a_rendering() {
    let folder = Folder::repository(&[("a/db.yaml", SET), ("b/other.yaml", &set("other"))]);
    folder.git(&["sparse-checkout", "set", "a"]);
    let render = ["--old-ref", "HEAD", "--render", "cat */*.yaml"];
    let ran = folder.judged(0, &render);
    assert_eq!(ran.verdicts(), [""; 0]);
    assert_eq!(ran.json()["judged"].as_array().unwrap().len(), 1);
    let message = &ran.json()["notices"][0]["message"];
    assert_eq!(message, "outside of the sparse checkout, and so not compared");
    // The work tree and its index stay sparse.
    assert!(!folder.path().join("b").exists());
    assert_eq!(folder.git(&["status", "--porcelain"]), "");
    folder.write("a/db.yaml", &SET.replace("10Gi", "5Gi"));
    folder.judged(1, &render);
}
