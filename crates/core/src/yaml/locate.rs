//! Where a field of an object stands in its source.

use std::ops::Range;

use super::tree::{Content, NodeId, Style};
use super::view::View;
use crate::object::Pointer;

/// A place, and what of the field is not there.
#[derive(Debug)]
pub(super) struct Located {
    /// the value
    pub span: Range<usize>,
    /// what a person is shown: the key where the value takes several lines
    pub head: Range<usize>,
    /// the first part of the field's name that the source lacks
    pub missing: Option<String>,
}

/// The bytes of the field's value; of the nearest parent's key where the field is absent, and of
/// the alias where one brings it in.
pub(super) fn value(
    view: View<'_>,
    object: NodeId,
    via: Option<NodeId>,
    field: &Pointer,
) -> Located {
    let mut node = object;
    let mut via = via;
    let mut key: Option<NodeId> = None;
    let mut missing = None;
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
            missing = Some(token);
            break;
        };
        if via.is_none() {
            via = merged.or((view.resolve(next_node) != next_node).then_some(next_node));
        }
        (key, node) = (next_key, next_node);
    }
    let span = match (via, key) {
        (Some(alias), _) => view.span(alias),
        (None, Some(key)) if missing.is_some() || is_empty(view, node) => view.span(key),
        _ if missing.is_some() => first_line(view.source, view.span(node)),
        _ => whole(view, node, key),
    };
    let head = match key {
        Some(key) if via.is_none() && is_block(view, node) => view.span(key),
        _ => span.clone(),
    };
    Located { span, head, missing }
}

/// The first byte of the field's key; of the nearest parent's where the field is absent.
pub(super) fn key_start(view: View<'_>, object: NodeId, field: &Pointer) -> usize {
    let tokens: Vec<String> = field.tokens().collect();
    let Some((last, parents)) = tokens.split_last() else { return view.span(object).start };
    let parent = parents.iter().fold(Pointer::default(), |parent, token| parent.key(token));
    let mut node = object;
    for token in parents {
        let next = match view.node(node).content {
            Content::Mapping(_) => view.get(node, token),
            Content::Sequence(_) => token.parse().ok().and_then(|i| view.children(node).nth(i)),
            _ => None,
        };
        match next {
            Some(next) => node = next,
            None => return value(view, object, None, &parent).head.start,
        }
    }
    match view.members(node).into_iter().find(|member| member.key == *last) {
        Some(member) => view.span(member.via.unwrap_or(member.key_node)).start,
        None => value(view, object, None, &parent).head.start,
    }
}

/// A value that is left out has no place of its own.
fn is_empty(view: View<'_>, node: NodeId) -> bool {
    view.span(node).is_empty() && view.node(node).style != Style::Block
}

/// Whether the node is a list or a mapping without brackets.
fn is_block(view: View<'_>, node: NodeId) -> bool {
    matches!(view.node(node).content, Content::Sequence(_) | Content::Mapping(_))
        && !view.source[view.span(node)].starts_with(['{', '['])
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
