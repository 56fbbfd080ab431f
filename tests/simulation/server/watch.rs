//! Watches: events after a version, in order, one by one.

use serde_json::{Value, json};

use super::Server;
use super::kinds::Route;

/// What a watch tells next.
#[derive(Debug)]
pub(crate) enum Next {
    /// an event, as a line
    Event(String),
    /// nothing yet
    Nothing,
}

/// Where a watch is.
#[derive(Debug)]
pub(crate) struct Cursor {
    route: Route,
    /// the place in the log
    at: usize,
    metadata_only: bool,
}

impl Server {
    /// A watch from the `resourceVersion` of the query on.
    pub(crate) fn cursor(&self, route: Route, metadata_only: bool) -> Cursor {
        let from = route.query.get("resourceVersion").and_then(|text| text.parse().ok());
        let from: u64 = from.unwrap_or(0);
        let at = self.look(|store| store.log.partition_point(|change| change.version <= from));
        Cursor { route, at, metadata_only }
    }

    pub(crate) fn next_event(&self, cursor: &mut Cursor) -> Next {
        self.look(|store| {
            while let Some(change) = store.log.get(cursor.at) {
                cursor.at += 1;
                let namespace = &cursor.route.namespace;
                if change.id.plural == cursor.route.kind.plural
                    && (namespace.is_empty() || *namespace == change.id.namespace)
                {
                    let object = if cursor.metadata_only {
                        partial(&change.object)
                    } else {
                        (*change.object).clone()
                    };
                    let event = json!({"type": change.word(), "object": object});
                    return Next::Event(format!("{event}\n"));
                }
            }
            Next::Nothing
        })
    }
}

/// An object's metadata and nothing else.
pub(crate) fn partial(object: &Value) -> Value {
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": object["metadata"],
    })
}

/// The event that says that a version is too old to watch from.
pub(crate) fn gone() -> String {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Expired",
        "message": "too old resource version", "code": 410,
    });
    format!("{}\n", json!({"type": "ERROR", "object": status}))
}
