//! Whether storage may grow, and whether it can.
//!
//! Admission, the controller's preflight checks and `resize plan` ask here, so that none of them
//! promises what another rejects: [`growability`] tells whether a claim can grow at all, [`SizeLimit`]
//! reads `resize-max`, and [`GrowthLimit`] recognises a size that is probably a typo.

mod growability;
mod limits;

pub use self::growability::{Growability, Obstacle, growability};
pub use self::limits::{Extent, GrowthLimit, SizeLimit, no_volume_size};
