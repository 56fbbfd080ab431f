//! Manifests by the thousand, the same for the same seed.

use std::fmt::Write as _;
use std::path::Path;

/// Documents in one file.
const STREAM: usize = 50;
/// Of so many documents, one is changed.
const CHANGED: usize = 30;

/// Writes `count` manifests as they were to `old`, and as they are to `new`; every second one is a
/// StatefulSet, the others are claims.
pub(crate) fn write(count: usize, old: &Path, new: &Path) -> std::io::Result<()> {
    let mut random = fastrand::Rng::with_seed(2026);
    for first in (0..count).step_by(STREAM) {
        let (mut before, mut after) = (String::new(), String::new());
        for number in first..count.min(first + STREAM) {
            let changed = random.usize(..CHANGED) == 0;
            let object = if number % 2 == 0 { set } else { claim };
            let seed = random.u64(..);
            object(number, false, &mut fastrand::Rng::with_seed(seed), &mut before);
            object(number, changed, &mut fastrand::Rng::with_seed(seed), &mut after);
        }
        let name = format!("{:04}.yaml", first / STREAM);
        std::fs::write(old.join(&name), before)?;
        std::fs::write(new.join(&name), after)?;
    }
    Ok(())
}

const SYSTEMS: [(&str, &str, u16); 5] = [
    ("postgres", "/var/lib/postgresql/data", 5432),
    ("kafka", "/var/lib/kafka", 9092),
    ("cassandra", "/var/lib/cassandra", 9042),
    ("redis", "/data", 6379),
    ("etcd", "/var/run/etcd", 2379),
];

fn set(number: usize, changed: bool, random: &mut fastrand::Rng, text: &mut String) {
    let (system, path, port) = SYSTEMS[random.usize(..SYSTEMS.len())];
    let name = format!("{system}-{number}");
    // What changes most often is an image; now and then somebody grows a claim template.
    let grows = changed && random.usize(..4) == 0;
    let tag = if changed && !grows { 2 } else { 1 };
    let size = if grows { 200 } else { 100 };
    let replicas = random.usize(1..6);
    let mut env = String::new();
    for setting in 0..random.usize(4..24) {
        let value = random.u32(..);
        let _ = write!(
            env,
            "        - name: SETTING_{setting}\n          value: \"{value}\" # as measured\n"
        );
    }
    let _ = write!(
        text,
        "---\n# {name}: a generated manifest\napiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  \
         name: {name}\n  namespace: team-{team}\n  labels:\n    app.kubernetes.io/name: {system}\n    \
         app.kubernetes.io/instance: {name}\nspec:\n  serviceName: {name}\n  \
         replicas: {replicas}\n  podManagementPolicy: Parallel\n  selector:\n    matchLabels:\n      \
         app.kubernetes.io/instance: {name}\n  template:\n    metadata:\n      labels:\n        \
         app.kubernetes.io/name: {system}\n        app.kubernetes.io/instance: {name}\n    spec:\n      \
         terminationGracePeriodSeconds: 60\n      topologySpreadConstraints:\n      - maxSkew: 1\n        \
         topologyKey: kubernetes.io/hostname\n        whenUnsatisfiable: ScheduleAnyway\n        \
         labelSelector:\n          matchLabels:\n            app.kubernetes.io/instance: {name}\n      \
         containers:\n      - name: {system}\n        image: registry.example.com/{system}:17.{tag}\n        \
         ports:\n        - name: client\n          containerPort: {port}\n        env:\n{env}        \
         readinessProbe:\n          tcpSocket:\n            port: client\n          \
         periodSeconds: 10\n        resources:\n          requests:\n            cpu: 500m\n            \
         memory: 2Gi\n          limits:\n            memory: 2Gi\n        volumeMounts:\n        \
         - name: data\n          mountPath: {path}\n  volumeClaimTemplates:\n  - metadata:\n      \
         name: data\n    spec:\n      accessModes: [ReadWriteOnce]\n      storageClassName: fast\n      \
         resources:\n        requests:\n          storage: {size}Gi\n",
        team = number % 40,
    );
}

fn claim(number: usize, changed: bool, random: &mut fastrand::Rng, text: &mut String) {
    // Most claims grow; now and then one would shrink.
    let size = match (changed, random.usize(..4)) {
        (false, _) => 100,
        (true, 0) => 50,
        (true, _) => 200,
    };
    let _ = write!(
        text,
        "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: uploads-{number}\n  \
         namespace: team-{team}\n  labels:\n    app.kubernetes.io/name: uploads\n  annotations:\n    \
         example.com/owner: \"team {team}\"\nspec:\n  accessModes:\n  - ReadWriteOnce\n  \
         storageClassName: fast\n  volumeMode: Filesystem\n  resources:\n    requests:\n      \
         storage: {size}Gi\n",
        team = number % 40,
    );
}
