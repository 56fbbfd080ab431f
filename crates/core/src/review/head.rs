//! A review of which only the beginning is read, since the rest cannot be judged.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::change::Operation;
use crate::decide::CONTROL_PLANE;
use crate::object::Kind;
use crate::policy::Policy;

/// Who asks for what. The API server writes this before both objects.
#[derive(Debug)]
pub struct Head {
    pub(super) uid: String,
    pub(super) kind: Kind,
    pub(super) operation: Option<Operation>,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) user: String,
}

impl Head {
    /// Reads the first bytes of a review; `None` if they hold no uid.
    pub fn read(beginning: &[u8]) -> Option<Self> {
        let mut fields = Fields::default();
        let mut text = serde_json::Deserializer::from_slice(beginning);
        // The end is missing, so this ends in an error. What came before it counts.
        let _ = Envelope(&mut fields).deserialize(&mut text);
        let Fields { uid, kind, resource, operation, namespace, name, user } = fields;
        let mut known = Kind::of(&kind.group, &kind.version, &kind.kind);
        if known == Kind::Scale && resource.resource != "statefulsets" {
            known = Kind::Other;
        }
        let operation = match operation.as_str() {
            "CREATE" => Some(Operation::Create),
            "UPDATE" => Some(Operation::Update),
            "DELETE" => Some(Operation::Delete),
            _ => None,
        };
        let user = user.username;
        (!uid.is_empty()).then_some(Self { uid, kind: known, operation, namespace, name, user })
    }

    /// Whether rules would judge such a request at all.
    pub(super) fn is_judged(&self, policy: &Policy) -> bool {
        let exempt = CONTROL_PLANE.contains(&self.user.as_str())
            || self.namespace == "kube-system"
            || self.namespace == policy.own_namespace;
        self.kind != Kind::Other && self.operation.is_some() && !exempt
    }

    /// Kind, namespace and name, as far as they are known.
    pub(super) fn object(&self) -> String {
        let Self { kind, namespace, name, .. } = self;
        match (namespace.as_str(), name.as_str()) {
            ("", "") => kind.name().to_owned(),
            ("", name) => format!("{} {name}", kind.name()),
            (namespace, "") => format!("{} in {namespace}", kind.name()),
            (namespace, name) => format!("{} {namespace}/{name}", kind.name()),
        }
    }

    /// Who asks.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The namespace of the request.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name of the object; empty if the API server has yet to generate one.
    pub fn name(&self) -> &str {
        &self.name
    }
}

#[derive(Default)]
struct Fields {
    uid: String,
    kind: GroupVersionKind,
    resource: Resource,
    operation: String,
    namespace: String,
    name: String,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GroupVersionKind {
    group: String,
    version: String,
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    resource: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
}

struct Envelope<'f>(&'f mut Fields);

impl<'de> DeserializeSeed<'de> for Envelope<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Envelope<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AdmissionReview")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            if key == "request" {
                return map.next_value_seed(Request(self.0));
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

struct Request<'f>(&'f mut Fields);

impl<'de> DeserializeSeed<'de> for Request<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request of an AdmissionReview")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = self.0;
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "uid" => fields.uid = map.next_value()?,
                "kind" => fields.kind = map.next_value()?,
                "resource" => fields.resource = map.next_value()?,
                "operation" => fields.operation = map.next_value()?,
                "namespace" => fields.namespace = map.next_value()?,
                "name" => fields.name = map.next_value()?,
                "userInfo" => fields.user = map.next_value()?,
                // All that follows is part of the objects or comes after them.
                "object" | "oldObject" => return Err(A::Error::custom("the objects begin")),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVIEW: &str = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{
        "uid":"u-1","kind":{"group":"apps","version":"v1","kind":"StatefulSet"},
        "resource":{"group":"apps","version":"v1","resource":"statefulsets"},
        "name":"db","namespace":"prod","operation":"UPDATE",
        "userInfo":{"username":"alice","groups":["dev"]},"object":{"metadata":{"name":"other","uid":"u-2"#;

    #[test]
    fn the_head_is_read_from_any_beginning_that_holds_a_uid() {
        let whole = Head::read(REVIEW.as_bytes()).unwrap();
        assert_eq!(whole.object(), "StatefulSet prod/db");
        assert_eq!((whole.uid.as_str(), whole.user()), ("u-1", "alice"));
        for end in 0..REVIEW.len() {
            match Head::read(&REVIEW.as_bytes()[..end]) {
                Some(head) => assert_eq!(head.uid, "u-1"),
                None => assert!(end < REVIEW.find("\"kind\":{").unwrap(), "{end}"),
            }
        }
        for junk in ["", "x", "[]", "{\"request\":[]}", "{\"request\":{\"uid\":\"\"}}", "\u{0}"] {
            assert!(Head::read(junk.as_bytes()).is_none(), "{junk}");
        }
    }
}
