//! A set, what is known of its cluster, and the answer to an edit.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use stateward_core::change::{Change, Circumstances, Operation, Pair, Tool, User};
use stateward_core::decide::{EvaluationContext, Exemption, Stage, decide};
use stateward_core::facts::{
    ClaimFact, ClassFact, ControllerState, Facts, NamespaceFact, Objects, QuotaFact, RecordFact,
    StorageLimit,
};
use stateward_core::object::{Kind, Object};
use stateward_core::packs::Packs;
use stateward_core::policy::Policy;
use stateward_core::review::WebhookKind;

pub(crate) const STORAGE: &str = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage";
pub(crate) const REQUESTED: &str = "/metadata/annotations/stateward.dev~1resize-requested";

/// A set of two pods with one claim template of 10Gi, and an answer of its own to anti-affinity.
pub(crate) fn set() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "shop", "uid": "A", "annotations": {"team": "a"}},
        "spec": {
            "serviceName": "db",
            "replicas": 2,
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {
                    "affinity": {"podAntiAffinity": {}},
                    "containers": [{"name": "db", "image": "postgres:17.2"}],
                },
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "fast",
                    "resources": {"requests": {"storage": "10Gi"}},
                },
            }],
        },
    })
}

/// `object` with a value at `pointer`, whose parent is there.
pub(crate) fn with(object: &Value, pointer: &str, value: Value) -> Value {
    let mut object = object.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    match object.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
        parent => parent[key] = value,
    }
    object
}

pub(crate) fn sized(object: &Value, size: &str) -> Value {
    with(object, STORAGE, json!(size))
}

/// A cluster in which a controller runs and the two claims of the set can grow.
pub(crate) fn facts() -> Facts {
    let mut facts = Facts {
        packs: Arc::clone(Packs::built_in()),
        autoscalers: Objects::all(),
        budgets: Objects::all(),
        claims: Objects::all(),
        claim_users: Objects::all(),
        classes: Objects::all(),
        namespaces: Objects::all(),
        nodes: Objects::all(),
        quotas: Objects::all(),
        records: Objects::all(),
        volumes: Objects::all(),
        snapshots: Objects::all(),
        snapshot_contents: Objects::all(),
        snapshot_classes: Objects::all(),
        attributes_classes: Objects::all(),
        services: Objects::all(),
        sets: Objects::all(),
        pods: Objects::all(),
        controller: ControllerState::Runs,
        own_user: None,
    };
    facts.classes.insert(
        "",
        "fast",
        ClassFact { allow_volume_expansion: true, ..ClassFact::default() },
    );
    facts.classes.insert(
        "",
        "rigid",
        ClassFact { allow_volume_expansion: false, ..ClassFact::default() },
    );
    claim(&mut facts, "data-db-0", "fast", "v0", "10Gi");
    claim(&mut facts, "data-db-1", "fast", "v1", "10Gi");
    facts
}

pub(crate) fn claim(facts: &mut Facts, name: &str, class: &str, volume: &str, size: &str) {
    let claim = ClaimFact {
        uid: format!("uid-of-{name}"),
        access_modes: ["ReadWriteOnce".to_owned()].into(),
        class: class.into(),
        volume: volume.to_owned(),
        request: Some(size.parse().unwrap()),
        labels: Arc::new(BTreeMap::from([("app".to_owned(), "db".to_owned())])),
        owners: Vec::new(),
        terminating: false,
        ..ClaimFact::default()
    };
    facts.claims.insert("shop", name, claim);
}

pub(crate) fn limit_of_namespace(facts: &mut Facts, limit: &str) {
    let fact = NamespaceFact { resize_max: Some(limit.to_owned()), ..NamespaceFact::default() };
    facts.namespaces.insert("", "shop", fact);
}

pub(crate) fn quota(facts: &mut Facts, class: Option<&str>, hard: &str, used: &str) {
    let (hard, used) = (hard.parse().unwrap(), used.parse().unwrap());
    let limit = StorageLimit { class: class.map(str::to_owned), hard, used };
    facts.quotas.insert("shop", "storage", QuotaFact { limits: vec![limit] });
}

/// The record of the set.
pub(crate) fn record(facts: &mut Facts, spec: &Value, status: &Value) {
    let object = json!({"metadata": {"name": "db"}, "spec": spec, "status": status});
    facts.records.insert("shop", "db", RecordFact::read(&object).unwrap());
}

/// A record in `phase` that replaces the set A, and that B came back for.
pub(crate) fn in_phase(facts: &mut Facts, phase: &str) {
    let status = json!({
        "phase": phase,
        "request": {"number": 1, "generation": 1, "setUid": "A", "targets": {"data": "20Gi"}},
        "recreation": {"setUid": "A", "newUid": "B"},
    });
    record(facts, &json!({}), &status);
}

pub(crate) fn absent(why: &str) -> ControllerState {
    ControllerState::Absent(Arc::from(why))
}

/// Who asks, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asks {
    pub(crate) user: &'static str,
    pub(crate) manager: &'static str,
    pub(crate) policy: &'static str,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) allowed: bool,
    pub(crate) message: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) done: Vec<&'static str>,
    pub(crate) exemption: Option<Exemption>,
    pub(crate) not_judged: Vec<&'static str>,
    /// each rule that found something, with all that it says
    pub(crate) found: Vec<(&'static str, String)>,
    /// the new object, patched
    pub(crate) outcome: Value,
}

impl Said {
    pub(crate) fn warns_of(&self, text: &str) -> bool {
        self.warnings.iter().any(|warning| warning.contains(text))
    }

    /// The size that the claim template ends up with.
    pub(crate) fn size(&self) -> &str {
        self.outcome.pointer(STORAGE).unwrap().as_str().unwrap()
    }

    pub(crate) fn request(&self) -> Option<&str> {
        self.outcome.pointer(REQUESTED).and_then(Value::as_str)
    }
}

pub(crate) fn mutate(old: Option<&Value>, new: Option<&Value>, facts: &Facts) -> Said {
    ask(Stage::Webhook(WebhookKind::Mutating), old, new, facts, &Asks::default())
}

/// Asks for a verdict, in a policy that orchestrates.
pub(crate) fn ask(
    stage: Stage,
    old: Option<&Value>,
    new: Option<&Value>,
    facts: &Facts,
    asks: &Asks,
) -> Said {
    let text = if asks.policy.is_empty() { "resize: orchestrate\n" } else { asks.policy };
    let policy = Policy::parse(&format!("version: 1\n{text}"), "test").unwrap();
    let operation = match (old, new) {
        (None, _) => Operation::Create,
        (_, None) => Operation::Delete,
        _ => Operation::Update,
    };
    let [old, text] = [old, new].map(|side| side.map(Value::to_string));
    let objects = Pair {
        old: old.as_deref().map(|text| Object::decode(text).unwrap()),
        new: text.as_deref().map(|text| Object::decode(text).unwrap()),
    };
    let any = objects.any().unwrap();
    let kind = Kind::of_manifest(&any.api_version, &any.kind);
    let circumstances = Circumstances {
        user: User { name: asks.user.to_owned(), groups: Vec::new() },
        field_manager: asks.manager.to_owned(),
        tool: Tool::recognise(asks.user, asks.manager),
        ..Circumstances::default()
    };
    let change = Change::new(operation, kind, "shop", objects, circumstances).unwrap();
    let document = text.as_deref().unwrap_or("null");
    let context = EvaluationContext { policy: &policy, facts, now: Timestamp::UNIX_EPOCH };
    let decision = decide(stage, &change, &context);
    let mut outcome = new.cloned().unwrap_or_default();
    if let Some(patch) = decision.mutation.tried(&change, document).unwrap() {
        let patch: json_patch::Patch = serde_json::from_slice(&patch.json).unwrap();
        json_patch::patch(&mut outcome, &patch).unwrap();
    }
    let message = decision.message(&change, &policy).unwrap_or_default();
    let lines = message.lines().filter(|line| !line.starts_with("  - "));
    assert!(lines.count() <= 12, "over 12 lines beside the claims:\n{message}");
    for line in message.lines().filter(|line| !line.starts_with("     ")) {
        assert!(!line.contains("is immutable") && !line.contains('!'), "{message}");
    }
    let warnings = decision.all_warnings(&change);
    for warning in &warnings {
        assert!(!warning.ends_with('…'), "cut: {warning}");
    }
    Said {
        allowed: decision.allowed(),
        message,
        warnings,
        done: decision.mutation.done.clone(),
        exemption: decision.exemption,
        not_judged: decision.not_judged.iter().map(|missing| missing.rule).collect(),
        found: decision
            .verdicts
            .iter()
            .map(|verdict| (verdict.finding.rule, verdict.finding.denial("it")))
            .collect(),
        outcome,
    }
}
