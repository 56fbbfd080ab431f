//! An API server in memory: what the driver uses of Kubernetes, and no more.
//!
//! It counts only because [`conformance`](crate::conformance) compares it with a real one.

pub(crate) mod kinds;
mod managed;
pub(crate) mod store;
mod validate;
pub(crate) mod watch;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use self::kinds::{Route, selected};
use self::store::{Change, Id, Store};
pub(crate) use self::write::seconds;

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE: &str = "application/merge-patch+json";

/// A request, as far as it counts.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    /// who sends it
    pub who: String,
    pub method: &'static str,
    pub uri: String,
    pub content: String,
    pub body: Value,
}

impl Plain {
    pub(crate) fn new(who: &str, method: &'static str, uri: &str, body: Value) -> Self {
        let content = if method == "PATCH" { MERGE } else { JSON };
        Self { who: who.to_owned(), method, uri: uri.to_owned(), content: content.to_owned(), body }
    }

    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub code: u16,
    pub body: Arc<Value>,
}

impl Reply {
    pub(crate) fn is_ok(&self) -> bool {
        self.code < 300
    }

    pub(crate) fn refused(code: u16, reason: &str, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let body = json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure",
            "reason": reason, "message": message, "code": code,
        });
        Self { code, body: Arc::new(body) }
    }
}

/// A write that was committed, for whoever checks what must hold.
pub(crate) struct Commit<'c> {
    pub request: &'c Plain,
    pub changes: &'c [Change],
    /// everything as it is now
    pub store: &'c Store,
}

type Observer = Box<dyn FnMut(&Commit<'_>) + Send>;

/// The server.
#[derive(Clone)]
pub(crate) struct Server(Arc<Shared>);

struct Shared {
    began: Instant,
    inner: Mutex<Inner>,
    /// wakes whoever waits for changes, in the order in which they began to
    changed: Notify,
}

struct Inner {
    store: Store,
    observer: Option<Observer>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let inner = Inner { store: Store::default(), observer: None };
        Self(Arc::new(Shared {
            began: Instant::now(),
            inner: Mutex::new(inner),
            changed: Notify::new(),
        }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks `observer` about every write from now on.
    pub(crate) fn observe(&self, observer: impl FnMut(&Commit<'_>) + Send + 'static) {
        self.inner().observer = Some(Box::new(observer));
    }

    /// The time by the server's clock.
    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.0.began.elapsed()).unwrap();
        Timestamp::from_second(1_767_225_600).unwrap() + elapsed
    }

    /// How long it has been up.
    pub(crate) fn up(&self) -> std::time::Duration {
        self.0.began.elapsed()
    }

    /// Wakes with every change, of Leases and events apart.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }

    /// Looks at everything at once, as no client can.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Store) -> R) -> R {
        look(&self.inner().store)
    }

    /// An object as it is.
    pub(crate) fn get(&self, id: &Id) -> Option<Arc<Value>> {
        self.inner().store.get(id).cloned()
    }

    /// All objects of a kind.
    pub(crate) fn all(&self, plural: &'static str) -> Vec<Arc<Value>> {
        self.look(|store| store.list(plural, "").into_iter().cloned().collect())
    }

    /// Answers a request, at once and as a whole.
    pub(crate) fn handle(&self, request: &Plain) -> Reply {
        let Some(route) = Route::of(&request.uri) else {
            return Reply::refused(404, "NotFound", "the server could not find the resource");
        };
        let now = self.now();
        let mut inner = self.inner();
        if !request.is_write() {
            return read(&inner.store, &route);
        }
        if route.kind.plural == "selfsubjectaccessreviews" {
            let mut review = request.body.clone();
            review["status"] = json!({"allowed": true});
            return Reply { code: 201, body: Arc::new(review) };
        }
        let from = inner.store.log.len();
        let version = inner.store.version;
        let reply = write::write(&mut inner.store, request, &route, now);
        let Inner { store, observer } = &mut *inner;
        if store.version != version
            && let Some(observer) = observer
        {
            let changes = &store.log[from..];
            observer(&Commit { request, changes, store });
        }
        let noted = inner.store.log.len();
        drop(inner);
        if noted != from {
            self.0.changed.notify_waiters();
        }
        reply
    }

    /// Sends a request in the name of `who`, without a network between.
    pub(crate) fn send(&self, who: &str, method: &'static str, uri: &str, body: Value) -> Reply {
        self.handle(&Plain::new(who, method, uri, body))
    }

    /// Creates an object that a test needs.
    pub(crate) fn create(&self, who: &str, object: Value) -> Arc<Value> {
        let plural = kinds::KINDS.iter().find(|kind| object["kind"] == kind.kind).unwrap().plural;
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let path = Id::new(plural, namespace, "").path();
        let reply = self.send(who, "POST", path.trim_end_matches('/'), object);
        assert!(reply.is_ok(), "{}", reply.body);
        reply.body
    }
}

fn read(store: &Store, route: &Route) -> Reply {
    if route.name.is_empty() {
        let selector = route.query.get("labelSelector").map_or("", String::as_str);
        let items = store.list(route.kind.plural, &route.namespace);
        let items: Vec<&Value> = items
            .into_iter()
            .map(|item| &**item)
            .filter(|item| selected(selector, item.pointer("/metadata/labels")))
            .collect();
        let list = json!({
            "apiVersion": route.kind.api_version(),
            "kind": format!("{}List", route.kind.kind),
            "metadata": {"resourceVersion": store.version.to_string()},
            "items": items,
        });
        return Reply { code: 200, body: Arc::new(list) };
    }
    let id = Id::new(route.kind.plural, &route.namespace, &route.name);
    match store.get(&id) {
        Some(object) => Reply { code: 200, body: Arc::clone(object) },
        None => write::not_found(route),
    }
}
