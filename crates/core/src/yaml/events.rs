//! YAML text → tree.

use std::borrow::Cow;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};

use super::scalar::{self, Scalar, Tag};
use super::tree::{Builder, Content, Fault, Node, Style, Tree};

/// Reads every document of `source`, up to the first fault.
pub(super) fn read(source: &str) -> (Tree, Option<Fault>) {
    let mut options = Options::default();
    options.set_emit_comments(false);
    // Long keys are legal for kubectl up to a whole line; ours only has to be bounded.
    options.simple_key_max_lookahead = 64 * 1024;
    // A block scalar in a last line without a line break has none either, as kubectl reads it.
    options.block_scalar_eof_without_line_feed = true;
    let mut builder = Builder::new(source);
    let mut end = 0;
    for event in Parser::new_from_str_with_options(source, options) {
        let step = match event {
            Ok((event, span)) => {
                end = span.byte_range().map_or(end, |range| range.end);
                take(&mut builder, event, &span)
            }
            Err(error) => {
                Err(syntax(source, error.marker().byte_offset().unwrap_or(end), &error.info()))
            }
        };
        if let Err(fault) = step {
            return (builder.finish(), Some(fault));
        }
    }
    (builder.finish(), None)
}

/// A syntax error in words, and where a person would look for it.
fn syntax(source: &str, at: usize, message: &str) -> Fault {
    if message.contains("tab") {
        let line = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        // The parser may stop at the end of the line before.
        let mut start = line;
        for text in source[line..].split_inclusive('\n').take(2) {
            let indent = &text[..text.len() - text.trim_start_matches([' ', '\t']).len()];
            if let Some(tab) = indent.find('\t') {
                let message = "a tab in the indentation: YAML takes spaces only".to_owned();
                return Fault { at: start + tab, message };
            }
            start += text.len();
        }
    }
    Fault { at, message: format!("not valid YAML: {message}") }
}

fn take<'s>(builder: &mut Builder<'s>, event: Event<'s>, span: &Span) -> Result<(), Fault> {
    let range = span.byte_range().unwrap_or_default();
    let anchor = |id: usize| (id != 0).then_some(id);
    match event {
        Event::Scalar(text, style, id, tag) => {
            let tag = tag.as_deref().map(known_tag).transpose();
            let tag = tag.map_err(|message| Fault { at: range.start, message })?;
            let (content, style) = content(builder, text, style, tag, range.is_empty())
                .map_err(|message| Fault { at: range.start, message })?;
            builder.leaf(Node::new(content, style, range), anchor(id))
        }
        Event::Alias(id) => builder.alias(id, range),
        Event::SequenceStart(_, id, _) => {
            builder.open(Node::new(Content::Sequence(None), Style::Other, range), anchor(id));
            Ok(())
        }
        Event::MappingStart(_, id, _) => {
            builder.open(Node::new(Content::Mapping(None), Style::Other, range), anchor(id));
            Ok(())
        }
        // The end of a block has no text of its own: it lies where the next thing begins.
        Event::SequenceEnd | Event::MappingEnd => {
            builder.close((!range.is_empty()).then_some(range.end))
        }
        Event::DocumentEnd => {
            builder.end_document();
            Ok(())
        }
        _ => Ok(()),
    }
}

fn content<'s>(
    builder: &mut Builder<'s>,
    text: Cow<'s, str>,
    style: ScalarStyle,
    tag: Option<Tag>,
    empty: bool,
) -> Result<(Content, Style), String> {
    let written = match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    };
    // The parser spells an absent value "~".
    let text = if empty && written == Style::Plain { Cow::Borrowed("") } else { text };
    let scalar = match tag {
        Some(tag) => scalar::resolve_tagged(tag, &text)
            .ok_or_else(|| format!("\"{text}\" does not fit its tag"))?,
        None if written == Style::Plain => scalar::resolve(&text),
        None => Scalar::Text,
    };
    let content = match scalar {
        Scalar::Null => Content::Null,
        Scalar::Bool(value) => Content::Bool(value),
        Scalar::Unwritable => return Err(format!("JSON has no number \"{text}\"")),
        Scalar::Text => Content::String(builder.keep(&text)),
        Scalar::Number(Cow::Owned(number)) => Content::Number(builder.keep(&number)),
        Scalar::Number(Cow::Borrowed(_)) => Content::Number(builder.keep(&text)),
    };
    Ok((content, written))
}

fn known_tag(tag: &granit_parser::Tag) -> Result<Tag, String> {
    Ok(match tag.core_suffix() {
        Some("int") => Tag::Int,
        Some("float") => Tag::Float,
        Some("bool") => Tag::Bool,
        Some("null") => Tag::Null,
        Some("binary") => {
            return Err("the tag !!binary is not supported: write the base64 text".to_owned());
        }
        _ => Tag::Text,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::json;
    use super::super::view::View;
    use super::*;

    fn json(yaml: &str) -> Result<String, String> {
        let (tree, fault) = read(yaml);
        if let Some(fault) = fault {
            return Err(fault.message);
        }
        let view = View { tree: &tree, source: yaml };
        let mut out = String::new();
        match tree.roots.first() {
            Some(root) => json::write(view, *root, &mut out),
            None => out.push_str("null"),
        }
        Ok(out)
    }

    #[test]
    fn scalars_keys_and_merges_read_as_kubectl_reads_them() {
        let table = include_str!("../../../../tests/data/manifests/scalars.tsv");
        let mut rows = 0;
        for row in table.lines().filter(|row| !row.starts_with("# ")) {
            let (yaml, expected) = row.split_once('\t').unwrap();
            let ours = json(&yaml.replace("\\n", "\n"));
            match expected {
                "error" => assert!(ours.is_err(), "{yaml}: {ours:?}"),
                // Text is compared where order cannot differ: a number keeps its digits.
                _ if !expected.contains('{') => {
                    assert_eq!(ours.as_deref(), Ok(expected), "{yaml}");
                }
                _ => {
                    let ours: Value = serde_json::from_str(&ours.unwrap()).unwrap();
                    assert_eq!(ours, serde_json::from_str::<Value>(expected).unwrap(), "{yaml}");
                }
            }
            rows += 1;
        }
        assert!(rows > 220, "{rows}");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(json(r#""a\0\u001f\"\\\n\té""#).unwrap(), r#""a\u0000\u001f\"\\\n\té""#);
    }

    #[test]
    fn aliases_may_not_grow_without_bound() {
        let mut bomb = vec!["a: &a [x,x,x,x,x,x,x,x,x]".to_owned()];
        for (before, name) in ('a'..='h').zip('b'..='i') {
            bomb.push(format!("{name}: &{name} [{}]", vec![format!("*{before}"); 9].join(",")));
        }
        let bomb = bomb.join("\n");
        assert_eq!(
            json(&bomb).unwrap_err(),
            "aliases expand this document too far: kubectl refuses it, too"
        );
        let text =
            format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(","));
        assert_eq!(
            json(&text).unwrap_err(),
            "aliases expand this document too far: kubectl refuses it, too"
        );
    }

    #[test]
    fn aliases_may_not_nest_without_bound() {
        let link = |level: u32| format!("a{level}: &a{level} [*a{}]", level - 1);
        let chain: Vec<String> = (1..100_000).map(link).collect();
        let text = format!("a0: &a0 x\n{}\n", chain.join("\n"));
        assert_eq!(json(&text).unwrap_err(), "this is nested deeper than 255 levels");
    }

    #[test]
    fn nesting_has_an_end() {
        for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
            assert!(json(&text).is_err());
        }
        for text in ["[".repeat(100_000), r#"{"a":"#.repeat(100_000)] {
            assert!(json::read(&text).1.is_some());
        }
        let closed = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(json::read(&closed).1.unwrap().message, "this is nested deeper than 255 levels");
    }

    #[test]
    fn the_last_of_repeated_keys_counts() {
        assert_eq!(json("a: 1\nb: 2\na: 3\na: 4\n").unwrap(), r#"{"a":4,"b":2}"#);
        assert_eq!(
            json("x: &x {a: 1}\nz: {<<: *x, a: 2, a: 3}\n").unwrap(),
            r#"{"x":{"a":1},"z":{"a":3}}"#
        );
        let mut keys: Vec<String> = (0..1000).map(|key| format!("k{key}: 1")).collect();
        keys.push("k3: 2".to_owned());
        let (tree, fault) = read(&keys.join("\n"));
        assert!(fault.is_none());
        assert_eq!((tree.repeated.len(), &*tree.repeated[0].key), (1, "k3"));
    }
}
