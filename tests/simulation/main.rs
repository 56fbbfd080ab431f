//! The simulation: the real driver over an API server in memory, in time that passes only where
//! everybody waits, with faults and people drawn from a seed.
//!
//! [`server`] answers requests, [`transport`] carries them and lets them fail as [`faults`] says,
//! [`actors`] are the controllers beside ours, [`people`] interfere. [`safety`] judges every commit,
//! [`outcome`] what is left once nothing changes any more. [`runner`] puts a run together,
//! [`seeds`] runs many.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![expect(clippy::print_stdout, reason = "a test prints what it found")]

mod actors;
mod conformance;
mod faults;
mod outcome;
mod people;
mod runner;
mod safety;
mod seeds;
mod server;
mod speed;
mod trace;
mod transport;
mod world;
