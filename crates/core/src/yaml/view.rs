//! Reading a tree together with its source.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::tree::{Content, Fault, Node, NodeId, Style, Text, Tree};

/// One entry of a mapping.
pub(super) struct Member<'a> {
    pub key: &'a str,
    pub key_node: NodeId,
    pub value: NodeId,
    /// the alias through which a merge (`<<`) brings the entry in
    pub via: Option<NodeId>,
}

/// A tree together with its source.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub tree: &'a Tree,
    pub source: &'a str,
}

impl<'a> View<'a> {
    /// The node, aliases followed.
    pub(super) fn node(self, id: NodeId) -> &'a Node {
        self.tree.node(self.resolve(id))
    }

    /// The node that `id` stands for.
    pub(super) fn resolve(self, id: NodeId) -> NodeId {
        match self.tree.node(id).content {
            // An alias never points at an alias.
            Content::Alias(target) => target,
            _ => id,
        }
    }

    /// Where the node is used.
    pub(super) fn span(self, id: NodeId) -> Range<usize> {
        self.tree.node(id).span()
    }

    pub(super) fn text(self, text: Text) -> &'a str {
        self.tree.text(text, self.source)
    }

    /// The string that the node holds.
    pub(super) fn string(self, id: NodeId) -> Option<&'a str> {
        match self.node(id).content {
            Content::String(text) => Some(self.text(text)),
            _ => None,
        }
    }

    /// The node's children: the elements of a list, keys and values of a mapping.
    pub(super) fn children(self, id: NodeId) -> impl Iterator<Item = NodeId> + use<'a> {
        let first = match self.node(id).content {
            Content::Sequence(first) | Content::Mapping(first) => first,
            _ => None,
        };
        std::iter::successors(first, move |id| self.tree.node(*id).next)
    }

    /// Keys and values of a mapping as they stand there.
    pub(super) fn pairs(self, id: NodeId) -> impl Iterator<Item = (NodeId, NodeId)> + use<'a> {
        let mut children = self.children(id);
        std::iter::from_fn(move || Some((children.next()?, children.next()?)))
    }

    /// Whether the key is YAML's `<<`.
    pub(super) fn is_merge(self, key: NodeId) -> bool {
        let node = self.tree.node(key);
        node.style == Style::Plain && self.string(key) == Some("<<")
    }

    /// A key as JSON writes it; `None` where it cannot be one.
    pub(super) fn key(self, id: NodeId) -> Option<&'a str> {
        match self.node(id).content {
            Content::String(text) | Content::Number(text) => Some(self.text(text)),
            Content::Bool(true) => Some("true"),
            Content::Bool(false) => Some("false"),
            _ => None,
        }
    }

    /// The entries of a mapping, merges carried out as kubectl does: in the order in which they
    /// stand, the later one winning.
    pub(super) fn members(self, id: NodeId) -> Vec<Member<'a>> {
        let mut members = Vec::new();
        self.collect(id, None, &mut members, &mut HashMap::new());
        members
    }

    /// The value of `key`.
    pub(super) fn get(self, id: NodeId, key: &str) -> Option<NodeId> {
        if self.pairs(id).any(|(key, _)| self.is_merge(key)) {
            return self.members(id).into_iter().find(|m| m.key == key).map(|m| m.value);
        }
        self.pairs(id).find(|(name, _)| self.key(*name) == Some(key)).map(|(_, value)| value)
    }

    /// What the node holds, for people.
    pub(super) fn describe(self, id: NodeId) -> &'static str {
        match self.node(id).content {
            Content::Null => "null",
            Content::Bool(_) => "a boolean",
            Content::Number(_) => "a number",
            Content::String(_) => "a string",
            Content::Sequence(_) => "a list",
            Content::Mapping(_) | Content::Alias(_) => "a mapping",
        }
    }

    fn collect(
        self,
        id: NodeId,
        via: Option<NodeId>,
        members: &mut Vec<Member<'a>>,
        known: &mut HashMap<&'a str, usize>,
    ) {
        for (key, value) in self.pairs(id) {
            if self.is_merge(key) {
                // Of several merged mappings the first one wins.
                let several: Vec<NodeId> = match self.node(value).content {
                    Content::Sequence(_) => self.children(value).collect(),
                    _ => vec![value],
                };
                for merged in several.into_iter().rev() {
                    let alias = (self.resolve(merged) != merged).then_some(merged);
                    self.collect(merged, via.or(alias), members, known);
                }
                continue;
            }
            let Some(name) = self.key(key) else { continue };
            let member = Member { key: name, key_node: key, value, via };
            match known.insert(name, members.len()) {
                Some(index) => {
                    known.insert(name, index);
                    members[index] = member;
                }
                None => members.push(member),
            }
        }
    }

    /// Whether a key stands in the mapping more than once.
    ///
    /// # Errors
    /// A key that JSON cannot hold, or a merge of something that is no mapping.
    pub(super) fn has_repeated_keys(self, id: NodeId) -> Result<bool, Fault> {
        let fault = |at: NodeId, message: String| Fault { at: self.span(at).start, message };
        let mut few: Vec<&str> = Vec::new();
        let mut many: HashSet<&str> = HashSet::new();
        let mut repeated = false;
        for (key, value) in self.pairs(id) {
            if self.is_merge(key) {
                self.check_merge(value)?;
                continue;
            }
            let Some(name) = self.key(key) else {
                return Err(fault(key, format!("{} cannot be a key", self.describe(key))));
            };
            // Most mappings have few keys, for which hashing costs more than comparing.
            repeated |= if few.len() < 16 {
                let known = few.contains(&name);
                few.push(name);
                known
            } else {
                if many.is_empty() {
                    many.extend(&few);
                }
                !many.insert(name)
            };
        }
        Ok(repeated)
    }

    fn check_merge(self, value: NodeId) -> Result<(), Fault> {
        let mapping = |id| matches!(self.node(id).content, Content::Mapping(_));
        let fits = match self.node(value).content {
            Content::Sequence(_) => self.children(value).all(mapping),
            _ => mapping(value),
        };
        if fits {
            return Ok(());
        }
        let message = "\"<<\" merges mappings, and this is not one".to_owned();
        Err(Fault { at: self.span(value).start, message })
    }
}
