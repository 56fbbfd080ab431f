//! Grows the volumes of a set: the pure core of the orchestrator.
//!
//! A resize has two halves. Growing the claims is urgent, safe, and touches no pod. Re-creating
//! the set, so that its template tells the truth, is risky and waits for a stricter gate. A
//! [`record`] keeps what must survive a crash, [`observed`] is the cluster reduced to what is read
//! here, [`gate`] lists the checks, and [`step()`] says what is to be done next: one [`Action`]
//! at a time, of which none deletes a claim.
//!
//! **There is no driver yet**: nothing in this crate observes a cluster for these functions,
//! carries an action out, or renews a Lease. No command and no webhook calls them. What is shipped
//! here is exercised by the explorer in `tests/resize/`, over a model of a cluster.

pub mod admission_policy;
pub mod advice;
pub mod body;
pub mod crd;
pub mod driver;
pub mod gate;
pub mod observed;
pub mod plan;
pub mod record;
pub mod rights;
pub mod step;

pub use self::observed::Observed;
pub use self::record::Record;
pub use self::step::{Action, Parameters, step};
