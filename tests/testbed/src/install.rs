//! Builds the components from their published Go modules, once per version.
//!
//! `tools/<module>/go.mod` pins each with a `tool` directive; the binaries end up in
//! `<target>/testbed/<module>-<hash>`, so that the second run only looks whether they are there.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::say;

/// A version of Kubernetes that the testbed builds and runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kubernetes {
    /// 1.34, with which only the API server's answers are compared
    V1_34,
    /// 1.35, with which only the API server's answers are compared
    V1_35,
    /// 1.36
    V1_36,
    /// 1.37
    V1_37,
}

impl Kubernetes {
    /// All of them, oldest first.
    pub const ALL: [Self; 4] = [Self::V1_34, Self::V1_35, Self::V1_36, Self::V1_37];

    /// Those that every change is tested with.
    pub const TESTED: [Self; 2] = [Self::V1_36, Self::V1_37];

    /// What `STATEWARD_KUBERNETES` names, or else the default.
    pub fn from_environment() -> Result<Self> {
        match std::env::var("STATEWARD_KUBERNETES") {
            Ok(name) if !name.is_empty() => name.parse(),
            _ => Ok(DEFAULT),
        }
    }

    /// The name that people use, such as `1.37`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_34 => "1.34",
            Self::V1_35 => "1.35",
            Self::V1_36 => "1.36",
            Self::V1_37 => "1.37",
        }
    }

    /// The release that is built, such as `v1.37.1`.
    pub fn release(self) -> &'static str {
        match self {
            Self::V1_34 => "v1.34.4",
            Self::V1_35 => "v1.35.4",
            Self::V1_36 => "v1.36.3",
            Self::V1_37 => "v1.37.1",
        }
    }

    /// What the API server says of an edit of an immutable field of a StatefulSet.
    pub fn immutable_field_message(self) -> &'static str {
        match self {
            Self::V1_34 | Self::V1_35 | Self::V1_36 => {
                "updates to statefulset spec for fields other than"
            }
            Self::V1_37 => "field is immutable",
        }
    }

    fn module(self) -> Module {
        let name = match self {
            Self::V1_34 => "kubernetes-1.34",
            Self::V1_35 => "kubernetes-1.35",
            Self::V1_36 => "kubernetes",
            Self::V1_37 => "kubernetes-1.37",
        };
        let binaries = &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"];
        Module { name, binaries, kubernetes: self }
    }
}

impl std::str::FromStr for Kubernetes {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|version| version.name() == name);
        let known = Self::ALL.map(Self::name).join(", ");
        found.with_context(|| format!("there is no Kubernetes {name:?} here: {known}"))
    }
}

const DEFAULT: Kubernetes = Kubernetes::V1_36;

/// One `go.mod` of ours and the binaries it installs.
struct Module {
    name: &'static str,
    binaries: &'static [&'static str],
    /// what the binaries take themselves for, or the server that they expect
    kubernetes: Kubernetes,
}

// The module path ends in `server/v3`, so that is what go calls the binary.
const ETCD: Module = Module { name: "etcd", binaries: &["server"], kubernetes: Kubernetes::V1_36 };
const HELM: Module = Module { name: "helm", binaries: &["helm"], kubernetes: Kubernetes::V1_36 };
const KWOK: Module = Module { name: "kwok", binaries: &["kwok"], kubernetes: Kubernetes::V1_36 };
const RESIZER: Module =
    Module { name: "resizer", binaries: &["csi-resizer"], kubernetes: Kubernetes::V1_36 };

/// Where the binaries are.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// The controllers.
    pub kube_controller_manager: PathBuf,
    /// The scheduler.
    pub kube_scheduler: PathBuf,
    /// The command line client.
    pub kubectl: PathBuf,
    /// The store behind the API server.
    pub etcd: PathBuf,
    /// The package manager.
    pub helm: PathBuf,
    /// Plays nodes and pods.
    pub kwok: PathBuf,
}

/// Makes sure that all components are built and says where they are.
///
/// Processes that ask at the same time build once: the others wait on a file lock.
pub fn install(kubernetes: Kubernetes) -> Result<Tools> {
    let cache = cache();
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("could not create {}", cache.display()))?;
    let kubernetes = kubernetes.module().install(&cache)?;
    let etcd = match asset("etcd") {
        Some(path) => path,
        None => ETCD.install(&cache)?.join("server"),
    };
    let from = |name: &str| asset(name).unwrap_or_else(|| kubernetes.join(name));
    Ok(Tools {
        kube_apiserver: from("kube-apiserver"),
        kube_controller_manager: from("kube-controller-manager"),
        kube_scheduler: from("kube-scheduler"),
        kubectl: from("kubectl"),
        etcd,
        helm: HELM.install(&cache)?.join("helm"),
        kwok: KWOK.install(&cache)?.join("kwok"),
    })
}

/// Makes sure that the external-resizer is built and says where it is.
///
/// Apart from [`install`], since few tests need it.
pub fn install_resizer() -> Result<PathBuf> {
    let cache = cache();
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("could not create {}", cache.display()))?;
    Ok(RESIZER.install(&cache)?.join("csi-resizer"))
}

/// The folder of the tools' `go.mod` files.
pub fn tools_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools")
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_owned()
}

/// The target folder of the workspace.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace().join(folder),
        None => workspace().join("target"),
    }
}

/// A `go` command in the folder of one module, with the settings of the person left out.
pub fn go(module: &str) -> Result<Command> {
    let folder = tools_folder().join(module);
    let found = Command::new("go")
        .args(["env", "GOVERSION"])
        .current_dir(&folder)
        .env("GOFLAGS", "")
        .stderr(Stdio::piped())
        .output();
    let problem = match found {
        Ok(output) if output.status.success() => None,
        // The go command explains itself when go.mod asks for a newer one.
        Ok(output) => Some(first_line(&output.stderr)),
        Err(error) => Some(error.to_string()),
    };
    if let Some(problem) = problem {
        bail!(
            "go 1.26 or newer is needed to build the control plane ({problem}): install it from https://go.dev/dl, or leave these tests out with STATEWARD_TESTBED=skip"
        );
    }
    let mut command = Command::new("go");
    command.current_dir(&folder).env("GOFLAGS", "").env("CGO_ENABLED", "0");
    // A go.work above us would hide the pinned versions.
    command.env("GOWORK", "off").stdin(Stdio::null());
    Ok(command)
}

impl Module {
    fn install(&self, cache: &Path) -> Result<PathBuf> {
        let manifest = tools_folder().join(self.name).join("go.mod");
        let text = std::fs::read(&manifest)
            .with_context(|| format!("could not read {}", manifest.display()))?;
        let hash = fnv1a(&[&text, self.linker_flags().as_bytes()]);
        let folder = cache.join(format!("{}-{hash:016x}", self.name));
        if self.complete(&folder) {
            return Ok(folder);
        }

        let lock = File::create(cache.join(format!("{}.lock", self.name)))?;
        lock.lock().context("could not lock the cache of built tools")?;
        if self.complete(&folder) {
            return Ok(folder);
        }
        self.build(&folder)?;
        Ok(folder)
    }

    // Without these the server says that it is v0.0.0-master, and helm and kubectl believe it.
    fn linker_flags(&self) -> String {
        let release = self.kubernetes.release();
        let (major, minor) = self.kubernetes.name().split_once('.').unwrap_or_default();
        let version = "k8s.io/component-base/version";
        format!(
            "-s -w -X {version}.gitVersion={release} -X {version}.gitMajor={major} \
             -X {version}.gitMinor={minor}"
        )
    }

    // Go renames a finished binary into place, so one that is there is whole.
    fn complete(&self, folder: &Path) -> bool {
        self.binaries.iter().all(|binary| folder.join(binary).is_file())
    }

    fn build(&self, folder: &Path) -> Result<()> {
        let start = Instant::now();
        let names = self.binaries.join(", ");
        let mut go = go(self.name)?;
        say(&format!("testbed: building {names} from tools/{} (once, takes minutes)", self.name));
        let output = go
            .args(["install", "-trimpath", "-ldflags", &self.linker_flags(), "tool"])
            .env("GOBIN", folder)
            .stderr(Stdio::piped())
            .output()
            .context("could not run go install")?;
        if !output.status.success() {
            bail!("could not build {names}:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        if !self.complete(folder) {
            bail!("go install left no {names} in {}", folder.display());
        }
        say(&format!("testbed: built {names} in {:.0?}", start.elapsed()));
        Ok(())
    }
}

fn cache() -> PathBuf {
    target().join("testbed")
}

/// A binary from the folder that the convention of envtest names.
fn asset(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS")?).join(name);
    path.is_file().then_some(path)
}

/// The FNV-1a hash: unlike the hasher of std it stays the same from release to release.
pub(crate) fn fnv1a(parts: &[&[u8]]) -> u64 {
    parts.iter().flat_map(|part| part.iter()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn first_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().next().unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(&[b"foo", b"bar"]), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_version_is_read_by_its_name_and_another_is_refused_with_the_known_ones() {
        for version in Kubernetes::ALL {
            assert_eq!(version.name().parse::<Kubernetes>().unwrap(), version);
        }
        let error = "1.20".parse::<Kubernetes>().unwrap_err().to_string();
        assert!(error.contains("1.34, 1.35, 1.36, 1.37"), "{error}");
    }

    #[test]
    fn the_workspace_is_the_parent_of_this_crate() {
        assert!(workspace().join("Cargo.lock").is_file());
    }
}
