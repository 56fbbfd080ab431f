//! stateward
pub mod change;
pub mod cli;
pub mod facts;
pub mod nearest;
pub mod object;
pub mod report;
pub mod review;
pub mod rules;
