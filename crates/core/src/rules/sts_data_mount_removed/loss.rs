//! A container that no longer finds its data.

use super::running::Running;
use super::values::Named;
use super::view::{Mount, Place};
use crate::object::pod::Container;

/// A container that no longer finds what it wrote.
#[derive(Debug)]
pub(super) struct Loss<'p, 'a> {
    /// the container before, and its place in its list
    pub(super) container: &'p Container<'a>,
    pub(super) list: &'static str,
    pub(super) index: usize,
    /// the container that carries on its process
    pub(super) successor: Option<(&'static str, usize, &'p Container<'a>)>,
    /// the mount through which it wrote
    pub(super) mount: &'p Mount<'p>,
    /// where it looks for its data, and which folder it found there
    pub(super) path: &'p str,
    pub(super) place: Place<'p>,
    pub(super) what: What<'p>,
    /// whether it would write to a claim, though not to its data
    pub(super) stays: bool,
    /// whether the data may well be elsewhere
    pub(super) unsure: bool,
}

/// How it loses its data.
#[derive(Debug)]
pub(super) enum What<'p> {
    /// the container is removed
    Removed,
    /// the mount is removed from this list
    Unmounted(&'static str),
    /// the claim is mounted at another path
    Moved(&'p Mount<'p>),
    /// another folder of the claim is mounted at the path
    OtherFolder(&'p Mount<'p>),
    /// another volume is mounted at the path
    Replaced(&'p Mount<'p>),
    /// two claims, or two folders of one, change places: the mount at the path, and the other path
    Swapped(&'p Mount<'p>, &'p str),
    /// another volume is mounted below the path
    Hidden(&'p Mount<'p>),
    /// a variable or an argument names another path than before, or names one for the first time
    Named { old: Option<&'p Named<'p>>, new: Option<&'p Named<'p>> },
    /// the process can read its data and not write it
    ReadOnly(&'p Mount<'p>),
}

impl<'p, 'a> Running<'p, 'a> {
    /// A loss of what it wrote through `mount`; `new` carries on its process.
    pub(super) fn loss(
        &self,
        mount: &'p Mount<'p>,
        new: Option<&Self>,
        what: What<'p>,
    ) -> Loss<'p, 'a> {
        Loss {
            container: self.container,
            list: self.list,
            index: self.index,
            successor: new.map(|new| (new.list, new.index, new.container)),
            mount,
            path: &mount.path,
            place: mount.place,
            what,
            stays: false,
            unsure: false,
        }
    }
}
