//! The explorer: every interleaving of small worlds, with the shipped `step` in them.
//!
//! [`world`] is a model of what a resize meets: API server, garbage collector, StatefulSet
//! controller, resizer, and people. [`search`] visits every state that can be reached with a
//! budget of faults and checks [`properties`] in each; [`slices`] are the worlds that are
//! explored, each until nothing is left; [`sequences`] are the interleavings that broke earlier
//! drafts, played one by one; [`mutants`] are bugs that others shipped, each of which
//! the explorer must find; [`arbitrary`] replaces any part of an input by anything.
//!
//! `STATEWARD_FAULTS=3` allows one fault more, `STATEWARD_SLICE=deletes` explores one slice only.
//!
//! The model is no proof about Kubernetes. What it assumes stands beside each of its actions, and
//! [`conformance`] compares where it comes to rest with real controllers.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test says by a panic what went wrong")]
#![expect(clippy::struct_excessive_bools, reason = "independent marks of an object")]
#![expect(clippy::too_many_lines, reason = "one match over everything that can happen")]

mod arbitrary;
mod bugs;
mod cluster;
mod conformance;
mod mutants;
mod people;
mod play;
mod properties;
mod search;
mod sequences;
mod slices;
mod world;
