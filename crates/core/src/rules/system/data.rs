//! Whether the data of a known system is on a claim.

use std::borrow::Cow;

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

/// Where the data of the recognised container of a set is: of several folders, the first that is lost.
///
/// # Errors
/// The field that has the wrong type.
pub(in crate::rules) fn place(
    set: &StatefulSet<'_>,
    known: &Recognised<'_>,
) -> Result<Place, DecodeError> {
    let Some((_, container)) = super::container(set, known)? else { return Ok(Place::Unknown) };
    let Some(folders) = folders(container, known) else { return Ok(Place::Unknown) };
    let mut place = Place::Kept;
    let mounts = container.volume_mounts.iter();
    let mounts: Vec<(Cow<'_, str>, &str)> =
        mounts.map(|mount| (normal(mount.mount_path.as_str()), mount.name.as_str())).collect();
    for folder in folders {
        match place_of(folder, set, container, &mounts, known)? {
            Place::Kept => {}
            Place::Unknown => place = Place::Unknown,
            lost @ Place::Lost { .. } => return Ok(lost),
        }
    }
    Ok(place)
}

fn place_of(
    folder: String,
    set: &StatefulSet<'_>,
    container: &Container<'_>,
    mounts: &[(Cow<'_, str>, &str)],
    known: &Recognised<'_>,
) -> Result<Place, DecodeError> {
    let pod = &set.template()?.spec;
    let Some(image) = ImageReference::parse(container.image.as_str()) else {
        return Ok(Place::Unknown);
    };
    // An init container or a script may prepare the folder in ways that nobody sees.
    let volume = image_volume(known.pack, &image, known.version.as_ref(), &folder);
    let path = normal(&folder);
    let mount = mounts
        .iter()
        .filter(|(mount, _)| below(&path, mount).is_some())
        .max_by_key(|(mount, _)| mount.len());
    let depth = mount.map_or(0, |(mount, _)| mount.len());
    if let Some(volume) = volume
        && normal(volume).len() > depth
    {
        let holder = match mount {
            Some(_) => Holder::ImageVolume(volume.to_owned()),
            None => Holder::Container,
        };
        return Ok(Place::Lost { folder, holder });
    }
    let Some(&(_, name)) = mount else {
        return Ok(Place::Lost { folder, holder: Holder::Container });
    };
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

/// The most folders of one container that are looked at.
const MOST: usize = 64;

/// The longest path of a folder, as Linux has it.
const LONGEST: usize = 4096;

/// The shortest flag that is looked for in a script, where `-D` may be of another program.
const SCRIPT_FLAG: usize = 4;

/// Endings of configuration files in which servers look for the folder, as in `log.dirs` of Kafka.
const CONFIGURATION: &[&str] = &[".properties", ".cfg", ".cnf"];

/// The folders that the container keeps its data in, if that can be told.
fn folders(container: &Container<'_>, known: &Recognised<'_>) -> Option<Vec<String>> {
    let image = ImageReference::parse(container.image.as_str())?;
    let own: Vec<&DataFolder> =
        known.pack.data.iter().filter(|data| is_about(data.image.as_deref(), &image)).collect();
    // Without a version, folders that depend on it cannot be told apart.
    if known.version.is_none() && own.first().is_some_and(|data| data.versions.is_some()) {
        return None;
    }
    let data = own.into_iter().find(|d| holds_for(d.versions.as_ref(), known.version.as_ref()))?;
    let words = container.command.iter().chain(&container.args).map(Text::as_str);
    let mut configured = false;
    let (mut named, mut in_script) = (Vec::new(), false);
    for word in words.clone() {
        in_script |= word.contains(char::is_whitespace);
        configured |= CONFIGURATION.iter().any(|ending| word.ends_with(ending));
    }
    let tokens: Vec<&str> = words
        .flat_map(str::split_whitespace)
        .map(|token| token.trim_matches(['"', '\'', ';', '\\']))
        .filter(|token| !token.is_empty())
        .collect();
    let mut times = 0;
    for (index, token) in tokens.iter().enumerate() {
        let rest = &tokens[index + 1..];
        let mut flags = data.arguments.iter().filter_map(|flag| {
            let after = token.strip_prefix(flag.as_str())?;
            let next = rest.first().copied().unwrap_or_default();
            let value = if after.is_empty() { next } else { after.strip_prefix('=')? };
            Some((flag, value))
        });
        if data.operands_of.as_deref() == Some(*token) {
            // The rest are its operands.
            let operands = operands(rest)?;
            // A flag without a value may have hidden the only one.
            if operands.is_empty() {
                return None;
            }
            named.extend(operands);
            times += 1;
            break;
        } else if let Some((flag, value)) = flags.next() {
            named.extend(listed(value)?);
            times += 1;
            if named.len() > MOST || (in_script && flag.len() < SCRIPT_FLAG) {
                return None;
            }
        } else if data.arguments.iter().any(|flag| token.contains(flag.as_str())) {
            // A script or a configuration file may name another folder.
            return None;
        }
    }
    named.dedup();
    if !named.is_empty() {
        // Several commands of a script may have folders of their own.
        return (!in_script || times == 1).then_some(named);
    }
    let set = |name: &String| container.env.iter().rfind(|one| one.name.as_str() == name);
    if let Some(variable) = data.variables.iter().find_map(set) {
        return listed(variable.value.as_ref()?.as_str());
    }
    // One of the variables may come from a ConfigMap or a Secret.
    if configured || (!data.variables.is_empty() && !container.env_from.is_empty()) {
        return None;
    }
    // The image may name the folder by arguments, which those of the container replace.
    let other = default_without_arguments_of_image(container);
    let folder = || vec![other.map_or_else(|| data.folder.clone(), str::to_owned)];
    runs_itself(container, &image, data).then(folder)
}

/// The folders among the operands of a command; `None` if one cannot be read.
fn operands(tokens: &[&str]) -> Option<Vec<String>> {
    let mut folders = Vec::new();
    let mut tokens = tokens.iter();
    while let Some(token) = tokens.next() {
        if token.starts_with('-') {
            // The next one may be its value.
            if !token.contains('=') {
                tokens.next();
            }
        } else {
            folders.extend(listed(token)?);
        }
        if folders.len() > MOST {
            return None;
        }
    }
    Some(folders)
}

/// The folders of a value: one, several with commas, `path=/data,attrs=ssd`, or `http://host/data{1...4}`.
fn listed(value: &str) -> Option<Vec<String>> {
    let mut folders = Vec::new();
    for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let path = match part.split_once("://") {
            Some(("http" | "https", rest)) => &rest[rest.find('/')?..],
            _ => part.strip_prefix("path=").unwrap_or(part),
        };
        if path.starts_with('/') && path.len() <= LONGEST && !path.contains(['$', ' ']) {
            folders.extend(spelt_out(path)?);
        } else if !part.starts_with("attrs=") && !part.starts_with("size=") {
            return None;
        }
        if folders.len() > MOST {
            return None;
        }
    }
    (!folders.is_empty()).then_some(folders)
}

/// `/data{1...4}` as four folders; `None` if there are too many, or several ranges in one path.
fn spelt_out(path: &str) -> Option<Vec<String>> {
    let Some((before, rest)) = path.split_once('{') else { return Some(vec![absolute(path)]) };
    let (range, after) = rest.split_once('}')?;
    let (first, last) = range.split_once("...")?;
    // MinIO keeps the zeros in front.
    if [first, last].iter().any(|bound| bound.len() > 1 && bound.starts_with('0')) {
        return None;
    }
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    if after.contains('{') || last.checked_sub(first)? >= MOST {
        return None;
    }
    Some((first..=last).map(|number| absolute(&format!("{before}{number}{after}"))).collect())
}

/// Whether the container runs the program of its image: `mongod` of `mongo`. A script that replaces the
/// entry point may do anything.
fn runs_itself(container: &Container<'_>, image: &ImageReference<'_>, data: &DataFolder) -> bool {
    let Some(program) = container.command.first() else { return true };
    let program = program.rsplit('/').next().unwrap_or_default();
    if data.programs.iter().any(|known| known == program) {
        return true;
    }
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

fn absolute(path: &str) -> String {
    format!("/{}", normal(path))
}

/// Whether `path` is `folder` or below it.
fn is_within(path: &str, folder: &str) -> bool {
    below(&normal(path), &normal(folder)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folders_of_a_value_are_told_apart() {
        let folders = |value: &str| listed(value).map(|folders| folders.join(" "));
        for (value, expected) in [
            ("/data", "/data"),
            ("/data/", "/data"),
            ("/a, /b,", "/a /b"),
            ("path=/mnt/ssd,attrs=ssd,size=20GiB", "/mnt/ssd"),
            ("http://minio-{0...3}.minio.shop.svc/export", "/export"),
            ("/data{9...11}", "/data9 /data10 /data11"),
            ("/data{0...1}", "/data0 /data1"),
            ("https://minio-{0...3}.minio:9000/data{0...1}/x", "/data0/x /data1/x"),
        ] {
            assert_eq!(folders(value).as_deref(), Some(expected), "{value}");
        }
        for unknown in [
            "",
            ",",
            "data",
            "type=mem,size=1GiB",
            "/a,$(B)",
            "$(A)/data",
            "/a{1...65}",
            "/a{2...1}",
            "/a{01...04}",
            "/a{1,2}",
            "/a{1...2}{1...2}",
            "/a{1...2",
            "http://minio-{0...3}",
            "attrs=ssd",
        ] {
            assert_eq!(folders(unknown), None, "{unknown}");
        }
        assert_eq!(folders(&"/a,".repeat(10_000)), None);
        assert_eq!(folders(&format!("/{}{{1...60}}", "a".repeat(1_000_000))), None);
    }

    #[test]
    fn operands_of_a_command_are_folders_and_its_flags_are_none() {
        let read = |text: &str| operands(&text.split(' ').collect::<Vec<_>>());
        let folders = |text: &str| read(text).map(|folders| folders.join(" "));
        assert_eq!(folders("/a --quiet=true /b -S /certs").as_deref(), Some("/a /b"));
        assert_eq!(
            folders("--console-address :9001 /data{1...2}").as_deref(),
            Some("/data1 /data2")
        );
        assert_eq!(folders("/a & mc ready"), None);
    }
}
