//! The recipes of docs/ci.md for Helm, with a real helm and a release in a real cluster.

use std::path::Path;
use std::process::Command;

use crate::webhook::{set, with};

/// The commands of the page that name `helm get manifest`, those before it in its block included.
fn recipe() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ci.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.find(|block| block.contains("helm get manifest")).unwrap().to_owned()
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_release_is_compared_with_what_its_chart_would_make_of_it() {
    let testbed = testbed::Testbed::shared().await.unwrap();
    let namespace = testbed.namespace("recipe").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("charts/db");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("charts/db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 0.1.0\n");
    write("values.yaml", "size: 10Gi\n");
    let template = with(&set("db", "NAMESPACE"), crate::webhook::STORAGE, "SIZE".into());
    let template = template.to_string().replace("NAMESPACE", "{{ .Release.Namespace }}");
    write("charts/db/templates/set.yaml", &template.replace("SIZE", "{{ .Values.size }}"));
    let values = folder.path().join("values.yaml");
    let install = [
        "install",
        "db",
        chart.to_str().unwrap(),
        "-n",
        &namespace,
        "-f",
        values.to_str().unwrap(),
    ];
    testbed.helm(&install).await.unwrap().ok().unwrap();

    let recipe = recipe().replace("-n shop", &format!("-n {namespace}"));
    let run = || {
        let folders = [testbed.tools().helm.as_path(), Path::new(env!("CARGO_BIN_EXE_stateward"))];
        let folders = folders.map(|program| program.parent().unwrap().display().to_string());
        let path = format!("{}:{}", folders.join(":"), std::env::var("PATH").unwrap());
        Command::new("sh")
            .args(["-ec", &recipe])
            .current_dir(folder.path())
            .env("PATH", path)
            .env("KUBECONFIG", testbed.kubeconfig())
            .env("HOME", folder.path())
            .output()
            .unwrap()
    };
    let same = run();
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    write("values.yaml", "size: 5Gi\n");
    let smaller = run();
    assert_eq!(smaller.status.code(), Some(1), "{smaller:?}");
    let printed = String::from_utf8(smaller.stdout).unwrap();
    assert!(printed.contains("claim template data would shrink, 10Gi → 5Gi"), "{printed}");
    assert!(printed.contains("rendered from db/templates/set.yaml"), "{printed}");
}
