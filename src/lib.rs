//! The shell of stateward: everything that talks to the world.
//!
//! The pure crates judge: `stateward-core` decides about one change, `stateward-check` pairs and
//! judges manifests, `stateward-resize` says what a resize does next. Around them, [`webhook`] is
//! the HTTPS server, [`controller`] reconciles resizes, [`cluster`] reads and watches a cluster,
//! [`certificates`] makes and rotates certificates, [`telemetry`] holds logs, metrics and traces,
//! and [`cli`] is the command line.

pub mod certificates;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod telemetry;
pub mod webhook;
