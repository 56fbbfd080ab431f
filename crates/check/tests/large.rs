//! A repository of 20,000 objects is paired and judged in seconds, since no step compares each object with
//! each other one.

use std::fmt::Write as _;

use jiff::Timestamp;
use stateward_check::judge::check;
use stateward_check::pair::pair;
use stateward_check::select::Selection;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::Facts;
use stateward_core::policy::Policy;
use stateward_core::yaml::{File, Inputs};

const MANY: usize = 20_000;

/// Files by name, and what each holds.
type Texts = Vec<(String, String)>;

fn selection(texts: Texts) -> Selection {
    let files = texts.into_iter().map(|(name, text)| File { name, bytes: text.into_bytes() });
    let mut inputs = Inputs::default();
    inputs.read(files.collect());
    Selection::from(inputs)
}

/// How many pairs have an old and a new object, and how many only a new one.
fn pairs(old: Texts, new: Texts) -> (usize, usize) {
    let paired = pair(selection(old), selection(new), false);
    assert!(paired.errors.is_empty());
    let both = paired.pairings.iter().filter(|pairing| pairing.old.is_some()).count();
    (both, paired.pairings.len() - both)
}

fn set(name: &str, namespace: &str, size: &str) -> String {
    let namespace =
        if namespace.is_empty() { String::new() } else { format!(", namespace: {namespace}") };
    format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: {name}{namespace}}}\nspec:\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: \
         {name}}}}}\n    spec: {{containers: [{{name: a, image: img, volumeMounts: [{{name: data, \
         mountPath: /d}}]}}]}}\n  volumeClaimTemplates: [{{metadata: {{name: data}}, spec: \
         {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: {size}}}}}}}}}]\n---\n"
    )
}

fn claim(name: &str, source: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}, namespace: \
         shop}}\nspec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: \
         1Gi}}}}{source}}}\n---\n"
    )
}

#[test]
fn many_renamed_sets_look_up_their_claims_by_name() {
    let (mut old, mut new) = (String::new(), String::new());
    for at in 0..MANY / 4 {
        old += &set(&format!("a{at}"), "shop", "1Gi");
        old += &claim(&format!("data-a{at}-0"), "");
        new += &set(&format!("b{at}"), "shop", "1Gi");
        // Every second one brings its data along.
        let source = if at % 2 == 0 { ", volumeName: v" } else { "" };
        let _ = write!(new, "{}", claim(&format!("data-b{at}-0"), source));
    }
    let one = |text| vec![("all.yaml".to_owned(), text)];
    let (policy, facts) = (Policy::default(), Facts::none());
    let context = EvaluationContext { policy: &policy, facts: &facts, now: Timestamp::UNIX_EPOCH };
    let paired = pair(selection(one(old)), selection(one(new)), false);
    let report = check(paired, KubernetesVersion::default(), &context);
    assert_eq!(report.summary.objects, MANY / 2);
    assert_eq!(report.summary.removed, MANY / 2);
    assert!(report.findings.iter().any(|finding| finding.rule == "data-left-behind"));
}

#[test]
fn many_copies_of_one_set_are_paired_by_their_folders() {
    let file = |cluster: usize, name: &str| format!("clusters/{cluster}/{name}.yaml");
    let old = (0..MANY / 2).map(|at| (file(at, "db"), set("db", "", "2Gi"))).collect();
    let new = (0..MANY).map(|at| (file(at, "db"), set("db", "", "2Gi"))).collect();
    assert_eq!(pairs(old, new), (MANY / 2, MANY / 2));
}

#[test]
fn a_set_without_namespace_is_looked_up_once_for_each_of_its_name() {
    let old = vec![("old.yaml".to_owned(), set("db", "", "2Gi"))];
    let new = (0..MANY).map(|at| set("db", &format!("n{at}"), "1Gi")).collect();
    assert_eq!(pairs(old, vec![("new.yaml".to_owned(), new)]), (0, MANY));
}

#[test]
fn many_files_that_change_their_folder_and_name_are_paired_in_groups() {
    // A hundred files of each name: as many as are compared with each other.
    let file = |top: &str, at: usize| format!("{top}{}/db-{}.yaml", at % 100, at / 100);
    let size = |at: usize| format!("{}Gi", 1 + at);
    let all = |top: &'static str| {
        (0..MANY / 4).map(move |at| (file(top, at), set("db", "", &size(at)))).collect()
    };
    assert_eq!(pairs(all("x"), all("y")), (MANY / 4, 0));
}
