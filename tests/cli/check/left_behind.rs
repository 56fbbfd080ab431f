//! Workloads and claims that come back under another name, and lose their data.

use crate::folder::{CLAIM, Folder, Ran, SET, set};

/// `rule`'s one finding as text, or none.
fn finding(ran: &Ran) -> Option<String> {
    let json = ran.json();
    let findings = json["findings"].as_array().unwrap();
    let mut own = findings.iter().filter(|finding| finding["rule"] == "data-left-behind");
    let first = own.next().map(ToString::to_string);
    assert!(own.next().is_none(), "{findings:#?}");
    first
}

/// What is said of `new` in the place of `old`, with and without deletions.
fn said(old: &str, new: &str) -> Option<String> {
    let folder = Folder::new(&[("old.yaml", old), ("new.yaml", new)]);
    let arguments = ["--format", "json", "--old", "old.yaml", "new.yaml"];
    let ran = folder.check(&arguments);
    assert_ne!(ran.code, Some(2), "{ran:?}");
    let found = finding(&ran);
    let deletions = folder.check(&[&arguments[..], &["--deletions"]].concat());
    assert_eq!(found, finding(&deletions));
    let explained = folder.check(&arguments[2..]).stdout.contains("explain data-left-behind");
    assert_eq!(explained, found.is_some());
    found
}

#[track_caller]
fn says(old: &str, new: &str, parts: &[&str]) {
    let text = said(old, new).unwrap_or_else(|| panic!("nothing is said of\n{new}"));
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// The set as a Deployment that mounts `volume`.
fn deployment(volume: &str) -> String {
    let (head, _) = SET.split_once("  volumeClaimTemplates:").unwrap();
    format!("{head}      volumes: [{{name: data, {volume}}}]\n")
        .replace("kind: StatefulSet", "kind: Deployment")
        .replace("  serviceName: db\n", "")
}

fn of_kruise(kind: &str) -> String {
    SET.replace("apps/v1", "apps.kruise.io/v1beta1")
        .replace("kind: StatefulSet", &format!("kind: {kind}"))
}

#[test]
fn a_renamed_or_moved_set_starts_with_empty_claims() {
    let tag = set("db-backend").replace("postgres:17.2", "mirror.example/postgres:17.3");
    let moved = SET.replacen("namespace: shop", "namespace: store", 1);
    let from_3 = SET.replace("  replicas: 3", "  replicas: 3\n  ordinals: {start: 3}");
    let single = SET.replace("  replicas: 3\n", "");
    let begin = "would take the place of db, and start with empty claims";
    let all = "data-db-0 to -2";
    for (old, new, parts) in [
        (SET, &set("db-backend"), &[begin, all, "keep the name db", "data-db-backend-0 to -2"][..]),
        (SET, &tag, &[begin, "fullnameOverride", "VolumeSnapshots", "spec.volumeName"]),
        (SET, &moved, &["place of shop/db,", "keep the set where it is, as shop/db", "a backup"]),
        (&from_3, &set("other"), &[begin, "data-db-3 to -5"]),
        (&single, &set("other"), &[begin, "The data stays in data-db-0,"]),
        // The claim template has another name, too.
        (SET, &set("other").replace("name: data", "name: queue"), &[begin, all]),
        // Every label has another value, as in a chart that is released under another name.
        (SET, &set("my-db").replace("app: db", "app: my-db").replace("postgres", "pg"), &[begin]),
    ] {
        says(old, new, parts);
    }
    // What is retained is said to run, and runs as pasted.
    says(SET, &set("other"), &["for c in data-db-0 data-db-1 data-db-2; do kubectl patch pv"]);
}

#[test]
fn claims_that_are_deleted_with_the_set_are_said_to_be_lost() {
    let deletes = SET.replace(
        "  replicas: 3",
        "  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}\n  replicas: 3",
    );
    let parts = [
        "The claims data-db-0 to -2 would be deleted with db",
        "kubectl -n shop patch statefulset db --type merge",
        "whenDeleted",
    ];
    says(&deletes, &set("db-2"), &parts);
    // CloneSets make names up, and own their claims.
    let clone = of_kruise("CloneSet");
    says(&clone, SET, &["would take the place of CloneSet db", "data-db-*", "would be deleted"]);
}

#[test]
fn another_kind_does_not_use_the_claims() {
    let empty = deployment("emptyDir: {}");
    let other = deployment("persistentVolumeClaim: {claimName: db}");
    let begin = "would take the place of StatefulSet db, and start";
    for (old, new, parts) in [
        (SET, &empty, &[begin, "without its data", "data-db-0 to -2", "keep StatefulSet db"][..]),
        (SET, &other, &[begin, "with empty claims", "data-db-0 to -2"]),
        (
            &other,
            &SET.to_owned(),
            &["place of Deployment db", "stays in db,", "or mount claim db in the pods of"],
        ),
        (SET, &of_kruise("CloneSet"), &[begin, "data-db-0 to -2", "create data-db-* "]),
        (
            &other.replacen("name: db", "name: old", 1),
            &set("new"),
            &["place of Deployment old", "stays in db,"],
        ),
        // The first claim goes on, the others stay.
        (
            SET,
            &deployment("persistentVolumeClaim: {claimName: data-db-0}"),
            &[begin, "The data stays in data-db-1 and -2,"],
        ),
        (
            SET,
            &of_kruise("StatefulSet").replacen("name: db", "name: db2", 1),
            &["StatefulSet of apps db", "data-db-0 to -2"],
        ),
    ] {
        says(old, new, parts);
    }
    // The sets of OpenKruise name their claims as those of Kubernetes do.
    for (old, new) in [(SET, &*of_kruise("StatefulSet")), (&*of_kruise("StatefulSet"), SET)] {
        assert_eq!(said(old, new), None);
    }
    let single = SET.replace("replicas: 3", "replicas: 1");
    let same = deployment("persistentVolumeClaim: {claimName: data-db-0}");
    assert_eq!(said(&single, &same), None);
    assert_eq!(said(&same, &single), None);
}

#[test]
fn a_renamed_or_moved_claim_starts_empty() {
    let (renamed, moved) = (CLAIM.replace("data-db-0", "data"), CLAIM.replace("shop", "store"));
    let manifest = |claim: &str| {
        let claim = claim.replace("  volumeName: pv-1\n", "");
        claim.split("status:").next().unwrap().to_owned()
    };
    let old = manifest(CLAIM).replace("data-db-0", "traefik-data");
    let new = manifest(&renamed);
    says(&old, &new, &["would take the place of traefik-data, and start empty", "keep the name"]);
    let (old, new) = (manifest(CLAIM), manifest(&moved));
    says(&old, &new, &["would take the place of shop/data-db-0", "a backup"]);
    // It names its volume, or what it is copied from.
    let source = "spec:\n  dataSourceRef: {kind: VolumeSnapshot, name: s, apiGroup: snapshot.storage.k8s.io}\n";
    for filled in [moved, new.replace("spec:\n", source)] {
        assert_eq!(said(&old, &filled), None, "{filled}");
    }
    // A workload has nothing to add to its claim.
    let with = |claim: &str, name: &str| {
        let volume = format!("persistentVolumeClaim: {{claimName: {name}}}");
        format!("{claim}---\n{}", deployment(&volume))
    };
    let old = with(&manifest(CLAIM), "data-db-0");
    let new = with(&new, "data-db-0").replace("namespace: shop", "namespace: store");
    says(&old, &new, &["PersistentVolumeClaim store/data-db-0"]);
    // The Deployment moves, and its claim is kept elsewhere.
    let old = deployment("persistentVolumeClaim: {claimName: db}");
    let new = old.replace("namespace: shop", "namespace: store");
    says(&old, &new, &["Deployment store/db: would take the place of shop/db", "stays in db,"]);
    // A new name for the same claim loses nothing.
    assert_eq!(said(&old, &old.replacen("name: db", "name: web", 1)), None);
}

#[test]
fn data_that_is_brought_along_is_not_left_behind() {
    let filled = CLAIM.replace("data-db-0", "data-new-0");
    assert_eq!(said(SET, &format!("{}---\n{filled}", set("new"))), None);
}

#[test]
fn environments_that_are_renamed_together_are_told_apart() {
    let namespaces = [("dev", "development"), ("prod", "production"), ("stage", "staging")];
    let all = |names: &dyn Fn(&(&'static str, &'static str)) -> &'static str| {
        let one = |pair| SET.replacen("namespace: shop", &format!("namespace: {}", names(pair)), 1);
        namespaces.iter().map(one).collect::<Vec<_>>().join("---\n")
    };
    let folder = Folder::new(&[("old.yaml", &all(&|p| p.0)), ("new.yaml", &all(&|p| p.1))]);
    let ran = folder.judged(0, &["--old", "old.yaml", "new.yaml"]);
    let json = ran.json();
    let findings = json["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 3, "{ran:?}");
    for (finding, (old, new)) in findings.iter().zip(namespaces) {
        let message = finding["message"].as_str().unwrap();
        let says = format!("StatefulSet {new}/db: would take the place of {old}/db,");
        assert!(message.starts_with(&says), "{message}");
    }
}

#[test]
fn a_thousand_renamed_sets_are_compared() {
    let all = |prefix: &str| {
        let one = |number| set(&format!("{prefix}-{number:04}"));
        (0..1000).map(one).collect::<Vec<_>>().join("---\n")
    };
    let folder = Folder::new(&[("old.yaml", &all("old")), ("new.yaml", &all("new"))]);
    let ran = folder.judged(0, &["--old", "old.yaml", "new.yaml"]);
    assert_eq!(ran.json()["findings"].as_array().unwrap().len(), 1000);
    assert!(ran.stdout.contains("new-0700: would take the place of old-0700"));
}

#[test]
fn what_only_looks_alike_takes_nobody_s_place() {
    let unlike = set("other")
        .replace("/var/lib/postgresql/data", "/data")
        .replace("postgres", "redis")
        .replace("app: db", "app: other");
    assert_eq!(said(SET, &unlike), None);
    assert_eq!(said(SET, &unlike.replace("name: data", "name: queue")), None);
    // A second set, or a Deployment, beside the first one.
    assert_eq!(said(SET, &format!("{SET}---\n{}", set("two"))), None);
    assert_eq!(said(SET, &format!("{SET}---\n{}", deployment("emptyDir: {}"))), None);
    // Nothing durable is lost.
    let empty = deployment("emptyDir: {}");
    assert_eq!(said(&empty, &empty.replacen("name: db", "name: web", 1)), None);
    // Another claim that happens to have the same size.
    let one = CLAIM.replace("  volumeName: pv-1\n", "");
    assert_eq!(said(&one, &one.replace("data-db-0", "logs")), None);
}

/// Compares the claims and sets of two folders; `tell` names what is compared.
fn said_of_folders(old: &[(&str, &str)], new: &[(&str, &str)], tell: &[&str]) -> Vec<String> {
    let below = |folder: &str, files: &[(&str, &str)]| {
        let files =
            files.iter().map(|(name, text)| (format!("{folder}/{name}"), (*text).to_owned()));
        files.collect::<Vec<_>>()
    };
    let files = [below("old", old), below("new", new)].concat();
    let files: Vec<_> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let ran = Folder::new(&files).check(&[&["--format", "json"], tell].concat());
    assert_ne!(ran.code, Some(2), "{ran:?}");
    let own = ["data-left-behind", "pvc-delete", "pvc-invalid-value"];
    let findings = ran.json()["findings"].as_array().unwrap().clone();
    let own = findings.iter().filter(|finding| own.iter().any(|rule| finding["rule"] == *rule));
    own.map(|finding| finding["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_name_that_kustomize_makes_again_is_the_same_one() {
    let claim = |name: &str| {
        let manifest = CLAIM.replace("data-db-0", name).replace("  volumeName: pv-1\n", "");
        manifest.split("status:").next().unwrap().to_owned()
    };
    let (config, cache) = (claim("config-pvc"), claim("cache-pvc"));
    let volume = |name: &str| format!("persistentVolumeClaim: {{claimName: {name}}}");
    let resources = "resources: [config.yaml, cache.yaml, app.yaml]\n";
    let app = deployment(&volume("config-pvc"));
    let prefix = |prefix: &str| format!("{resources}namePrefix: {prefix}\n");
    let old = [
        ("kustomization.yaml", &*prefix("jellyfin-")),
        ("config.yaml", &config),
        ("cache.yaml", &cache),
        ("app.yaml", &app),
    ];
    let (shorter, dashes) = (prefix("jellyfin"), [claim("-config-pvc"), claim("-cache-pvc")]);
    let dashed_app = deployment(&volume("-config-pvc")).replacen("name: db", "name: -db", 1);
    let mut new = [
        ("kustomization.yaml", &*shorter),
        ("config.yaml", &dashes[0]),
        ("cache.yaml", &dashes[1]),
        ("app.yaml", &dashed_app),
    ];
    let folders = ["--old", "old", "new"];
    let files =
        ["--old", "old/config.yaml", "--old", "old/app.yaml", "new/config.yaml", "new/app.yaml"];
    let deletions = [&folders[..], &["--deletions"]].concat();
    for tell in [&folders[..], &files, &deletions] {
        assert_eq!(said_of_folders(&old, &new, tell), [""; 0], "{tell:?}");
    }
    // The names get another prefix, too, so that they differ in the cluster.
    let other = prefix("emby");
    new[0].1 = &other;
    let renamed = [claim("jellyfin-config-pvc"), claim("jellyfin-cache-pvc")];
    new[1].1 = &renamed[0];
    new[2].1 = &renamed[1];
    let found = said_of_folders(&old, &new, &folders);
    assert!(
        found.iter().any(|one| one.contains("place of config-pvc, and start empty")),
        "{found:?}"
    );
    assert!(
        found.iter().any(|one| one.contains("place of cache-pvc, and start empty")),
        "{found:?}"
    );
    // Nobody takes the place of one that is deleted.
    new[1].1 = &dashes[0];
    new[0].1 = &shorter;
    let gone = "resources: [config.yaml, app.yaml]\nnamePrefix: jellyfin\n";
    let some = [("kustomization.yaml", gone), new[1], new[3]];
    let found = said_of_folders(&old, &some, &deletions);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("cache-pvc"), "{found:?}");
}

#[test]
fn a_set_that_moves_from_a_base_into_its_overlays_keeps_its_claims() {
    let base = "resources: [set.yaml]\n";
    let overlay = |prefix: &str| format!("resources: [../base]\nnamePrefix: {prefix}-\n");
    let (dev, prod) = (overlay("dev"), overlay("prod"));
    let old = [
        ("base/kustomization.yaml", base),
        ("base/set.yaml", SET),
        ("dev/kustomization.yaml", &dev),
        ("prod/kustomization.yaml", &prod),
    ];
    let (dev_set, prod_set) = (set("dev-db"), set("prod-db"));
    let new = [("dev/set.yaml", &*dev_set), ("prod/set.yaml", &prod_set)];
    let folders = ["--old", "old", "new"];
    assert_eq!(said_of_folders(&old, &new, &folders), [""; 0]);
    // The claims of one of both are left.
    let found = said_of_folders(&old, &new[..1], &folders);
    assert_eq!(found.len(), 1, "{found:?}");
    // Another claim template has claims of its own.
    let other = prod_set.replace("name: data", "name: files");
    let found = said_of_folders(&old, &[new[0], ("prod/set.yaml", &other)], &folders);
    assert_eq!(found.len(), 1, "{found:?}");
    // A manifest that no kustomization applied yet, in no namespace.
    let (nowhere, prefixed) = (
        SET.replacen("  namespace: shop\n", "", 1),
        "resources: [set.yaml]\nnamePrefix: my-\nnamespace: live\n",
    );
    let short = [("kustomization.yaml", prefixed), ("set.yaml", &*nowhere)];
    let long = nowhere.replacen("name: db", "name: my-db", 1);
    assert_eq!(said_of_folders(&[("set.yaml", &long)], &short, &folders), [""; 0]);
    // The namespace that a kustomization gives is what counts.
    let (there, moved) =
        ("resources: [set.yaml]\nnamespace: live\n", SET.replacen("shop", "store", 1));
    let old = [("kustomization.yaml", there), ("set.yaml", SET)];
    let mut new = [("kustomization.yaml", there), ("set.yaml", &*moved)];
    assert_eq!(said_of_folders(&old, &new, &folders), [""; 0]);
    new[0].1 = "resources: [set.yaml]\n";
    assert_eq!(said_of_folders(&old, &new, &folders).len(), 1);
}

#[test]
fn a_file_of_a_revision_is_renamed_by_the_kustomization_beside_it() {
    let claim = CLAIM.split("status:").next().unwrap().replace("  volumeName: pv-1\n", "");
    let kustomization = "resources: [pvc.yaml]\nnamePrefix: nextcloud-\n";
    let long = claim.replace("data-db-0", "nextcloud-pvc");
    let folder = Folder::repository(&[
        ("app/kustomization.yaml", "resources: [pvc.yaml]\n"),
        ("app/pvc.yaml", &long),
    ]);
    folder.write("app/kustomization.yaml", kustomization);
    folder.write("app/pvc.yaml", &claim.replace("data-db-0", "pvc"));
    for paths in ["app/pvc.yaml", "app"] {
        let ran = folder.check(&["--format", "json", "--old-ref", "HEAD", paths]);
        assert_eq!(finding(&ran), None, "{paths}");
    }
    folder.write("app/kustomization.yaml", "resources: [pvc.yaml]\n");
    for paths in ["app/pvc.yaml", "app"] {
        let ran = folder.check(&["--format", "json", "--old-ref", "HEAD", paths]);
        assert!(finding(&ran).is_some(), "{paths}");
    }
}

#[test]
fn what_an_annotation_keeps_in_the_cluster_is_no_deletion() {
    for annotation in [
        "helm.sh/resource-policy: keep",
        "argocd.argoproj.io/sync-options: \"Replace=true, Prune=false\"",
        "kustomize.toolkit.fluxcd.io/prune: disabled",
    ] {
        let metadata = format!("namespace: shop\n  annotations: {{{annotation}}}");
        let deletes = "spec:\n  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}";
        let old = SET.replacen("namespace: shop", &metadata, 1).replacen("spec:", deletes, 1);
        let folder = Folder::new(&[("old.yaml", &old), ("new.yaml", CLAIM)]);
        let arguments = ["--old", "old.yaml", "new.yaml", "--deletions"];
        let ran = folder.judged(0, &arguments);
        assert_eq!(ran.verdicts(), [""; 0], "{annotation}");
        assert_eq!(ran.json()["judged"].as_array().unwrap().len(), 1);
        let text = folder.check(&[&arguments[..], &["-v"]].concat()).stdout;
        let key = annotation.split(": ").next().unwrap();
        let says =
            format!("shop/db is removed from the manifests, but {key} keeps it in the cluster");
        assert!(text.contains(&says), "{text}");
        // A set that takes its place still starts empty, and no claim is deleted.
        folder.write("new.yaml", &set("other"));
        let text = folder.check(&arguments).stdout;
        assert!(text.contains("The data stays in data-db-0 to -2"), "{text}");
        // Without the annotation it is one.
        folder.write("old.yaml", &old.replace(annotation, "a: b"));
        folder.judged(1, &arguments);
    }
}

#[test]
fn policy_and_annotation_silence_it_as_any_rule() {
    let allow = "{stateward.dev/allow: data-left-behind, stateward.dev/allow-reason: copied}";
    let renamed = |text: &str| text.replacen("name: db", "name: other", 1);
    let (plain, allowed) = (renamed(SET), renamed(&crate::folder::annotated(allow)));
    let volume = "persistentVolumeClaim: {claimName: other}";
    let workload = deployment(volume).replacen(
        "namespace: shop",
        &format!("namespace: shop\n  annotations: {allow}"),
        1,
    );
    let deny = "rules: {data-left-behind: deny}\n";
    for (policy, new, outcome, code) in [
        ("", &plain, "warn", 0),
        ("", &allowed, "", 0),
        ("", &workload, "", 0),
        ("overrides: false\n", &allowed, "warn", 0),
        ("rules: {data-left-behind: off}\n", &plain, "", 0),
        (deny, &plain, "deny", 1),
        (deny, &allowed, "", 0),
        (&format!("mode: audit\n{deny}"), &plain, "warn", 0),
        (
            "scopes: [{match: {namespaces: [shop]}, rules: {data-left-behind: off}}]\n",
            &plain,
            "",
            0,
        ),
    ] {
        let policy = format!("version: 1\n{policy}");
        let files = [("old.yaml", SET), ("new.yaml", new), ("stateward.yaml", &policy)];
        let ran = Folder::new(&files).judged(code, &["--old", "old.yaml", "new.yaml"]);
        let json = ran.json();
        let outcomes: Vec<&str> = json["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|f| f["outcome"].as_str())
            .collect();
        assert_eq!(outcomes.concat(), outcome, "{policy} {ran:?}");
    }
}
