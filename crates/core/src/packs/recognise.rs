//! Which system a set runs.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::Packs;
use super::file::{OneOrAll, Pack, Recogniser};
use super::image::ImageReference;
use super::version::Version;
use crate::annotations::PACK;
use crate::object::{DecodeError, StatefulSet, Text};

/// The value of `stateward.dev/pack` for a set that no pack fits.
pub const NO_PACK: &str = "none";

/// What a set is recognised by.
#[derive(Clone, Debug, Default)]
pub struct Traits<'a> {
    /// `stateward.dev/pack`
    pub named: Option<&'a str>,
    /// `<group>/<Kind>` of its controller owner
    pub owner: Option<String>,
    /// labels of the set and of its pods, sorted: they are looked up for each container
    pub labels: Vec<(&'a str, &'a str)>,
    /// its containers, in their order
    pub containers: Vec<ContainerTraits<'a>>,
}

/// What a container is recognised by.
#[derive(Clone, Debug, Default)]
pub struct ContainerTraits<'a> {
    /// its image
    pub image: &'a str,
    /// command and arguments
    pub words: Vec<&'a str>,
    /// environment variables with their values, which are empty where they are long or come from elsewhere
    pub variables: Vec<(&'a str, &'a str)>,
    /// it mounts a claim
    pub keeps_data: bool,
}

impl ContainerTraits<'_> {
    /// Whether it has the variable `NAME`, or for `NAME=value` one that has this value, perhaps among others.
    fn has(&self, wanted: &str) -> bool {
        match wanted.split_once('=') {
            None => self.variables.iter().any(|(name, _)| *name == wanted),
            Some((wanted, value)) => self.variables.iter().any(|(name, values)| {
                *name == wanted && values.split(',').any(|one| one.trim() == value)
            }),
        }
    }
}

/// A set whose system is known.
#[derive(Clone, Debug)]
pub struct Recognised<'p> {
    /// the name of the pack
    pub name: &'p str,
    /// the pack
    pub pack: &'p Pack,
    /// the place of the container that runs the system, where one does
    pub container: Option<usize>,
    /// the version in its image's tag
    pub version: Option<Version>,
    /// what betrayed it: `image postgres:17`
    pub by: String,
}

impl<'a> Traits<'a> {
    /// The traits of a set.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn of(set: &'a StatefulSet<'_>) -> Result<Self, DecodeError> {
        let template = set.template()?;
        let named = template.spec.named_claims().map(|(_, volume, _)| volume.name.as_str());
        let claims: HashSet<&str> = named.chain(set.template_names()?).collect();
        let containers = template.spec.containers.iter().map(|container| ContainerTraits {
            image: container.image.as_str(),
            words: container.command.iter().chain(&container.args).map(Text::as_str).collect(),
            variables: container
                .env
                .iter()
                .map(|variable| {
                    (variable.name.as_str(), variable.value.as_deref().unwrap_or_default())
                })
                .collect(),
            keeps_data: container
                .volume_mounts
                .iter()
                .any(|mount| claims.contains(mount.name.as_str())),
        });
        let labels = set.metadata.labels.iter().chain(template.metadata.labels.iter());
        let mut labels: Vec<(&str, &str)> = labels.collect();
        labels.sort_unstable();
        let owner = set.metadata.controller();
        let owner = owner.map(|owner| kind(&owner.api_version, &owner.kind));
        Ok(Self {
            named: set.metadata.annotations.get(PACK),
            owner,
            labels,
            containers: containers.collect(),
        })
    }
}

/// `<group>/<Kind>`, as packs write owners.
pub fn kind(api_version: &str, kind: &str) -> String {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    format!("{group}/{kind}")
}

/// The pack of a set: the one that its annotation names, or the one that knows most about it. `None` if
/// no pack fits, or the annotation says `none`.
pub fn recognise<'p>(packs: &'p Packs, traits: &Traits<'_>) -> Option<Recognised<'p>> {
    let found = match traits.named {
        Some(named) => {
            let (name, pack) = packs.named(named)?;
            // Its images still tell the container and the version.
            let own = candidates(packs, traits).into_iter().filter(|found| found.name == name);
            own.max_by_key(Candidate::rank).unwrap_or(Candidate {
                name,
                pack,
                way: None,
                container: None,
            })
        }
        None => candidates(packs, traits).into_iter().max_by_key(Candidate::rank)?,
    };
    Some(found.recognised(traits))
}

/// A recogniser that fits.
struct Candidate<'p> {
    name: &'p str,
    pack: &'p Pack,
    way: Option<&'p Recogniser>,
    container: Option<usize>,
}

impl<'p> Candidate<'p> {
    fn at(packs: &'p Packs, at: (usize, usize), container: Option<usize>) -> Option<Self> {
        let (name, pack) = packs.all.get(at.0)?;
        Some(Self { name, pack, way: Some(pack.recognise.get(at.1)?), container })
    }

    /// Whether the container runs the image that the recogniser names, if it names one.
    fn is_of_image(&self, traits: &Traits<'_>) -> bool {
        self.way.and_then(|way| way.image.as_deref()).is_none_or(|known| {
            let container = self.container.and_then(|index| traits.containers.get(index));
            let image = container.and_then(|container| ImageReference::parse(container.image));
            image.zip(ImageReference::parse(known)).is_some_and(|(image, known)| image.is(&known))
        })
    }

    /// Whether all that the recogniser names besides an image holds.
    fn conditions_hold(&self, traits: &Traits<'_>) -> bool {
        let Some(way) = self.way else { return true };
        let owner = way.owner.as_ref().is_none_or(|owner| traits.owner.as_ref() == Some(owner));
        let labels = way.labels.iter().all(|(key, value)| {
            traits.labels.binary_search(&(key.as_str(), value.as_str())).is_ok()
        });
        let any = |test: &dyn Fn(&ContainerTraits<'_>) -> bool| match self
            .container
            .and_then(|index| traits.containers.get(index))
        {
            Some(container) => test(container),
            None => traits.containers.iter().any(test),
        };
        let argument = way
            .argument
            .as_deref()
            .is_none_or(|text| any(&|one| one.words.iter().any(|word| word.contains(text))));
        let mut variables = way.variable.iter().flat_map(OneOrAll::as_slice);
        let variable = variables.all(|wanted| any(&|one| one.has(wanted)));
        owner && labels && argument && variable
    }

    /// An owner says more than an image, and that more than labels; each further condition counts. Of
    /// equals, the first container and the first pack win.
    fn rank(&self) -> (usize, Reverse<usize>, Reverse<&'p str>) {
        let Some(way) = self.way else { return (0, Reverse(0), Reverse(self.name)) };
        let count = |weight: usize, holds: bool| if holds { weight } else { 0 };
        let score = count(100, way.owner.is_some())
            + count(20, way.image.is_some())
            + 2 * way.labels.len()
            + count(2, way.argument.is_some())
            + 2 * way.variable.as_ref().map_or(0, |variable| variable.as_slice().len());
        (score, Reverse(self.container.unwrap_or(usize::MAX)), Reverse(self.name))
    }

    fn recognised(self, traits: &Traits<'_>) -> Recognised<'p> {
        let image = self.container.and_then(|index| traits.containers.get(index));
        let way = self.way;
        let by = match (traits.named, way, image) {
            (Some(named), ..) => format!("annotation {PACK}: {named}"),
            (None, Some(Recogniser { owner: Some(owner), .. }), _) => format!("owner {owner}"),
            (None, Some(Recogniser { image: Some(_), .. }), Some(container)) => {
                format!("image {}", container.image)
            }
            (None, Some(way), _) => {
                let labels: Vec<String> =
                    way.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("label {}", labels.join(", "))
            }
            (None, None, _) => String::new(),
        };
        let after = way.and_then(|way| way.version_after.as_deref());
        let version = image.and_then(|container| version(container.image, after));
        Recognised { name: self.name, pack: self.pack, container: self.container, version, by }
    }
}

/// The version that an image reference names.
fn version(image: &str, after: Option<&str>) -> Option<Version> {
    let image = ImageReference::parse(image)?;
    let Some(after) = after else { return Version::of_tag(image.tag?) };
    let beyond = |text: &str| {
        text.match_indices(after).find_map(|(at, _)| {
            let rest = &text[at + after.len()..];
            Version::of_tag(rest.strip_prefix('-').unwrap_or(rest))
        })
    };
    image.tag.and_then(beyond).or_else(|| beyond(image.name()))
}

fn candidates<'p>(packs: &'p Packs, traits: &Traits<'_>) -> Vec<Candidate<'p>> {
    let mut found = Vec::new();
    for (index, container) in traits.containers.iter().enumerate() {
        // A side car runs a system of its own, which is not what the set is about.
        if index > 0 && !container.keeps_data {
            continue;
        }
        let Some(image) = ImageReference::parse(container.image) else { continue };
        let same_name = packs.by_image.get(image.name()).into_iter().flatten();
        for known in same_name.filter(|known| image.is(&known.reference())) {
            for at in &known.ways {
                let candidate = Candidate::at(packs, *at, Some(index));
                found.extend(candidate.filter(|one| one.conditions_hold(traits)));
            }
        }
    }
    let owned = traits.owner.iter().filter_map(|owner| packs.by_owner.get(owner));
    let labelled =
        traits.labels.iter().filter_map(|(key, value)| packs.by_label.get(*key)?.get(*value));
    for at in owned.chain(labelled).flatten() {
        let Some((_, pack)) = packs.all.get(at.0) else { continue };
        let candidate = Candidate::at(packs, *at, container_of(pack, traits));
        found
            .extend(candidate.filter(|one| one.is_of_image(traits) && one.conditions_hold(traits)));
    }
    found
}

/// The container that runs an image of the pack.
fn container_of(pack: &Pack, traits: &Traits<'_>) -> Option<usize> {
    let known = |image: &ImageReference<'_>| {
        let images = pack.recognise.iter().filter_map(|way| way.image.as_deref());
        images.filter_map(ImageReference::parse).any(|known| image.is(&known))
    };
    traits
        .containers
        .iter()
        .position(|container| ImageReference::parse(container.image).is_some_and(|i| known(&i)))
}
