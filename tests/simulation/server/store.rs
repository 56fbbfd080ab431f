//! Objects by name, their versions, and the changes that watches tell of.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::kinds::Kind;

/// What an object is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub plural: &'static str,
    pub namespace: String,
    pub name: String,
}

impl Id {
    pub(crate) fn new(plural: &str, namespace: &str, name: &str) -> Self {
        Self {
            plural: Kind::of(plural).plural,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    pub(crate) fn path(&self) -> String {
        Kind::of(self.plural).path(&self.namespace, &self.name)
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.plural, self.name)
    }
}

/// One change, as a watch tells it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub version: u64,
    pub id: Id,
    pub before: Option<Arc<Value>>,
    /// the object; of one that was deleted its last state
    pub object: Arc<Value>,
    pub gone: bool,
}

impl Change {
    /// The word of a watch event.
    pub(crate) fn word(&self) -> &'static str {
        match (self.gone, &self.before) {
            (true, _) => "DELETED",
            (false, None) => "ADDED",
            (false, Some(_)) => "MODIFIED",
        }
    }
}

/// Everything there is.
#[derive(Debug, Default)]
pub(crate) struct Store {
    objects: BTreeMap<Id, Arc<Value>>,
    /// the last resourceVersion given
    pub version: u64,
    uids: u64,
    /// every change of what is watched
    pub log: Vec<Change>,
}

/// What nobody watches, and what changes all the time.
fn is_noise(plural: &str) -> bool {
    matches!(plural, "leases" | "events")
}

impl Store {
    pub(crate) fn get(&self, id: &Id) -> Option<&Arc<Value>> {
        self.objects.get(id)
    }

    /// The objects of a kind, in one namespace or in all.
    pub(crate) fn list(&self, plural: &'static str, namespace: &str) -> Vec<&Arc<Value>> {
        let first = Id { plural, namespace: namespace.to_owned(), name: String::new() };
        let all = namespace.is_empty();
        let of = |id: &Id| id.plural == plural && (all || id.namespace == namespace);
        self.objects.range(first..).take_while(|(id, _)| of(id)).map(|(_, object)| object).collect()
    }

    pub(crate) fn fresh_uid(&mut self) -> String {
        self.uids += 1;
        format!("{:08x}-0000-4000-8000-000000000000", self.uids)
    }

    /// Stores an object under a new resourceVersion.
    pub(crate) fn put(&mut self, id: &Id, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let object = Arc::new(object);
        let before = self.objects.insert(id.clone(), Arc::clone(&object));
        self.note(id, before, Arc::clone(&object), false);
        object
    }

    /// Removes an object; its last state gets a resourceVersion of its own.
    pub(crate) fn remove(&mut self, id: &Id, mut last: Value) -> Arc<Value> {
        self.version += 1;
        last["metadata"]["resourceVersion"] = self.version.to_string().into();
        let before = self.objects.remove(id);
        let last = Arc::new(last);
        self.note(id, before, Arc::clone(&last), true);
        last
    }

    fn note(&mut self, id: &Id, before: Option<Arc<Value>>, object: Arc<Value>, gone: bool) {
        if !is_noise(id.plural) {
            let version = self.version;
            self.log.push(Change { version, id: id.clone(), before, object, gone });
        }
    }
}
