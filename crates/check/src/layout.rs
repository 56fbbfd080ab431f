//! What files of a repository are, beside manifests: templates and values of a Helm chart, and files
//! that a kustomization names as patches or data.

use std::collections::{BTreeMap, BTreeSet};

use crate::kustomize::{Kustomization, folder_of, named};
use crate::report::Notice;

/// The names of a file that describes a folder to Kustomize.
pub const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Whether a file of this name describes a folder to Kustomize.
pub fn is_kustomization(path: &str) -> bool {
    KUSTOMIZATIONS.contains(&file_name(path))
}

/// Whether a file of this name is a part of a chart, and a manifest in no chart.
pub fn is_chart_part(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, ending)| ending == "tpl")
        || matches!(file_name(path), "Chart.lock" | "requirements.lock")
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
    /// The layout of files that are named by their paths without `.` and `..`.
    pub fn new<'p>(
        paths: impl IntoIterator<Item = &'p str>,
        kustomizations: &[Kustomization],
    ) -> Self {
        let charts = paths.into_iter().filter(|path| file_name(path) == "Chart.yaml");
        let charts = charts.map(|path| folder_of(path).to_owned()).collect();
        let mut parts = BTreeMap::new();
        let mut resources = BTreeSet::new();
        for Kustomization { folder, value } in kustomizations {
            let named = |keys: &[&str]| named(value, keys, folder);
            resources.extend(named(&["resources", "bases"]));
            for part in named(&PARTS) {
                parts.insert(part, folder.clone());
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
        if let Some(chart) = self.charts.get(folder_of(path))
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

    /// The folder that this file describes to a tool, and the tool.
    fn described<'p>(&'p self, path: &'p str) -> Option<(&'p str, Tool)> {
        if is_kustomization(path) {
            return Some((folder_of(path), Tool::Kustomize));
        }
        let names = ["Chart.yaml", "Chart.lock", "requirements.yaml", "requirements.lock"];
        let chart = self.charts.get(folder_of(path)).filter(|_| names.contains(&file_name(path)));
        Some((chart?, Tool::Helm))
    }

    /// Leaves out what is no manifest, and says so once for each folder. What was a manifest before
    /// stays one: a chart or a kustomization that is added must not hide changes of it.
    pub fn leave_out<T>(
        &self,
        files: &mut Vec<T>,
        path: impl Fn(&T) -> &str,
        was_manifest: impl Fn(&T) -> bool,
    ) -> Vec<Notice> {
        let mut folders: BTreeMap<(String, Tool), Parts> = BTreeMap::new();
        let key = |(folder, tool): (&str, Tool)| (folder.to_owned(), tool);
        files.retain(|file| {
            let path_of = path(file);
            if let Some(described) = self.described(path_of) {
                folders.entry(key(described)).or_default().own.push(path_of.to_owned());
            } else if let Some(owner) = self.owner(path_of).filter(|_| !was_manifest(file)) {
                folders.entry(key(owner)).or_default().left_out.push(path_of.to_owned());
                return false;
            }
            !is_chart_part(path_of)
        });
        let notice = |((folder, tool), Parts { left_out, own }): ((&str, Tool), Parts)| {
            let folder = if folder.is_empty() { "." } else { folder };
            let render = match tool {
                Tool::Helm => format!("helm template NAME {folder}"),
                Tool::Kustomize => format!("kustomize build {folder}"),
            };
            let files = crate::report::count(left_out.len(), "file");
            let message = match tool {
                _ if left_out.is_empty() => {
                    format!("to judge the result, use --render '{render}'")
                }
                Tool::Helm => format!(
                    "{files} of this chart left out; to judge what it renders, use --render \
                     '{render}'"
                ),
                Tool::Kustomize => format!(
                    "{files} that this kustomization patches with or reads as data left out; to \
                     judge the result, use --render '{render}'"
                ),
            };
            Notice { own, ..Notice::left_out(folder, left_out, message) }
        };
        let folders = folders
            .iter_mut()
            .map(|((folder, tool), parts)| ((folder.as_str(), *tool), std::mem::take(parts)));
        folders.map(notice).collect()
    }
}

/// Files of a folder that Helm or Kustomize reads.
#[derive(Default)]
struct Parts {
    left_out: Vec<String>,
    own: Vec<String>,
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

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}
