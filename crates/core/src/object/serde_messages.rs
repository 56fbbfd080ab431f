//! serde's messages in words for people who write YAML.

use std::borrow::Cow;

use crate::text::cut;

/// The longest value that a message quotes, in bytes: a message ends up in a log.
const QUOTED: usize = 160;

/// serde's message about a field in plain words: `"three" is a string, not a whole number`.
pub fn plain(message: &str) -> Cow<'_, str> {
    // The line and column are those of a re-encoded document, which the reader never sees.
    let message = message.rfind(" at line ").map_or(message, |end| &message[..end]);
    let expected = |text: &str| {
        let (found, wanted) = text.split_once(", expected ")?;
        Some((found.to_owned(), wanted.to_owned()))
    };
    let said = if let Some(too_large) = too_large(message) {
        Some(too_large)
    } else if let Some(rest) = message.strip_prefix("invalid type: ") {
        expected(rest).map(|(found, want)| format!("{}, not {}", is(&found), wanted(&want)))
    } else if let Some(rest) = message.strip_prefix("invalid value: ") {
        expected(rest).map(|(found, want)| format!("{} is not {}", value(&found), wanted(&want)))
    } else if let Some(rest) = message.strip_prefix("missing field `") {
        rest.strip_suffix('`').map(|field| format!("{field} is missing"))
    } else if let Some(rest) = message.strip_prefix("unknown field `") {
        listed(rest).map(|(name, known)| {
            let hint = crate::nearest::hint(name, &known);
            format!("{NO_KEY}\"{name}\" here{hint}")
        })
    } else if let Some(rest) = message.strip_prefix("unknown variant `") {
        listed(rest).map(|(name, known)| {
            let hint = crate::nearest::hint(name, &known);
            format!("\"{name}\" is no value of this key{hint}")
        })
    } else {
        None
    };
    said.map_or(Cow::Borrowed(message), Cow::Owned)
}

/// serde's message about text that is not JSON. Empty input has a message of its own.
pub fn syntax(message: &str) -> &str {
    let message = message.rfind(" at line ").map_or(message, |end| &message[..end]);
    match message {
        "expected ident" | "expected value" => "no JSON value stands here",
        "trailing characters" => "text stands behind the end",
        "key must be a string" => "a key in double quotes is missing",
        "expected `,` or `}`" => "a comma or the closing } is missing",
        "expected `,` or `]`" => "a comma or the closing ] is missing",
        "expected `:`" => "a key needs a colon and a value",
        "trailing comma" => "a value is missing behind the last comma",
        text if text.starts_with("EOF while parsing") => "it ends in the middle of a value",
        text if text.starts_with("control character") => "a line break or a tab stands in a text",
        text => text,
    }
}

/// Whole numbers that do not fit 64 bits. serde reads them as fractions.
fn too_large(message: &str) -> Option<String> {
    let (found, wanted) = message.split_once(", expected ")?;
    let number = found
        .strip_prefix("invalid type: floating point `")
        .or_else(|| found.strip_prefix("invalid value: integer `"))?;
    let number: f64 = number.strip_suffix('`')?.parse().ok()?;
    let whole = matches!(wanted, "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64");
    // 2^31 is the smallest limit of a whole number in the API.
    (whole && number.fract() == 0.0 && number.abs() >= 2_147_483_648.0)
        .then(|| "this whole number has too many digits".to_owned())
}

const NO_KEY: &str = "there is no key ";

/// Whether the message is about the key itself and not its value.
pub fn is_about_key(reason: &str) -> bool {
    reason.starts_with(NO_KEY)
}

/// ``x`, expected one of `a`, `b``: the name that is wrong, and those that are known.
fn listed(text: &str) -> Option<(&str, Vec<&str>)> {
    let (name, rest) = text.split_once('`')?;
    Some((name, rest.split('`').skip(1).step_by(2).collect()))
}

/// `string "x"` as `"x" is a string`.
fn is(found: &str) -> String {
    let quoted = |text: &str| quoted(text.trim_matches('`'));
    if let Some(text) = found.strip_prefix("string ") {
        return format!("{} is a string", quoted(text));
    }
    for kind in ["integer ", "floating point ", "number "] {
        if let Some(number) = found.strip_prefix(kind) {
            return format!("{} is a number", quoted(number));
        }
    }
    if let Some(value) = found.strip_prefix("boolean ") {
        return format!("{} is a boolean", quoted(value));
    }
    match found {
        "map" => "this is a mapping".to_owned(),
        "sequence" => "this is a list".to_owned(),
        "null" | "unit value" | "Option value" => "this is null".to_owned(),
        other => format!("this is {other}"),
    }
}

fn value(found: &str) -> String {
    let text = ["string ", "integer ", "floating point ", "boolean "]
        .iter()
        .find_map(|kind| found.strip_prefix(kind))
        .unwrap_or(found);
    quoted(text.trim_matches('`'))
}

fn quoted(text: &str) -> String {
    let short = cut(text, QUOTED);
    let closes = short.len() < text.len() && short.starts_with('"');
    if closes { short + "\"" } else { short }
}

fn wanted(expected: &str) -> String {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 on".to_owned(),
        "a nonzero u32" | "a nonzero u64" => "a whole number from 1 on".to_owned(),
        "a map" => "a mapping".to_owned(),
        "a sequence" => "a list".to_owned(),
        other if other.starts_with("struct ") => "a mapping".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoders_speak_plainly() {
        for (message, expected) in [
            (
                "invalid type: string \"three\", expected i64 at line 1 column 7",
                "\"three\" is a string, not a whole number",
            ),
            ("invalid type: integer `17`, expected a string", "17 is a number, not a string"),
            (
                "invalid type: floating point `1.5`, expected i64",
                "1.5 is a number, not a whole number",
            ),
            (
                "invalid type: floating point `1e+20`, expected i64",
                "this whole number has too many digits",
            ),
            (
                "invalid value: integer `9223372036854775808`, expected i64",
                "this whole number has too many digits",
            ),
            ("invalid type: map, expected a sequence", "this is a mapping, not a list"),
            ("invalid type: sequence, expected struct Spec", "this is a list, not a mapping"),
            ("invalid type: null, expected a boolean", "this is null, not a boolean"),
            ("invalid value: integer `-1`, expected u32", "-1 is not a whole number from 0 on"),
            ("missing field `version`", "version is missing"),
            (
                "unknown field `ruls`, expected one of `rules`, `scopes`",
                "there is no key \"ruls\" here; did you mean \"rules\"?",
            ),
            ("unknown field `a`, there are no fields", "there is no key \"a\" here"),
            (
                "unknown variant `of`, expected one of `off`, `deny`",
                "\"of\" is no value of this key; did you mean \"off\"?",
            ),
            ("EOF while parsing a value", "EOF while parsing a value"),
        ] {
            assert_eq!(plain(message), expected);
        }
        let long = format!("invalid type: string \"{}\", expected a map", "x".repeat(1000));
        let expected = format!("\"{}…\" is a string, not a mapping", "x".repeat(156));
        assert_eq!(plain(&long), expected);
        assert!(is_about_key(&plain("unknown field `a`, there are no fields")));
        assert!(!is_about_key(&plain("unknown variant `of`, expected one of `off`, `deny`")));
    }
}
