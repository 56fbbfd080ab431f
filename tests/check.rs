//! `stateward check` as people and pipelines run it: the built program in temporary folders and
//! git repositories.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what tests have in common is not seen as part of them"
)]

#[path = "check/folder.rs"]
mod folder;
#[path = "check/input.rs"]
mod input;
#[path = "check/outcome.rs"]
mod outcome;
#[path = "check/revision.rs"]
mod revision;
#[path = "check/verdict.rs"]
mod verdict;
