//! What files of a repository are, beside manifests: templates and values of a Helm chart, and files
//! that a kustomization names as patches or data.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stateward_core::yaml::YamlDocument;

use crate::report::Notice;

/// Whether a file of this name describes a folder to Kustomize.
pub fn is_kustomization(path: &str) -> bool {
    matches!(file_name(path), "kustomization.yaml" | "kustomization.yml" | "Kustomization")
}

/// Why files are not read as manifests.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// the folders of charts
    charts: BTreeSet<String>,
    /// file → the folder of the kustomization that names it
    parts: BTreeMap<String, String>,
}

impl Layout {
    /// The layout of files that are named by their paths without `.` and `..`. `kustomizations`
    /// are paths with the text of the file.
    pub fn new<'p>(
        paths: impl IntoIterator<Item = &'p str>,
        kustomizations: &[(String, String)],
    ) -> Self {
        let charts = paths.into_iter().filter(|path| file_name(path) == "Chart.yaml");
        let charts = charts.map(|path| folder(path).to_owned()).collect();
        let mut parts = BTreeMap::new();
        let mut resources = BTreeSet::new();
        for (path, text) in kustomizations {
            let folder = folder(path);
            let Ok(document) = YamlDocument::read(text) else { continue };
            let Ok(kustomization) = serde_json::from_str::<Value>(document.json()) else {
                continue;
            };
            let named = |keys: &[&str]| named(&kustomization, keys, folder);
            resources.extend(named(&["resources", "bases"]));
            for part in named(&PARTS) {
                parts.insert(part, folder.to_owned());
            }
        }
        // What some kustomization applies as it is, is a manifest.
        parts.retain(|part, _| !resources.contains(part));
        Self { charts, parts }
    }

    /// The folder whose tool makes manifests of this file, and the tool; `None` for a manifest.
    fn owner(&self, path: &str) -> Option<(&str, Tool)> {
        if let Some(folder) = self.parts.get(path) {
            return Some((folder, Tool::Kustomize));
        }
        if let Some(chart) = self.charts.get(folder(path))
            && file_name(path).contains("values")
        {
            return Some((chart, Tool::Helm));
        }
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        let mut charts = above.filter_map(|folder| match folder.rsplit_once('/') {
            Some((chart, "templates")) => Some(chart),
            None if folder == "templates" => Some(""),
            _ => None,
        });
        let chart = charts.find_map(|chart| self.charts.get(chart))?;
        Some((chart, Tool::Helm))
    }

    /// Leaves out what is no manifest, and says so once for each folder.
    pub fn leave_out<T>(&self, files: &mut Vec<T>, path: impl Fn(&T) -> &str) -> Vec<Notice> {
        let mut left_out: BTreeMap<(String, Tool), Vec<String>> = BTreeMap::new();
        files.retain(|file| {
            let Some((folder, tool)) = self.owner(path(file)) else { return true };
            let files = left_out.entry((folder.to_owned(), tool)).or_default();
            files.push(path(file).to_owned());
            false
        });
        let notice = |((folder, tool), files): ((String, Tool), Vec<String>)| {
            let folder = if folder.is_empty() { "." } else { &folder };
            let message = match tool {
                Tool::Helm => format!(
                    "{} of this chart left out; to judge what it renders, use --render 'helm \
                     template NAME {folder}'",
                    crate::report::count(files.len(), "file")
                ),
                Tool::Kustomize => format!(
                    "{} that this kustomization patches with or reads as data left out; to judge \
                     the result, use --render 'kustomize build {folder}'",
                    crate::report::count(files.len(), "file")
                ),
            };
            Notice::left_out(folder, files, message)
        };
        left_out.into_iter().map(notice).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tool {
    Helm,
    Kustomize,
}

/// The fields of a kustomization that name files which are not applied as they are.
const PARTS: [&str; 13] = [
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "replacements",
    "transformers",
    "generators",
    "validators",
    "configurations",
    "configMapGenerator",
    "secretGenerator",
    "helmCharts",
    "openapi",
    "crds",
];

/// The paths that the fields `keys` name, from the folder of the kustomization.
fn named(kustomization: &Value, keys: &[&str], folder: &str) -> Vec<String> {
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

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// `path` from `folder`, without `.` and `..`; `None` if it leads above the top, or to another host.
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
    Some(parts.join("/"))
}
