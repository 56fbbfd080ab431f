//! Objects that a tool keeps in the cluster when they are missing from the manifests.

use stateward_core::object::Object;
use stateward_core::rules::kept_by;

/// The annotation or label by which Helm, Argo CD or Flux keeps an object that is removed from the
/// manifests.
pub(crate) fn kept_manifest(json: &str) -> Option<&'static str> {
    kept_by(&Object::decode(json).ok()?.metadata)
}
