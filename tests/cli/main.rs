//! The binary as a person or a pipeline runs it.

#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test says by a panic what went wrong"
)]

mod action;
mod advise;
mod audit;
mod check;
mod cli;
mod dashboard;
mod documentation;
mod edits;
mod folder;
mod odd_clusters;
mod packs;
mod picture;
mod report_command;
mod review_command;
mod serve;
mod shell;
