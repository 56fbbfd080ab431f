//! The name that the program was called by.

use std::ffi::OsStr;
use std::path::Path;

/// How kubectl finds a plugin.
const PLUGIN: &str = "kubectl-";

/// The name by which a person called the program, as printed commands repeat it.
pub fn name() -> String {
    of(std::env::args_os().next().as_deref())
}

fn of(called: Option<&OsStr>) -> String {
    let file = called.and_then(|called| Path::new(called).file_name());
    let file = file.map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
    let name = file.strip_suffix(".exe").unwrap_or(&file);
    match name.strip_prefix(PLUGIN) {
        // kubectl finds the plugin `a-b` in the file `kubectl-a_b`.
        Some(plugin) => format!("kubectl {}", plugin.replace('_', "-")),
        None if name.is_empty() => "stateward".to_owned(),
        None => stateward_core::shell::shell_quote(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_called_through_kubectl() {
        for (called, name) in [
            ("stateward", "stateward"),
            ("/usr/local/bin/stateward", "stateward"),
            ("target/debug/stateward", "stateward"),
            ("/root/.krew/bin/kubectl-stateward", "kubectl stateward"),
            ("kubectl-state_ward", "kubectl state-ward"),
            ("stateward-0.1", "stateward-0.1"),
            ("stateward.exe", "stateward"),
            ("my tool", "'my tool'"),
            ("", "stateward"),
        ] {
            assert_eq!(of(Some(OsStr::new(called))), name, "{called}");
        }
        assert_eq!(of(None), "stateward");
    }
}
