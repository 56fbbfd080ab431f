//! Whether storage may grow, and whether it can.
//!
//! Admission, the controller's preflight checks and `resize plan` ask here, so that none of them
//! promises what another rejects: [`growability`] tells whether a claim can grow at all, by its class, its
//! driver and its volume; [`SizeLimit`]
//! reads `resize-max`, and [`GrowthLimit`] recognises a size that is probably a typo.

mod claims;
mod growability;
mod limits;
mod resized;

pub use self::claims::{belongs, smallest_claims};
pub use self::growability::{Growability, Obstacle, class_obstacle, growability};
pub use self::limits::{Extent, GrowthLimit, SizeLimit, no_volume_size};
pub use self::resized::was_resized;
