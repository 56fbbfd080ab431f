//! JSON text → tree, and tree → JSON text.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::tree::{Builder, Content, Fault, MAX_DEPTH, Node, NodeId, Style, Tree};
use super::view::View;
use crate::object::serde_messages::syntax;

/// Reads every document of `source`, up to the first fault.
pub(super) fn read(source: &str) -> (Tree, Option<Fault>) {
    let mut builder = Builder::new(source);
    let mut documents = serde_json::Deserializer::from_str(source).into_iter::<&RawValue>();
    let mut end = 0;
    while let Some(document) = documents.next() {
        let read = match document {
            Ok(raw) => {
                let read = value(&mut builder, source, raw.get(), 0);
                if read.is_ok() {
                    builder.end_document();
                }
                end = documents.byte_offset();
                read
            }
            Err(error) => Err(behind(source, end)
                .unwrap_or_else(|| Fault { at: place(source, &error), message: reason(&error) })),
        };
        if let Err(fault) = read {
            return (builder.finish(), Some(fault));
        }
    }
    (builder.finish(), None)
}

/// What stands behind the last value and begins no object, if there is one before it.
fn behind(source: &str, end: usize) -> Option<Fault> {
    let rest = source[end..].trim_start();
    let message = "not valid JSON: text stands behind the end".to_owned();
    (end > 0 && !rest.starts_with(['{', '[']))
        .then(|| Fault { at: source.len() - rest.len(), message })
}

fn place(source: &str, error: &serde_json::Error) -> usize {
    let lines = source.split_inclusive('\n').take(error.line().saturating_sub(1));
    let line: usize = lines.map(str::len).sum();
    let mut at = (line + error.column().saturating_sub(1)).min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn reason(error: &serde_json::Error) -> String {
    format!("not valid JSON: {}", syntax(&error.to_string()))
}

/// The children of one JSON value, none of them read yet.
enum Layer<'a> {
    List(Vec<&'a RawValue>),
    Object(Vec<(&'a RawValue, &'a RawValue)>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Layer<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LayerVisitor;

        impl<'de> Visitor<'de> for LayerVisitor {
            type Value = Layer<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or an object")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Layer<'de>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    elements.push(element);
                }
                Ok(Layer::List(elements))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Layer<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Layer::Object(entries))
            }
        }

        deserializer.deserialize_any(LayerVisitor)
    }
}

fn value<'s>(
    builder: &mut Builder<'s>,
    source: &'s str,
    raw: &'s str,
    depth: u32,
) -> Result<(), Fault> {
    let span = span(source, raw);
    let fault = |message: String| Fault { at: span.start, message };
    if depth > MAX_DEPTH {
        return Err(fault(format!("this is nested deeper than {MAX_DEPTH} levels")));
    }
    let content = match raw.as_bytes().first() {
        Some(b'n') => Content::Null,
        Some(b't') => Content::Bool(true),
        Some(b'f') => Content::Bool(false),
        Some(b'{' | b'[') => return layer(builder, source, raw, depth),
        Some(b'"') => {
            let text: crate::object::Text<'s> =
                serde_json::from_str(raw).map_err(|error| fault(reason(&error)))?;
            // Text without escapes is a slice of the source: only then is it kept as one.
            let inner = &raw[1..raw.len() - 1];
            let text = if text.as_str() == inner { inner } else { text.as_str() };
            Content::String(builder.keep(text))
        }
        _ => Content::Number(builder.keep(raw)),
    };
    builder.leaf(Node::new(content, Style::Quoted, span), None)
}

fn layer<'s>(
    builder: &mut Builder<'s>,
    source: &'s str,
    raw: &'s str,
    depth: u32,
) -> Result<(), Fault> {
    let span = span(source, raw);
    let layer: Layer<'s> = serde_json::from_str(raw)
        .map_err(|error| Fault { at: span.start + place(raw, &error), message: reason(&error) })?;
    let end = span.end;
    match layer {
        Layer::List(elements) => {
            builder.open(Node::new(Content::Sequence(None), Style::Other, span), None);
            for element in elements {
                value(builder, source, element.get(), depth + 1)?;
            }
        }
        Layer::Object(entries) => {
            builder.open(Node::new(Content::Mapping(None), Style::Other, span), None);
            for (key, element) in entries {
                value(builder, source, key.get(), depth + 1)?;
                value(builder, source, element.get(), depth + 1)?;
            }
        }
    }
    builder.close(Some(end))
}

/// Where a slice of the source stands in it.
fn span(source: &str, slice: &str) -> Range<usize> {
    let start = slice.as_ptr() as usize - source.as_ptr() as usize;
    start..start + slice.len()
}

/// Writes a node as JSON, aliases and merges written out.
pub(super) fn write(view: View<'_>, id: NodeId, out: &mut String) {
    match view.node(id).content {
        Content::Null => out.push_str("null"),
        Content::Bool(true) => out.push_str("true"),
        Content::Bool(false) => out.push_str("false"),
        Content::Number(text) => out.push_str(view.text(text)),
        Content::String(text) => string(view.text(text), out),
        Content::Sequence(_) => {
            out.push('[');
            let mut separator = "";
            for element in view.children(id) {
                out.push_str(separator);
                separator = ",";
                write(view, element, out);
            }
            out.push(']');
        }
        Content::Mapping(_) if view.pairs(id).any(|(key, _)| view.is_merge(key)) => {
            out.push('{');
            let mut separator = "";
            for member in view.members(id) {
                out.push_str(separator);
                separator = ",";
                string(member.key, out);
                out.push(':');
                write(view, member.value, out);
            }
            out.push('}');
        }
        Content::Mapping(_) => {
            out.push('{');
            let mut separator = "";
            for (key, value) in view.pairs(id) {
                out.push_str(separator);
                separator = ",";
                string(view.key(key).unwrap_or_default(), out);
                out.push(':');
                write(view, value, out);
            }
            out.push('}');
        }
        Content::Alias(target) => write(view, target, out),
    }
}

/// Writes a JSON string.
pub(super) fn string(text: &str, out: &mut String) {
    out.push('"');
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[done..at]);
        done = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => {
                out.push_str("\\u00");
                for digit in [byte >> 4, byte & 15] {
                    out.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
                }
            }
        }
    }
    out.push_str(&text[done..]);
    out.push('"');
}
