//! Volumes over, below and above the data.

use super::Said::{self, Denied, Nothing, Warned};
use super::try_all_owned;

/// Mounts `new` of volume `v` beside the claim at /data, of which `told` is said.
#[track_caller]
fn try_over(told: &str, cases: &[(&str, &str, &str, Said)]) {
    let pod = |volume: &str, mounts: &str| {
        format!(
            "containers: [{{name: db, image: db, {told} volumeMounts: [{{name: data, mountPath: /data}}{mounts}]}}],
             volumes: [{{name: v, {volume}}}]"
        )
    };
    let pods: Vec<_> = cases
        .iter()
        .map(|(name, volume, mount, said)| {
            (*name, pod("emptyDir: {}", ""), pod(volume, &format!(", {{name: v, {mount}}}")), *said)
        })
        .collect();
    let cases: Vec<_> =
        pods.iter().map(|(n, old, new, s)| (*n, old.as_str(), new.as_str(), *s)).collect();
    try_all_owned(&cases);
}

const CONFIG: &str = "configMap: {name: c}";
const EMPTY: &str = "emptyDir: {}";

#[test]
fn every_kind_of_volume_over_the_data_is_a_loss() {
    let over = "mountPath: /data/";
    try_over(
        "",
        &[
            ("ConfigMap", CONFIG, over, Denied),
            ("Secret", "secret: {secretName: s}", over, Denied),
            ("projected", "projected: {sources: []}", over, Denied),
            ("downward API", "downwardAPI: {items: []}", over, Denied),
            ("emptyDir", EMPTY, over, Denied),
            ("hostPath", "hostPath: {path: /x}", over, Denied),
            ("ephemeral", "ephemeral: {volumeClaimTemplate: {}}", over, Denied),
            ("image", "image: {reference: x}", over, Denied),
            ("another claim", "persistentVolumeClaim: {claimName: x}", over, Denied),
            ("an unknown one", "nfs: {server: x, path: /x}", over, Denied),
        ],
    );
    let below = "mountPath: /data/base";
    try_over(
        "",
        &[
            ("ConfigMap below", CONFIG, below, Warned),
            ("a projected volume below", "projected: {sources: []}", below, Warned),
            ("emptyDir below", EMPTY, below, Denied),
            ("image below", "image: {reference: x}", below, Warned),
            ("claim below", "persistentVolumeClaim: {claimName: x}", below, Denied),
        ],
    );
    for above in ["mountPath: /", "mountPath: /data-x", "mountPath: /dat"] {
        try_over(
            "",
            &[
                ("ConfigMap above", CONFIG, above, Nothing),
                ("emptyDir above", EMPTY, above, Nothing),
            ],
        );
    }
}

#[test]
fn configuration_beside_the_data_is_no_loss() {
    try_over(
        "",
        &[
            ("one file", CONFIG, "mountPath: /data/redis.conf, subPath: redis.conf", Nothing),
            (
                "one file by an expression",
                CONFIG,
                "mountPath: /data/redis.conf, subPathExpr: redis.conf",
                Nothing,
            ),
            (
                "one file of a Secret",
                "secret: {secretName: s}",
                "mountPath: /data/.password, subPath: p",
                Nothing,
            ),
            ("a file of data", CONFIG, "mountPath: /data/dump.rdb, subPath: dump.rdb", Warned),
            ("a folder of configuration", CONFIG, "mountPath: /data/conf.d", Nothing),
            ("certificates", "secret: {secretName: s}", "mountPath: /data/certs", Nothing),
            ("scripts", CONFIG, "mountPath: /data/scripts", Nothing),
            ("temporary files", EMPTY, "mountPath: /data/tmp", Nothing),
            ("logs", EMPTY, "mountPath: /data/log", Nothing),
        ],
    );
}

#[test]
fn a_folder_that_is_named_is_the_data() {
    let told = "args: [--data-dir=/data/db, --log-dir=/data/log],";
    try_over(
        told,
        &[
            ("over it", EMPTY, "mountPath: /data/db", Denied),
            ("ConfigMap over it", CONFIG, "mountPath: /data/db", Denied),
            ("ConfigMap below it", CONFIG, "mountPath: /data/db/base", Warned),
            ("hostPath below it", "hostPath: {path: /x}", "mountPath: /data/db/base", Denied),
            ("beside it", EMPTY, "mountPath: /data/other", Warned),
            ("over its logs", EMPTY, "mountPath: /data/log", Nothing),
            ("a file in it", CONFIG, "mountPath: /data/db/db.conf, subPath: x", Nothing),
            ("the same folder", EMPTY, "mountPath: /data/db2", Warned),
        ],
    );
}

#[test]
fn a_claim_that_was_mounted_above_is_found_below() {
    let pod = |mounts: &str| {
        format!(
            "containers: [{{name: db, image: db, args: [--data-dir=/srv/data/db], volumeMounts: [{mounts}]}}], volumes: [{{name: v, emptyDir: {{}}}}]"
        )
    };
    let above = pod("{name: data, mountPath: /srv}");
    try_all_owned(&[
        (
            "the folder alone",
            &above,
            &pod("{name: data, mountPath: /srv/data/db, subPath: data/db}"),
            Nothing,
        ),
        ("its parent", &above, &pod("{name: data, mountPath: /srv/data, subPath: data}"), Nothing),
        (
            "its parent, of another folder",
            &above,
            &pod("{name: data, mountPath: /srv/data, subPath: db}"),
            Denied,
        ),
        (
            "an emptyDir between",
            &above,
            &pod("{name: data, mountPath: /srv}, {name: v, mountPath: /srv/data}"),
            Denied,
        ),
        (
            "an emptyDir between, and the folder again",
            &above,
            &pod(
                "{name: data, mountPath: /srv}, {name: v, mountPath: /srv/data}, {name: data, mountPath: /srv/data/db, subPath: data/db}",
            ),
            Warned,
        ),
        ("an emptyDir instead", &above, &pod("{name: v, mountPath: /srv}"), Denied),
        (
            "an emptyDir above the folder",
            &above,
            &pod(
                "{name: v, mountPath: /srv}, {name: data, mountPath: /srv/data/db, subPath: data/db}",
            ),
            Nothing,
        ),
    ]);
}
