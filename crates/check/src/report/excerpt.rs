//! The line of a file that a finding is about.

use std::ops::Range;

/// A longer line is not kept: minified JSON has one line of any length.
const LINE_LENGTH: usize = 20_000;

/// One line of a file with a part of it marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// the line without its end; `None` if it is too long to be shown
    pub(super) line: Option<String>,
    /// what is marked, in bytes of the line
    pub(super) span: Range<usize>,
    /// how many characters are marked
    pub(super) chars: usize,
}

impl Excerpt {
    /// The line around the byte `at` of `text`, with `value` marked if it begins there, and
    /// otherwise the first word.
    pub fn new(text: &str, at: usize, value: Option<&str>) -> Option<Self> {
        let start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
        let line = text[start..end].trim_end_matches('\r');
        let rest = line.get(at - start..).filter(|rest| !rest.is_empty())?;
        let length = marked_length(rest, value);
        Some(Self {
            line: (line.len() <= LINE_LENGTH).then(|| line.to_owned()),
            span: at - start..at - start + length,
            chars: rest[..length].chars().count(),
        })
    }
}

/// The length of the value, with its quotes, or else of the first word.
fn marked_length(rest: &str, value: Option<&str>) -> usize {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        if rest.starts_with(value) {
            return value.len();
        }
        for quote in ['"', '\''] {
            let quoted = rest
                .strip_prefix(quote)
                .and_then(|rest| rest.strip_prefix(value))
                .is_some_and(|rest| rest.starts_with(quote));
            if quoted {
                return value.len() + 2;
            }
        }
    }
    let first = rest.chars().next().map_or(0, char::len_utf8);
    let word = rest
        .find(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | '}' | ']'))
        .unwrap_or(rest.len());
    word.max(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str, at: usize, value: Option<&str>) -> Option<String> {
        let excerpt = Excerpt::new(text, at, value)?;
        let mark = excerpt.line?[excerpt.span].to_owned();
        assert_eq!(mark.chars().count(), excerpt.chars);
        Some(mark)
    }

    #[test]
    fn the_value_is_marked_with_its_quotes() {
        assert_eq!(marked("a: b c # d", 3, Some("b c")).as_deref(), Some("b c"));
        assert_eq!(marked("x\na: \"b c\"\r\nd", 5, Some("b c")).as_deref(), Some("\"b c\""));
        assert_eq!(marked("größe: '1'", 9, Some("1")).as_deref(), Some("'1'"));
    }

    #[test]
    fn a_word_is_marked_if_the_value_is_written_differently() {
        assert_eq!(marked("x\nspec: 0x10 # d", 8, Some("16")).as_deref(), Some("0x10"));
        assert_eq!(marked("x\nspec:\n", 2, None).as_deref(), Some("spec"));
        assert_eq!(marked("{}", 1, None).as_deref(), Some("}"));
    }

    #[test]
    fn a_place_outside_of_the_text_has_no_excerpt() {
        assert_eq!(marked("a", 2, None), None);
        assert_eq!(marked("a", 1, None), None);
        assert_eq!(marked("ä", 1, None), None);
    }

    #[test]
    fn a_long_line_is_not_kept() {
        let line = format!("{{\"k\":\"{}\"}}", "x".repeat(LINE_LENGTH));
        let excerpt = Excerpt::new(&line, 1, Some("k")).unwrap();
        assert_eq!((excerpt.line, excerpt.chars), (None, 3));
    }
}
