//! Whether somebody has confirmed a deletion, in a step of its own.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

use crate::annotations::CONFIRM_DELETE;
use crate::change::{Change, Operation};
use crate::policy::Policy;
use crate::rules::remedy;
use crate::rules::reserved_annotation::signature;
use crate::text::cut;

/// What the annotation `confirm-delete` of an object that is deleted comes to.
pub(super) enum Confirmation {
    /// nothing is deleted, or the policy lets nobody confirm
    None,
    /// nobody has confirmed the deletion
    Missing,
    /// the annotation does not count, for this reason
    Void(String),
    /// somebody has confirmed it
    Given,
}

/// The longest value of the annotation that is quoted, in bytes.
const VALUE: usize = 80;

/// Reads the annotation from the stored object, so that whoever deletes it has written it before.
pub(super) fn confirmation(change: &Change<'_>, policy: &Policy, now: Timestamp) -> Confirmation {
    let old = change.objects.old.as_ref();
    let Some(old) = old.filter(|_| change.operation == Operation::Delete && policy.overrides)
    else {
        return Confirmation::None;
    };
    let Some(value) = old.metadata.annotations.get(CONFIRM_DELETE) else {
        return Confirmation::Missing;
    };
    let (value, signer) = signature(value);
    let (allow, user) = (&policy.allow, &change.circumstances.user);
    let void = |why: &str| Confirmation::Void(why.to_owned());
    match (fault(value, &change.name, now), signer) {
        (Some(fault), _) => Confirmation::Void(fault),
        (None, None) if allow.second_person => {
            void("it does not say who wrote it, and the policy asks for a second person")
        }
        (None, Some(signer)) if allow.second_person && signer == user.name => void(
            "the person who deletes also confirmed it, and the policy asks for a second person",
        ),
        (None, Some(signer)) if allow.second_person && !allow.may_name(signer) => {
            void("the policy does not name the person who wrote it")
        }
        (None, _) if allow.reserves() && !allow.second_person && !allow.names(user) => {
            void("the policy reserves it to other people")
        }
        (None, _) => Confirmation::Given,
    }
}

/// Why the value does not confirm the deletion of `name` at this time.
fn fault(value: &str, name: &str, now: Timestamp) -> Option<String> {
    let shown = cut(value, VALUE);
    let Some((named, day)) = value.trim().rsplit_once(' ') else {
        return Some(format!("\"{shown}\" is no name with a day, such as \"{name} 2030-01-31\""));
    };
    if named.trim() != name {
        return Some(format!("\"{shown}\" names another object"));
    }
    let Ok(day) = day.parse::<Date>() else {
        return Some(format!("\"{shown}\" ends with no day such as 2030-01-31"));
    };
    // Whoever writes it may live in any time zone.
    let today = now.to_zoned(TimeZone::UTC).date();
    let days = [today.checked_sub(1.day()), Ok(today), today.checked_add(1.day())];
    let near = days.into_iter().flatten().any(|near| near == day);
    (!near).then(|| format!("\"{shown}\" is for another day"))
}

impl Confirmation {
    /// Whether the deletion is confirmed.
    pub(super) const fn counts(&self) -> bool {
        matches!(self, Self::Given)
    }

    /// How to confirm the deletion.
    pub(super) fn how_to(&self, change: &Change<'_>, policy: &Policy) -> Option<String> {
        let second_person = policy.allow.second_person;
        let who = if second_person {
            "ask somebody else, whom the policy names, to run this first"
        } else {
            "run this first"
        };
        let how = || {
            let command = remedy::confirm_deletion(change, second_person);
            format!("to delete it on purpose, {who}: {command}")
        };
        match self {
            Self::None | Self::Given => None,
            Self::Missing => Some(how()),
            Self::Void(fault) => {
                Some(format!("{CONFIRM_DELETE} does not count: {fault}\n{}", how()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(value: &str) -> Option<String> {
        fault(value, "data-db-2", "2026-11-28T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_confirmation_names_the_object_and_the_day() {
        for day in ["2026-11-27", "2026-11-28", "2026-11-29"] {
            assert_eq!(told(&format!("data-db-2 {day}")), None);
        }
        assert_eq!(told("  data-db-2   2026-11-28 "), None);
        for (value, why) in [
            ("", "is no name with a day"),
            ("true", "is no name with a day"),
            ("2026-11-28", "is no name with a day"),
            ("data-db-1 2026-11-28", "names another object"),
            ("data-db-2 2026-11-26", "is for another day"),
            ("data-db-2 2027-11-28", "is for another day"),
            ("data-db-2 today", "ends with no day"),
            ("data-db-2 2026-13-99", "ends with no day"),
        ] {
            assert!(told(value).is_some_and(|fault| fault.contains(why)), "{value}");
        }
        assert!(told(&"x".repeat(1 << 20)).unwrap().len() < 200);
    }
}
