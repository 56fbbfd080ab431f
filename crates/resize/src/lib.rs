//! Decides what a resize does next, without doing it.
//!
//! A resize has two halves. Growing the claims is urgent, safe, and restarts no pod. Re-creating
//! the set, which updates its template, is risky and waits for stricter checks. A
//! [`Record`](stateward_core::record::Record) keeps what must survive a crash. [`observed`] is the
//! cluster reduced to the fields that decisions read, [`preflight`] holds the checks, and [`step()`]
//! returns the next [`Action`]. No action deletes a claim.
//!
//! [`plan`] predicts the same steps for a person, by the same checks. [`crd`],
//! [`admission_policy`] and [`rights`] are what has to be installed in a cluster. The controller
//! that observes a cluster and carries the actions out is part of the shell.

pub mod admission_policy;
pub mod advice;
pub mod body;
mod commands;
pub mod controller_policy;
pub mod crd;
pub mod observed;
mod parameters;
pub mod plan;
pub mod preflight;
pub mod rights;
pub mod step;
mod view;

pub use self::commands::Commands;
pub use self::observed::Observed;
pub use self::parameters::Parameters;
pub use self::step::{Action, step};
pub use self::view::View;

/// The Lease that is renewed while a resize that is asked for would be carried out
/// (`docs/resize.md`, Who may ask).
pub const CAN_RESIZE: &str = "stateward-can-resize";
