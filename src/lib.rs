//! The shell of stateward: everything that talks to the world.
//!
//! The pure crates judge: `stateward-core` decides about one change, `stateward-check` pairs and
//! judges manifests, `stateward-resize` says what a resize does next. Around them, [`webhook`] is
//! the HTTPS server, [`controller`] reconciles resizes, [`cluster`] reads and watches a cluster,
//! [`certificates`] makes and rotates certificates, [`http_server`] serves connections under limits,
//! [`telemetry`] holds logs, metrics and traces, [`health`] what `/readyz` reports, and [`cli`] is
//! the command line.

pub mod certificates;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod health;
pub mod http_server;
pub mod telemetry;
pub mod webhook;
