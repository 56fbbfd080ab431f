//! What stateward puts into an object by itself: one file per mutation, and the patch they build.
//!
//! Each is a pure function from a change to patch operations. Each writes only
//! what differs from its goal, so that a reinvocation and a second review change nothing.

pub mod claim_template_metadata;
pub mod created_size;
pub mod injected;
pub mod patch;
pub mod pod_defaults;
pub mod resize;

pub use self::patch::{Mutation, Objection, Patch, PatchError};
