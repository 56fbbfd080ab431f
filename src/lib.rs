//! stateward
pub mod change;
pub mod facts;
pub mod manifest;
pub mod object;
pub mod report;
pub mod review;
pub mod rules;
