//! The sizes that a driver gives.

use std::collections::BTreeMap;

use super::{Bounds, Driver, Rounding};
use crate::object::Quantity;

/// The bytes of a size, if they fit 64 bits.
fn bytes(size: &Quantity) -> Option<u64> {
    let nanos: u128 = size.nanos()?.parse().ok()?;
    u64::try_from(nanos.div_ceil(1_000_000_000)).ok()
}

impl Driver {
    /// The size that the driver gives for a request, if that is known.
    pub fn given(&self, asked: &Quantity) -> Option<Quantity> {
        let rounding = self.rounding_of(asked)?;
        let (asked, unit) = (bytes(asked)?, bytes(&rounding.unit)?);
        let units =
            if rounding.down { asked.checked_div(unit)? } else { asked.div_ceil(unit.max(1)) };
        units.checked_mul(unit).map(Quantity::from_units)
    }

    /// How the driver rounds a request of this size, if that is known.
    pub fn rounding_of(&self, asked: &Quantity) -> Option<&Rounding> {
        let holds =
            |rounding: &&Rounding| rounding.below.as_ref().is_none_or(|below| asked < below);
        self.rounding.iter().find(holds)
    }

    /// The smallest and the largest volume of a class with these parameters.
    pub fn bounds(&self, parameters: &BTreeMap<String, String>) -> Option<&Bounds> {
        self.bounds.iter().find(|bounds| bounds.when.holds(parameters, false))
    }

    /// The size that growth from `from` to `to` passes, if no pod may use the volume meanwhile.
    pub fn detaches_above(
        &self,
        parameters: &BTreeMap<String, String>,
        from: &Quantity,
        to: &Quantity,
    ) -> Option<&Quantity> {
        let above = self.detached_above.as_ref()?;
        let passes = *from <= above.size && *to > above.size;
        (passes && above.when.holds(parameters, false)).then_some(&above.size)
    }
}
