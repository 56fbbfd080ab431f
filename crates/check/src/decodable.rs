//! Fields that cannot be decoded, put aside so that the rest of an object is judged.

use std::collections::HashSet;

use serde_json::Value;
use stateward_core::change::{Change, Circumstances, Operation, Pair};
use stateward_core::object::{DecodeError, Kind, Object};
use stateward_core::yaml::Document;

use crate::pair::Pairing;
use crate::variables;

/// So many fields are put aside; an object with more is not judged.
const MOST: usize = 32;

/// A field that at least one side cannot decode.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: DecodeError,
    /// whether the new side cannot decode it
    pub(crate) in_new: bool,
    /// whether both sides have the same value there
    pub(crate) unchanged: bool,
}

/// The pair with sound values in the place of those that cannot be decoded, and these; the error if
/// there is no such value.
pub(crate) fn mend(
    pairing: &Pairing,
    kind: Kind,
) -> Result<Option<(Pairing, Vec<Fault>)>, DecodeError> {
    let error_of = |document: &Option<Document>| {
        document.as_ref().and_then(|document| first_error(kind, &document.json))
    };
    let (mut old_error, mut new_error) = (error_of(&pairing.old), error_of(&pairing.new));
    if old_error.is_none() && new_error.is_none() {
        return Ok(None);
    }
    let mut pairing = pairing.clone();
    let mut faults: Vec<Fault> = Vec::new();
    let mut repeated = HashSet::new();
    for _ in 0..MOST {
        let Some(error) = new_error.clone().or_else(|| old_error.clone()) else {
            return Ok(Some((pairing, faults)));
        };
        let is_at = |other: &Option<DecodeError>| {
            other.as_ref().is_some_and(|other| other.field == error.field)
        };
        let mut sides = Sides::read(&pairing);
        let field = error.field.as_str();
        let unchanged = pairing.old.is_some()
            && pairing.new.is_some()
            && sides.old.pointer(field) == sides.new.pointer(field);
        // Each side names only its first fault, but the same value is at fault in both.
        let (in_old, in_new) = (is_at(&old_error) || unchanged, is_at(&new_error) || unchanged);
        if faults.iter().any(|fault| fault.error.field == error.field) {
            // The value that was taken from the other side is none either.
            if !repeated.insert(error.field.to_string()) {
                return Err(error);
            }
            sides.replace(field, true, true);
            sides.write(&mut pairing);
            (old_error, new_error) = (error_of(&pairing.old), error_of(&pairing.new));
            continue;
        }
        let has_variables = |document: &Option<Document>| {
            document.as_ref().is_some_and(|document| variables::is_in(document.source()))
        };
        let retypes =
            (in_old && has_variables(&pairing.old), in_new && has_variables(&pairing.new));
        if !sides.retype(field, retypes) {
            sides.replace(field, in_old, in_new);
            faults.push(Fault { error, in_new, unchanged });
        }
        sides.write(&mut pairing);
        (old_error, new_error) = (error_of(&pairing.old), error_of(&pairing.new));
    }
    match new_error.or(old_error) {
        Some(error) => Err(error),
        None => Ok(Some((pairing, faults))),
    }
}

/// The first field of an object that cannot be decoded.
pub(crate) fn first_error(kind: Kind, json: &str) -> Option<DecodeError> {
    let judge = || -> Result<(), DecodeError> {
        let objects = Pair { old: None, new: Some(Object::decode(json)?) };
        let change = Change::new(Operation::Create, kind, "", objects, Circumstances::default())?;
        if let Some(set) = change.created_set() {
            set.selector()?;
            set.template()?;
            set.claim_templates()?;
            set.status.get()?;
        }
        Ok(())
    };
    judge().err()
}

struct Sides {
    old: Value,
    new: Value,
}

impl Sides {
    fn read(pairing: &Pairing) -> Self {
        let read = |document: &Option<Document>| {
            let json = document.as_ref().map(|document| document.json.as_str());
            json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
        };
        Self { old: read(&pairing.old), new: read(&pairing.new) }
    }

    fn write(self, pairing: &mut Pairing) {
        for (side, value) in [(&mut pairing.old, self.old), (&mut pairing.new, self.new)] {
            if let Some(document) = side {
                document.json = value.to_string();
            }
        }
    }

    /// Makes a number or a truth value of a text: the default of a variable is always read as text.
    fn retype(&mut self, field: &str, (old, new): (bool, bool)) -> bool {
        let mut retyped = false;
        for (side, wanted) in [(&mut self.old, old), (&mut self.new, new)] {
            let Some(value) = side.pointer_mut(field).filter(|_| wanted) else { continue };
            let typed = value.as_str().and_then(|text| serde_json::from_str(text).ok());
            if let Some(typed @ (Value::Number(_) | Value::Bool(_))) = typed {
                *value = typed;
                retyped = true;
            }
        }
        retyped
    }

    /// Gives a faulty side the value of the other one, or else both a value that changes nothing.
    fn replace(&mut self, field: &str, in_old: bool, in_new: bool) {
        let sound = match (in_old, in_new) {
            (true, false) => self.new.pointer(field),
            (false, true) => self.old.pointer(field),
            _ => None,
        };
        let sound = sound.cloned().unwrap_or_else(|| {
            if field.ends_with("/storage") { "1Gi".into() } else { Value::Null }
        });
        for side in [&mut self.old, &mut self.new] {
            if let Some(value) = side.pointer_mut(field) {
                *value = sound.clone();
            }
        }
    }
}
