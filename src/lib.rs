//! stateward judges every change to stateful workloads on Kubernetes, and makes the safe form of
//! the change happen.
//!
//! The modules in reading order: an [`object`] is a borrowed view of a manifest; a [`change`] is an
//! operation with its old and new object; [`facts`] are what is known besides. [`rules`] find fault
//! with a change, [`mutations`] put defaults into it, the [`policy`] says what is done, and
//! [`mod@decide`] brings them together; [`resize`] carries out what grows. Around that pure core
//! stand the shells: [`review`] is the wire form of the API server, [`webhook`] the server that
//! speaks it, [`cluster`] what a replica asks of its cluster, [`manifest`] reads files,
//! [`mod@check`] judges them, [`report`] prints findings, and [`cli`] is the command line.

pub mod object;

pub mod change;
pub mod facts;

pub mod rules;

pub mod mutations;

pub mod policy;

pub mod decide;

pub mod resize;

pub mod review;

pub mod certificates;
pub mod cluster;
pub mod telemetry;
pub mod webhook;

pub mod check;
pub mod manifest;
pub mod report;

pub mod cli;
pub mod nearest;
