//! An object by its members, before any of them is decoded.

use super::walk::{Members, Walk};

/// An object's members, and those of its `metadata` and `spec`.
#[derive(Clone, Debug)]
pub struct Outline<'a> {
    pub(super) members: Members<'a>,
    pub(super) metadata: Option<MetadataOutline<'a>>,
    pub(super) spec: Option<Members<'a>>,
}

/// The members of `metadata`, and what its two longest are made of.
#[derive(Clone, Debug)]
pub(super) struct MetadataOutline<'a> {
    pub(super) members: Members<'a>,
    pub(super) annotations: Option<Members<'a>>,
    managers: Vec<&'a str>,
}

impl<'a> Outline<'a> {
    /// Walks the object that begins here. What has the same bytes in `like` is not walked again.
    pub fn read(walk: &mut Walk<'a>, like: Option<&Self>) -> Option<Self> {
        let mut outline = Self { members: Members::begin(walk)?, metadata: None, spec: None };
        while let Some(key) = outline.members.key(walk)? {
            let value = match (key, walk.peek()?) {
                ("metadata", b'{') => {
                    let like = like.and_then(|like| like.metadata.as_ref());
                    let metadata = MetadataOutline::read(walk, like)?;
                    outline.metadata.insert(metadata).members.text()
                }
                ("spec", b'{') => {
                    let like = like.and_then(|like| like.spec.as_ref());
                    outline.spec.insert(Members::read(walk, like)?).text()
                }
                _ => walk.value_like(like.and_then(|like| like.members.get(key)))?,
            };
            outline.members.push(key, value);
        }
        Some(outline)
    }

    /// The whole object.
    pub fn text(&self) -> &'a str {
        self.members.text()
    }
}

impl<'a> MetadataOutline<'a> {
    fn read(walk: &mut Walk<'a>, like: Option<&Self>) -> Option<Self> {
        let members = Members::begin(walk)?;
        let mut outline = Self { members, annotations: None, managers: Vec::new() };
        while let Some(key) = outline.members.key(walk)? {
            let value = match (key, walk.peek()?) {
                ("annotations", b'{') => {
                    let like = like.and_then(|like| like.annotations.as_ref());
                    outline.annotations.insert(Members::read(walk, like)?).text()
                }
                ("managedFields", b'[') => {
                    // Each writer has an entry, and one edit changes one of them.
                    let like = like.map_or(&[][..], |like| &like.managers);
                    let (managers, text) = walk.list_like(like)?;
                    outline.managers = managers;
                    text
                }
                _ => walk.value_like(like.and_then(|like| like.members.get(key)))?,
            };
            outline.members.push(key, value);
        }
        Some(outline)
    }
}
