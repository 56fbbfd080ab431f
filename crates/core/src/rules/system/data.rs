//! Whether the data of a known system is on a claim.

use crate::object::json::Text;
use crate::object::pod::{Container, PodSpec};
use crate::object::{DecodeError, StatefulSet};
use crate::packs::{DataFolder, ImageReference, Pack, Range, Recognised, Version};
use crate::rules::path::{below, normal};
use crate::rules::sts_data_mount_removed::default_without_arguments_of_image;

/// Where the data of a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules) enum Place {
    /// on a volume that outlives the pod
    Kept,
    /// this folder is not on one
    Lost {
        /// the folder
        folder: String,
        /// what holds it instead
        holder: Holder,
    },
    /// nobody can tell from the manifest
    Unknown,
}

/// What holds data that is lost with a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules) enum Holder {
    /// the container's own layer: nothing is mounted there
    Container,
    /// an `emptyDir`
    EmptyDir,
    /// a `VOLUME` of the image, below a mount
    ImageVolume(String),
}

/// Where the data of the recognised container of a set is.
///
/// # Errors
/// The field that has the wrong type.
pub(in crate::rules) fn place(
    set: &StatefulSet<'_>,
    known: &Recognised<'_>,
) -> Result<Place, DecodeError> {
    let Some((_, container)) = super::container(set, known)? else { return Ok(Place::Unknown) };
    let pod = &set.template()?.spec;
    let image = ImageReference::parse(container.image.as_str());
    let (Some(image), Some(folder)) = (image, folder(container, known)) else {
        return Ok(Place::Unknown);
    };
    // An init container or a script may prepare the folder in ways that nobody sees.
    let volume = image_volume(known.pack, &image, known.version.as_ref(), &folder);
    let mount = container
        .volume_mounts
        .iter()
        .filter(|mount| is_within(&folder, mount.mount_path.as_str()))
        .max_by_key(|mount| normal(mount.mount_path.as_str()).len());
    let depth = mount.map_or(0, |mount| normal(mount.mount_path.as_str()).len());
    if let Some(volume) = volume
        && normal(volume).len() > depth
    {
        let holder = match mount {
            Some(_) => Holder::ImageVolume(volume.to_owned()),
            None => Holder::Container,
        };
        return Ok(Place::Lost { folder, holder });
    }
    let Some(mount) = mount else {
        return Ok(Place::Lost { folder, holder: Holder::Container });
    };
    let name = mount.name.as_str();
    if set.template_names()?.any(|template| template == name) {
        return Ok(Place::Kept);
    }
    Ok(match is_empty_dir(pod, name) {
        Some(true) => Place::Lost { folder, holder: Holder::EmptyDir },
        Some(false) => Place::Kept,
        None => Place::Unknown,
    })
}

/// Whether a volume is an `emptyDir`; `None` if there is no such volume.
fn is_empty_dir(pod: &PodSpec<'_>, name: &str) -> Option<bool> {
    let volume = pod.volumes.iter().find(|volume| volume.name.as_str() == name)?;
    Some(volume.empty_dir.is_some())
}

/// The folder that the container keeps its data in, if that can be told.
fn folder(container: &Container<'_>, known: &Recognised<'_>) -> Option<String> {
    let image = ImageReference::parse(container.image.as_str())?;
    let own: Vec<&DataFolder> =
        known.pack.data.iter().filter(|data| is_about(data.image.as_deref(), &image)).collect();
    // Without a version, folders that depend on it cannot be told apart.
    if known.version.is_none() && own.first().is_some_and(|data| data.versions.is_some()) {
        return None;
    }
    let data = own.into_iter().find(|d| holds_for(d.versions.as_ref(), known.version.as_ref()))?;
    for variable in &container.env {
        if data.variables.iter().any(|name| name == variable.name.as_str()) {
            let value = variable.value.as_ref()?.as_str();
            return is_plain(value).then(|| absolute(value));
        }
    }
    // One of the variables may come from a ConfigMap or a Secret.
    if !data.variables.is_empty() && !container.env_from.is_empty() {
        return None;
    }
    let words: Vec<&str> =
        container.command.iter().chain(&container.args).map(Text::as_str).collect();
    for (index, word) in words.iter().enumerate() {
        for flag in &data.arguments {
            let Some(rest) = word.strip_prefix(flag.as_str()) else { continue };
            let value = match rest.strip_prefix('=') {
                Some(value) => value,
                None if rest.is_empty() => words.get(index + 1).copied().unwrap_or_default(),
                None => continue,
            };
            return is_plain(value).then(|| absolute(value));
        }
        // A script or a configuration file may name another folder.
        let named = data.arguments.iter().any(|flag| word.contains(flag.as_str()));
        if named || word.contains('\n') {
            return None;
        }
    }
    // The image may name the folder by arguments, which those of the container replace.
    let other = default_without_arguments_of_image(container);
    runs_itself(container, &image).then(|| other.map_or_else(|| data.folder.clone(), str::to_owned))
}

/// Whether the container runs the program of its image: `mongod` of `mongo`. A script that replaces the
/// entry point may do anything.
fn runs_itself(container: &Container<'_>, image: &ImageReference<'_>) -> bool {
    let Some(program) = container.command.first() else { return true };
    let program = program.rsplit('/').next().unwrap_or_default();
    !program.is_empty() && (program.starts_with(image.name()) || image.name().starts_with(program))
}

/// The deepest `VOLUME` of the image that holds `folder`.
fn image_volume<'p>(
    pack: &'p Pack,
    image: &ImageReference<'_>,
    version: Option<&Version>,
    folder: &str,
) -> Option<&'p str> {
    pack.image_volumes
        .iter()
        .filter(|volume| {
            is_about(volume.image.as_deref(), image) && holds_for(volume.versions.as_ref(), version)
        })
        .map(|volume| volume.folder.as_str())
        .filter(|volume| is_within(folder, volume))
        .max_by_key(|volume| volume.len())
}

fn is_about(known: Option<&str>, image: &ImageReference<'_>) -> bool {
    known.is_none_or(|known| ImageReference::parse(known).is_some_and(|known| image.is(&known)))
}

fn holds_for(range: Option<&Range>, version: Option<&Version>) -> bool {
    range.is_none_or(|range| version.is_some_and(|version| range.contains(version)))
}

/// An absolute path without variables.
fn is_plain(path: &str) -> bool {
    path.starts_with('/') && !path.contains(['$', ' ', ','])
}

fn absolute(path: &str) -> String {
    format!("/{}", normal(path))
}

/// Whether `path` is `folder` or below it.
fn is_within(path: &str, folder: &str) -> bool {
    below(&normal(path), &normal(folder)).is_some()
}
