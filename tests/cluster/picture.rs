//! The picture of a resize in README, drawn from a run on a real control plane.

use serde_json::Value;

use crate::drawing;
use crate::resize::Resizing;
use crate::resize_commands::typed;
use crate::webhook::{LONG, path, pod_uids};

/// Ages and times differ from run to run, and nothing else does.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    for line in text.lines() {
        match line.rsplit_once(' ') {
            Some((before, age)) if is_age(age) => {
                steady.push_str(before);
                steady.push_str(" 5m");
            }
            _ => steady.push_str(line),
        }
        steady.push('\n');
    }
    steady
}

/// Whether a word is an age as kubectl prints it, such as `42s` or `2m3s`.
fn is_age(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.ends_with(['s', 'm'])
        && word.chars().all(|c| c.is_ascii_digit() || "ms".contains(c))
}

/// The manifest of README's example, with the class that the testbed's storage serves.
fn manifest() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/new.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("storage: 10Gi"), "{text}");
    let modes = "accessModes: [ReadWriteOnce]";
    text.replace(modes, &format!("{modes}\n        storageClassName: standard"))
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_picture_of_a_resize_is_what_a_real_one_shows() {
    let resizing = Resizing::shared().await;
    resizing.ensure_namespace("shop").await.unwrap();
    let folder = resizing.folder().join("picture");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("db.yaml"), manifest()).unwrap();
    let run = async |command: &str| {
        let line = format!("cd {} && {{ {command}; }} 2>&1", folder.display());
        typed(resizing, &line).await
    };
    let output = run("kubectl apply -f db.yaml").await;
    assert_eq!(output.status, 0, "{output:?}");
    let ready = |live: &Value| live["status"]["readyReplicas"] == 3;
    resizing.wait_object(&path("shop", "db"), LONG, ready).await.unwrap();
    let pods = pod_uids(resizing, "shop").await;

    // The webhook believes in a controller once it has seen it renew its Lease.
    let edit = "sed -i 's/storage: 10Gi/storage: 20Gi/' db.yaml";
    let apply = "kubectl apply -f db.yaml";
    assert_eq!(run(edit).await.status, 0);
    resizing
        .wait_for("growth to be accepted", LONG, async || {
            let accepted = run(&format!("{apply} --dry-run=server")).await.status == 0;
            Ok(accepted.then_some(()))
        })
        .await
        .unwrap();
    let mut session = String::new();
    for (command, shown) in [
        (apply, &*format!("{edit} && {apply}")),
        ("stateward resize status db -n shop --color always", "stateward resize status db -n shop"),
        ("kubectl get pods -n shop", "kubectl get pods -n shop"),
    ] {
        if command != apply {
            resizing.complete("shop", "20Gi").await;
        }
        let output = run(command).await;
        assert_eq!(output.status, 0, "{command}: {output:?}");
        session.push_str(&drawing::typed(shown, &steady(&output.stdout)));
    }
    assert_eq!(pod_uids(resizing, "shop").await, pods, "a pod was restarted");
    drawing::hold("resize.svg", &session);
}
