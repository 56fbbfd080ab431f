//! Where a field of an object stands in its source.

use std::ops::Range;

use super::tree::{Content, NodeId, Style};
use super::view::View;
use crate::object::Pointer;

/// The bytes of the field's value; of the nearest parent's key where the field is absent, and of
/// the alias where one brings it in.
pub(super) fn of(
    view: View<'_>,
    object: NodeId,
    via: Option<NodeId>,
    field: &Pointer,
) -> Range<usize> {
    let mut node = object;
    let mut via = via;
    let mut key: Option<NodeId> = None;
    let mut absent = false;
    for token in field.tokens() {
        let next = match view.node(node).content {
            Content::Mapping(_) => view
                .members(node)
                .into_iter()
                .find(|member| member.key == token)
                .map(|member| (Some(member.key_node), member.value, member.via)),
            Content::Sequence(_) => token
                .parse()
                .ok()
                .and_then(|index: usize| view.children(node).nth(index))
                .map(|element| (None, element, None)),
            _ => None,
        };
        let Some((next_key, next_node, merged)) = next else {
            absent = true;
            break;
        };
        if via.is_none() {
            via = merged.or((view.resolve(next_node) != next_node).then_some(next_node));
        }
        (key, node) = (next_key, next_node);
    }
    if let Some(alias) = via {
        return view.span(alias);
    }
    let value = view.span(node);
    // A value that is left out has no place of its own.
    let empty = value.is_empty() && view.node(node).style != Style::Block;
    match key {
        Some(key) if absent || empty => view.span(key),
        _ if absent => first_line(view.source, value),
        _ => whole(view, node, key),
    }
}

fn first_line(source: &str, span: Range<usize>) -> Range<usize> {
    let line = source[span.clone()].lines().next().unwrap_or_default();
    span.start..span.start + line.len()
}

/// A value from its first to its last character. The parser leaves out the `|` of a block scalar
/// and the first `-` of a list that is not indented, and counts the space after a value.
fn whole(view: View<'_>, node: NodeId, key: Option<NodeId>) -> Range<usize> {
    let span = view.span(node);
    if let (Content::Sequence(_), Some(key)) = (&view.node(node).content, key) {
        let key = view.span(key).end;
        let mut line = key;
        for text in view.source[key..span.start].split_inclusive('\n') {
            let dash = text.trim_start();
            if line > key && dash.starts_with('-') {
                return line + text.len() - dash.len()..span.end;
            }
            line += text.len();
        }
    }
    let text = &view.source[span.clone()];
    let end = span.start + text.trim_end().len();
    if view.node(node).style != Style::Block {
        return span.start..end.max(span.start);
    }
    let before = view.source[..span.start].trim_end();
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    let header = &before[line..];
    let header = header.split_once(" #").map_or(header, |(header, _)| header);
    match header.rfind(['|', '>']) {
        Some(at) => line + at..end.max(before.len()),
        None => span.start..end,
    }
}
