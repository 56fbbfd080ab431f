//! What an experienced operator knows about each system, as data.
//!
//! A pack is one file of `policies/packs`. It says how a set of its system is recognised, and facts with
//! their sources: who votes, which version may follow which, where the data is. Rules read packs, and a
//! set that none recognises is judged as before.

mod file;
mod image;
mod recognise;
mod version;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

pub use self::file::{
    Advice, DataFolder, Downgrade, Grace, Identity, ImageVolume, KeptApart, MemberKind, Members,
    Needed, NetworkFiles, OneOrAll, Pack, Pods, Recogniser, RollingEdits, RollingUpdate, ScaleDown,
    ScaleUp, Setting, Storage, Upgrade, VersionBack, VersionStep, Versions,
};
pub use self::image::ImageReference;
pub use self::recognise::{ContainerTraits, NO_PACK, Recognised, Traits, kind, recognise};
pub use self::version::{Range, Version};
use crate::object::{Pointer, json, serde_messages};
use crate::yaml::YamlDocument;

/// Name and text of each file of `policies/packs`.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/packs.rs"));

static BUILT_IN: LazyLock<Arc<Packs>> = LazyLock::new(|| {
    let packs =
        FILES.iter().filter_map(|(name, text)| Some(((*name).to_owned(), read(text).ok()?)));
    Arc::new(Packs::new(packs))
});

/// A pack that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct PackError {
    /// from 1
    pub line: usize,
    /// from 1
    pub column: usize,
    /// what is wrong
    pub message: String,
}

/// All packs, with an index of what they are recognised by.
#[derive(Debug, Default)]
pub struct Packs {
    all: Vec<(String, Pack)>,
    /// last part of an image's path → the images of that name
    by_image: HashMap<String, Vec<KnownImage>>,
    /// label → its value → packs and their recognisers, for those that name no image
    by_label: HashMap<String, HashMap<String, Vec<(usize, usize)>>>,
    /// `<group>/<Kind>` of an owner → packs and their recognisers
    by_owner: HashMap<String, Vec<(usize, usize)>>,
}

/// An image that packs recognise a set by. Many do so by the same image and further conditions.
#[derive(Debug)]
struct KnownImage {
    registry: String,
    path: String,
    /// packs and their recognisers
    ways: Vec<(usize, usize)>,
}

impl KnownImage {
    fn reference(&self) -> ImageReference<'_> {
        ImageReference { registry: &self.registry, path: &self.path, tag: None }
    }
}

impl Packs {
    /// The packs that come with stateward.
    pub fn built_in() -> &'static Arc<Self> {
        &BUILT_IN
    }

    /// Packs by name.
    pub fn new(packs: impl IntoIterator<Item = (String, Pack)>) -> Self {
        let mut all = Self { all: packs.into_iter().collect(), ..Self::default() };
        for (pack, (_, known)) in all.all.iter().enumerate() {
            for (index, way) in known.recognise.iter().enumerate() {
                let at = (pack, index);
                if let Some(owner) = &way.owner {
                    all.by_owner.entry(owner.clone()).or_default().push(at);
                } else if let Some(image) = way.image.as_deref().and_then(ImageReference::parse) {
                    let same_name = all.by_image.entry(image.name().to_owned()).or_default();
                    match same_name.iter_mut().find(|known| known.reference() == image) {
                        Some(known) => known.ways.push(at),
                        None => same_name.push(KnownImage {
                            registry: image.registry.to_owned(),
                            path: image.path.to_owned(),
                            ways: vec![at],
                        }),
                    }
                } else if let Some((key, value)) = way.labels.first_key_value() {
                    let values = all.by_label.entry(key.clone()).or_default();
                    values.entry(value.clone()).or_default().push(at);
                }
            }
        }
        all
    }

    /// The packs that come with stateward and `own`, which win where two have one name.
    pub fn with(own: BTreeMap<String, Pack>) -> Arc<Self> {
        if own.is_empty() {
            return Arc::clone(Self::built_in());
        }
        let mut all: BTreeMap<String, Pack> =
            Self::built_in().iter().map(|(name, pack)| (name.to_owned(), pack.clone())).collect();
        all.extend(own);
        Arc::new(Self::new(all))
    }

    /// Each pack with its name, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Pack)> {
        self.all.iter().map(|(name, pack)| (name.as_str(), pack))
    }

    /// The pack of this name.
    pub fn named(&self, name: &str) -> Option<(&str, &Pack)> {
        self.iter().find(|(known, _)| *known == name)
    }
}

/// Reads a pack.
///
/// # Errors
/// The place of what is wrong: a key that is not known, a value of the wrong type, a recogniser that
/// recognises nothing.
pub fn read(text: &str) -> Result<Pack, PackError> {
    let document = YamlDocument::read(text).map_err(|error| PackError {
        line: error.line,
        column: error.column,
        message: error.message,
    })?;
    let pack: Pack = json::decode(document.json(), "").map_err(|error| {
        let about_key = serde_messages::is_about_key(&error.message);
        let (line, column) = if about_key {
            document.locate_key(&error.field)
        } else {
            document.locate(&error.field)
        };
        PackError { line, column, message: error.to_string() }
    })?;
    match fault(&pack) {
        Some((field, message)) => {
            let (line, column) = document.locate(&field);
            Err(PackError { line, column, message: format!("{}: {message}", field.dotted()) })
        }
        None => Ok(pack),
    }
}

/// The JSON schema of a pack.
pub fn schema() -> serde_json::Value {
    serde_json::Value::from(schemars::schema_for!(Pack))
}

/// What the types do not rule out: the field, and what is wrong with it.
pub fn fault(pack: &Pack) -> Option<(Pointer, &'static str)> {
    let at = |list: &str, index: usize| Pointer::default().key(list).index(index);
    if pack.recognise.is_empty() {
        return Some((Pointer::from("/recognise"), "nothing is recognised"));
    }
    for (index, way) in pack.recognise.iter().enumerate() {
        let image = way.image.as_deref().map(ImageReference::parse);
        if image == Some(None) {
            return Some((at("recognise", index).key("image"), "this is no image"));
        }
        if image.is_none() && way.owner.is_none() && way.labels.is_empty() {
            return Some((at("recognise", index), "one of image, owner and labels is needed"));
        }
        let variables = way.variable.as_ref().map(OneOrAll::as_slice);
        let named =
            |text: &String| !text.is_empty() && !text.starts_with('=') && !text.ends_with('=');
        if variables.is_some_and(|all| all.is_empty() || !all.iter().all(named)) {
            return Some((
                at("recognise", index).key("variable"),
                "this is neither NAME nor NAME=value",
            ));
        }
    }
    let folders = pack.data.iter().map(|data| &data.folder).enumerate();
    let volumes = pack.image_volumes.iter().map(|volume| &volume.folder).enumerate();
    for (list, index, folder) in folders
        .map(|(index, folder)| ("data", index, folder))
        .chain(volumes.map(|(index, folder)| ("image-volumes", index, folder)))
    {
        if !folder.starts_with('/') || (folder.len() > 1 && folder.ends_with('/')) {
            return Some((
                at(list, index).key("folder"),
                "a path begins with / and does not end in it",
            ));
        }
    }
    for (index, setting) in pack.settings.iter().enumerate() {
        if setting.variable.is_none() == setting.argument.is_none() {
            return Some((at("settings", index), "one of variable and argument is needed"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_pack_can_be_read_and_names_its_sources() {
        assert!(FILES.len() >= 2);
        for (name, text) in FILES {
            let pack =
                read(text).unwrap_or_else(|error| panic!("policies/packs/{name}.yaml:{error}"));
            let written = serde_json::to_value(&pack).unwrap();
            assert_sources(name, &written);
        }
        assert_eq!(Packs::built_in().iter().count(), FILES.len());
    }

    fn assert_sources(name: &str, value: &serde_json::Value) {
        match value {
            serde_json::Value::Object(members) => {
                if let Some(source) = members.get("source") {
                    assert!(
                        source.as_str().is_some_and(|source| source.len() > 8),
                        "{name}: {value}"
                    );
                }
                members.values().for_each(|value| assert_sources(name, value));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|i| assert_sources(name, i)),
            _ => {}
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let start = "title: T\nabout: A\nrecognise:\n  - image: docker.io/t\n";
        for (more, error) in [
            ("owners: []\n", "5:1: owners: there is no key"),
            ("members:\n  kind: some\n  why: w\n  source: s\n", "6:9: members.kind"),
            ("data:\n  - folder: data\n    source: s\n", "6:13: data[0].folder: a path begins"),
            ("data:\n  - folder: /d\n", "6:5: data[0]: source is missing"),
            (
                "  - image: t\n    variable: =x\n",
                "6:15: recognise[1].variable: this is neither NAME",
            ),
            (
                "  - image: t\n    variable: [A, B=]\n",
                "6:15: recognise[1].variable: this is neither NAME",
            ),
            (
                "  - image: t\n    variable: {A: b}\n",
                "6:15: recognise[1].variable: this is neither a text",
            ),
            ("settings:\n  - why: w\n    source: s\n", "6:5: settings[0]: one of variable"),
            (
                "versions:\n  series: 1\n  upgrade: next\n  downgrade: any\n  why: w\n  source: s\n  steps: [{from: x, to: []}]\n",
                "11:18: versions.steps[0].from",
            ),
        ] {
            let found = read(&format!("{start}{more}")).unwrap_err().to_string();
            assert!(found.starts_with(error), "{more}: {found}");
        }
        let none = read("title: T\nabout: A\nrecognise:\n  - argument: x\n").unwrap_err();
        assert!(none.message.contains("image, owner and labels"), "{none}");
    }
}
