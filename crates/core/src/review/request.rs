//! A review as it arrives.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::envelope::{Envelope, Request};
use crate::change::{Change, Circumstances, KubernetesVersion, Operation, Pair, Tool, User};
use crate::object::{DecodeError, Kind, KindInfo, Object, Raw, serde_messages};

const API_VERSION: &str = "admission.k8s.io/v1";

/// Why a body is no review that can be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedReview {
    /// no UTF-8
    #[error("the body is not UTF-8 text")]
    Encoding,
    /// no JSON, or not the JSON of a review
    #[error("the body is not the JSON of an AdmissionReview: {0}")]
    Json(String),
    /// nothing at all
    #[error("the body is empty; it should be the JSON of an AdmissionReview")]
    Empty,
    /// what should stand in the envelope
    #[error(
        "the body is a request without its AdmissionReview; put it into {{\"apiVersion\": \
         \"{API_VERSION}\", \"kind\": \"AdmissionReview\", \"request\": …}}"
    )]
    Bare,
    /// no kind
    #[error("the body is not an AdmissionReview: it has no kind")]
    NoKind,
    /// another kind
    #[error("the body is not an AdmissionReview: its kind is {0:?}")]
    Kind(String),
    /// another version
    #[error(
        "apiVersion {0:?} is not understood, only {API_VERSION}: list v1 in \
         admissionReviewVersions of the webhook configuration"
    )]
    Version(String),
    /// no request
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// no uid
    #[error("the request has no uid")]
    NoUid,
    /// an operation that admission does not know
    #[error("the operation {0:?} is not known")]
    Operation(String),
    /// an object that the operation cannot go without
    #[error("{0} without {1}")]
    NoObject(&'static str, &'static str),
}

impl MalformedReview {
    /// Why `text` could not be read.
    fn of(text: &str, error: &serde_json::Error) -> Self {
        if text.trim().is_empty() {
            return Self::Empty;
        }
        let members = serde_json::from_str::<BTreeMap<String, &RawValue>>(text);
        let has = |key: &&str| members.as_ref().is_ok_and(|members| members.contains_key(*key));
        if ["uid", "operation"].iter().all(has) {
            return Self::Bare;
        }
        let said = error.to_string();
        let said = if error.is_data() {
            serde_messages::plain(&said)
        } else {
            serde_messages::syntax(&said).into()
        };
        Self::Json(format!("{said} at line {} column {}", error.line(), error.column()))
    }
}

/// A review whose objects are still text.
#[derive(Debug)]
pub struct Review<'a> {
    request: Request<'a>,
    /// `None` for CONNECT, which is allowed unseen
    operation: Option<Operation>,
    /// the kind of the object
    pub kind: Kind,
}

impl<'a> Review<'a> {
    /// Reads the envelope of a review.
    ///
    /// # Errors
    /// What makes the body no review that can be answered.
    pub fn decode(body: &'a [u8]) -> Result<Self, MalformedReview> {
        let text = std::str::from_utf8(body).map_err(|_| MalformedReview::Encoding)?;
        let envelope: Envelope<'a> =
            serde_json::from_str(text).map_err(|error| MalformedReview::of(text, &error))?;
        if envelope.kind.is_empty() {
            return Err(MalformedReview::NoKind);
        }
        if &*envelope.kind != "AdmissionReview" {
            return Err(MalformedReview::Kind(envelope.kind.to_string()));
        }
        if &*envelope.api_version != API_VERSION {
            return Err(MalformedReview::Version(envelope.api_version.to_string()));
        }
        let request = envelope.request.ok_or(MalformedReview::NoRequest)?;
        if request.uid.is_empty() {
            return Err(MalformedReview::NoUid);
        }
        let operation = match &*request.operation {
            "CREATE" => Some(Operation::Create),
            "UPDATE" => Some(Operation::Update),
            "DELETE" => Some(Operation::Delete),
            "CONNECT" => None,
            other => return Err(MalformedReview::Operation(other.to_owned())),
        };
        let mut kind = Kind::of(&request.kind.group, &request.kind.version, &request.kind.kind);
        // Deployments and others have a scale as well.
        let of_other_resource = |info: &KindInfo| {
            !info.subresource.is_empty() && info.plural != &*request.resource.resource
        };
        if kind.info().is_some_and(of_other_resource) {
            kind = Kind::Other;
        }
        if kind != Kind::Other {
            let absent = |object: Option<Raw<'_>>| object.is_none_or(|raw| raw.get() == "null");
            let (object, old) = (absent(request.object), absent(request.old_object));
            match operation {
                Some(Operation::Create) if object => {
                    return Err(MalformedReview::NoObject("CREATE", "object"));
                }
                Some(Operation::Update) if object => {
                    return Err(MalformedReview::NoObject("UPDATE", "object"));
                }
                Some(Operation::Update) if old => {
                    return Err(MalformedReview::NoObject("UPDATE", "oldObject"));
                }
                Some(Operation::Delete) if old => {
                    return Err(MalformedReview::NoObject("DELETE", "oldObject"));
                }
                _ => {}
            }
        }
        Ok(Self { request, operation, kind })
    }

    /// The change that is reviewed.
    ///
    /// # Errors
    /// The field of a known kind that has the wrong type.
    pub fn change(&self, kubernetes: KubernetesVersion) -> Result<Change<'a>, DecodeError> {
        let request = &self.request;
        let operation = self.operation.unwrap_or(Operation::Create);
        // What no rule judges is not decoded.
        let (kind, objects) = match self.operation {
            Some(operation) if self.kind != Kind::Other => (self.kind, self.objects(operation)?),
            _ => (Kind::Other, Pair { old: None, new: None }),
        };
        let user = &request.user_info;
        let circumstances = Circumstances {
            user: User {
                name: user.username.to_string(),
                groups: user.groups.iter().map(ToString::to_string).collect(),
            },
            tool: Tool::recognise(&user.username, &request.options.field_manager),
            field_manager: request.options.field_manager.to_string(),
            propagation_policy: request.options.propagation_policy.as_deref().map(str::to_owned),
            orphan_dependents: request.options.orphan_dependents,
            dry_run: request.dry_run,
            kubernetes,
            sub_resource: match &*request.sub_resource {
                "scale" => String::new(),
                other => other.to_owned(),
            },
        };
        Change::new(operation, kind, &request.namespace, objects, circumstances)
    }

    fn objects(&self, operation: Operation) -> Result<Pair<Object<'a>>, DecodeError> {
        let decode = |raw: Option<Raw<'a>>| {
            raw.filter(|raw| raw.get() != "null").map(|raw| Object::decode(raw.get())).transpose()
        };
        let (old, new) = (self.request.old_object, self.request.object);
        Ok(Pair {
            old: decode(old.filter(|_| operation != Operation::Create))?,
            new: decode(new.filter(|_| operation != Operation::Delete))?,
        })
    }

    /// The text of the new object, which a patch is about.
    pub fn document(&self) -> &'a str {
        self.request.object.map_or("null", Raw::get)
    }

    /// The uid to answer with.
    pub fn uid(&self) -> &str {
        &self.request.uid
    }

    /// The operation, `CONNECT` included.
    pub fn operation(&self) -> &'static str {
        self.operation.map_or("CONNECT", Operation::name)
    }

    /// Who asked.
    pub fn user(&self) -> &str {
        &self.request.user_info.username
    }

    /// The namespace of the request.
    pub fn namespace(&self) -> &str {
        &self.request.namespace
    }

    /// Whether the request is a dry run.
    pub fn dry_run(&self) -> bool {
        self.request.dry_run
    }
}
