//! What admission reads of a record.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::annotations::INJECTED;
use crate::object::json::null_default;
use crate::object::{PodDefault, Quantity};
use crate::record::snapshot;
use crate::record::{Phase, Reason, Request, Spec, State};
use crate::text::cut;

/// The longest text for people that is kept of a record, in bytes.
const MESSAGE: usize = 512;

/// A record, reduced to what admission reads.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFact {
    /// how far it is
    pub phase: Phase,
    /// why it rests there, or ended
    pub reason: Option<Reason>,
    /// `Waiting`, `Blocked` or `Ended`; nothing while it makes progress
    pub state: Option<State>,
    /// what the reason is about, for people
    pub message: String,
    /// how many claims have the requested size, of how many, as `2/3`
    pub claims_grown: String,
    /// `spec.paused`
    pub paused: bool,
    /// somebody asked for the end of what is carried out, and has not taken that back
    pub stopped: bool,
    /// claim template → size that is carried out, as written
    pub targets: BTreeMap<String, String>,
    /// claim template → size as taken from the annotation
    pub taken: BTreeMap<String, String>,
    /// the UID of the set that is pinned or replaced
    pub old_uid: Option<String>,
    /// the UID of the set that came back
    pub new_uid: Option<String>,
    /// its set had a controller owner and `owner-managed: allow`
    pub owner_managed: bool,
    /// what its set was given when it was created; only while there is a snapshot that can be read
    pub injected: Option<Injected>,
    /// there is a snapshot
    pub snapshot: bool,
}

/// What a set was given when it was created, as its snapshot holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    /// the names of the mutations
    pub names: Vec<String>,
    /// the fields of its pod template that may be given to a set
    pub values: Vec<(PodDefault, Value)>,
}

impl Injected {
    /// What the set was given for this field.
    pub fn value(&self, field: PodDefault) -> Option<&Value> {
        let listed = self.names.iter().any(|name| name == field.name());
        let mut values = self.values.iter().filter(|(of, _)| listed && *of == field);
        values.next().map(|(_, value)| value)
    }
}

/// The fields of a record that are read. Those of the status are as lenient as they can be: another
/// version may have written them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    #[serde(deserialize_with = "null_default")]
    spec: Spec,
    #[serde(deserialize_with = "null_default")]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: Option<Phase>,
    reason: Option<Reason>,
    state: Option<State>,
    /// only shown
    message: Value,
    /// only shown
    claims_grown: Value,
    request: Option<Request>,
    annotation_targets: BTreeMap<String, String>,
    recreation: Recreation,
    owner_managed: bool,
    snapshot: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Recreation {
    set_uid: Option<String>,
    new_uid: Option<String>,
}

impl RecordFact {
    /// Reads a record.
    ///
    /// # Errors
    /// The field that is of the wrong type.
    pub fn read(object: &Value) -> Result<Self, serde_json::Error> {
        Self::read_parts(object, object["metadata"]["deletionTimestamp"].is_string())
    }

    /// Reads `spec` and `status` of a record, which has a `deletionTimestamp` or has none.
    ///
    /// # Errors
    /// The field that is of the wrong type.
    pub fn read_parts(object: &Value, deleting: bool) -> Result<Self, serde_json::Error> {
        let Object { spec, status } = Object::deserialize(object)?;
        let request = status.request.as_ref();
        let generation = request.map_or(0, |request| request.generation);
        Ok(Self {
            phase: status.phase.unwrap_or(Phase::Requested),
            reason: status.reason,
            state: status.state,
            message: cut(status.message.as_str().unwrap_or_default(), MESSAGE),
            claims_grown: cut(status.claims_grown.as_str().unwrap_or_default(), MESSAGE),
            paused: spec.paused,
            stopped: deleting || spec.abort.is_some_and(|ends| ends >= generation),
            targets: request.map(|request| request.targets.clone()).unwrap_or_default(),
            taken: status.annotation_targets,
            old_uid: status.recreation.set_uid,
            new_uid: status.recreation.new_uid,
            owner_managed: status.owner_managed,
            injected: status.snapshot.as_deref().and_then(injected),
            snapshot: status.snapshot.is_some(),
        })
    }

    /// A record of which nothing can be said but that it is there.
    pub fn unreadable() -> Self {
        Self {
            phase: Phase::Unknown("unreadable".to_owned()),
            reason: None,
            state: None,
            message: String::new(),
            claims_grown: String::new(),
            paused: false,
            stopped: false,
            targets: BTreeMap::new(),
            taken: BTreeMap::new(),
            old_uid: None,
            new_uid: None,
            owner_managed: false,
            injected: None,
            snapshot: false,
        }
    }

    /// Whether the set of this UID is away, or about to be, because of this record.
    pub fn replaces(&self, uid: &str) -> bool {
        let away = match self.phase {
            Phase::Deleting | Phase::Creating => true,
            // A newer version may hold a re-creation window open under a name of its own.
            Phase::Unknown(_) => self.snapshot,
            _ => false,
        };
        away && self.old_uid.as_deref() == Some(uid)
    }

    /// Whether the claims of the set of this UID must outlive it, from `RetentionPinned` to `Verifying`.
    pub fn keeps_claims(&self, uid: &str) -> bool {
        (self.phase == Phase::RetentionPinned || self.is_recreating())
            && [&self.old_uid, &self.new_uid].into_iter().any(|known| known.as_deref() == Some(uid))
    }

    /// Whether a set of this name that is created now stands in for one that was taken away,
    /// Deleting to Verifying.
    pub fn is_recreating(&self) -> bool {
        match self.phase {
            Phase::Deleting | Phase::Creating | Phase::Adopting | Phase::Verifying => true,
            Phase::Unknown(_) => self.snapshot,
            _ => false,
        }
    }

    /// Whether a set that its owner creates under this name is to have the sizes of the record: its
    /// claims have grown, and the owner knows nothing of that.
    pub fn remembers_owner(&self) -> bool {
        let grown = self.phase == Phase::ClaimsGrown
            || self.phase == Phase::RetentionPinned
            || self.phase == Phase::Complete;
        self.owner_managed && (grown || self.is_recreating())
    }

    /// The size that is carried out for a claim template; nothing if it is no size.
    pub fn target(&self, template: &str) -> Option<Quantity> {
        self.targets.get(template)?.parse().ok()
    }

    /// Whether a person ended the request, which stands until that is taken back.
    pub fn is_aborted(&self) -> bool {
        self.phase == Phase::Aborted && self.reason == Some(Reason::AbortRequested) && self.stopped
    }
}

/// What the snapshot says was injected; nothing where it cannot be read.
fn injected(snapshot: &str) -> Option<Injected> {
    let mut set = snapshot::decode(snapshot).ok()?;
    let names = set["metadata"]["annotations"][INJECTED].as_str();
    let names = names.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
    let values = PodDefault::ALL.into_iter().filter_map(|field| {
        let value = set.pointer_mut(field.field()).map(Value::take)?;
        (!value.is_null()).then_some((field, value))
    });
    Some(Injected { values: values.collect(), names })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(spec: &Value, status: &Value) -> RecordFact {
        RecordFact::read(&json!({"metadata": {}, "spec": spec, "status": status})).unwrap()
    }

    fn request(generation: i64) -> Value {
        json!({"number": 1, "generation": generation, "setUid": "A", "targets": {"data": "20Gi"}})
    }

    #[test]
    fn a_record_without_status_is_only_requested() {
        let record = RecordFact::read(&json!({"metadata": {"name": "db"}})).unwrap();
        assert_eq!(record.phase, Phase::Requested);
        assert!(!record.stopped && !record.paused && !record.is_recreating());
    }

    #[test]
    fn an_abort_stands_until_it_is_taken_back() {
        let status = json!({
            "phase": "Aborted", "request": request(3),
            "state": "Ended", "reason": "AbortRequested",
        });
        assert!(read(&json!({"abort": 3}), &status).is_aborted());
        assert!(!read(&json!({"abort": 2}), &status).is_aborted(), "it ended an earlier request");
        assert!(!read(&json!({}), &status).is_aborted());
    }

    #[test]
    fn the_set_of_a_window_is_told_by_its_uid() {
        let of = |phase: &str| {
            let recreation = json!({"setUid": "A", "newUid": "B", "pinFailures": 0, "replaced": 0});
            read(
                &json!({}),
                &json!({"phase": phase, "recreation": recreation, "request": request(1)}),
            )
        };
        for (phase, replaces, keeps) in [
            ("ClaimsGrown", false, false),
            ("RetentionPinned", false, true),
            ("Deleting", true, true),
            ("Creating", true, true),
            ("Adopting", false, true),
            ("Verifying", false, true),
            ("Complete", false, false),
            ("Migrating", false, false),
        ] {
            assert_eq!(of(phase).replaces("A"), replaces, "{phase}");
            assert!(!of(phase).replaces("B"), "{phase}");
            assert_eq!(of(phase).keeps_claims("B"), keeps, "{phase}");
            assert!(!of(phase).keeps_claims("C"), "{phase}");
        }
    }

    #[test]
    fn what_was_injected_is_read_from_the_snapshot() {
        let affinity = json!({"preferredDuringSchedulingIgnoredDuringExecution": []});
        let set = json!({
            "metadata": {"annotations": {INJECTED: "[\"anti-affinity\"]"}},
            "spec": {"template": {"spec": {
                "affinity": {"podAntiAffinity": affinity}, "terminationGracePeriodSeconds": 60,
            }}},
        });
        let status = json!({"phase": "Sleeping", "snapshot": snapshot::encode(&set).unwrap()});
        let record = read(&json!({}), &status);
        assert!(
            record.is_recreating(),
            "an unknown phase with a snapshot may be a re-creation window"
        );
        let injected = record.injected.unwrap();
        assert_eq!(injected.names, ["anti-affinity"]);
        assert_eq!(injected.value(PodDefault::AntiAffinity), Some(&affinity));
        // It stands in the snapshot, and nobody injected it.
        assert_eq!(injected.values.len(), 2);
        assert_eq!(injected.value(PodDefault::GracePeriod), None);
        let damaged = read(&json!({}), &json!({"phase": "Deleting", "snapshot": "AAAA"}));
        assert!(damaged.snapshot && damaged.injected.is_none());
    }
}
