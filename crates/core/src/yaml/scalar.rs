//! What an unquoted YAML scalar means to kubectl.
//!
//! kubectl reads YAML 1.1 through `sigs.k8s.io/yaml`: `yes` is a boolean, `0644` is octal, a
//! number that no 64 bits hold becomes a float and one that no float holds stays text.
//! `tests/data/manifests/scalars.tsv` holds what that library answered.

use std::borrow::Cow;

/// A scalar as JSON knows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// a JSON number
    Number(Cow<'a, str>),
    /// the text as it stands
    Text,
    /// infinity or not a number, which JSON cannot hold
    Unwritable,
}

/// Reads an unquoted, untagged scalar.
pub(super) fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return Scalar::Unwritable,
        _ => {}
    }
    match text.as_bytes()[0] {
        b'0'..=b'9' | b'+' | b'-' => number(text),
        b'.' => fraction(text),
        _ => Scalar::Text,
    }
}

fn number(text: &str) -> Scalar<'_> {
    let bytes = text.as_bytes();
    if bytes.len() <= 18
        && bytes.iter().all(u8::is_ascii_digit)
        && (bytes[0] != b'0' || bytes.len() == 1)
    {
        return Scalar::Number(Cow::Borrowed(text));
    }
    let plain: Cow<'_, str> =
        if text.contains('_') { text.replace('_', "").into() } else { text.into() };
    if let Some(integer) = integer(&plain) {
        return Scalar::Number(integer.into());
    }
    if is_decimal(&plain) {
        return float(&plain);
    }
    // `0b-1` is an oddity of the library that kubectl reads with.
    match plain.strip_prefix("0b").map(|digits| i64::from_str_radix(digits, 2)) {
        Some(Ok(value)) => Scalar::Number(value.to_string().into()),
        _ => Scalar::Text,
    }
}

/// An integer of 64 bits with Go's prefixes, a leading zero meaning octal.
fn integer(plain: &str) -> Option<String> {
    let (sign, digits) = match plain.as_bytes().first()? {
        b'-' => ("-", &plain[1..]),
        b'+' => ("+", &plain[1..]),
        _ => ("", plain),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if sign == "-" { -value } else { value };
    let fits = if sign.is_empty() { true } else { i64::try_from(value).is_ok() };
    fits.then(|| value.to_string())
}

/// What begins with a point; here an underscore counts only between two digits.
fn fraction(text: &str) -> Scalar<'_> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let separated =
        (1..bytes.len()).all(|at| bytes[at] != b'_' || (digit(at - 1) && digit(at + 1)));
    let plain = text.replace('_', "");
    if separated && is_decimal(&plain) { float(&plain) } else { Scalar::Text }
}

/// Digits with at most one point and an exponent, and nothing else.
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(part)
        && !(whole.is_empty() && part.is_empty())
        && exponent.is_none_or(|exponent| {
            let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent)
        })
}

fn float(text: &str) -> Scalar<'static> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Scalar::Number(shortest(value).into()),
        _ => Scalar::Text,
    }
}

/// The shortest text that reads back as `value`, with an exponent where Go's encoder writes one.
fn shortest(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    if text.contains("e-") { text } else { text.replace('e', "e+") }
}

/// A tag that kubectl's reader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// `!!str`, or one that it does not know: the text stays
    Text,
    /// `!!int`
    Int,
    /// `!!float`
    Float,
    /// `!!bool`
    Bool,
    /// `!!null`
    Null,
}

/// Reads a tagged scalar; `None` where the tag does not fit.
pub(super) fn resolve_tagged(tag: Tag, text: &str) -> Option<Scalar<'_>> {
    if tag == Tag::Text {
        return Some(Scalar::Text);
    }
    let scalar = resolve(text);
    let fits = match (&scalar, tag) {
        (Scalar::Null, Tag::Null)
        | (Scalar::Bool(_), Tag::Bool)
        | (Scalar::Number(_) | Scalar::Unwritable, Tag::Float) => true,
        (Scalar::Number(_), Tag::Int) => integer(&text.replace('_', "")).is_some(),
        _ => false,
    };
    fits.then_some(scalar)
}
