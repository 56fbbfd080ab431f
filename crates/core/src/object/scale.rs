//! The `scale` subresource.

use serde::Deserialize;

use super::json::{self, DecodeError, Text};
use super::{Metadata, Object};

/// `autoscaling/v1` Scale. It carries no labels and no annotations of the set.
#[derive(Clone, Debug)]
pub struct Scale<'a> {
    /// name, namespace and managers only
    pub metadata: Metadata<'a>,
    /// `spec.replicas`; the server writes 0 as an absent field
    pub replicas: i64,
    /// `status.replicas`: how many pods there are
    pub pods: Option<i64>,
    /// `status.selector`, the set's selector as text
    pub selector: Text<'a>,
}

impl<'a> Scale<'a> {
    /// Reads a Scale from the head of its document.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn decode(object: &Object<'a>) -> Result<Self, DecodeError> {
        #[derive(Default, Deserialize)]
        struct Spec {
            #[serde(default)]
            replicas: Option<i64>,
        }
        #[derive(Default, Deserialize)]
        struct Status<'a> {
            #[serde(default)]
            replicas: Option<i64>,
            #[serde(borrow, default)]
            selector: Text<'a>,
        }
        let spec: Spec = match object.spec {
            Some(raw) => json::decode(raw.get(), "/spec")?,
            None => Spec::default(),
        };
        let status: Status<'a> = match object.status {
            Some(raw) => json::decode(raw.get(), "/status")?,
            None => Status::default(),
        };
        Ok(Self {
            metadata: object.metadata.clone(),
            replicas: spec.replicas.unwrap_or(0),
            pods: status.replicas,
            selector: status.selector,
        })
    }
}
