//! What rules about the StorageClasses of claim templates share.

use super::Unjudged;
use crate::facts::{ClassFact, Fact, Facts};
use crate::object::Claim;

/// The class that the claims of a template get.
#[derive(Debug)]
pub(super) enum Class<'c> {
    /// it exists
    Known(&'c str, &'c ClassFact),
    /// no class has this name
    Missing(&'c str),
    /// the template names none, and no class is the default
    NoDefault,
    /// no provisioner is asked, or nobody knows: it is not among the inputs, or cannot be read
    Untold,
}

/// The class that the claims of a template get.
///
/// # Errors
/// [`Unjudged::Needs`] if classes cannot be read.
pub(super) fn of<'c>(template: &'c Claim<'_>, facts: &'c Facts) -> Result<Class<'c>, Unjudged> {
    let unknown = |why: String| match facts.classes.why_unknown() {
        Some(_) => Err(Unjudged::Needs(why)),
        None => Ok(Class::Untold),
    };
    let name = template.class();
    if !name.is_empty() {
        return match facts.classes.get("", name) {
            Fact::Known(Some(class)) => Ok(Class::Known(name, class)),
            Fact::Known(None) => Ok(Class::Missing(name)),
            Fact::Unknown(why) => unknown(why),
        };
    }
    if template.names_class() {
        return Ok(Class::Untold);
    }
    match facts.default_class() {
        Fact::Known(Some((name, class))) => Ok(Class::Known(name, class)),
        Fact::Known(None) => Ok(Class::NoDefault),
        // The class that cannot be read may be the default.
        Fact::Unknown(why) if facts.classes.are_all() => Err(Unjudged::Needs(why)),
        Fact::Unknown(why) => unknown(why),
    }
}
