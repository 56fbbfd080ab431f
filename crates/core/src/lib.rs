//! The pure core of stateward: it judges every change to stateful workloads.
//!
//! The modules in reading order: an [`object`] is a borrowed view of a manifest, and [`yaml`] reads
//! manifests into objects with places. A [`change`] is an operation with its old and new object.
//! [`facts`] are what is known beyond the change, and [`drivers`] what is known of storage. [`rules`] judge a change, [`mutations`] inject
//! defaults, and the [`policy`] configures both. [`mod@decide`] combines them into one decision.
//! [`review`] is the wire form of an AdmissionReview. A [`record`] is a resize in progress.
//!
//! Nothing here does I/O, reads the clock or knows a client. The crate builds for wasm32.

pub mod annotations;
pub mod change;
pub mod decide;
pub mod drivers;
pub mod facts;
pub mod growth;
pub mod loss;
pub mod mutations;
pub mod nearest;
pub mod object;
pub mod ownership;
pub mod packs;
pub mod policy;
pub mod record;
pub mod review;
pub mod rules;
pub mod shell;
pub mod text;
pub mod webhook_kind;
pub mod yaml;
