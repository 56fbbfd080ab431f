//! `audit` and `check --facts`, on facts from files: a cluster that is always the same.

mod formats;

use std::fmt::Write as _;
use std::process::Command;

use serde_json::json;

use crate::folder::Folder;

const FACTS: &str = r"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop, uid: u1}
spec:
  replicas: 2
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {resources: {requests: {storage: 10Gi}}}}]
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata: {name: data-db-0, namespace: shop, ownerReferences: [{kind: StatefulSet, uid: u1}]}
    spec: {volumeName: pv-0, resources: {requests: {storage: 20Gi}}}
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata: {name: data-db-1, namespace: shop, ownerReferences: [{kind: StatefulSet, uid: u1}]}
    spec: {volumeName: pv-1, resources: {requests: {storage: 20Gi}}}
  - apiVersion: v1
    kind: PersistentVolume
    metadata: {name: pv-0}
    spec: {persistentVolumeReclaimPolicy: Delete}
  - apiVersion: v1
    kind: Secret
    metadata: {name: password, namespace: shop}
";

#[test]
fn an_audit_of_a_file_names_what_can_lose_data_and_how_to_mend_it() {
    let folder = Folder::new(&[("facts.yaml", FACTS)]);
    let audit =
        |more: &[&str]| folder.run(&[&["audit", "--facts", "facts.yaml"], more].concat(), "");
    let ran = audit(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for line in [
        "RISK  shop  sts/db  deleting it deletes its 2 claims (40Gi)",
        "         kubectl -n shop patch statefulset db --type merge",
        "RISK  shop  sts/db  claims of template data have 20Gi, and the template 10Gi",
        "         stateward resize apply sts/db -n shop --size data=20Gi",
        "incomplete: needs a cluster to look at\n",
        "1 StatefulSets and 2 claims, 40Gi",
        "systems: ",
        "1 claims lose their volume when they are deleted",
        "found: 0 lost, 2 risk, 0 stuck, 0 note",
    ] {
        assert!(ran.stdout.contains(line), "{line:?} is missing:\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("LOST"), "pv-1 may exist: {}", ran.stdout);
    assert_eq!(audit(&["--fail-on", "lost"]).code, Some(0));
    assert_eq!(audit(&["--fail-on", "risk"]).code, Some(1));
    let json = audit(&["-o", "json"]).json();
    assert_eq!(json["summary"]["size"], "40Gi");
    assert_eq!(json["findings"][0]["check"], "retention-delete");
    assert_eq!(json["findings"][0]["severity"], "risk");
}

#[test]
fn facts_that_cannot_be_read_are_an_error_with_their_place() {
    let folder = Folder::new(&[
        ("odd.yaml", "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: x}\nspec: 7\n"),
        ("none.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n"),
        ("export.json", "{\"apiVersion\": \"stateward.dev/v1alpha1\", \"kind\": \"ClusterFacts\"}"),
        ("broken.yaml", "kind: [\n"),
    ]);
    for (file, what) in [
        ("odd.yaml", "odd.yaml:1: PersistentVolumeClaim x, which cannot be read"),
        ("none.yaml", "none.yaml holds no facts"),
        ("export.json", "export.json: missing field `complete`"),
        ("broken.yaml", "broken.yaml:"),
        ("absent.yaml", "absent.yaml"),
    ] {
        let ran = folder.run(&["audit", "--facts", file], "");
        assert_eq!(ran.code, Some(2), "{file}: {ran:?}");
        assert!(ran.stderr.contains(what), "{file}: {}", ran.stderr);
    }
}

#[test]
fn check_judges_with_the_facts_of_a_file() {
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "shop", "uid": "u1"},
        "spec": {
            "replicas": 2, "serviceName": "db",
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"},
            "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "db", "image": "registry.example/db:1"}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}}],
        },
    });
    let folder = Folder::new(&[("facts.yaml", FACTS), ("old.json", &set.to_string())]);
    folder.write("new.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: db}\n");
    let deletion = ["--deletions", "--old", "old.json", "new.yaml"];
    // Manifests among facts say what is, but not that nothing else is.
    let some = folder.check(&[&["--facts", "facts.yaml"], &deletion[..]].concat());
    assert_eq!(some.code, Some(1), "{some:?}");
    assert!(some.stdout.contains("It is not known which claims it owns"), "{}", some.stdout);
    // An export does.
    let items: Vec<serde_json::Value> = vec![
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data-db-0", "namespace": "shop", "ownerReferences": [{"uid": "u1"}]},
            "spec": {"volumeName": "pv-0", "resources": {"requests": {"storage": "20Gi"}}}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-0"},
            "spec": {"persistentVolumeReclaimPolicy": "Delete"}}),
    ];
    let export = json!({
        "apiVersion": "stateward.dev/v1alpha1", "kind": "ClusterFacts", "items": items,
        "complete": ["PersistentVolumeClaim", "PersistentVolume", "VolumeSnapshot", "Pod", "StatefulSet"],
    });
    folder.write("facts.json", &export.to_string());
    let all = folder.check(&[&["--facts", "facts.json"], &deletion[..]].concat());
    assert_eq!(all.code, Some(1), "{all:?}");
    for line in [
        "a claim would be deleted with it, as whenDeleted is Delete",
        "This would destroy 1 claim, 20Gi, on a volume whose reclaim policy is Delete; no snapshot",
        "= lost: data-db-0: 20Gi, volume pv-0 is deleted",
    ] {
        assert!(all.stdout.contains(line), "{line:?} is missing:\n{}", all.stdout);
    }
}

#[test]
fn a_rule_without_its_facts_fails_if_facts_are_required() {
    let sets = "apiVersion: autoscaling/v1\nkind: Scale\nmetadata: {name: db}\n";
    let folder = Folder::new(&[("scale.yaml", sets)]);
    assert_eq!(folder.check(&["scale.yaml", "--require-facts"]).code, Some(0), "nothing is judged");
    let claim = |size: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: a, namespace: shop}}\n\
             spec: {{storageClassName: slow, resources: {{requests: {{storage: {size}}}}}}}\n"
        )
    };
    folder.write("old.yaml", &claim("1Gi"));
    folder.write("new.yaml", &claim("2Gi"));
    let grown = ["--old", "old.yaml", "new.yaml"];
    let plain = folder.check(&grown);
    assert!(plain.stdout.contains("not judged: "), "{}", plain.stdout);
    assert_eq!(plain.code, Some(0), "{plain:?}");
    let strict = folder.check(&[&grown[..], &["--require-facts"]].concat());
    assert_eq!(strict.code, Some(2));
    assert!(strict.stderr.contains("for want of facts"), "{}", strict.stderr);
    let alone = folder.check(&["new.yaml", "--context", "x"]);
    assert_eq!(alone.code, Some(2));
    assert!(alone.stderr.contains("--context are for --live"), "{}", alone.stderr);
}

/// What a browser makes of a page in a file, as HTML.
fn drawn(folder: &Folder, page: &str) -> String {
    drawn_at(&format!("file://{}", folder.path().join(page).display()))
}

/// What a browser makes of a page, as HTML, after timers of three seconds have ended.
pub(crate) fn drawn_at(address: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--dump-dom"])
        .arg("--virtual-time-budget=3000")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(address)
        .output()
        .unwrap_or_else(|error| panic!("chromium is needed, apt-get install -y chromium: {error}"));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_page_of_an_audit_is_drawn_filtered_and_sorted_by_a_browser() {
    let facts = FACTS.replace("name: data-db-1,", "name: data-db-1, labels: {a: \"</script>\"},");
    let more = "---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: <b>web, namespace: shop}\n\
                spec: {replicas: 1, template: {spec: {containers: [{name: a, image: postgres:17}]}}}\n";
    let folder = Folder::new(&[("facts.yaml", &format!("{facts}{more}"))]);
    let ran = folder.run(&["audit", "--facts", "facts.yaml", "-o", "html=report.html"], "");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    let dom = drawn(&folder, "report.html");
    for part in [
        "<b class=\"risk\">2</b>risk",
        "Systems: 1 PostgreSQL",
        "Incomplete: needs a cluster to look at",
        "deleting it deletes its 2 claims (40Gi)",
        "<code>stateward resize apply sts/db -n shop --size data=20Gi</code>",
        "style=\"width: 100%;\"",
        "&lt;b&gt;web",
    ] {
        assert!(dom.contains(part), "{part:?} is missing:\n{dom}");
    }
    // What people do with it, and what the page reports of faults.
    let told = |script: &str| {
        let mut page = page.clone();
        let end = page.rfind("</body>").unwrap();
        page.insert_str(end, &format!("<script>{script}</script>"));
        let head = page.find("<script>").unwrap();
        let watch = "<script>onerror = (message) => { document.title = message; };</script>";
        page.insert_str(head, watch);
        folder.write("told.html", &page);
        drawn(&folder, "told.html")
    };
    let rows = "[...document.querySelectorAll('#sets tbody tr')].map((row) => (row.children[1] || row).textContent)";
    let mut script = String::new();
    for (index, action) in [
        "",
        "document.getElementById('only').click();",
        "document.getElementById('only').click(); words.value = 'PostGres'; words.dispatchEvent(new Event('input', {bubbles: true}));",
        "words.value = 'data-db-1'; words.dispatchEvent(new Event('input', {bubbles: true}));",
        "words.value = 'nothing'; words.dispatchEvent(new Event('input', {bubbles: true}));",
        "words.value = ''; words.dispatchEvent(new Event('input', {bubbles: true})); document.querySelectorAll('#sets th button')[1].click();",
        // Another audit keeps what was chosen.
        "document.getElementById('only').click(); take({...embedded, sets: [...embedded.sets].reverse()}); document.getElementById('only').click();",
        "words.value = 'postgres'; words.dispatchEvent(new Event('input', {bubbles: true})); take(embedded);",
    ]
    .iter()
    .enumerate()
    {
        let _ = write!(script, "{action} console.info({index}); out.push({rows}.join('|'));");
    }
    let dom = told(&format!(
        "const words = document.getElementById('words'); const out = []; {script} \
         words.value = ''; words.dispatchEvent(new Event('input', {{bubbles: true}})); \
         document.querySelector('#sets details').open = true; document.title = out.join(' / '); \
         setTimeout(() => take(embedded), 100);"
    ));
    // The claims of the set are still shown below its row.
    assert!(
        dom.contains("<details open=\"\">") && dom.contains("<th scope=\"col\">Class</th>"),
        "{dom}"
    );
    let title = dom.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    assert_eq!(
        title,
        "db RISK|&lt;b&gt;web / db RISK / &lt;b&gt;web / db RISK / Nothing matches the filter. / &lt;b&gt;web|db RISK / &lt;b&gt;web|db RISK / &lt;b&gt;web"
    );
}

#[test]
fn an_earlier_audit_is_compared_and_decides_the_exit_code() {
    let folder = Folder::new(&[("facts.yaml", FACTS)]);
    let audit =
        |more: &[&str]| folder.run(&[&["audit", "--facts", "facts.yaml"], more].concat(), "");
    assert_eq!(audit(&["-o", "json=before.json"]).code, Some(0));
    let same = audit(&["--since", "before.json", "--fail-on", "note"]);
    assert_eq!(same.code, Some(0), "{same:?}");
    assert!(same.stdout.contains("0 new, 0 fixed, 2 as before"), "{}", same.stdout);
    folder.write("facts.yaml", &FACTS.replace("whenDeleted: Delete", "whenScaled: Delete"));
    let later = audit(&["--since", "before.json", "--fail-on", "risk"]);
    assert_eq!(later.code, Some(1), "{later:?}");
    for line in [
        "RISK  shop  sts/db  a scale-down deletes the claims",
        "FIXED  shop  sts/db  deleting it deletes its 2 claims (40Gi)",
        "1 new, 1 fixed, 1 as before",
    ] {
        assert!(later.stdout.contains(line), "{line:?} is missing:\n{}", later.stdout);
    }
    assert!(!later.stdout.contains("and the template 10Gi"), "{}", later.stdout);
    let json = audit(&["--since", "before.json", "-o", "json"]).json();
    assert_eq!(json["since"]["fixed"][0]["check"], "retention-delete");
    for (since, format, what) in [
        ("absent.json", "text", "cannot read \"absent.json\""),
        ("facts.yaml", "text", "is not what `stateward audit -o json` prints"),
        ("before.json", "html=", "\"html=\" names no file"),
        (
            "before.json",
            "pdf",
            "there is no format \"pdf\"; there are text, json, html, sarif, junit, github, markdown",
        ),
        ("before.json", "json=no/such/folder", "cannot write \"no/such/folder\""),
    ] {
        let ran = audit(&["--since", since, "-o", format]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(what), "{what}: {}", ran.stderr);
    }
}
