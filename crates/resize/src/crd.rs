//! The `CustomResourceDefinition` of the record, made from [`record`](stateward_core::record).
//!
//! `spec` is what people write, so it is refused where it is wrong. `status` is what versions of
//! stateward write: its fields have types and nothing else, and unknown ones are kept, since a
//! status that is refused in the re-creation window leaves a set without its controller.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use stateward_core::record::{Spec, Status};

/// The API group of the record.
pub const GROUP: &str = "stateward.dev";
/// Its version.
pub const VERSION: &str = "v1alpha1";
/// Group and version, as objects name them.
pub const API_VERSION: &str = "stateward.dev/v1alpha1";
/// Its kind.
pub const KIND: &str = "StatefulSetResize";
/// Its name in URLs.
pub const PLURAL: &str = "statefulsetresizes";
/// The definition's own name.
pub const NAME: &str = "statefulsetresizes.stateward.dev";

/// The definition, without anything that the API server adds.
pub fn crd() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/name": "stateward"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": "StatefulSetResizeList",
                "plural": PLURAL,
                "singular": "statefulsetresize",
                "shortNames": ["stsr"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns(),
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "description": "A request to grow the volumes of the StatefulSet of the same \
                        name, and what became of it. It is kept when it is done.",
                    "properties": {
                        "spec": structural::<Spec>(Part::Spec),
                        "status": structural::<Status>(Part::Status),
                    },
                }},
            }],
        },
    })
}

/// What `kubectl get statefulsetresizes` shows; the name is the set's.
fn columns() -> Value {
    let column = |name: &str, path: &str, description: &str| json!({"name": name, "type": "string", "jsonPath": path, "description": description});
    let mut age = column("Age", ".metadata.creationTimestamp", "When the record was made");
    age["type"] = "date".into();
    let mut message =
        column("Message", ".status.message", "The claim, field or answer that the reason is about");
    message["priority"] = 1.into();
    json!([
        column("Sizes", ".status.request.targets", "The sizes that are asked of claim templates"),
        column("Phase", ".status.phase", "How far it is"),
        column("Grown", ".status.claimsGrown", "How many claims their drivers have grown"),
        column(
            "State",
            ".status.state",
            "Waiting, Blocked or Ended; empty while the resize makes progress"
        ),
        column("Reason", ".status.reason", "Why the resize is in this state"),
        age,
        message,
    ])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Spec,
    Status,
}

/// The schema of `T` in the form that the API server takes.
fn structural<T: JsonSchema>(part: Part) -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>();
    reduced(schema.as_value(), part)
}

/// Keeps the keywords that a structural schema may have, and in a status only what tells types.
fn reduced(schema: &Value, part: Part) -> Value {
    let mut kept = Map::new();
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        let value = match (keyword.as_str(), value) {
            ("properties", Value::Object(fields)) => {
                let fields =
                    fields.iter().map(|(name, field)| (name.clone(), reduced(field, part)));
                if part == Part::Status {
                    kept.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
                }
                Value::Object(fields.collect())
            }
            ("items" | "additionalProperties", Value::Object(_)) => reduced(value, part),
            ("type", _) => value.clone(),
            ("description", Value::String(text)) => Value::String(text.replace('\n', " ")),
            // Of others the API server warns, or refuses what is not of them.
            ("format", Value::String(format)) if format.starts_with("int") => value.clone(),
            (
                "enum"
                | "pattern"
                | "required"
                | "maxLength"
                | "maxProperties"
                | "x-kubernetes-validations",
                _,
            ) if part == Part::Spec => value.clone(),
            _ => continue,
        };
        kept.insert(keyword.clone(), value);
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests;
