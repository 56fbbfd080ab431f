//! `stateward packs` and `stateward drivers`, as people run them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const PACK: &str = "title: Store
about: A store of our own.
recognise:
  - image: registry.example.com/team/store
members:
  kind: majority
  why: Each pod votes.
  source: https://wiki.example.com/store
";

fn stateward(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stateward"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// What a command prints, which succeeds.
fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = stateward(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command complains of.
fn complaint(folder: &Path, arguments: &[&str]) -> String {
    let output = stateward(folder, arguments);
    assert!(!output.status.success(), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn packs_are_listed_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let list = printed(folder.path(), &["packs"]);
    assert!(list.lines().count() > 60, "{list}");
    for name in ["mysql ", "etcd ", "kafka-controller ", "openio "] {
        assert!(list.lines().any(|line| line.starts_with(name)), "{name}");
    }
    let etcd = printed(folder.path(), &["packs", "etcd"]);
    for text in ["Recognised by", "image quay.io/coreos/etcd", "Scale down", "source: https://"] {
        assert!(etcd.contains(text), "{text}:\n{etcd}");
    }
    let json: Value =
        serde_json::from_str(&printed(folder.path(), &["packs", "etcd", "--json"])).unwrap();
    assert_eq!(json["members"]["kind"], "majority");
    let wrong = complaint(folder.path(), &["packs", "etdc"]);
    assert!(wrong.contains("there is no pack \"etdc\"; did you mean \"etcd\"?"), "{wrong}");
}

#[test]
fn a_pack_is_validated_with_the_place_of_its_fault() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(folder.path().join("store.yaml"), text).unwrap();
    write(PACK);
    let said = printed(folder.path(), &["packs", "--lint", "store.yaml"]);
    assert_eq!(said, "store.yaml: Store is a pack\n");
    write(&PACK.replace("kind: majority", "kind: mayority"));
    let wrong = complaint(folder.path(), &["packs", "--lint", "store.yaml"]);
    assert!(wrong.contains("store.yaml:6:9: members.kind: \"mayority\""), "{wrong}");
    write(&PACK.replace("about:", "abuot:"));
    let wrong = complaint(folder.path(), &["packs", "--lint", "store.yaml"]);
    assert!(wrong.contains("store.yaml:2:1"), "{wrong}");
    let wrong = complaint(folder.path(), &["packs", "--lint", "absent.yaml"]);
    assert!(wrong.contains("cannot read absent.yaml"), "{wrong}");
    let schema: Value =
        serde_json::from_str(&printed(folder.path(), &["packs", "--schema"])).unwrap();
    assert!(schema["properties"]["recognise"].is_object(), "{schema}");
}

#[test]
fn packs_of_the_policy_are_listed_too() {
    let folder = tempfile::tempdir().unwrap();
    let pack = PACK.trim_end().replace('\n', "\n    ");
    let policy = format!("version: 1\npacks:\n  store:\n    {pack}\n");
    std::fs::write(folder.path().join("stateward.yaml"), policy).unwrap();
    let explained = printed(folder.path(), &["packs", "store"]);
    assert!(explained.starts_with("Store (store)\n"), "{explained}");
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(complaint(elsewhere.path(), &["packs", "store"]).contains("there is no pack"));
    let file = folder.path().join("stateward.yaml");
    let named = ["packs", "store", "--policy", file.to_str().unwrap()];
    assert_eq!(printed(elsewhere.path(), &named), explained);
}

#[test]
fn drivers_are_listed_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let list = printed(folder.path(), &["drivers"]);
    for name in ["ebs.csi.aws.com", "rancher.io/local-path", "nfs.csi.k8s.io"] {
        assert!(list.contains(name), "{name}:\n{list}");
    }
    let explained = printed(folder.path(), &["drivers", "ebs.csi.aws.com"]);
    assert!(explained.contains("https://"), "{explained}");
    let wrong = complaint(folder.path(), &["drivers", "ebs.csi.aws.con"]);
    assert!(wrong.contains("did you mean \"ebs.csi.aws.com\"?"), "{wrong}");
}
