//! Reads the files of drivers.

use std::collections::HashMap;

use serde::de::{Deserialize, Deserializer, Error as _};

use super::{Driver, Drivers, Provisioner};
use crate::object::{DecodeError, Pointer, Quantity, json, serde_messages};
use crate::yaml::YamlDocument;

/// Why the file of a driver cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct DriverError {
    /// the name of the file
    pub file: String,
    /// from 1
    pub line: usize,
    /// from 1
    pub column: usize,
    /// what is wrong, with the nearest known name
    pub message: String,
}

/// A size that must be there.
pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Quantity, D::Error> {
    let text = String::deserialize(deserializer)?;
    let size: Quantity = text.parse().map_err(D::Error::custom)?;
    if size.is_positive() { Ok(size) } else { Err(D::Error::custom("a size is more than 0")) }
}

/// A size that may be absent.
pub(super) fn quantity<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Quantity>, D::Error> {
    size(deserializer).map(Some)
}

/// Reads one file; `name` is its name without the ending.
///
/// # Errors
/// The place of the first fault.
pub fn parse(name: &str, text: &str) -> Result<Driver, DriverError> {
    let file = format!("{name}.yaml");
    let document = YamlDocument::read(text).map_err(|error| DriverError {
        file: file.clone(),
        line: error.line,
        column: error.column,
        message: error.message,
    })?;
    let placed = |error: &DecodeError| {
        let about_key = serde_messages::is_about_key(&error.message);
        let (line, column) = if about_key {
            document.locate_key(&error.field)
        } else {
            document.locate(&error.field)
        };
        let message = if about_key { error.message.clone() } else { error.to_string() };
        DriverError { file: file.clone(), line, column, message }
    };
    let driver: Driver = json::decode(document.json(), "").map_err(|error| placed(&error))?;
    match fault(name, &driver) {
        Some((field, message)) => {
            Err(placed(&DecodeError { field: Pointer::from(field.as_str()), message }))
        }
        None => Ok(driver),
    }
}

/// What is wrong with values of the right type: the field, and why.
fn fault(name: &str, driver: &Driver) -> Option<(String, String)> {
    if driver.name != name {
        return Some(("/name".to_owned(), format!("the file is called {name}.yaml")));
    }
    if !is_month(&driver.looked_up) {
        return Some(("/looked-up".to_owned(), "a month is written as 2026-11".to_owned()));
    }
    if driver.provisioners.is_empty() {
        return Some(("/provisioners".to_owned(), "a driver has at least one".to_owned()));
    }
    for (index, Provisioner { name, suffix, .. }) in driver.provisioners.iter().enumerate() {
        if name.is_some() == suffix.is_some() {
            let message = "it has a name or a suffix, one of them".to_owned();
            return Some((format!("/provisioners/{index}"), message));
        }
    }
    for (index, bounds) in driver.bounds.iter().enumerate() {
        if let (Some(least), Some(most)) = (&bounds.least, &bounds.most)
            && least > most
        {
            return Some((format!("/bounds/{index}/least"), format!("it is above {most}")));
        }
    }
    let limit = driver.limits.iter().position(|limit| limit.changes == 0 || limit.hours == 0);
    if let Some(index) = limit {
        return Some((format!("/limits/{index}"), "changes and hours are more than 0".to_owned()));
    }
    driver.sources().into_iter().find_map(|(field, source)| {
        let message = "a source is an address, or a document with its year".to_owned();
        (!is_source(source)).then(|| (format!("{field}/source"), message))
    })
}

fn is_month(text: &str) -> bool {
    let Some((year, month)) = text.split_once('-') else { return false };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    year.len() == 4
        && digits(year)
        && month.len() == 2
        && digits(month)
        && matches!(month.parse(), Ok(1..=12))
}

/// Whether a reader finds what is named: an address, or a document with its year.
fn is_source(text: &str) -> bool {
    let address = text.strip_prefix("https://").is_some_and(|rest| rest.contains('.'));
    let is_year = |word: &str| word.len() >= 4 && word.starts_with("20");
    address || (text.contains(' ') && text.split([' ', ',', '(', ')']).any(is_year))
}

impl Driver {
    /// The source of each fact, by the pointer of the fact.
    pub fn sources(&self) -> Vec<(String, &str)> {
        fn list<'d, T>(
            all: &mut Vec<(String, &'d str)>,
            key: &str,
            facts: &'d [T],
            source: fn(&'d T) -> &'d String,
        ) {
            let facts = facts.iter().enumerate();
            all.extend(facts.map(|(at, fact)| (format!("/{key}/{at}"), source(fact).as_str())));
        }
        let mut all = Vec::new();
        list(&mut all, "provisioners", &self.provisioners, |fact| &fact.source);
        all.extend(self.state.iter().map(|fact| ("/state".to_owned(), fact.source.as_str())));
        list(&mut all, "patterns", &self.patterns, |fact| &fact.source);
        all.extend(self.expansion.iter().map(|f| ("/expansion".to_owned(), f.source.as_str())));
        list(&mut all, "rounding", &self.rounding, |fact| &fact.source);
        list(&mut all, "bounds", &self.bounds, |fact| &fact.source);
        list(&mut all, "limits", &self.limits, |fact| &fact.source);
        list(&mut all, "blockers", &self.blockers, |fact| &fact.source);
        let above = self.detached_above.iter();
        all.extend(above.map(|fact| ("/detached-above".to_owned(), fact.source.as_str())));
        list(&mut all, "access", &self.access, |fact| &fact.source);
        all.extend(self.topology.iter().map(|f| ("/topology".to_owned(), f.source.as_str())));
        list(&mut all, "databases", &self.databases, |fact| &fact.source);
        list(&mut all, "traps", &self.traps, |fact| &fact.source);
        all
    }
}

/// All files as one table. A file with a fault is left out.
pub(super) fn table(files: &[(&str, &str)]) -> (Drivers, Vec<DriverError>) {
    let (mut drivers, mut faults) = (Drivers::default(), Vec::new());
    for (name, text) in files {
        let driver = match parse(name, text) {
            Ok(driver) => driver,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        let at = drivers.all.len();
        for (entry, provisioner) in driver.provisioners.iter().enumerate() {
            let enter = |map: &mut HashMap<String, (usize, usize)>, key: &Option<String>| {
                key.as_ref()
                    .and_then(|key| map.insert(key.clone(), (at, entry)).map(|_| key.clone()))
            };
            let twice = enter(&mut drivers.names, &provisioner.name)
                .or_else(|| enter(&mut drivers.suffixes, &provisioner.suffix));
            if let Some(key) = twice {
                let message = format!("{key} belongs to another driver, too");
                let file = format!("{name}.yaml");
                faults.push(DriverError { file, line: 1, column: 1, message });
            }
        }
        drivers.all.push(driver);
    }
    (drivers, faults)
}
