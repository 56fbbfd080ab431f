//! Judges manifests, and old manifests against new ones, and reports what it found.
//!
//! [`select`] keeps the manifests that are judged, [`pair`] finds the old manifest of each new one,
//! [`judge`] asks the rules about each pair, and [`report`] writes the findings in every format.
//! [`audit`] looks at what lives, without a change. Files, git, threads and the terminal are left to the caller, so the crate builds for wasm32.

pub mod advise;
pub mod audit;
mod decodable;
pub mod judge;
mod keep;
pub mod kustomize;
pub mod layout;
mod left_behind;
mod live;
pub mod pair;
pub mod report;
pub mod select;
pub mod system;
mod variables;
