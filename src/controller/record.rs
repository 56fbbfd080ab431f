//! The record between the API server's JSON and [`Record`].

use serde::Deserialize;
use serde_json::Value;
use stateward_core::record::{FINALIZER, Record, Spec, Status};

use crate::cluster::ReadError;

/// A record, and the object that it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// the record
    pub record: Record,
    /// as the API server gave it; null for a record of a list
    pub object: Value,
}

impl Stored {
    /// Reads a record.
    ///
    /// # Errors
    /// A field that is not what this version knows it as.
    pub fn read(object: Value, path: &str) -> Result<Self, ReadError> {
        Ok(Self { record: record(&object, path)?, object })
    }

    /// Reads a record of a list, without the copy of its set: a list may have thousands of them.
    ///
    /// # Errors
    /// A field that is not what this version knows it as.
    pub(super) fn listed(object: &Value, path: &str) -> Result<Self, ReadError> {
        let mut record = record(object, path)?;
        record.status.snapshot = None;
        Ok(Self { record, object: Value::Null })
    }

    /// The resourceVersion at which it was read.
    pub fn resource_version(&self) -> &str {
        self.object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default()
    }
}

fn record(object: &Value, path: &str) -> Result<Record, ReadError> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
        #[serde(default)]
        spec: Spec,
        #[serde(default)]
        status: Option<Status>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        namespace: String,
        name: String,
        uid: String,
        #[serde(default)]
        generation: i64,
        #[serde(default)]
        finalizers: Vec<String>,
        deletion_timestamp: Option<String>,
    }
    let read: Object = serde_path_to_error::deserialize(object)
        .map_err(|why| ReadError::Decode { path: path.to_owned(), why: why.to_string() })?;
    Ok(Record {
        namespace: read.metadata.namespace,
        name: read.metadata.name,
        uid: read.metadata.uid,
        generation: read.metadata.generation,
        finalizer: read.metadata.finalizers.iter().any(|name| name == FINALIZER),
        deleting: read.metadata.deletion_timestamp.is_some(),
        spec: read.spec,
        status: read.status.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_listed_record_holds_neither_its_object_nor_the_copy_of_the_set() {
        let object = json!({
            "metadata": {"namespace": "prod", "name": "db", "uid": "R"},
            "status": {"phase": "Creating", "snapshot": "x".repeat(100_000)},
        });
        let listed = Stored::listed(&object, "/records").unwrap();
        assert_eq!((listed.record.status.snapshot, listed.object), (None, Value::Null));
        assert_eq!(listed.record.name, "db");
        assert!(Stored::read(object, "/records").unwrap().record.status.snapshot.is_some());
    }
}
