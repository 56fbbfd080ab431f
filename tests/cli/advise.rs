//! `stateward advise`, as people run it.

use serde_json::Value;

use crate::folder::{Folder, Ran};

const CLASSES: &str = "apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: shared}
provisioner: nfs.csi.k8s.io
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: disks, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}
provisioner: ebs.csi.aws.com
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: node}
provisioner: rancher.io/local-path
";

/// A set with one claim template.
fn set(image: &str, replicas: u32, mode: &str, class: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db, namespace: shop}}
spec:
  serviceName: db
  replicas: {replicas}
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec:
      containers: [{{name: db, image: '{image}', volumeMounts: [{{name: data, mountPath: /data}}]}}]
  volumeClaimTemplates:
    - metadata: {{name: data}}
      spec: {{accessModes: [{mode}], {class} resources: {{requests: {{storage: 20Gi}}}}}}
"
    )
}

fn advise(manifest: &str, options: &[&str]) -> Ran {
    let folder = Folder::new(&[("set.yaml", manifest), ("classes.yaml", CLASSES)]);
    folder.run(&[&["advise", "."], options].concat(), "")
}

#[test]
fn a_pattern_that_does_not_fit_is_replaced() {
    let (mode, file) = ("ReadWriteOnce", "storageClassName: shared,");
    let (node, default) = ("storageClassName: node,", "storageClassName: disks,");
    for (name, manifest, fits) in [
        ("a database on NFS", set("mysql:8.4.3", 1, "ReadWriteMany", file), Some(false)),
        ("NFS for one node", set("mysql:8.4.3", 1, mode, file), Some(false)),
        ("a database on block", set("mysql:8.4.3", 1, mode, default), Some(true)),
        ("voters on local disks", set("quay.io/coreos/etcd:v3.6.1", 3, mode, node), Some(true)),
        (
            "a single voter on a local disk",
            set("quay.io/coreos/etcd:v3.6.1", 1, mode, node),
            Some(false),
        ),
        ("no replicas on a local disk", set("prom/prometheus:v3.5.0", 2, mode, node), Some(false)),
        ("PostgreSQL may be on NFS", set("postgres:17.2", 1, "ReadWriteMany", file), None),
        ("an unknown system", set("registry.example.com/team/store:1", 1, mode, node), None),
        ("an unknown class", set("mysql:8.4.3", 1, mode, "storageClassName: other,"), None),
    ] {
        let ran = advise(&manifest, &["-o", "json"]);
        let advice: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
        let volume = &advice[0]["volumes"][0];
        if let Some(fits) = fits {
            assert_eq!(volume["fits"], fits, "{name}: {advice:#}");
        }
        let misfit = volume["fits"] == false;
        assert_eq!(advice[0]["skeleton"].is_string(), misfit, "{name}: {advice:#}");
        assert_eq!(ran.code, Some(i32::from(misfit)), "{name}: {ran:?}");
    }
}

#[test]
fn advice_reads_well() {
    let ran = advise(&set("mysql:8.4.3", 1, "ReadWriteMany", "storageClassName: shared,"), &[]);
    insta::assert_snapshot!(ran.stdout);
    let known = set("quay.io/coreos/etcd:v3.6.1", 3, "ReadWriteOnce", "storageClassName: disks,");
    insta::assert_snapshot!("advice_that_fits", advise(&known, &[]).stdout);
    let unknown =
        set("registry.example.com/team/store:1", 1, "ReadWriteOnce", "storageClassName: x,");
    insta::assert_snapshot!("advice_on_an_unknown_system", advise(&unknown, &[]).stdout);
}

#[test]
fn a_skeleton_is_a_claim_template() {
    let manifest = set("mysql:8.4.3", 1, "ReadWriteMany", "storageClassName: shared,");
    let ran = advise(&manifest, &["-o", "json"]);
    let advice: Value = serde_json::from_str(&ran.stdout).unwrap();
    let skeleton: Value = serde_saphyr::from_str(advice[0]["skeleton"].as_str().unwrap()).unwrap();
    let claim = &skeleton["volumeClaimTemplates"][0];
    assert_eq!(claim["metadata"]["name"], "data");
    assert_eq!(claim["spec"]["accessModes"][0], "ReadWriteOncePod");
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "20Gi");
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_advised_on() {
    let broken = set("mysql:8.4.3", 1, "ReadWriteOnce", "").replace("replicas: 1", "replicas: one");
    let ran = advise(&format!("{broken}---\n{}", set("redis:8", 1, "ReadWriteOnce", "")), &[]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("set.yaml:6:13"), "{}", ran.stderr);
    assert!(ran.stdout.contains("Redis"), "{}", ran.stdout);
    let ran = advise("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", &[]);
    assert_eq!((ran.code, &*ran.stdout), (Some(0), "no StatefulSet to advise on\n"));
}
