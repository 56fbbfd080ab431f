//! Limits on a requested size.

use std::fmt;

use crate::object::Quantity;

/// The annotation `resize-max`, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeLimit {
    text: String,
    /// none if the annotation is no size
    quantity: Option<Quantity>,
    /// whether the namespace carries it, not the set
    pub of_namespace: bool,
}

impl SizeLimit {
    /// The limit by the annotations of the namespace and of the set; the namespace's wins.
    pub fn new(namespace: Option<&str>, set: Option<&str>) -> Option<Self> {
        let of_namespace = namespace.is_some();
        let text = namespace.or(set)?.trim();
        Some(Self { text: text.to_owned(), quantity: text.parse().ok(), of_namespace })
    }

    /// Why the limit cannot be read, if it cannot.
    pub fn fault(&self) -> Option<String> {
        self.text.parse::<Quantity>().err().map(|why| why.to_string())
    }

    /// Whether a size is above the limit. An unreadable limit forbids every size: someone wrote it
    /// to restrict growth.
    pub fn forbids(&self, size: &Quantity) -> bool {
        self.quantity.as_ref().is_none_or(|limit| size > limit)
    }
}

impl fmt::Display for SizeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How much a size may grow in one request before it is taken for a typo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrowthLimit {
    /// growth up to this factor is usual
    pub factor: u32,
    /// so is any growth up to this size
    pub warn_above: Quantity,
    /// growth beyond the factor is denied only above this size
    pub deny_above: Quantity,
}

/// How far a size grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// up to the factor, or to a small size
    Usual,
    /// beyond the factor, to a size that people do ask for
    Large,
    /// beyond the factor and the size
    Mistake,
}

impl GrowthLimit {
    /// Above this size growth beyond the factor is denied, unless the policy says otherwise.
    pub const DENY_ABOVE: &str = "1Ti";

    /// Up to this size growth is usual, unless the policy says otherwise. Ten times 5Gi: so only volumes
    /// below 5Gi gain by it, which often start as a placeholder, and cost little if they are too large.
    pub const WARN_ABOVE: &str = "50Gi";

    /// Judges growth from `old` to `new`.
    pub fn extent(&self, old: &Quantity, new: &Quantity) -> Extent {
        let is_small = new <= (&self.warn_above).min(&self.deny_above);
        if !old.is_positive() || *new <= old.times(self.factor) || is_small {
            Extent::Usual
        } else if *new <= self.deny_above {
            Extent::Large
        } else {
            Extent::Mistake
        }
    }
}

impl Default for GrowthLimit {
    fn default() -> Self {
        Self {
            factor: 10,
            warn_above: Quantity::from_units(50 << 30),
            deny_above: Quantity::from_units(1 << 40),
        }
    }
}

/// Why nobody can ask for a volume of this size, as the rest of a sentence; nothing if somebody can.
///
/// The API server would round a fraction of a byte, and drivers take sizes as whole numbers of 64
/// bits: such a request would never be found as it was made.
pub fn no_volume_size(size: &Quantity) -> Option<&'static str> {
    if !size.is_positive() {
        Some("is no size of a volume")
    } else if size.is_fractional() {
        Some("is not a whole number of bytes")
    } else if *size >= Quantity::from_units(LARGEST) {
        Some("is more than a volume can hold")
    } else {
        None
    }
}

/// What a size of 64 bits ends at, and what the API server makes of larger ones with a binary suffix.
const LARGEST: u64 = i64::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn the_namespace_limits_before_the_set() {
        let limit = SizeLimit::new(Some("10Gi"), Some("1Ti")).unwrap();
        assert!(limit.forbids(&size("11Gi")) && !limit.forbids(&size("10Gi")));
        assert!(limit.of_namespace);
        assert!(!SizeLimit::new(None, Some(" 1Ti ")).unwrap().forbids(&size("1Ti")));
        assert!(SizeLimit::new(None, Some("much")).unwrap().forbids(&size("1")));
        assert_eq!(SizeLimit::new(None, None), None);
    }

    #[test]
    fn growth_beyond_factor_and_size_is_a_mistake() {
        let limit = GrowthLimit::default();
        assert_eq!(limit.deny_above, size(GrowthLimit::DENY_ABOVE));
        assert_eq!(limit.warn_above, size(GrowthLimit::WARN_ABOVE));
        for (old, new, expected) in [
            ("1Gi", "10Gi", Extent::Usual),
            ("10Mi", "5Gi", Extent::Usual),
            ("1Gi", "50Gi", Extent::Usual),
            ("1Gi", "51Gi", Extent::Large),
            ("6Gi", "61Gi", Extent::Large),
            ("1Gi", "1Ti", Extent::Large),
            ("1Gi", "1025Gi", Extent::Mistake),
            ("200Gi", "2000Gi", Extent::Usual),
            ("1Gi", "1e30", Extent::Mistake),
            ("0", "100Ti", Extent::Usual),
        ] {
            assert_eq!(limit.extent(&size(old), &size(new)), expected, "{old} → {new}");
        }
        // What a policy denies is not small.
        let strict = GrowthLimit { deny_above: size("20Gi"), ..limit };
        assert_eq!(strict.extent(&size("1Gi"), &size("20Gi")), Extent::Usual);
        assert_eq!(strict.extent(&size("1Gi"), &size("21Gi")), Extent::Mistake);
    }

    #[test]
    fn sizes_that_no_volume_has_are_told_apart() {
        let why = |size: &str| no_volume_size(&size.parse().unwrap());
        for size in ["1", "10Gi", "1.5Ti", "2147483648501", "7Ei", "9E", "1e18", "5000m"] {
            assert_eq!(why(size), None, "{size}");
        }
        for size in ["0", "-1Gi", "-0.5", "0e9"] {
            assert_eq!(why(size), Some("is no size of a volume"), "{size}");
        }
        for size in ["2147483648500.5m", "500m", "0.5", "1.3Ki", "1e-1", "1u"] {
            assert_eq!(why(size), Some("is not a whole number of bytes"), "{size}");
        }
        for size in ["1e30", "99999999E", "99999999Ei", "9223372036854775807", "8Ei", "1E30"] {
            assert_eq!(why(size), Some("is more than a volume can hold"), "{size}");
        }
    }
}
