//! Whether a claim can grow: what its class and its volume allow.

use std::fmt;

use crate::drivers::NoExpansion;
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
    /// its StorageClass has a driver that never expands a volume, whatever the class allows
    Driver(&'c str, NoExpansion<'static>),
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
            Self::Driver(class, why) => write!(f, "has StorageClass {class}, which {why}"),
            Self::Volume(why) => write!(f, "has a volume that {why}"),
        }
    }
}

/// Why no claim of class `name` can grow, if that is certain. A driver that is not known prevents nothing.
pub fn class_obstacle<'c>(name: &'c str, class: &ClassFact) -> Option<Obstacle<'c>> {
    // To allow expansion would not help, so the driver is named first.
    let driver = class.no_expansion();
    match driver {
        Some(why) => Some(Obstacle::Driver(name, why)),
        None => (!class.allow_volume_expansion).then_some(Obstacle::ClassForbids(name)),
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
        Fact::Known(Some(class)) => class_obstacle(name, class),
        Fact::Unknown(_) => None,
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
            ClassFact::default(),
        );
        let local = ClassFact { provisioner: "rancher.io/local-path".to_owned(), ..fast.clone() };
        let ebs = ClassFact { provisioner: "ebs.csi.aws.com".to_owned(), ..fast.clone() };
        let nobody = ClassFact { provisioner: "disks.example.com".to_owned(), ..fast.clone() };
        let never = local.no_expansion().unwrap();
        let never = Growability::Never(Obstacle::Driver("local", never));
        let unknown = || Fact::Unknown("StorageClass".to_owned());
        let manual = Fact::Known(Some(FixedVolume::Manual));
        let growable = Fact::Known(None);
        for (name, bound, class, volume, expected) in [
            ("fast", true, Fact::Known(Some(&fast)), &growable, Growability::Growable),
            ("fast", false, Fact::Known(Some(&fast)), &growable, Growability::OnceBound),
            ("fast", true, unknown(), &growable, Growability::Growable),
            ("ebs", true, Fact::Known(Some(&ebs)), &growable, Growability::Growable),
            ("nobody", true, Fact::Known(Some(&nobody)), &growable, Growability::Growable),
            ("local", true, Fact::Known(Some(&local)), &growable, never),
            ("local", false, Fact::Known(Some(&local)), &growable, never),
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
