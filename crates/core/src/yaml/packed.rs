//! A tree in few bytes, to be kept from reading to judging.
//!
//! Places are asked for only once everything was read, because a verdict may depend on any file. A
//! tree of nodes would double what a large repository takes, and reading a document again would
//! take longer than judging it.

use std::sync::OnceLock;

use super::tree::{Content, Node, NodeId, Style, Text, Tree};

/// The nodes of one source. They are unpacked when a place is first asked for.
#[derive(Debug)]
pub(super) struct Packed {
    /// numbers, most of them in one byte
    numbers: Box<[u8]>,
    unescaped: Box<str>,
    tree: OnceLock<Tree>,
}

impl Packed {
    pub(super) fn new(tree: &Tree) -> Self {
        let mut numbers = Numbers(Vec::with_capacity(tree.nodes().len() * 7));
        let mut before = 0;
        for (index, node) in tree.nodes().iter().enumerate() {
            pack(node, signed(index) + 1, before, &mut numbers);
            before = node.span().start;
        }
        let numbers = numbers.0.into_boxed_slice();
        Self { numbers, unescaped: tree.unescaped().into(), tree: OnceLock::new() }
    }

    /// The nodes, without what is said of their documents.
    pub(super) fn tree(&self) -> &Tree {
        self.tree.get_or_init(|| {
            let mut bytes = &*self.numbers;
            let mut nodes: Vec<Node> = Vec::new();
            while !bytes.is_empty() {
                let before = nodes.last().map_or(0, |node| node.span().start);
                let id = signed(nodes.len()) + 1;
                nodes.push(unpack(&mut bytes, id, before));
            }
            Tree::of_nodes(nodes, self.unescaped.to_string())
        })
    }
}

const STYLES: [Style; 4] = [Style::Plain, Style::Quoted, Style::Block, Style::Other];

/// Writes a node as differences from its neighbours, which are small.
fn pack(node: &Node, id: i64, before: usize, numbers: &mut Numbers) {
    let span = node.span();
    let distance = |other: Option<NodeId>| other.map_or(0, |other| other.number() - id);
    let (kind, first, second) = match node.content {
        Content::Null => (0, 0, 0),
        Content::Bool(value) => (1, value.into(), 0),
        Content::Number(text) | Content::String(text) => {
            let text = text.range();
            let kind = if matches!(node.content, Content::Number(_)) { 2 } else { 3 };
            let shift = signed(text.start) - signed(span.start);
            (kind, shift, signed(text.len()) - signed(span.len()))
        }
        Content::Sequence(first) => (4, distance(first), 0),
        Content::Mapping(first) => (5, distance(first), 0),
        Content::Alias(target) => (6, distance(Some(target)), 0),
    };
    let style = STYLES.iter().position(|style| *style == node.style).unwrap_or_default();
    let start = signed(span.start) - signed(before);
    let head = kind * 4 + signed(style);
    let next = distance(node.next);
    for number in [head, start, signed(span.len()), first, second, next] {
        numbers.push(number);
    }
}

fn unpack(bytes: &mut &[u8], id: i64, before: usize) -> Node {
    let [head, start, length, first, second, next] = std::array::from_fn(|_| number(bytes));
    let start = signed(before) + start;
    let node = |distance: i64| (distance != 0).then(|| NodeId::from_number(id + distance));
    let text = || {
        let from = size(start + first);
        Text::from(from..from + size(length + second))
    };
    let content = match head / 4 {
        1 => Content::Bool(first == 1),
        2 => Content::Number(text()),
        3 => Content::String(text()),
        4 => Content::Sequence(node(first)),
        5 => Content::Mapping(node(first)),
        6 => Content::Alias(NodeId::from_number(id + first)),
        _ => Content::Null,
    };
    let style = STYLES[size(head % 4)];
    let span = size(start)..size(start + length);
    let mut unpacked = Node::new(content, style, span);
    unpacked.next = node(next);
    unpacked
}

/// No source is so large that a difference could overflow.
fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn size(number: i64) -> usize {
    usize::try_from(number).unwrap_or_default()
}

/// Numbers of either sign in as few bytes as each needs.
struct Numbers(Vec<u8>);

impl Numbers {
    fn push(&mut self, number: i64) {
        let mut rest = (number << 1 ^ number >> 63).cast_unsigned();
        while rest > 0x7f {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }
}

/// Takes the first number.
fn number(bytes: &mut &[u8]) -> i64 {
    let mut whole = 0;
    for shift in (0..64).step_by(7) {
        let Some((first, rest)) = bytes.split_first() else { break };
        *bytes = rest;
        whole |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    (whole >> 1).cast_signed() ^ -(whole & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::super::{events, json};
    use super::*;

    #[test]
    fn numbers_read_back() {
        let all = [0, 1, -1, 63, 64, -64, -65, 8191, 8192, 1 << 40, -(1 << 40)];
        let mut numbers = Numbers(Vec::new());
        for number in all {
            numbers.push(number);
        }
        let mut bytes = numbers.0.as_slice();
        assert_eq!(all.map(|_| number(&mut bytes)), all);
        assert!(bytes.is_empty());
    }

    #[test]
    fn a_tree_reads_back() {
        let yaml = "\
a: &a {x: 1, y: [true, false, null, ~, '', \"q\\n\"]}
b: {<<: *a, k: 1, j: 2, k: 3}
c: |
  block
? !!str 1
: *a
";
        let (read, fault) = events::read(yaml);
        assert!(fault.is_none(), "{fault:?}");
        let (read_json, fault) = json::read(r#"{"a":[1,"\u00e9",{}]} {"b":null}"#);
        assert!(fault.is_none(), "{fault:?}");
        for tree in [read, read_json, Tree::default()] {
            let packed = Packed::new(&tree);
            let again = packed.tree();
            assert_eq!(format!("{:?}", again.nodes()), format!("{:?}", tree.nodes()));
            assert_eq!(again.unescaped(), tree.unescaped());
        }
    }
}
