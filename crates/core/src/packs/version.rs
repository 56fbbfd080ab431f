//! Versions of images, and ranges of them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The numbers at the beginning of a tag: `17.2` of `17.2-alpine`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(Vec<u32>);

impl Version {
    /// The most numbers that a version has.
    const LONGEST: usize = 4;

    /// Reads the beginning of a tag. Words, hashes and dates are no versions.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let tag = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
        let end = tag.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        let (numbers, rest) = tag.split_at(end.unwrap_or(tag.len()));
        // A word after a dot is a part of its own: `24.3.12.76.altinitystable`.
        let apart =
            numbers.ends_with('.') && numbers.contains(|letter: char| letter.is_ascii_digit());
        if !apart && rest.starts_with(|letter: char| letter.is_ascii_alphanumeric()) {
            return None;
        }
        let numbers = numbers.strip_suffix('.').unwrap_or(numbers);
        let parts: Option<Vec<u32>> = numbers
            .split('.')
            .take(Self::LONGEST)
            .map(|part| part.parse().ok().filter(|_| part.len() <= 4))
            .collect();
        parts.map(Self)
    }

    /// The first numbers; `None` where there are fewer.
    pub fn series(&self, numbers: usize) -> Option<Self> {
        Some(Self(self.0.get(..numbers)?.to_vec()))
    }

    /// Whether this is the series after `earlier`, by its last number alone.
    pub fn follows(&self, earlier: &Self) -> bool {
        match (self.0.split_last(), earlier.0.split_last()) {
            (Some((last, head)), Some((before, earlier_head))) => {
                head == earlier_head && before.checked_add(1) == Some(*last)
            }
            _ => false,
        }
    }

    /// Compares as many numbers as both have.
    pub fn compare(&self, other: &Self) -> Ordering {
        let both = self.0.len().min(other.0.len());
        self.0[..both].cmp(&other.0[..both])
    }

    /// Compares with a bound, number by number; what the version leaves out is 0.
    fn against(&self, bound: &Self) -> Ordering {
        let padded = self.0.iter().copied().chain(std::iter::repeat(0)).take(bound.0.len());
        padded.cmp(bound.0.iter().copied())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
        let version = Self::of_tag(text).filter(|_| digits && !text.ends_with('.'));
        version.ok_or_else(|| format!("\"{text}\" is no version such as 17 or 3.5.32"))
    }
}

/// A range such as `<18`, `>=18` or `>=3.5 <3.7`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range(Vec<(Bound, Version)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Below,
    AtLeast,
}

impl Range {
    /// Whether the version lies within all bounds.
    pub fn contains(&self, version: &Version) -> bool {
        self.0.iter().all(|(bound, at)| match bound {
            Bound::Below => version.against(at) == Ordering::Less,
            Bound::AtLeast => version.against(at) != Ordering::Less,
        })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (bound, at)) in self.0.iter().enumerate() {
            let sign = if *bound == Bound::Below { "<" } else { ">=" };
            write!(f, "{}{sign}{at}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bounds = text.split_whitespace().map(|part| {
            if let Some(version) = part.strip_prefix(">=") {
                return Ok((Bound::AtLeast, version.parse()?));
            }
            match part.strip_prefix('<') {
                Some(version) => Ok((Bound::Below, version.parse()?)),
                None => Err(format!("\"{part}\" is no bound such as <18 or >=3.5")),
            }
        });
        let bounds: Vec<_> = bounds.collect::<Result<_, String>>()?;
        if bounds.is_empty() { Err("no bound, such as <18".to_owned()) } else { Ok(Self(bounds)) }
    }
}

/// Reads and writes a type as its text, so that a YAML file has it in one scalar.
macro_rules! as_text {
    ($name:ident, $example:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "examples": [$example]})
            }
        }
    };
}

as_text!(Version, "3.5");
as_text!(Range, ">=3.5 <3.7");

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn tags_are_read_up_to_what_is_no_number() {
        for (tag, read) in [
            ("17", "17"),
            ("17.2-alpine3.20", "17.2"),
            ("v3.5.16", "3.5.16"),
            ("8.0.36-28.1", "8.0.36"),
            ("4.1.0-management", "4.1.0"),
            ("2024.2.0.0-b145", "2024.2.0.0"),
            ("8.17.0@sha256", "8.17.0"),
            ("24.3.12.76.altinitystable", "24.3.12.76"),
        ] {
            let read_from_tag = Version::of_tag(tag.split('@').next().unwrap());
            assert_eq!(read_from_tag, Some(version(read)), "{tag}");
        }
        for tag in
            ["latest", "", "alpine", "3f2a9c", "17rc1", "RELEASE.2024-01-01", "20240101", "."]
        {
            assert_eq!(Version::of_tag(tag), None, "{tag}");
        }
    }

    #[test]
    fn ranges_hold_what_lies_between_their_bounds() {
        let holds = |range: &str, at: &str| range.parse::<Range>().unwrap().contains(&version(at));
        assert!(holds("<18", "17.9") && !holds("<18", "18") && holds(">=18", "18.0.1"));
        assert!(holds(">=3.5.32 <3.6", "3.5.40") && !holds(">=3.5.32", "3.5"));
        for wrong in ["", "18", "<", ">=x", "<18.", "> 18"] {
            assert!(wrong.parse::<Range>().is_err(), "{wrong}");
        }
        assert_eq!(">=3.5  <3.7".parse::<Range>().unwrap().to_string(), ">=3.5 <3.7");
    }

    #[test]
    fn a_series_follows_another_by_its_last_number() {
        assert!(version("3.6").follows(&version("3.5")) && version("18").follows(&version("17")));
        assert!(
            !version("4.0").follows(&version("3.13")) && !version("19").follows(&version("17"))
        );
        assert_eq!(version("17").compare(&version("17.2")), Ordering::Equal);
        assert_eq!(version("8.4").compare(&version("8.0.36")), Ordering::Greater);
    }
}
