//! What must hold at every commit, whoever wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use stateward_core::record::snapshot;

use crate::actors::{is_going, labels, list, name, text, uid};
use crate::server::store::{Change, Id, Store};
use crate::server::{Commit, Server};

/// How our controllers are called begins with this.
pub(crate) const OURS: &str = "stateward";

/// Who made a set go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Gone {
    #[default]
    Present,
    Us,
    PersonOrphan,
    PersonCascade,
}

/// What is known of one set from its commits.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub gone: Gone,
    /// the set when its deletion began
    pub last: Option<Value>,
    /// a person changed the pod template, the strategy or the count of pods
    pub edited: bool,
    /// a person wrote retention
    pub retention_written: bool,
    /// when a person last did anything, in milliseconds
    pub touched: u128,
    /// writes of ours, of the set and of each claim
    pub writes: BTreeMap<Id, u32>,
}

/// Checks commits, and remembers what later checks need.
#[derive(Clone)]
pub(crate) struct Safety(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    sets: BTreeMap<String, History>,
    /// UIDs of sets that a person deleted, and of pods that a person's scaling condemned
    doomed: BTreeSet<String>,
    namespace_goes: bool,
    violations: Vec<String>,
}

impl Safety {
    /// Watches every commit of `server` from now on.
    pub(crate) fn watch(server: &Server) -> Self {
        let safety = Self(Arc::new(Mutex::new(State::default())));
        let (watching, clock) = (safety.clone(), server.clone());
        server.observe(move |commit| {
            let mut state = watching.state();
            for change in commit.changes {
                if let Err(why) = state.check(commit, change) {
                    let line = format!("VIOLATION {why}: {} {}", commit.request.who, change.id);
                    state.violations.push(line);
                }
                state.learn(commit, change, clock.up().as_millis());
            }
        });
        safety
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    pub(crate) fn history(&self, set: &str) -> History {
        self.state().sets.get(set).cloned().unwrap_or_default()
    }

    pub(crate) fn namespace_goes(&self) -> bool {
        self.state().namespace_goes
    }
}

/// The set that a claim or pod is named after.
fn set_of(id: &Id) -> Option<&str> {
    let (front, _) = id.name.rsplit_once('-')?;
    match id.plural {
        "persistentvolumeclaims" => front.split_once('-').map(|(_, set)| set),
        "pods" => Some(front),
        _ => None,
    }
}

/// A size in bytes as far as it can be compared.
fn size(value: &Value) -> stateward_core::object::Quantity {
    value.as_str().unwrap_or("0").parse().unwrap_or_default()
}

fn request(claim: &Value) -> stateward_core::object::Quantity {
    size(&claim["spec"]["resources"]["requests"]["storage"])
}

/// The spec without what a re-creation may change.
fn kept(set: &Value) -> Value {
    let mut spec = set["spec"].clone();
    spec["persistentVolumeClaimRetentionPolicy"] = Value::Null;
    if let Some(rolling) = spec["updateStrategy"].as_object_mut() {
        rolling.remove("rollingUpdate");
    }
    for template in spec["volumeClaimTemplates"].as_array_mut().into_iter().flatten() {
        template["spec"]["resources"] = Value::Null;
    }
    spec
}

impl State {
    fn check(&self, commit: &Commit<'_>, change: &Change) -> Result<(), String> {
        let who = &commit.request.who;
        let ours = who.starts_with(OURS);
        match change.id.plural {
            "persistentvolumeclaims" => self.claim(ours, who, change),
            "pods" => self.pod(ours, who, change),
            "statefulsets" if ours => self.set(commit, change),
            "statefulsetresizes" if ours => self.record(commit.store, change),
            "persistentvolumes" | "controllerrevisions" if ours => Err("not ours to write".into()),
            _ => Ok(()),
        }
    }

    fn claim(&self, ours: bool, who: &str, change: &Change) -> Result<(), String> {
        let Some(before) = &change.before else {
            return if ours { Err("we created a claim".into()) } else { Ok(()) };
        };
        if ours && change.gone {
            return Err("we deleted a claim".into());
        }
        if ours && request(&change.object) < request(before) {
            return Err("we lowered a claim".into());
        }
        if is_going(&change.object) && !is_going(before) {
            let owners = list(before, "/metadata/ownerReferences");
            let doomed = owners.iter().any(|owner| self.doomed.contains(text(owner, "/uid")));
            if ours || (who == "garbage-collector" && !doomed && !self.namespace_goes) {
                return Err(format!("a claim goes that nobody gave up; its owners: {owners:?}"));
            }
        }
        Ok(())
    }

    fn pod(&self, ours: bool, who: &str, change: &Change) -> Result<(), String> {
        let going =
            is_going(&change.object) && change.before.as_ref().is_some_and(|b| !is_going(b));
        if !going {
            return Ok(());
        }
        let history = set_of(&change.id).and_then(|set| self.sets.get(set));
        let edited = history.is_some_and(|history| history.edited);
        if ours {
            let evict = self.consented(change);
            return if evict { Ok(()) } else { Err("we evicted a pod".into()) };
        }
        if who == "statefulset-controller" && !edited {
            return Err("a pod restarts that nobody changed".into());
        }
        let owners = list(&change.object, "/metadata/ownerReferences");
        let doomed = owners.iter().any(|owner| self.doomed.contains(text(owner, "/uid")));
        if who == "garbage-collector" && !doomed && !self.namespace_goes {
            return Err("a pod goes with a set that nobody gave up".into());
        }
        Ok(())
    }

    /// Whether the set of a pod lets its pods be evicted: its annotation is the world's to know.
    fn consented(&self, change: &Change) -> bool {
        let set = set_of(&change.id).and_then(|set| self.sets.get(set));
        let last = set.and_then(|history| history.last.as_ref());
        last.is_none_or(|set| {
            set["metadata"]["annotations"]["stateward.dev/resize-restart"] == "evict"
        })
    }

    fn set(&self, commit: &Commit<'_>, change: &Change) -> Result<(), String> {
        let id = Id::new("statefulsetresizes", &change.id.namespace, &change.id.name);
        let record = commit.store.get(&id);
        let after = &*change.object;
        let none = History::default();
        let history = self.sets.get(&change.id.name).unwrap_or(&none);
        let Some(before) = &change.before else { return created(history, after) };
        for (was, is) in sizes(before).iter().zip(sizes(after)) {
            if is < *was {
                return Err("we lowered a template".into());
            }
        }
        if change.gone {
            return Err("we took a set away at once".into());
        }
        if is_going(after) && !is_going(before) {
            return deleting(commit, change, before, record.map(|record| &**record));
        }
        Ok(())
    }

    fn record(&self, store: &Store, change: &Change) -> Result<(), String> {
        let record = &*change.object;
        let Some(history) = self.sets.get(&change.id.name) else { return Ok(()) };
        let id = Id::new("statefulsets", &change.id.namespace, &change.id.name);
        let away = store.get(&id).is_none_or(|set| is_going(set));
        if history.gone != Gone::Us || !away || self.namespace_goes {
            return Ok(());
        }
        let phase = text(record, "/status/phase");
        if change.gone || list(record, "/metadata/finalizers").is_empty() {
            return Err("the finalizer goes while the set is away through us".into());
        }
        if !matches!(phase, "Deleting" | "Creating") {
            return Err(format!("the set is away through us, and the phase is {phase}"));
        }
        if text(record, "/status/snapshot").is_empty() {
            return Err("the set is away through us, and there is no snapshot".into());
        }
        if text(record, "/status/state") == "Blocked" {
            return Err("an open re-creation window is blocked".into());
        }
        Ok(())
    }

    fn learn(&mut self, commit: &Commit<'_>, change: &Change, now: u128) {
        let who = commit.request.who.as_str();
        let person = matches!(who, "person" | "helm");
        if change.id.plural == "namespaces" && is_going(&change.object) {
            self.namespace_goes = true;
        }
        if who.starts_with(OURS) || person {
            let set = match change.id.plural {
                "statefulsets" | "statefulsetresizes" => Some(change.id.name.as_str()),
                _ => set_of(&change.id),
            };
            if let Some(set) = set {
                let history = self.sets.entry(set.to_owned()).or_default();
                if person {
                    history.touched = now;
                } else if change.id.plural != "statefulsetresizes" {
                    *history.writes.entry(change.id.clone()).or_default() += 1;
                }
            }
        }
        if person && change.id.plural == "pods" {
            // A pod that a person killed comes back at the same revision; its set is as it was.
            return;
        }
        if change.id.plural == "statefulsets" {
            self.learn_set(commit, change, person);
        }
    }

    fn learn_set(&mut self, commit: &Commit<'_>, change: &Change, person: bool) {
        let ours = commit.request.who.starts_with(OURS);
        let history = self.sets.entry(change.id.name.clone()).or_default();
        let after = &*change.object;
        let Some(before) = change.before.as_deref() else {
            history.gone = Gone::Present;
            history.edited |= person;
            history.retention_written |= person;
            return;
        };
        if person {
            let parts = |set: &Value| {
                json!([
                    set["spec"]["template"],
                    set["spec"]["replicas"],
                    set["spec"]["updateStrategy"]
                ])
            };
            history.edited |= parts(before) != parts(after);
            let retention = "/spec/persistentVolumeClaimRetentionPolicy";
            history.retention_written |= before.pointer(retention) != after.pointer(retention);
            if before["spec"]["replicas"].as_i64() > after["spec"]["replicas"].as_i64() {
                let pods = commit.store.list("pods", &change.id.namespace);
                let of = pods.into_iter().filter(|pod| name(pod).starts_with(name(after)));
                self.doomed.extend(of.map(|pod| uid(pod).to_owned()));
            }
        }
        let policy = text(&commit.request.body, "/propagationPolicy");
        let deleted = commit.request.method == "DELETE";
        if deleted && (is_going(after) || change.gone) {
            let by = match (ours, policy) {
                (true, _) => Gone::Us,
                (false, "Orphan") => Gone::PersonOrphan,
                (false, _) => Gone::PersonCascade,
            };
            if history.gone == Gone::Present || by == Gone::PersonCascade {
                history.gone = by;
                history.last = Some(before.clone());
            }
            if !ours {
                self.doomed.insert(uid(after).to_owned());
            }
        } else if history.gone == Gone::Present {
            history.last = Some(after.clone());
        }
    }
}

fn sizes(set: &Value) -> Vec<stateward_core::object::Quantity> {
    let templates = list(set, "/spec/volumeClaimTemplates").iter();
    templates.map(request).collect()
}

/// A DELETE of ours, as it commits.
fn deleting(
    commit: &Commit<'_>,
    change: &Change,
    before: &Value,
    record: Option<&Value>,
) -> Result<(), String> {
    let body = &commit.request.body;
    if text(body, "/propagationPolicy") != "Orphan"
        || text(body, "/preconditions/uid").is_empty()
        || text(body, "/preconditions/resourceVersion").is_empty()
    {
        return Err("a DELETE that is no orphan delete of one version".into());
    }
    let record = record.ok_or("a DELETE without a record")?;
    if text(record, "/status/phase") != "Deleting" {
        return Err(format!("a DELETE in the phase {}", text(record, "/status/phase")));
    }
    let saved =
        snapshot::decode(text(record, "/status/snapshot")).map_err(|why| why.to_string())?;
    if saved != *before {
        return Err("a DELETE of a set that the snapshot does not show".into());
    }
    if list(record, "/metadata/finalizers").is_empty() {
        return Err("a DELETE without our finalizer".into());
    }
    let retention = &before["spec"]["persistentVolumeClaimRetentionPolicy"];
    if *retention != json!({"whenDeleted": "Retain", "whenScaled": "Retain"}) {
        return Err("a DELETE while retention deletes".into());
    }
    for claim in commit.store.list("persistentvolumeclaims", &change.id.namespace) {
        let id = Id::new("persistentvolumeclaims", &change.id.namespace, name(claim));
        let owned = !list(claim, "/metadata/ownerReferences").is_empty();
        if owned && set_of(&id) == Some(change.id.name.as_str()) {
            return Err(format!("a DELETE while {} has an owner", name(claim)));
        }
    }
    Ok(())
}

/// A CREATE of ours, as it commits.
fn created(history: &History, after: &Value) -> Result<(), String> {
    let last = history.last.as_ref().ok_or("a CREATE where nothing was deleted")?;
    if history.gone == Gone::PersonCascade {
        return Err("a set that a person deleted is created again".into());
    }
    if kept(last) != kept(after) {
        return Err(format!("the set comes back changed: {} for {}", kept(after), kept(last)));
    }
    let kept_labels = |set: &Value| {
        let labels = labels(&set["metadata"]["labels"]);
        labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<Vec<_>>()
    };
    if kept_labels(last) != kept_labels(after) {
        return Err("the set comes back with other labels".into());
    }
    for (was, is) in sizes(last).iter().zip(sizes(after)) {
        if is < *was {
            return Err("the set comes back smaller".into());
        }
    }
    let frozen = after.pointer("/spec/updateStrategy/rollingUpdate/partition");
    let replicas = after["spec"]["replicas"].as_i64().unwrap_or(1);
    if after["spec"]["updateStrategy"]["type"] != "OnDelete"
        && frozen.and_then(Value::as_i64).is_none_or(|partition| partition <= replicas)
    {
        return Err("the set comes back ready to roll its pods".into());
    }
    Ok(())
}
