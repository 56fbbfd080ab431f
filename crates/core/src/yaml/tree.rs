//! The tree of one document's nodes, each with its place in the source.
//!
//! It owns no part of the source: text is kept as a range of it where nothing had to be unescaped.
//! Whoever reads the tree brings the source along, as a [`View`].
//!
//! A node is small: it counts bytes and nodes with 32 bits, and [`LARGEST`] bounds the source.

use std::collections::HashMap;
use std::num::NonZero;
use std::ops::Range;

use super::view::View;

/// As deep as any object is read; Kubernetes objects stay far below.
pub(super) const MAX_DEPTH: u32 = 255;
/// How much aliases may add to one document, in nodes and in bytes. kubectl stops at about as many.
const MAX_ALIASED: Size = Size { nodes: 400_000, bytes: 64 << 20 };

/// The largest source, in bytes: 1 GiB. Unescaped text, which counts on from its end, can be longer than
/// what it was written as, but not three times as long.
pub(crate) const LARGEST: usize = 1 << 30;

/// A node's place in the tree, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(NonZero<u32>);

impl NodeId {
    pub(super) fn number(self) -> i64 {
        self.0.get().into()
    }

    /// No source has as many nodes as bytes, and none is larger than [`LARGEST`].
    pub(super) fn from_number(number: impl TryInto<u32>) -> Self {
        Self(number.try_into().ok().and_then(NonZero::new).unwrap_or(NonZero::<u32>::MIN))
    }
}

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub content: Content,
    pub style: Style,
    /// bytes of the source
    span: Small,
    /// the next child of the same parent
    pub next: Option<NodeId>,
}

impl Node {
    pub(super) fn new(content: Content, style: Style, span: Range<usize>) -> Self {
        Self { content, style, span: span.into(), next: None }
    }

    /// Its bytes of the source.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.into()
    }
}

/// A range within [`LARGEST`].
#[derive(Clone, Copy, Debug)]
struct Small {
    start: u32,
    end: u32,
}

impl From<Range<usize>> for Small {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }
}

impl From<Small> for Range<usize> {
    fn from(small: Small) -> Self {
        small.start as usize..small.end as usize
    }
}

/// How a node is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// a scalar without quotes
    Plain,
    /// a scalar in quotes
    Quoted,
    /// a scalar under `|` or `>`
    Block,
    /// anything else
    Other,
}

/// What a node holds.
#[derive(Debug)]
pub(super) enum Content {
    Null,
    Bool(bool),
    /// a JSON number
    Number(Text),
    String(Text),
    Sequence(Option<NodeId>),
    /// keys and values in turn
    Mapping(Option<NodeId>),
    Alias(NodeId),
}

/// Text: bytes of the source, or behind its end those of [`Tree::unescaped`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Text(Small);

impl Text {
    pub(super) fn range(self) -> Range<usize> {
        self.0.into()
    }
}

impl From<Range<usize>> for Text {
    fn from(range: Range<usize>) -> Self {
        Self(range.into())
    }
}

/// What is wrong, and at which byte of the source.
#[derive(Debug)]
pub(super) struct Fault {
    pub at: usize,
    pub message: String,
}

/// The nodes of one or more documents.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// texts that are written differently in the source, one behind the other
    unescaped: String,
    pub roots: Vec<NodeId>,
    /// keys that stand in one mapping more than once; the last one is kept
    pub repeated: Vec<Repeated>,
}

impl Tree {
    /// A tree of nodes that were taken from another, without its roots.
    pub(super) fn of_nodes(nodes: Vec<Node>, unescaped: String) -> Self {
        Self { nodes, unescaped, ..Self::default() }
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn unescaped(&self) -> &str {
        &self.unescaped
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0.get() as usize - 1]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0.get() as usize - 1]
    }

    /// The text, as the reader understood it.
    pub(super) fn text<'a>(&'a self, text: Text, source: &'a str) -> &'a str {
        let Range { start, end } = text.range();
        match start.checked_sub(source.len()) {
            Some(behind) if end > start => &self.unescaped[behind..end - source.len()],
            _ => &source[start..end],
        }
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId::from_number(self.nodes.len())
    }
}

/// A key that replaces an earlier one of the same mapping.
#[derive(Debug)]
pub(super) struct Repeated {
    pub key: String,
    /// bytes of the source
    pub first: usize,
    pub second: usize,
}

#[derive(Clone, Copy, Default)]
struct Size {
    nodes: u64,
    bytes: u64,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

#[derive(Clone, Copy, Default)]
struct Measure {
    /// with aliases written out
    whole: Size,
    /// the part of it that aliases add
    aliased: Size,
    depth: u32,
}

struct Frame {
    node: NodeId,
    last: Option<NodeId>,
    measure: Measure,
    anchor: Option<usize>,
}

/// Grows a tree from what a reader meets, and refuses what no object may hold: keys that are no
/// text, aliases that grow without bound, and nesting without end.
pub(super) struct Builder<'s> {
    source: &'s str,
    tree: Tree,
    open: Vec<Frame>,
    anchors: HashMap<usize, (NodeId, Option<Measure>)>,
    /// how many roots belong to documents that were read to their end
    ended: usize,
}

impl<'s> Builder<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self { source, tree: Tree::default(), open: Vec::new(), anchors: HashMap::new(), ended: 0 }
    }

    /// The text as it is kept: a slice of the source stays one.
    pub(super) fn keep(&mut self, text: &str) -> Text {
        let start = (text.as_ptr() as usize).wrapping_sub(self.source.as_ptr() as usize);
        let end = start.wrapping_add(text.len());
        if self.source.get(start..end).is_some() {
            return Text::from(start..end);
        }
        let start = self.source.len() + self.tree.unescaped.len();
        self.tree.unescaped.push_str(text);
        Text::from(start..start + text.len())
    }

    /// A scalar.
    pub(super) fn leaf(&mut self, node: Node, anchor: Option<usize>) -> Result<(), Fault> {
        let bytes = node.span().len() as u64;
        let measure = Measure { whole: Size { nodes: 1, bytes }, ..Measure::default() };
        let id = self.link(node);
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, (id, Some(measure)));
        }
        self.count(id, measure)
    }

    /// A place where the node of `anchor` stands once more.
    pub(super) fn alias(&mut self, anchor: usize, span: Range<usize>) -> Result<(), Fault> {
        let fault = |message: &str| Fault { at: span.start, message: message.to_owned() };
        let Some((target, measure)) = self.anchors.get(&anchor) else {
            return Err(fault("this alias has no anchor"));
        };
        let Some(measure) = measure else {
            return Err(fault("this alias is inside its own anchor"));
        };
        let measure = Measure { aliased: measure.whole, ..*measure };
        let node = Node::new(Content::Alias(*target), Style::Other, span);
        let id = self.link(node);
        self.count(id, measure)
    }

    /// The start of a list or a mapping.
    pub(super) fn open(&mut self, node: Node, anchor: Option<usize>) {
        let id = self.link(node);
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, (id, None));
        }
        let measure = Measure { whole: Size { nodes: 1, bytes: 2 }, ..Measure::default() };
        self.open.push(Frame { node: id, last: None, measure, anchor });
    }

    /// The end of what was opened last, at `end` where the source shows one.
    pub(super) fn close(&mut self, end: Option<usize>) -> Result<(), Fault> {
        let Some(frame) = self.open.pop() else { return Ok(()) };
        let last = frame.last.map(|last| self.tree.node(last).span().end);
        let node = self.tree.node_mut(frame.node);
        let Range { start, end: known } = node.span();
        node.span = (start..end.or(last).unwrap_or(known).max(start)).into();
        if matches!(node.content, Content::Mapping(_))
            && self.view().has_repeated_keys(frame.node)?
        {
            self.keep_last(frame.node);
        }
        if let Some(anchor) = frame.anchor {
            self.anchors.insert(anchor, (frame.node, Some(frame.measure)));
        }
        self.count(frame.node, frame.measure)
    }

    /// Takes the earlier ones of repeated keys out of a mapping, as kubectl does.
    fn keep_last(&mut self, mapping: NodeId) {
        let view = self.view();
        let mut kept: Vec<(NodeId, NodeId)> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut repeated = Vec::new();
        for (key, value) in view.pairs(mapping) {
            let Some(name) = view.key(key).filter(|_| !view.is_merge(key)) else {
                kept.push((key, value));
                continue;
            };
            if let Some(index) = known.get(name) {
                let (first, second) = (view.span(kept[*index].0).start, view.span(key).start);
                repeated.push(Repeated { key: name.to_owned(), first, second });
                kept[*index] = (key, value);
            } else {
                known.insert(name, kept.len());
                kept.push((key, value));
            }
        }
        self.tree.repeated.append(&mut repeated);
        let chain: Vec<NodeId> = kept.into_iter().flat_map(|(key, value)| [key, value]).collect();
        for (index, node) in chain.iter().enumerate() {
            self.tree.node_mut(*node).next = chain.get(index + 1).copied();
        }
        self.tree.node_mut(mapping).content = Content::Mapping(chain.first().copied());
    }

    /// The end of a document: anchors do not reach further.
    pub(super) fn end_document(&mut self) {
        self.anchors.clear();
        self.ended = self.tree.roots.len();
    }

    /// The tree, up to the last document that was read to its end.
    pub(super) fn finish(mut self) -> Tree {
        self.tree.roots.truncate(self.ended);
        self.tree
    }

    fn view(&self) -> View<'_> {
        View { tree: &self.tree, source: self.source }
    }

    fn link(&mut self, node: Node) -> NodeId {
        let id = self.tree.push(node);
        let Some(frame) = self.open.last_mut() else {
            self.tree.roots.push(id);
            return id;
        };
        match frame.last.replace(id) {
            Some(last) => self.tree.node_mut(last).next = Some(id),
            None => match &mut self.tree.node_mut(frame.node).content {
                Content::Sequence(first) | Content::Mapping(first) => *first = Some(id),
                _ => {}
            },
        }
        id
    }

    fn count(&mut self, id: NodeId, measure: Measure) -> Result<(), Fault> {
        let Some(frame) = self.open.last_mut() else { return Ok(()) };
        let total = &mut frame.measure;
        total.whole.add(measure.whole);
        total.aliased.add(measure.aliased);
        total.depth = total.depth.max(measure.depth + 1);
        let fault = |message: String| Err(Fault { at: self.tree.node(id).span().start, message });
        if total.depth > MAX_DEPTH {
            return fault(format!("this is nested deeper than {MAX_DEPTH} levels"));
        }
        if total.aliased.nodes > MAX_ALIASED.nodes || total.aliased.bytes > MAX_ALIASED.bytes {
            return fault(
                "aliases expand this document too far: kubectl refuses it, too".to_owned(),
            );
        }
        Ok(())
    }
}
