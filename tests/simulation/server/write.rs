//! Writes: preconditions, versions, finalizers, and what a DELETE leaves.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::kinds::Route;
use super::managed::track;
use super::store::{Id, Store};
use super::validate;
use super::{Plain, Reply};

/// Carries a write out, or says why not.
pub(crate) fn write(store: &mut Store, request: &Plain, route: &Route, now: Timestamp) -> Reply {
    let writer = Writer { request, route, now: seconds(now) };
    let done = match request.method {
        "POST" if route.sub == "eviction" => writer.evict(store),
        "POST" => writer.create(store),
        "PUT" => writer.replace(store),
        "PATCH" => writer.patch(store),
        "DELETE" => writer.delete(store),
        _ => Err(Reply::refused(405, "MethodNotAllowed", "no such verb")),
    };
    done.unwrap_or_else(|refused| refused)
}

pub(crate) fn seconds(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap().to_string()
}

pub(crate) fn not_found(route: &Route) -> Reply {
    let message = format!("{} \"{}\" not found", route.kind.resource(), route.name);
    Reply::refused(404, "NotFound", message)
}

fn conflict(route: &Route, why: &str) -> Reply {
    let (resource, name) = (route.kind.resource(), &route.name);
    let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
    Reply::refused(409, "Conflict", message)
}

pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    let names = object["metadata"]["finalizers"].as_array();
    names.into_iter().flatten().filter_map(Value::as_str).collect()
}

struct Writer<'r> {
    request: &'r Plain,
    route: &'r Route,
    now: String,
}

type Written = Result<Reply, Reply>;

impl Writer<'_> {
    fn id(&self) -> Id {
        Id::new(self.route.kind.plural, &self.route.namespace, &self.route.name)
    }

    fn manager(&self) -> &str {
        self.route.query.get("fieldManager").unwrap_or(&self.request.who)
    }

    fn tracks(&self) -> bool {
        self.route.kind.plural == "statefulsets"
    }

    fn create(&self, store: &mut Store) -> Written {
        let kind = self.route.kind;
        let mut object = self.request.body.clone();
        self.check_namespace(store, &object)?;
        let metadata = object["metadata"]
            .as_object_mut()
            .ok_or_else(|| Reply::refused(400, "BadRequest", "the object has no metadata"))?;
        if metadata.get("resourceVersion").is_some_and(|version| !version.is_null()) {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Reply::refused(400, "", message));
        }
        for field in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"] {
            metadata.remove(field);
        }
        if let (None, Some(prefix)) = (metadata.get("name"), metadata.get("generateName")) {
            let name = format!("{}{:05x}", prefix.as_str().unwrap_or_default(), store.version + 1);
            metadata.insert("name".to_owned(), name.into());
        }
        let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        metadata.insert("creationTimestamp".to_owned(), self.now.clone().into());
        metadata.insert("generation".to_owned(), 1.into());
        if kind.namespaced {
            metadata.insert("namespace".to_owned(), self.route.namespace.clone().into());
        }
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        let with_status = ["statefulsets", "persistentvolumeclaims", "statefulsetresizes", "pods"];
        if with_status.contains(&kind.plural) {
            object["status"] = Value::Null;
        }
        validate::default(kind.plural, &mut object);
        validate::admit(kind.plural, &mut object);
        drop_nulls(&mut object);
        validate::create(kind, &name, &object)?;
        validate::quota(store, self.route, self.route.is_dry_run())?;
        let id = Id::new(kind.plural, &self.route.namespace, &name);
        if store.get(&id).is_some() {
            let message = format!("{} \"{name}\" already exists", kind.resource());
            return Err(Reply::refused(409, "AlreadyExists", message));
        }
        object["metadata"]["uid"] = store.fresh_uid().into();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        if self.tracks() {
            track(None, &mut object, self.manager(), false, &self.now);
        }
        if self.route.is_dry_run() {
            return Ok(Reply { code: 201, body: Arc::new(object) });
        }
        Ok(Reply { code: 201, body: store.put(&id, object) })
    }

    fn check_namespace(&self, store: &Store, object: &Value) -> Result<(), Reply> {
        if !self.route.kind.namespaced {
            return Ok(());
        }
        let namespace = &self.route.namespace;
        let written = object["metadata"]["namespace"].as_str();
        if written.is_some_and(|written| written != namespace) {
            let message = "the namespace of the provided object does not match the request";
            return Err(Reply::refused(400, "BadRequest", message));
        }
        match store.get(&Id::new("namespaces", "", namespace)) {
            None => {
                let message = format!("namespaces \"{namespace}\" not found");
                Err(Reply::refused(404, "NotFound", message))
            }
            Some(live) if !live["metadata"]["deletionTimestamp"].is_null() => {
                let message = format!(
                    "unable to create new content in namespace {namespace} because it is being terminated"
                );
                Err(Reply::refused(403, "Forbidden", message))
            }
            Some(_) => Ok(()),
        }
    }

    fn live(&self, store: &Store) -> Result<Arc<Value>, Reply> {
        store.get(&self.id()).cloned().ok_or_else(|| not_found(self.route))
    }

    fn replace(&self, store: &mut Store) -> Written {
        let live = self.live(store)?;
        let body = &self.request.body;
        if body["metadata"]["name"] != self.route.name.as_str() {
            let message = "the name of the object does not match the name on the URL";
            return Err(Reply::refused(400, "BadRequest", message));
        }
        let uid = body["metadata"]["uid"].as_str().unwrap_or_default();
        if !uid.is_empty() && live["metadata"]["uid"] != uid {
            return Err(conflict(self.route, "Precondition failed: UID in precondition differs"));
        }
        let must = !matches!(self.route.kind.group, "" | "apps");
        if must && body["metadata"]["resourceVersion"].as_str().unwrap_or_default().is_empty() {
            let message =
                "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update";
            return Err(Reply::refused(422, "Invalid", message));
        }
        self.update(store, &live, body.clone())
    }

    fn patch(&self, store: &mut Store) -> Written {
        let live = self.live(store)?;
        let mut object = (*live).clone();
        let invalid = |why: String| Reply::refused(422, "Invalid", why);
        match self.request.content.as_str() {
            super::MERGE => json_patch::merge(&mut object, &self.request.body),
            "application/json-patch+json" => {
                let patch: json_patch::Patch = serde_json::from_value(self.request.body.clone())
                    .map_err(|why| Reply::refused(400, "BadRequest", why.to_string()))?;
                json_patch::patch(&mut object, &patch).map_err(|why| invalid(why.to_string()))?;
            }
            _ => return Err(Reply::refused(415, "UnsupportedMediaType", "no such patch")),
        }
        if object["metadata"]["uid"] != live["metadata"]["uid"] {
            // Unlike a version, a UID in a patch is a field like any other, and immutable.
            self.check_version(&live, &object)?;
            return Err(invalid("metadata.uid: Invalid value: field is immutable".to_owned()));
        }
        self.update(store, &live, object)
    }

    fn check_version(&self, live: &Value, object: &Value) -> Result<(), Reply> {
        let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if !version.is_empty() && live["metadata"]["resourceVersion"] != version {
            return Err(conflict(
                self.route,
                "the object has been modified; please apply your changes to the latest version and try again",
            ));
        }
        Ok(())
    }

    fn update(&self, store: &mut Store, live: &Arc<Value>, mut object: Value) -> Written {
        self.check_version(live, &object)?;
        let kind = self.route.kind;
        let status = self.route.sub == "status";
        if status && kind.group == "stateward.dev" {
            let written = object["status"].take();
            object = (**live).clone();
            object["status"] = written;
        } else if status {
            // Built-in kinds take metadata through the status as well.
            object["spec"] = live["spec"].clone();
            keep_server_fields(live, &mut object);
        } else {
            object["status"] = live["status"].clone();
            keep_server_fields(live, &mut object);
        }
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        validate::default(kind.plural, &mut object);
        let going = !live["metadata"]["deletionTimestamp"].is_null();
        let had = finalizers(live);
        if going && finalizers(&object).iter().any(|name| !had.contains(name)) {
            let message = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted";
            return Err(Reply::refused(422, "Invalid", message));
        }
        validate::update(store, kind, live, &object, status)?;
        let generation = live["metadata"]["generation"].as_i64().unwrap_or(1);
        if !status && object["spec"] != live["spec"] {
            object["metadata"]["generation"] = (generation + 1).into();
        }
        drop_nulls(&mut object);
        // Even an update that changes nothing lets go of what has nothing left to wait for.
        let gone = going && ready_to_go(&object);
        if !gone && same(live, &object) {
            return Ok(Reply { code: 200, body: Arc::clone(live) });
        }
        if self.tracks() {
            track(Some(live), &mut object, self.manager(), status, &self.now);
        }
        if self.route.is_dry_run() || gone {
            if gone && !self.route.is_dry_run() {
                store.remove(&self.id(), object.clone());
            }
            let version = live["metadata"]["resourceVersion"].clone();
            object["metadata"]["resourceVersion"] = version;
            return Ok(Reply { code: 200, body: Arc::new(object) });
        }
        Ok(Reply { code: 200, body: store.put(&self.id(), object) })
    }

    fn delete(&self, store: &mut Store) -> Written {
        let live = self.live(store)?;
        let options = &self.request.body;
        // With a body the query does not count.
        let dry_run = match options {
            Value::Null => self.route.is_dry_run(),
            _ => options["dryRun"].get(0).is_some_and(|word| word == "All"),
        };
        self.preconditions(&live, &options["preconditions"])?;
        let mut object = (*live).clone();
        let mut names: Vec<String> = finalizers(&live).into_iter().map(str::to_owned).collect();
        let policy = options["propagationPolicy"].as_str();
        // A policy that is said replaces what an earlier DELETE left; none leaves it.
        if policy.is_some() {
            names.retain(|name| name != "orphan" && name != "foregroundDeletion");
        }
        match policy {
            Some("Orphan") => names.push("orphan".to_owned()),
            Some("Foreground") => names.push("foregroundDeletion".to_owned()),
            _ => {}
        }
        object["metadata"]["finalizers"] = names.clone().into();
        let grace = match self.route.kind.plural {
            "pods" => options["gracePeriodSeconds"].as_i64().unwrap_or(30),
            _ => 0,
        };
        let going = !live["metadata"]["deletionTimestamp"].is_null();
        if !going {
            object["metadata"]["deletionTimestamp"] = self.now.clone().into();
            object["metadata"]["deletionGracePeriodSeconds"] = grace.into();
            // A set's generation rises with it (BeforeDelete).
            if let Some(generation) = live["metadata"]["generation"].as_i64() {
                object["metadata"]["generation"] = (generation + 1).into();
            }
        } else if grace == 0 {
            object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        }
        if self.route.kind.plural == "namespaces" {
            object["metadata"]["finalizers"] = json!(["simulated/namespace"]);
            object["status"]["phase"] = "Terminating".into();
        }
        drop_nulls(&mut object);
        if dry_run {
            return Ok(Reply { code: 200, body: Arc::new(object) });
        }
        if ready_to_go(&object) {
            let versioned = options["preconditions"]["resourceVersion"].is_string();
            if versioned && finalizers(&live) != finalizers(&object) {
                // The server takes the finalizers off first, and its own write then breaks the
                // precondition.
                store.put(&self.id(), object);
                return Err(conflict(self.route, "Precondition failed: ResourceVersion differs"));
            }
            store.remove(&self.id(), object);
            let body = json!({"apiVersion": "v1", "kind": "Status", "status": "Success"});
            return Ok(Reply { code: 200, body: Arc::new(body) });
        }
        if same(&live, &object) {
            return Ok(Reply { code: 200, body: live });
        }
        Ok(Reply { code: 200, body: store.put(&self.id(), object) })
    }

    fn preconditions(&self, live: &Value, wanted: &Value) -> Result<(), Reply> {
        for (field, word) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
            let Some(value) = wanted[field].as_str() else { continue };
            let stands = live["metadata"][field].as_str().unwrap_or_default();
            if stands != value {
                let why = format!(
                    "the {word} in the precondition ({value}) does not match the {word} in record ({stands}). The object might have been deleted and then recreated"
                );
                return Err(conflict(self.route, &why));
            }
        }
        Ok(())
    }

    fn evict(&self, store: &mut Store) -> Written {
        let live = self.live(store)?;
        self.preconditions(&live, &self.request.body["deleteOptions"]["preconditions"])?;
        let mut object = (*live).clone();
        if object["metadata"]["deletionTimestamp"].is_null() {
            object["metadata"]["deletionTimestamp"] = self.now.clone().into();
            object["metadata"]["deletionGracePeriodSeconds"] = 30.into();
            store.put(&self.id(), object);
        }
        let body = json!({"apiVersion": "v1", "kind": "Status", "status": "Success"});
        Ok(Reply { code: 201, body: Arc::new(body) })
    }
}

/// What no update can change.
fn keep_server_fields(live: &Value, object: &mut Value) {
    for field in ["uid", "creationTimestamp", "generation", "namespace", "deletionTimestamp"] {
        object["metadata"][field] = live["metadata"][field].clone();
    }
    if object["metadata"]["deletionGracePeriodSeconds"].is_null() {
        object["metadata"]["deletionGracePeriodSeconds"] =
            live["metadata"]["deletionGracePeriodSeconds"].clone();
    }
    if object["metadata"]["managedFields"].is_null() {
        object["metadata"]["managedFields"] = live["metadata"]["managedFields"].clone();
    }
}

/// Whether an object that is going has nothing left to wait for.
fn ready_to_go(object: &Value) -> bool {
    let grace = object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    finalizers(object).is_empty() && grace == 0
}

fn drop_nulls(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|_, value| {
            !value.is_null()
                && !value.as_array().is_some_and(Vec::is_empty)
                && !value.as_object().is_some_and(serde_json::Map::is_empty)
        });
    }
    if let Some(object) = object.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
}

/// Whether an update changes nothing: then there is no new version.
fn same(live: &Value, object: &Value) -> bool {
    let parts = |value: &Value| {
        let mut metadata = value["metadata"].clone();
        metadata["resourceVersion"] = Value::Null;
        let rest: Vec<(String, Value)> = value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| *key != "metadata")
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        (metadata, rest)
    };
    parts(live) == parts(object)
}
