//! The text of the inputs, for excerpts.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;

use super::Place;

/// File name → text.
#[derive(Debug, Default)]
pub struct Sources {
    files: BTreeMap<String, Source>,
}

#[derive(Debug)]
struct Source {
    text: String,
    /// Where each line begins. Made on the first look, since most files have no finding.
    lines: OnceCell<Vec<usize>>,
}

/// One line of a file with a part of it marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark<'a> {
    /// the line, without its end
    pub(super) line: &'a str,
    /// what is marked, in bytes of the line
    pub(super) span: Range<usize>,
}

impl Sources {
    /// Nothing but names is known.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds the text of `file`, named as in [`Place::file`].
    pub fn add(&mut self, file: impl Into<String>, text: impl Into<String>) {
        self.files.insert(file.into(), Source { text: text.into(), lines: OnceCell::new() });
    }

    /// The line of `place` with its value marked; `None` where the text is not at hand.
    pub(super) fn mark(&self, place: &Place) -> Option<Mark<'_>> {
        let line = self.line(&place.file, place.line)?;
        let (start, _) = line.char_indices().nth(place.column.checked_sub(1)?)?;
        let length = marked_length(&line[start..], place.value.as_deref());
        Some(Mark { line, span: start..start + length })
    }

    fn line(&self, file: &str, number: usize) -> Option<&str> {
        let source = self.files.get(file)?;
        let text = source.text.as_str();
        let lines = source.lines.get_or_init(|| {
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
        });
        let start = *lines.get(number.checked_sub(1)?)?;
        let end = lines.get(number).map_or(text.len(), |next| next - 1);
        Some(text[start..end].trim_end_matches('\r'))
    }
}

/// How much of `rest` is the value: the value itself where it stands there, with its quotes, or
/// else the first word.
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

    fn marked(text: &str, line: usize, column: usize, value: Option<&str>) -> Option<String> {
        let mut sources = Sources::none();
        sources.add("f", text);
        let place = Place {
            value: value.map(str::to_owned),
            file: "f".to_owned(),
            line,
            column,
            template: None,
            missing: None,
        };
        sources.mark(&place).map(|mark| mark.line[mark.span].to_owned())
    }

    #[test]
    fn marks_the_value_with_its_quotes() {
        assert_eq!(marked("a: b c # d", 1, 4, Some("b c")).as_deref(), Some("b c"));
        assert_eq!(marked("a: \"b c\"\r\nd", 1, 4, Some("b c")).as_deref(), Some("\"b c\""));
        assert_eq!(marked("größe: '1'", 1, 8, Some("1")).as_deref(), Some("'1'"));
    }

    #[test]
    fn marks_a_word_where_the_value_reads_differently() {
        assert_eq!(marked("x\nspec: 0x10 # d", 2, 7, Some("16")).as_deref(), Some("0x10"));
        assert_eq!(marked("x\nspec:\n", 2, 1, None).as_deref(), Some("spec"));
        assert_eq!(marked("{}", 1, 2, None).as_deref(), Some("}"));
    }

    #[test]
    fn places_outside_of_the_text_have_no_mark() {
        assert_eq!(marked("a", 2, 1, None), None);
        assert_eq!(marked("a", 1, 2, None), None);
        assert_eq!(marked("a", 0, 0, None), None);
    }
}
