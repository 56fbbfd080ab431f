//! The garbage collector: one object per step, from a graph that lags behind.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Pace, is_going, list, text, uid};
use crate::server::Server;
use crate::server::kinds::KINDS;
use crate::server::store::Id;

const WHO: &str = "garbage-collector";

/// What the collector knows of an object.
struct Node {
    id: Id,
    owners: Vec<String>,
    orphans: bool,
}

/// The collector.
#[derive(Default)]
pub(crate) struct Collector {
    graph: BTreeMap<String, Node>,
    /// the place in the log up to which the graph goes
    at: usize,
    /// how long the log was at which time
    seen: VecDeque<(Duration, usize)>,
    /// sets whose dependents are being orphaned; each list is made once
    orphaning: BTreeMap<String, Vec<Id>>,
}

fn orphans(object: &Value) -> bool {
    is_going(object) && list(object, "/metadata/finalizers").iter().any(|name| name == "orphan")
}

impl Collector {
    /// One step; whether there was anything to do.
    pub(crate) fn step(&mut self, server: &Server, pace: &Pace) -> bool {
        let moved = self.catch_up(server, pace.draw(100));
        self.orphan(server) || self.collect(server) || moved || !self.seen.is_empty()
    }

    /// Reads the log up to where it was a while ago.
    fn catch_up(&mut self, server: &Server, lag: Duration) -> bool {
        let now = server.up();
        let length = server.look(|store| store.log.len());
        if self.seen.back().is_none_or(|(_, seen)| *seen < length) && length > self.at {
            self.seen.push_back((now, length));
        }
        let mut until = self.at;
        while let Some((at, length)) = self.seen.front() {
            if now.saturating_sub(*at) < lag {
                break;
            }
            until = *length;
            self.seen.pop_front();
        }
        let changes = server.look(|store| store.log[self.at..until].to_vec());
        self.at = until;
        for change in &changes {
            let object = &*change.object;
            if change.gone {
                self.graph.remove(uid(object));
                continue;
            }
            let owners = list(object, "/metadata/ownerReferences").iter();
            let node = Node {
                id: change.id.clone(),
                owners: owners.map(|owner| text(owner, "/uid").to_owned()).collect(),
                orphans: orphans(object),
            };
            self.graph.insert(uid(object).to_owned(), node);
        }
        !changes.is_empty()
    }

    /// Takes one dependent from an owner that is to leave them behind, or lets the owner go.
    fn orphan(&mut self, server: &Server) -> bool {
        let Some((owner, node)) = self.graph.iter().find(|(_, node)| node.orphans) else {
            return false;
        };
        let (owner, id) = (owner.clone(), node.id.clone());
        let dependents = || {
            let of = |node: &&Node| node.owners.contains(&owner);
            self.graph.values().filter(of).map(|node| node.id.clone()).collect()
        };
        let left = self.orphaning.entry(owner.clone()).or_insert_with(dependents);
        if let Some(dependent) = left.pop() {
            release(server, &dependent, |reference| text(reference, "/uid") != owner);
            return true;
        }
        self.orphaning.remove(&owner);
        if let Some(node) = self.graph.get_mut(&owner) {
            node.orphans = false;
        }
        if let Some(live) = server.get(&id).filter(|live| uid(live) == owner && orphans(live)) {
            let mut object = (*live).clone();
            if let Some(names) = object["metadata"]["finalizers"].as_array_mut() {
                names.retain(|name| name != "orphan");
            }
            let path = id.path();
            if server.send(WHO, "PUT", &path, object).code == 409 {
                self.orphaning.insert(owner.clone(), Vec::new());
                if let Some(node) = self.graph.get_mut(&owner) {
                    node.orphans = true;
                }
            }
        }
        true
    }

    /// Deletes one object whose owners are all gone.
    fn collect(&mut self, server: &Server) -> bool {
        let absent = |node: &Node| node.owners.iter().any(|owner| !self.graph.contains_key(owner));
        let suspects: Vec<Id> =
            self.graph.values().filter(|node| absent(node)).map(|node| node.id.clone()).collect();
        suspects.iter().any(|id| collect(server, id))
    }
}

/// Rewrites the owners of an object.
fn release(server: &Server, id: &Id, keep: impl Fn(&Value) -> bool) {
    let Some(live) = server.get(id) else { return };
    let owners = list(&live, "/metadata/ownerReferences");
    let kept: Vec<&Value> = owners.iter().filter(|owner| keep(owner)).collect();
    if kept.len() != owners.len() {
        let patch = json!({"metadata": {"uid": uid(&live), "ownerReferences": kept}});
        server.send(WHO, "PATCH", &id.path(), patch);
    }
}

/// Asks the server, not the graph, whether the owners are gone.
fn collect(server: &Server, id: &Id) -> bool {
    let Some(live) = server.get(id).filter(|live| !is_going(live)) else { return false };
    let owners = list(&live, "/metadata/ownerReferences");
    let exists = |owner: &Value| {
        let kind = KINDS.iter().find(|kind| owner["kind"] == kind.kind);
        kind.is_some_and(|kind| {
            let id = Id::new(kind.plural, &id.namespace, text(owner, "/name"));
            server.get(&id).is_some_and(|found| uid(&found) == text(owner, "/uid"))
        })
    };
    let existing = owners.iter().filter(|owner| exists(owner)).count();
    if owners.is_empty() || existing == owners.len() {
        return false;
    }
    if existing > 0 {
        release(server, id, exists);
        return true;
    }
    let options = json!({
        "propagationPolicy": "Background", "preconditions": {"uid": uid(&live)},
    });
    server.send(WHO, "DELETE", &id.path(), options);
    true
}
