//! What kustomizations name, and what they make of the names in the files that they apply.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stateward_core::yaml::YamlDocument;

/// The text of a file that describes a folder to Kustomize, once read.
#[derive(Clone, Debug)]
pub struct Kustomization {
    pub(crate) folder: String,
    pub(crate) value: Value,
}

impl Kustomization {
    /// Reads a file that is named by its path; `None` if it is not valid YAML.
    pub fn read(path: &str, text: &str) -> Option<Self> {
        let document = YamlDocument::read(text).ok()?;
        let value = serde_json::from_str(document.json()).ok()?;
        Some(Self { folder: folder_of(path).to_owned(), value })
    }

    fn text(&self, key: &str) -> &str {
        self.value[key].as_str().unwrap_or_default()
    }

    /// The files and folders that it applies.
    fn applied(&self) -> BTreeSet<String> {
        named(&self.value, &["resources", "bases", "components"], &self.folder)
            .into_iter()
            .collect()
    }
}

/// How names change on their way to the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Renaming {
    prefix: String,
    suffix: String,
    /// empty if the namespace stays
    namespace: String,
}

impl Renaming {
    fn of(kustomization: &Kustomization) -> Self {
        Self {
            prefix: kustomization.text("namePrefix").to_owned(),
            suffix: kustomization.text("nameSuffix").to_owned(),
            namespace: kustomization.text("namespace").to_owned(),
        }
    }

    /// This renaming, and then that of a kustomization which applies this one's.
    fn and_then(&self, outer: &Self) -> Self {
        let namespace = if outer.namespace.is_empty() { self } else { outer };
        Self {
            prefix: format!("{}{}", outer.prefix, self.prefix),
            suffix: format!("{}{}", self.suffix, outer.suffix),
            namespace: namespace.namespace.clone(),
        }
    }

    /// Whether names and namespaces stay as they are in the file.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}{}", self.prefix, self.suffix)
    }

    pub(crate) fn namespace<'n>(&'n self, namespace: &'n str) -> &'n str {
        if self.namespace.is_empty() { namespace } else { &self.namespace }
    }

    /// Whether a name could still be one: no object's is longer.
    fn is_sound(&self) -> bool {
        self.prefix.len() + self.suffix.len() <= 253 && self.namespace.len() <= 253
    }
}

/// A file that more kustomizations apply than this counts as one that none applies.
const MOST: usize = 16;

/// How the files of one input are renamed.
#[derive(Clone, Debug, Default)]
pub struct Renamings(BTreeMap<String, BTreeSet<Renaming>>);

impl Renamings {
    /// Reads what kustomizations say. A file that several apply has several names.
    pub fn of(kustomizations: &[Kustomization]) -> Self {
        let renames = |one: &Kustomization| !Renaming::of(one).is_none();
        if !kustomizations.iter().any(renames) {
            return Self::default();
        }
        let by_folder: BTreeMap<&str, &Kustomization> =
            kustomizations.iter().map(|one| (one.folder.as_str(), one)).collect();
        let applied: BTreeMap<&str, BTreeSet<String>> =
            by_folder.iter().map(|(folder, one)| (*folder, one.applied())).collect();
        let mut left: BTreeMap<&str, usize> = by_folder.keys().map(|folder| (*folder, 0)).collect();
        for one in applied.values().flatten() {
            if let Some(count) = left.get_mut(one.as_str()) {
                *count += 1;
            }
        }
        // Each folder is reached after all that apply it. Kustomize refuses those that apply each other.
        let mut open: Vec<&str> =
            left.iter().filter(|(_, count)| **count == 0).map(|(folder, _)| *folder).collect();
        let mut outer: BTreeMap<&str, BTreeSet<Renaming>> =
            open.iter().map(|folder| (*folder, BTreeSet::from([Renaming::default()]))).collect();
        let mut files: BTreeMap<String, BTreeSet<Renaming>> = BTreeMap::new();
        while let Some(folder) = open.pop() {
            let (Some(one), Some(above)) = (by_folder.get(folder), outer.remove(folder)) else {
                continue;
            };
            let own = Renaming::of(one);
            let mut all = BTreeSet::from([Renaming::default()]);
            if above.len() <= MOST && own.is_sound() {
                let composed: BTreeSet<Renaming> =
                    above.iter().map(|outer| own.and_then(outer)).collect();
                if composed.iter().all(Renaming::is_sound) {
                    all = composed;
                }
            }
            for one in &applied[folder] {
                let Some((below, count)) = left.get_key_value(one.as_str()) else {
                    files.entry(one.clone()).or_default().extend(all.iter().cloned());
                    continue;
                };
                let (below, count) = (*below, count.saturating_sub(1));
                outer.entry(below).or_default().extend(all.iter().cloned());
                left.insert(below, count);
                if count == 0 {
                    open.push(below);
                }
            }
        }
        files.retain(|_, all| all.len() <= MOST);
        Self(files)
    }

    /// Whether no file is renamed.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the objects of a file get a longer name.
    pub(crate) fn completes_names(&self, file: &str) -> bool {
        let longer = |one: &Renaming| !one.prefix.is_empty() || !one.suffix.is_empty();
        self.0.get(file).is_some_and(|all| all.iter().all(longer))
    }

    /// The renamings of what is in a file: one that changes nothing if no kustomization applies it.
    pub(crate) fn of_file(&self, file: &str) -> Cow<'_, BTreeSet<Renaming>> {
        match self.0.get(file) {
            Some(all) => Cow::Borrowed(all),
            None => Cow::Owned(BTreeSet::from([Renaming::default()])),
        }
    }
}

/// The paths that the fields `keys` name, from the folder of the kustomization.
pub(crate) fn named(kustomization: &Value, keys: &[&str], folder: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for key in keys {
        texts_of(&kustomization[*key], true, &mut texts);
    }
    texts.into_iter().filter_map(|text| join(folder, text)).collect()
}

/// The texts of a field that may be paths: the elements of lists, and the members that hold paths.
fn texts_of<'v>(value: &'v Value, listed: bool, texts: &mut Vec<&'v str>) {
    const MEMBERS: [&str; 6] =
        ["path", "files", "envs", "env", "valuesFile", "additionalValuesFiles"];
    match value {
        // A patch that stands inline has several lines, data may be named as `key=path`.
        Value::String(text) if listed && !text.contains('\n') => {
            texts.push(text.split_once('=').map_or(text, |(_, path)| path));
        }
        Value::Array(elements) => elements.iter().for_each(|one| texts_of(one, true, texts)),
        Value::Object(members) => {
            for (key, member) in members {
                if MEMBERS.contains(&key.as_str()) {
                    texts_of(member, true, texts);
                }
            }
        }
        _ => {}
    }
}

pub(crate) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// `path` from `folder`, without `.` and `..`; `None` if `path` is absolute or a URL. A `..` that leads above `folder` stays.
fn join(folder: &str, path: &str) -> Option<String> {
    if path.contains("://") || path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            // A folder that is itself named from above the top keeps its way there.
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let top = if folder.starts_with('/') { "/" } else { "" };
    Some(format!("{top}{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamings(files: &[(&str, &str)]) -> Renamings {
        let read = |(path, text): &(&str, &str)| Kustomization::read(path, text).unwrap();
        Renamings::of(&files.iter().map(read).collect::<Vec<_>>())
    }

    fn names(renamings: &Renamings, file: &str) -> Vec<String> {
        let all = renamings.of_file(file);
        all.iter().map(|one| format!("{}/{}", one.namespace("raw"), one.name("db"))).collect()
    }

    #[test]
    fn prefixes_of_bases_and_overlays_add_up_and_the_outer_namespace_wins() {
        let all = renamings(&[
            ("base/kustomization.yaml", "resources: [db.yaml]\nnamePrefix: b-\nnamespace: inner\n"),
            ("prod/kustomization.yml", "resources: [../base]\nnamePrefix: p-\nnamespace: prod\n"),
            ("dev/Kustomization", "bases: [../base]\nnameSuffix: -dev\n"),
        ]);
        assert_eq!(names(&all, "base/db.yaml"), ["inner/b-db-dev", "prod/p-b-db"]);
        assert_eq!(names(&all, "base/other.yaml"), ["raw/db"]);
    }

    #[test]
    fn kustomizations_that_apply_each_other_or_are_too_many_rename_nothing() {
        let circle = renamings(&[
            ("a/kustomization.yaml", "resources: [../b, db.yaml]\nnamePrefix: a-\n"),
            ("b/kustomization.yaml", "resources: [../a]\n"),
        ]);
        assert_eq!(names(&circle, "a/db.yaml"), ["raw/db"]);
        let overlays: Vec<(String, String)> = (0..100)
            .map(|n| {
                let text = format!("resources: [../base]\nnamePrefix: n{n}-\n");
                (format!("o{n}/kustomization.yaml"), text)
            })
            .chain([("base/kustomization.yaml".to_owned(), "resources: [db.yaml]\n".to_owned())])
            .collect();
        let overlays: Vec<_> = overlays.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(names(&renamings(&overlays), "base/db.yaml"), ["raw/db"]);
    }

    #[test]
    fn a_long_chain_takes_linear_time() {
        let chain: Vec<Kustomization> = (0..20_000)
            .map(|n| {
                let text =
                    format!("resources: [../f{}, db.yaml]\nnamePrefix: long-prefix-\n", n + 1);
                Kustomization::read(&format!("f{n}/kustomization.yaml"), &text).unwrap()
            })
            .collect();
        let all = Renamings::of(&chain);
        assert_eq!(names(&all, "f1/db.yaml"), ["raw/long-prefix-long-prefix-db"]);
    }
}
