//! The containers of a pod with what they mount and what they are told.

use std::collections::BTreeSet;

use super::super::variables::{BUDGET, Variables};
use super::folders::Folders;
use super::named;
use super::values::{Named, values};
use super::view::{Mount, View, Volumes};
use crate::object::pod::{Container, PodSpec};
use crate::object::{DecodeError, StatefulSet};

/// The containers of a pod that run as long as it does.
#[derive(Debug)]
pub(super) struct Pod<'c, 'a> {
    pub(super) containers: Vec<Running<'c, 'a>>,
    /// whether every value was read; see [`BUDGET`]
    pub(super) is_read: bool,
}

/// Ends of the names of configuration files.
const CONFIG_FILES: [&str; 11] =
    ["conf", "cfg", "cnf", "hcl", "ini", "json", "properties", "toml", "xml", "yaml", "yml"];

/// A container with what it mounts and what it is told.
#[derive(Debug)]
pub(super) struct Running<'c, 'a> {
    pub(super) list: &'static str,
    pub(super) index: usize,
    pub(super) container: &'c Container<'a>,
    pub(super) view: View<'c>,
    pub(super) values: Vec<Named<'c>>,
    /// whether it looks after the data of other containers
    pub(super) is_helper: bool,
    /// whether its image is known to keep data
    pub(super) is_data: bool,
}

impl<'c, 'a> Pod<'c, 'a> {
    /// # Errors
    /// The claim template that has the wrong type.
    pub(super) fn of(
        set: &'c StatefulSet<'a>,
        pod: &'c PodSpec<'a>,
        templates: &BTreeSet<&str>,
        folders: &mut Folders,
    ) -> Result<Self, DecodeError> {
        let volumes = Volumes::of(set, pod, templates)?;
        let mut left = Some(BUDGET);
        let running = pod.all_containers().filter(|(list, _, container)| {
            *list == "containers" || container.restart_policy.as_deref() == Some("Always")
        });
        let read = |(list, index, container): (_, _, &'c Container<'a>)| {
            let mut variables = Variables::of(container, left);
            let view = View::of(container, &mut variables, &volumes, folders);
            let values =
                if view.mounts.is_empty() { Vec::new() } else { values(container, &mut variables) };
            left = variables.left;
            let image = named::base(container.image.as_str());
            let has_command = !container.command.is_empty();
            let is_helper = named::is_helper(container.name.as_str(), image, has_command);
            let is_data = !is_helper && named::is_data_image(image);
            Running { list, index, container, view, values, is_helper, is_data }
        };
        let containers = running.map(read).collect();
        Ok(Self { containers, is_read: left.is_some() })
    }
}

impl Running<'_, '_> {
    /// Whether it writes to a claim through the mount in this place.
    pub(super) fn writes(&self, mount: usize) -> bool {
        self.view.mounts.get(mount).is_some_and(Mount::writes_claim)
    }

    /// The mounts, by their places, through which it writes to claims.
    pub(super) fn written(&self) -> impl Iterator<Item = usize> {
        let mounts = self.view.mounts.iter().enumerate();
        let written = |(index, mount): &(usize, &Mount<'_>)| {
            mount.writes_claim() && !self.view.is_covered(*index)
        };
        mounts.filter(written).map(|(index, _)| index)
    }

    /// Whether it is given a configuration file, which may name the data folder.
    pub(super) fn reads_config_file(&self) -> bool {
        let is_config =
            |word: &str| word.rsplit_once('.').is_some_and(|(_, end)| CONFIG_FILES.contains(&end));
        let mut words = self.container.command.iter().chain(&self.container.args);
        words.any(|word| word.split_whitespace().any(is_config))
    }
}
