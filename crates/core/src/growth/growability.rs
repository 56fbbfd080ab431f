//! Whether a claim can grow: what its class and its volume allow.

use std::fmt;

use crate::facts::{ClassFact, Fact, FixedVolume};

/// What is known about the growth of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growability<'c> {
    /// nothing that is known prevents it
    Growable,
    /// the claim is not bound, and can grow once it is
    OnceBound,
    /// it cannot grow
    Never(Obstacle<'c>),
}

/// Why a claim cannot grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle<'c> {
    /// the claim names no StorageClass
    NoClass,
    /// its StorageClass does not exist
    ClassMissing(&'c str),
    /// its StorageClass does not allow expansion
    ClassForbids(&'c str),
    /// its volume cannot be expanded
    Volume(FixedVolume),
}

/// The rest of a sentence that begins with the claim.
impl fmt::Display for Obstacle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoClass => f.write_str("has no StorageClass"),
            Self::ClassMissing(class) => {
                write!(f, "has StorageClass {class}, which does not exist")
            }
            Self::ClassForbids(class) => {
                write!(f, "has StorageClass {class}, which does not allow expansion")
            }
            Self::Volume(why) => write!(f, "has a volume that {why}"),
        }
    }
}

/// Whether a claim of class `name` can grow. A class or volume that is not known prevents nothing:
/// the API server and the driver have the last word.
pub fn growability<'c>(
    name: &'c str,
    bound: bool,
    class: &Fact<Option<&ClassFact>>,
    volume: &Fact<Option<FixedVolume>>,
) -> Growability<'c> {
    let obstacle = match class {
        // An unbound claim without a class may still get the default class.
        _ if name.is_empty() => bound.then_some(Obstacle::NoClass),
        Fact::Known(None) => Some(Obstacle::ClassMissing(name)),
        Fact::Known(Some(class)) if !class.allow_volume_expansion => {
            Some(Obstacle::ClassForbids(name))
        }
        Fact::Known(Some(_)) | Fact::Unknown(_) => None,
    };
    let volume = match volume {
        Fact::Known(Some(why)) if bound => Some(Obstacle::Volume(*why)),
        Fact::Known(_) | Fact::Unknown(_) => None,
    };
    match obstacle.or(volume) {
        Some(obstacle) => Growability::Never(obstacle),
        None if bound => Growability::Growable,
        None => Growability::OnceBound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_and_volume_decide_whether_a_claim_grows() {
        let (fast, rigid) = (
            ClassFact { allow_volume_expansion: true, ..ClassFact::default() },
            ClassFact { allow_volume_expansion: false, ..ClassFact::default() },
        );
        let unknown = || Fact::Unknown("StorageClass".to_owned());
        let manual = Fact::Known(Some(FixedVolume::Manual));
        let growable = Fact::Known(None);
        for (name, bound, class, volume, expected) in [
            ("fast", true, Fact::Known(Some(&fast)), &growable, Growability::Growable),
            ("fast", false, Fact::Known(Some(&fast)), &growable, Growability::OnceBound),
            ("fast", true, unknown(), &growable, Growability::Growable),
            (
                "rigid",
                false,
                Fact::Known(Some(&rigid)),
                &growable,
                Growability::Never(Obstacle::ClassForbids("rigid")),
            ),
            (
                "gone",
                true,
                Fact::Known(None),
                &growable,
                Growability::Never(Obstacle::ClassMissing("gone")),
            ),
            ("", true, Fact::Known(None), &growable, Growability::Never(Obstacle::NoClass)),
            ("", false, Fact::Known(None), &growable, Growability::OnceBound),
            (
                "fast",
                true,
                Fact::Known(Some(&fast)),
                &manual,
                Growability::Never(Obstacle::Volume(FixedVolume::Manual)),
            ),
        ] {
            assert_eq!(growability(name, bound, &class, volume), expected, "{name} {bound}");
        }
    }
}
