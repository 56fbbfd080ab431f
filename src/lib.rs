//! stateward
pub mod certificates;
pub mod change;
pub mod cli;
pub mod facts;
pub mod object;
pub mod report;
pub mod review;
pub mod rules;
pub mod telemetry;
pub mod webhook;
