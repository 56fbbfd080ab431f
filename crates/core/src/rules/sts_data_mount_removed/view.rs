//! Where a container finds which folder of which claim.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::super::variables::Variables;
use super::folders::{Folder, Folders, ROOT};
use crate::object::pod::{Container, PodSpec, Volume};
use crate::object::{DecodeError, StatefulSet};
use crate::rules::path;

/// What stands behind a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source<'c> {
    /// the claims of a claim template
    Template(&'c str),
    /// a claim by name
    Claim(&'c str),
    /// the volume of this name, which is no claim
    Other(Other, &'c str),
}

/// Volumes that are no claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Other {
    EmptyDir,
    Ephemeral,
    /// files that Kubernetes writes: a `ConfigMap`, a Secret
    Files,
    /// anything else, also a name that is no volume
    Unknown,
}

impl Source<'_> {
    pub(super) const fn is_claim(self) -> bool {
        matches!(self, Self::Template(_) | Self::Claim(_))
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template(name) => f.write_str(name),
            Self::Claim(name) => write!(f, "claim {name}"),
            Self::Other(Other::EmptyDir, _) => f.write_str("emptyDir"),
            Self::Other(Other::Ephemeral, _) => f.write_str("ephemeral volume"),
            Self::Other(_, name) => write!(f, "volume {name}"),
        }
    }
}

/// The volumes of a pod by name.
#[derive(Debug)]
pub(super) struct Volumes<'c> {
    by_name: BTreeMap<&'c str, (Source<'c>, bool)>,
}

impl<'c> Volumes<'c> {
    /// The volumes of the pods of `set`. Of its claim templates only those in `templates` count as
    /// claims.
    ///
    /// # Errors
    /// The claim template that has the wrong type.
    pub(super) fn of(
        set: &'c StatefulSet<'_>,
        pod: &'c PodSpec<'_>,
        templates: &BTreeSet<&str>,
    ) -> Result<Self, DecodeError> {
        let mut by_name: BTreeMap<_, _> =
            pod.volumes.iter().map(|volume| (volume.name.as_str(), source(volume))).collect();
        // A claim template takes the place of a volume of its name.
        for template in set.claim_templates()? {
            let name = template.metadata.name.as_str();
            let source = if templates.contains(name) {
                Source::Template(name)
            } else {
                Source::Other(Other::Unknown, name)
            };
            by_name.insert(name, (source, false));
        }
        Ok(Self { by_name })
    }

    fn get(&self, name: &'c str) -> (Source<'c>, bool) {
        let unknown = (Source::Other(Other::Unknown, name), false);
        self.by_name.get(name).copied().unwrap_or(unknown)
    }
}

/// The source of a volume, and whether it is mounted read-only everywhere.
fn source<'c>(volume: &'c Volume<'_>) -> (Source<'c>, bool) {
    let other = |kind| (Source::Other(kind, volume.name.as_str()), false);
    if let Some(claim) = &volume.persistent_volume_claim {
        return (Source::Claim(claim.claim_name.as_str()), claim.read_only == Some(true));
    }
    let files = [volume.config_map, volume.secret, volume.projected, volume.downward_api];
    if volume.empty_dir.is_some() {
        other(Other::EmptyDir)
    } else if volume.ephemeral.is_some() {
        other(Other::Ephemeral)
    } else if files.iter().any(Option::is_some) {
        other(Other::Files)
    } else {
        other(Other::Unknown)
    }
}

/// A folder of a volume, or a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place<'c> {
    pub(super) source: Source<'c>,
    pub(super) folder: Folder,
    pub(super) device: bool,
}

/// One entry of `volumeMounts` or `volumeDevices`.
#[derive(Debug)]
pub(super) struct Mount<'c> {
    /// as a container runtime sees it; see [`path::normal`]
    pub(super) path: Cow<'c, str>,
    pub(super) place: Place<'c>,
    pub(super) read_only: bool,
    pub(super) list: &'static str,
    pub(super) index: usize,
}

impl Mount<'_> {
    /// Whether the container may write data here that outlives the pod.
    pub(super) const fn writes_claim(&self) -> bool {
        self.place.source.is_claim() && !self.read_only
    }
}

/// What a path of a container leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'c> {
    /// the mount, by its place in [`View::mounts`]
    pub(super) mount: usize,
    /// the folder at the path
    pub(super) place: Place<'c>,
    /// whether the mount is at the path itself, and not above it
    pub(super) exact: bool,
}

/// The mounts of a container, sorted by path.
#[derive(Debug)]
pub(super) struct View<'c> {
    pub(super) mounts: Vec<Mount<'c>>,
}

impl<'c> View<'c> {
    pub(super) fn of(
        container: &'c Container<'_>,
        variables: &mut Variables<'c>,
        volumes: &Volumes<'c>,
        folders: &mut Folders,
    ) -> Self {
        let mut mounts = Vec::new();
        for (index, mount) in container.volume_mounts.iter().enumerate() {
            let (source, read_only) = volumes.get(mount.name.as_str());
            let folder = if mount.sub_path.is_empty() {
                folders.below(ROOT, &variables.expand(&mount.sub_path_expr))
            } else {
                folders.below(ROOT, &mount.sub_path)
            };
            mounts.push(Mount {
                path: path::normal(&mount.mount_path),
                place: Place { source, folder, device: false },
                read_only: read_only || mount.read_only == Some(true),
                list: "volumeMounts",
                index,
            });
        }
        for (index, device) in container.volume_devices.iter().enumerate() {
            let (source, read_only) = volumes.get(device.name.as_str());
            mounts.push(Mount {
                path: path::normal(&device.device_path),
                place: Place { source, folder: ROOT, device: true },
                read_only,
                list: "volumeDevices",
                index,
            });
        }
        // Stable: of two mounts at one path the later one lies on top.
        mounts.sort_by(|a, b| path::order(&a.path, &b.path));
        Self { mounts }
    }

    /// What each of `paths` leads to, in their order.
    pub(super) fn find(&self, paths: &[&str], folders: &mut Folders) -> Vec<Option<Found<'c>>> {
        let mounts: Vec<&str> = self.mounts.iter().map(|mount| &*mount.path).collect();
        let mut sorted: Vec<usize> = (0..paths.len()).collect();
        sorted.sort_by(|a, b| path::order(paths[*a], paths[*b]));
        let queries: Vec<&str> = sorted.iter().map(|index| paths[*index]).collect();
        let mut found: Vec<Option<Found<'c>>> = Vec::new();
        found.resize_with(paths.len(), || None);
        for (query, nearest) in sorted.into_iter().zip(path::nearest(&mounts, &queries)) {
            found[query] = nearest.and_then(|index| {
                let mount = &self.mounts[index];
                let rest = path::below(paths[query], &mount.path)?;
                let exact = rest.is_empty();
                let folder = folders.below(mount.place.folder, rest);
                Some(Found { mount: index, place: Place { folder, ..mount.place }, exact })
            });
        }
        found
    }

    /// The mounts before the one in place `index` that have the same path.
    pub(super) fn twins(&self, index: usize) -> impl Iterator<Item = &Mount<'c>> {
        let before = self.mounts[..index].iter().rev();
        before.take_while(move |other| other.path == self.mounts[index].path)
    }

    /// Whether the mount in place `index` lies under a later one at the same path.
    pub(super) fn is_covered(&self, index: usize) -> bool {
        self.mounts.get(index + 1).is_some_and(|next| next.path == self.mounts[index].path)
    }
}
