//! stateward
pub mod certificates;
pub mod change;
pub mod cli;
pub mod decide;
pub mod facts;
pub mod mutations;
pub mod nearest;
pub mod object;
pub mod policy;
pub mod report;
pub mod review;
pub mod rules;
pub mod telemetry;
pub mod webhook;
