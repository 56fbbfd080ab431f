//! The files in which kubectl looks for a cluster.

use std::path::{Path, PathBuf};

/// Where a kubeconfig is looked for.
pub(super) struct Places {
    pub(super) files: Vec<PathBuf>,
    from: &'static str,
}

impl Places {
    pub(super) fn find(named: Option<&Path>) -> Self {
        let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
        let listed: Vec<PathBuf> =
            std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect();
        if let Some(file) = named {
            Self { files: vec![file.to_owned()], from: "" }
        } else if listed.is_empty() {
            let home = std::env::home_dir().unwrap_or_default();
            Self { files: vec![home.join(".kube/config")], from: " (KUBECONFIG is unset)" }
        } else {
            Self { files: listed, from: " (KUBECONFIG)" }
        }
    }
}

impl std::fmt::Display for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        write!(f, "{}{}", files.join(", "), self.from)
    }
}
