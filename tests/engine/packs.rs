//! Every pack over its edits: what the rules that read packs find in them.

pub(crate) mod edits;
mod images;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};
use stateward_core::packs::{MemberKind, Packs, recognise};
use stateward_core::rules::{Action, Entry, RULES};

use self::edits::{Edits, READERS};
use crate::rules::Fixture;

impl Edits {
    /// The change of an edit, as a fixture of rules.
    fn fixture(&self, edit: &Value) -> Fixture {
        let (old, new) = self.sides(edit);
        let mut document = json!({"new": new, "clusterIsKnown": true});
        if let Some(facts) = edit.get("facts") {
            document["facts"] = facts.clone();
        }
        if edit["creates"] != true {
            document["old"] = old;
        }
        Fixture { path: self.path.clone(), document }
    }

    /// The set gets one more pod, whose claim is still there.
    fn scaled_over_a_claim(&self) -> Fixture {
        let count = self.set["spec"]["replicas"].as_i64().unwrap_or(1);
        let template = &self.set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"];
        let (template, set) = (template.as_str().unwrap(), &self.set["metadata"]["name"]);
        let claim = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": format!("{template}-{}-{count}", set.as_str().unwrap()),
                "namespace": self.set["metadata"]["namespace"].as_str().unwrap_or_default(),
            },
            "spec": {"resources": {"requests": {"storage": "1Gi"}}},
        });
        self.fixture(&json!({"change": {"/spec/replicas": count + 1}, "facts": [claim]}))
    }
}

/// What the readers of packs find, as `warning` lines.
fn found(fixture: &Fixture) -> (BTreeSet<String>, Vec<String>) {
    let readers = RULES.iter().filter(|entry| READERS.contains(&entry.meta.id));
    let (mut rules, mut lines) = (BTreeSet::new(), Vec::new());
    for entry in readers.filter(|entry| fixture.is_judged(entry)) {
        let (object, judged) = fixture.judge(entry);
        let findings = judged
            .unwrap_or_else(|why| panic!("{}: {}: {why:?}", fixture.path.display(), entry.meta.id));
        for finding in findings {
            rules.insert(finding.rule.to_owned());
            lines.push(finding.warning(&object));
            // Names of volumes and folders are the manifest's, and may be long.
            if !entry.meta.id.starts_with("sts-data-") {
                crate::rules::well_formed(&fixture.path, &object, &finding);
            }
        }
    }
    (rules, lines)
}

fn packs() -> impl Iterator<Item = (&'static str, &'static stateward_core::packs::Pack)> {
    Packs::built_in().iter()
}

#[test]
fn every_pack_finds_what_its_edits_say() {
    let mut wrong = Vec::new();
    for (name, _) in packs() {
        let edits = Edits::read(name);
        assert!(!edits.all.is_empty(), "{name} has no edits");
        for edit in &edits.all {
            let (rules, lines) = found(&edits.fixture(edit));
            let wanted: BTreeSet<String> = edit["finds"]
                .as_array()
                .unwrap_or_else(|| panic!("{name}: {} says nothing of finds", edit["name"]))
                .iter()
                .map(|rule| rule.as_str().unwrap().to_owned())
                .collect();
            if rules != wanted {
                let found = rules.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                wrong.push(format!(
                    "{name}: {} finds [{found}], not {wanted:?}\n  {}",
                    edit["name"],
                    lines.join("\n  ")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_good_set_of_each_system_is_recognised_and_not_found_fault_with() {
    let mut wrong = Vec::new();
    for (name, pack) in packs() {
        let edits = Edits::read(name);
        let fixture = Fixture { path: edits.path.clone(), document: json!({"new": edits.set}) };
        let (_, mut lines) = found(&fixture);
        let denies = |entry: &&Entry| entry.meta.action == Action::Deny;
        for entry in RULES.iter().filter(denies).filter(|entry| fixture.is_judged(entry)) {
            let (object, judged) = fixture.judge(entry);
            lines.extend(judged.unwrap_or_default().iter().map(|f| f.warning(&object)));
        }
        if !lines.is_empty() {
            wrong.push(format!("{name}: {}", lines.join("\n  ")));
        }
        let text = edits.set.to_string();
        let object = stateward_core::object::Object::decode(&text).unwrap();
        let set = stateward_core::object::StatefulSet::decode(&object).unwrap();
        let traits = stateward_core::packs::Traits::of(&set).unwrap();
        let known = recognise(Packs::built_in(), &traits).map(|known| known.name);
        if known != Some(name) {
            wrong.push(format!("{name}: its set is taken for {known:?}"));
        }
        assert!(!pack.title.is_empty());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Thousands of containers, mounts, claim templates and labels, none of which fits at once.
#[test]
fn a_set_of_any_size_is_recognised_in_time() {
    let containers: Vec<Value> = (0..10_000)
        .map(|i| {
            let mounts = json!([{"name": format!("other-{i}"), "mountPath": "/a"}, {"name": "t0", "mountPath": "/b"}]);
            json!({"name": format!("c{i}"), "image": "apache/airflow:2.10.5", "volumeMounts": mounts})
        })
        .collect();
    let templates: Vec<Value> =
        (0..10_000).rev().map(|i| json!({"metadata": {"name": format!("t{i}")}})).collect();
    let mut labels: Map<String, Value> =
        (0..50_000).map(|i| (format!("k{i}"), json!("v"))).collect();
    labels.insert("component".to_owned(), json!("worker"));
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "big", "namespace": "shop", "labels": labels},
        "spec": {
            "template": {"spec": {"containers": containers}},
            "volumeClaimTemplates": templates,
        },
    });
    let text = set.to_string();
    let object = stateward_core::object::Object::decode(&text).unwrap();
    let decoded = stateward_core::object::StatefulSet::decode(&object).unwrap();
    let traits = stateward_core::packs::Traits::of(&decoded).unwrap();
    let known = recognise(Packs::built_in(), &traits).unwrap();
    assert_eq!((known.name, known.container), ("airflow-worker", Some(0)));
}

/// A fact that no rule reads is no fact of a pack.
#[test]
fn every_fact_of_a_pack_is_found_by_an_edit() {
    let mut missing = Vec::new();
    for (name, pack) in packs() {
        let edits = Edits::read(name);
        let finds: BTreeSet<&str> = edits
            .all
            .iter()
            .flat_map(|edit| edit["finds"].as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .collect();
        let mut need = |fact: bool, rules: &[&str]| {
            if fact && !rules.iter().any(|rule| finds.contains(rule)) {
                missing.push(format!("{name}: {}", rules.join(" or ")));
            }
        };
        let members = pack.members.as_ref();
        need(members.is_some_and(|m| m.kind == MemberKind::Majority), &["sts-scale-below-quorum"]);
        need(members.is_some_and(|m| m.kind == MemberKind::Pool), &["sts-pool-resized"]);
        need(members.is_some_and(|m| m.minimum.is_some()), &["sts-scale-below-minimum"]);
        if let Some(most) = members.and_then(|members| members.sizes.iter().max()) {
            // An even number of voters is found by another rule.
            let unusual =
                edits.fixture(&json!({"change": {"/spec/replicas": most + 2 + most % 2}}));
            let odd = edits.fixture(&json!({"change": {"/spec/replicas": most + 3 - most % 2}}));
            let rules: BTreeSet<_> = [unusual, odd].iter().flat_map(|f| found(f).0).collect();
            let fixed = members.is_some_and(|members| members.kind == MemberKind::Pool);
            assert!(fixed || rules.contains("sts-member-count"), "{name}: {rules:?}");
        }
        need(
            pack.scale_down.is_some(),
            &["sts-scale-down-steps", "sts-scale-down-multi", "sts-pool-resized"],
        );
        let up = pack.scale_up.as_ref();
        if up.is_some_and(|up| up.leftover_claims.is_some()) {
            let (rules, _) = found(&edits.scaled_over_a_claim());
            assert!(rules.contains("sts-leftover-claims"), "{name}: {rules:?}");
        }
        if up.is_some_and(|up| up.from_one.is_some()) {
            let mut one = edits.fixture(&json!({"change": {"/spec/replicas": 3}}));
            one.document["old"]["spec"]["replicas"] = json!(1);
            let (rules, _) = found(&one);
            assert!(rules.contains("sts-scale-up-from-one"), "{name}: {rules:?}");
        }
        need(pack.versions.is_some(), &["sts-image-version", "sts-image-upgrade"]);
        need(!pack.data.is_empty(), &["sts-data-not-on-claim", "sts-data-moves-off-claim"]);
        if let Some(identity) = &pack.identity {
            need(!identity.variables.is_empty(), &["sts-identity-changed"]);
            assert!(identity.service || !identity.variables.is_empty(), "{name}: nothing is named");
            let renamed = edits.fixture(&json!({"change": {"/spec/serviceName": "another"}}));
            let entry = RULES.iter().find(|entry| entry.meta.id == "sts-service-name").unwrap();
            let (_, judged) = renamed.judge(entry);
            let said = judged.unwrap().iter().any(|finding| finding.why.contains(&identity.why));
            assert_eq!(said, identity.service, "{name}");
        }
        need(!pack.settings.is_empty(), &["sts-dangerous-setting"]);
        let pods = &pack.pods;
        let any = pods.management.is_some() || pods.strategy.is_some() || pods.grace.is_some();
        need(any, &["sts-pod-settings"]);
        need(pods.rolling_update.is_some(), &["sts-rolling-restart"]);
    }
    // What mutations read, tests/engine/admission/defaults.rs holds to every pack: `pods.anti-affinity`.
    assert!(missing.is_empty(), "no edit finds:\n{}", missing.join("\n"));
}

/// `docs/systems.md`: one row for each system, with a finding of its edits.
#[test]
fn the_page_of_systems_shows_every_pack() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/systems.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- systems:begin -->\n", "<!-- systems:end -->");
    let (head, rest) = page.split_once(begin).unwrap();
    let (shown, tail) = rest.split_once(end).unwrap();
    let mut table = String::from(
        "\n| System | Recognised by | What is known | Example |\n| --- | --- | --- | --- |\n",
    );
    for (name, pack) in packs() {
        let edits = Edits::read(name);
        let example = edits.all.iter().find_map(|edit| {
            let (_, lines) = found(&edits.fixture(edit));
            let line = lines.into_iter().next()?;
            Some(line.split_once(": ")?.1.to_owned())
        });
        let written: Map<String, Value> =
            serde_json::to_value(pack).unwrap().as_object().unwrap().clone();
        let known: Vec<&str> = written
            .iter()
            .filter(|(key, value)| {
                let empty = value.is_null()
                    || value.as_array().is_some_and(Vec::is_empty)
                    || value.as_object().is_some_and(|o| o.values().all(Value::is_null));
                !empty && !["title", "about", "recognise"].contains(&key.as_str())
            })
            .map(|(key, _)| key.as_str())
            .collect();
        let by: BTreeSet<String> = pack
            .recognise
            .iter()
            .filter_map(|way| way.image.clone().or_else(|| way.owner.clone()))
            .map(|text| format!("`{text}`"))
            .collect();
        let by: Vec<String> = by.into_iter().collect();
        let _ = writeln!(
            table,
            "| [{}](../policies/packs/{name}.yaml) | {} | {} | {} |",
            pack.title,
            by.join(", "),
            known.join(", "),
            example.unwrap_or_default().replace('|', "\\|"),
        );
    }
    table.push('\n');
    if std::env::var_os("STATEWARD_UPDATE").is_some() {
        std::fs::write(&path, format!("{head}{begin}{table}{end}{tail}")).unwrap();
    } else {
        assert_eq!(shown, table, "run it again with STATEWARD_UPDATE=1");
    }
}
