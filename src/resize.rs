//! Grows the volumes of a set.
//!
//! A resize has two halves. Growing the claims is urgent, safe, and touches no pod. Re-creating
//! the set, so that its template tells the truth, is risky and waits for a stricter gate. A
//! [`record`] keeps what must survive a crash, [`observed`] is the cluster reduced to what is read
//! here, [`gate`] lists the checks, and [`step()`] says what is to be done next: one [`Action`]
//! at a time, of which none deletes a claim.
//!
//! All of these are pure, and the [`driver`] is the shell around them: it observes a cluster, carries
//! one action out, and looks again. [`plan`] tells a person in advance what would be done, by the
//! same checks. [`crd`], [`admission_policy`] and [`rights`] are what a cluster needs for it.

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
pub mod snapshot;
pub mod step;

pub use self::observed::Observed;
pub use self::record::Record;
pub use self::step::{Action, Parameters, step};
