//! Every rule over its fixtures: what it finds stands in a snapshot beside each file.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};
use stateward_check::judge::check;
use stateward_check::pair::{Paired, Pairing};
use stateward_check::report::CheckReport;
use stateward_core::change::{
    Change, Circumstances, KubernetesVersion, Operation, Pair, Tool, User,
};
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::{ControllerState, FACT_KINDS, FactKind, Facts, Known, Objects};
use stateward_core::object::{Kind, Object};
use stateward_core::policy::Policy;
use stateward_core::rules::{Entry, Finding, Findings, RULES, Unjudged};
use stateward_core::yaml::Document;

/// A fixture: `old` and `new` (either may be missing), and what else the change is about.
pub(crate) struct Fixture {
    pub(crate) path: PathBuf,
    pub(crate) document: Value,
}

impl Fixture {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let document = serde_saphyr::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path: path.to_owned(), document }
    }

    pub(crate) fn judge(&self, entry: &Entry) -> (String, Result<Vec<Finding>, Unjudged>) {
        self.judge_with(entry, &self.facts())
    }

    /// The same with other facts.
    pub(crate) fn judge_with(
        &self,
        entry: &Entry,
        facts: &Facts,
    ) -> (String, Result<Vec<Finding>, Unjudged>) {
        let side = |key: &str| self.document.get(key).map(Value::to_string);
        let (old, new) = (side("old"), side("new"));
        let operation = match (&old, &new) {
            (None, Some(_)) => Operation::Create,
            (Some(_), Some(_)) => Operation::Update,
            (Some(_), None) => Operation::Delete,
            (None, None) => panic!("{}: neither old nor new", self.path.display()),
        };
        let text = |key: &str| self.document.get(key).and_then(Value::as_str).map(str::to_owned);
        let objects = Pair {
            old: old.as_deref().map(|document| decode(document, &self.path)),
            new: new.as_deref().map(|document| decode(document, &self.path)),
        };
        let any = objects.any().unwrap();
        let kind = Kind::of_manifest(&any.api_version, &any.kind);
        let user = text("user").unwrap_or_default();
        let circumstances = Circumstances {
            tool: Tool::recognise(&user, &text("fieldManager").unwrap_or_default()),
            user: User { name: user, groups: Vec::new() },
            sub_resource: text("subResource").unwrap_or_default(),
            propagation_policy: text("propagationPolicy"),
            field_manager: text("fieldManager").unwrap_or_default(),
            kubernetes: self.kubernetes(),
            ..Circumstances::default()
        };
        let change = Change::new(operation, kind, "", objects, circumstances).unwrap();
        assert!(
            entry.meta.applies(kind, operation),
            "{}: {} does not judge {} of {}",
            self.path.display(),
            entry.meta.id,
            operation.name(),
            kind.name()
        );
        let params = self.document.get("params").cloned().unwrap_or_else(|| json!({}));
        let check = (entry.compile)(&params).unwrap();
        let mut findings = Findings::new(entry.meta.id);
        let judged = check(&change, facts, &mut findings);
        (change.object_name(), judged.map(|()| findings.into_vec()))
    }

    /// What `stateward check` reports of it; `None` if two manifests do not say the same as the fixture:
    /// it has something of a request, or its old side is a live object, of which fields stay that the new
    /// manifest leaves out.
    fn check(&self, entry: &Entry) -> Option<CheckReport> {
        let only_in_requests = ["user", "subResource", "propagationPolicy"];
        let live = self.document.pointer("/old/metadata/uid").is_some();
        if live || only_in_requests.iter().any(|key| self.document.get(key).is_some()) {
            return None;
        }
        let side = |key: &str| -> Option<Document> {
            crate::manifest::read(&self.document.get(key)?.to_string()).documents.pop()
        };
        let pairing = Pairing { old: side("old"), new: side("new") };
        let key = entry.meta.params_from;
        let policy = match (self.document.get("params"), key) {
            (None, _) => json!({"version": 1}),
            (Some(params), Some(key)) => json!({"version": 1, key: params}),
            (Some(params), None) => {
                json!({"version": 1, "rules": {entry.meta.id: {"params": params}}})
            }
        };
        let context = EvaluationContext {
            policy: &Policy::parse(&policy.to_string(), "test").unwrap(),
            facts: &self.facts(),
            now: Timestamp::UNIX_EPOCH,
        };
        let paired = Paired { pairings: vec![pairing], ..Paired::default() };
        Some(check(paired, self.kubernetes(), &context))
    }

    fn kubernetes(&self) -> KubernetesVersion {
        let version = self.document.get("kubernetesVersion").and_then(Value::as_str);
        version.map(|v| v.parse().unwrap()).unwrap_or_default()
    }

    /// Whether the rule judges it, and its objects can be read.
    pub(crate) fn is_judged(&self, entry: &Entry) -> bool {
        let side = |key: &str| self.document.get(key).map(Value::to_string);
        let (old, new) = (side("old"), side("new"));
        let operation = match (&old, &new) {
            (None, _) => Operation::Create,
            (_, None) => Operation::Delete,
            _ => Operation::Update,
        };
        let old = old.as_deref().map(Object::decode).transpose();
        let new = new.as_deref().map(Object::decode).transpose();
        let (Ok(old), Ok(new)) = (old, new) else { return false };
        let objects = Pair { old, new };
        let Some(any) = objects.any() else { return false };
        let kind = Kind::of_manifest(&any.api_version, &any.kind);
        let circumstances = Circumstances::default();
        entry.meta.applies(kind, operation)
            && Change::new(operation, kind, "", objects, circumstances).is_ok()
    }

    /// `facts: [manifest, …]`: objects that are known besides; `clusterIsKnown: true`: no other sets,
    /// claims and the like exist; `nodesAreKnown: true`: no other nodes.
    /// `mayNotList: [kind, …]`: nobody may list the objects of a kind.
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::none();
        if self.document.get("clusterIsKnown").is_some_and(|known| known == true) {
            facts.claims = Objects::all();
            facts.sets = Objects::all();
            facts.pods = Objects::all();
            facts.volumes = Objects::all();
            facts.snapshots = Objects::all();
            facts.snapshot_contents = Objects::all();
            facts.snapshot_classes = Objects::all();
            facts.classes = Objects::all();
            facts.attributes_classes = Objects::all();
            facts.autoscalers = Objects::all();
            facts.budgets = Objects::all();
            facts.services = Objects::all();
        }
        let unknown = self.document.get("mayNotList").and_then(Value::as_array);
        for name in unknown.into_iter().flatten().filter_map(Value::as_str) {
            let info = FACT_KINDS.iter().find(|info| info.name == name).unwrap();
            facts
                .forget(info.kind, Known::Nothing(&format!("the {}: no right to list", info.many)));
        }
        if self.document.get("nodesAreKnown").is_some_and(|known| known == true) {
            facts.nodes = Objects::all();
        }
        for fact in self.document.get("facts").and_then(Value::as_array).into_iter().flatten() {
            let text = |pointer: &str| {
                fact.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
            match text("/kind").as_str() {
                // Of a controller that renews it.
                "Lease" => facts.controller = ControllerState::Runs,
                kind => {
                    let kind = FactKind::of_manifest(&text("/apiVersion"), kind);
                    let kind =
                        kind.unwrap_or_else(|| panic!("{}: no fact: {fact}", self.path.display()));
                    facts.insert(kind, &namespace, &name, &fact.to_string()).unwrap();
                }
            }
        }
        facts
    }
}

fn decode<'a>(document: &'a str, path: &Path) -> Object<'a> {
    Object::decode(document).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folder(entry: &Entry) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/rules").join(entry.meta.id)
}

/// The fixtures of a rule; none if one change alone does not show what it is about.
pub(crate) fn fixtures(entry: &Entry, verdict: &str) -> Vec<Fixture> {
    if entry.meta.judges.is_empty() {
        return Vec::new();
    }
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder(entry).join(verdict))
        .unwrap_or_else(|error| panic!("{}/{verdict}: {error}", entry.meta.id))
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no {verdict} fixture", entry.meta.id);
    paths.iter().map(|path| Fixture::read(path)).collect()
}

fn render(object: &str, finding: &Finding) -> String {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
    format!(
        "field: {}\nold: {} at {}\nnew: {}\nsure: {}\nwarning: {}\n---\n{}\n",
        finding.field,
        shown(&finding.old),
        finding.old_field,
        shown(&finding.new),
        !finding.unsure,
        finding.warning(object),
        finding.denial(object),
    )
}

#[test]
fn rules_find_fault_with_their_fail_fixtures() {
    for entry in RULES {
        for fixture in fixtures(entry, "fail") {
            let name = fixture.path.file_stem().unwrap().to_string_lossy().into_owned();
            let (object, judged) = fixture.judge(entry);
            let snapshot = match judged {
                Ok(findings) => {
                    assert!(!findings.is_empty(), "{}: nothing found", fixture.path.display());
                    for finding in &findings {
                        well_formed(&fixture.path, &object, finding);
                    }
                    findings.iter().map(|f| render(&object, f)).collect::<Vec<_>>().join("\n")
                }
                Err(unjudged) => format!("not judged: {unjudged:?}\n"),
            };
            insta::with_settings!({
                snapshot_path => fixture.path.parent().unwrap(),
                prepend_module_to_snapshot => false,
                omit_expression => true,
            }, { insta::assert_snapshot!(name, snapshot) });
        }
    }
}

/// What CONTRIBUTING.md asks of every message.
pub(crate) fn well_formed(path: &Path, object: &str, finding: &Finding) {
    let at = path.display();
    let line = format!("{object}: {} [{}]", finding.what, finding.rule);
    assert!(line.chars().count() <= 120, "{at}: the warning is cut: {line}");
    assert!(!finding.why.is_empty(), "{at}: no reason is given");
    assert!(!finding.remedy.is_empty(), "{at}: no way out is given");
    let denial = finding.denial(object);
    let lines = denial.lines().filter(|line| !line.starts_with("  - "));
    assert!(lines.count() <= 11, "{at}: over 11 lines beside the claims:\n{denial}");
    for phrase in ["is immutable", "immutable field", "!"] {
        let prose: Vec<&str> = denial.lines().filter(|line| !line.starts_with("     ")).collect();
        assert!(!prose.join("\n").contains(phrase), "{at}: says {phrase:?}:\n{denial}");
    }
}

#[test]
fn rules_find_no_fault_with_their_pass_fixtures() {
    for entry in RULES {
        for fixture in fixtures(entry, "pass") {
            let (_, judged) = fixture.judge(entry);
            assert_eq!(judged, Ok(Vec::new()), "{}", fixture.path.display());
        }
    }
}

#[test]
fn check_reports_what_a_rule_finds_in_its_fixtures() {
    let mut silent = Vec::new();
    for entry in RULES {
        for fixture in fixtures(entry, "fail") {
            let (_, judged) = fixture.judge(entry);
            let Some(report) = fixture.check(entry) else { continue };
            let reported = match judged {
                Ok(_) => report.findings.iter().any(|finding| finding.rule == entry.meta.id),
                Err(Unjudged::Needs(_) | Unjudged::Blind(_)) => {
                    report.not_judged.iter().any(|missing| missing.rule == entry.meta.id)
                }
                Err(Unjudged::Malformed(_)) => continue,
            };
            if !reported {
                silent.push(fixture.path.display().to_string());
            }
        }
    }
    assert!(silent.is_empty(), "check is silent about\n{}", silent.join("\n"));
}

#[test]
fn folders_and_rules_match() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/rules");
    let mut folders: Vec<String> = std::fs::read_dir(root)
        .unwrap()
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    folders.sort();
    let mut ids: Vec<String> = RULES.iter().map(|entry| entry.meta.id.to_owned()).collect();
    ids.sort();
    assert_eq!(folders, ids);
}
