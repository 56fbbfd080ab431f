//! Who may talk to the API server, and the files that say so.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;

use crate::files::write_secret;

pub(super) const TOKENS: &str = "tokens.csv";
pub(super) const ACCOUNT_PUBLIC: &str = "service-accounts.pub";
pub(super) const ACCOUNT_PRIVATE: &str = "service-accounts.key";
pub(super) const AUDIT_POLICY: &str = "audit-policy.json";
pub(super) const CA: &str = "ca.pem";

pub(super) const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
pub(super) const SCHEDULER: &str = "system:kube-scheduler";
/// Who plays kubelets; in `system:nodes`, as a webhook would see them.
pub(super) const NODE: &str = "system:node:testbed";
/// Who plays the CSI controllers.
pub(super) const CSI: &str = "system:serviceaccount:kube-system:csi-controller";

/// The users of the token file.
#[derive(Debug)]
pub(super) struct Credentials {
    folder: PathBuf,
    users: Vec<User>,
}

#[derive(Debug)]
struct User {
    name: String,
    groups: Vec<String>,
    token: String,
}

impl Credentials {
    /// Writes tokens, keys and the audit policy, before the API server starts.
    pub(super) fn write(folder: &Path, more: &[(String, Vec<String>)]) -> Result<Self> {
        let accounts = "system:serviceaccounts";
        let built_in: [(&str, &[&str]); 7] = [
            ("admin", &["system:masters"]),
            ("dev", &["devs"]),
            ("ci", &[]),
            (CONTROLLER_MANAGER, &[]),
            (SCHEDULER, &[]),
            (NODE, &["system:nodes"]),
            (CSI, &[accounts, "system:serviceaccounts:kube-system"]),
        ];
        let built_in = built_in.map(|(name, groups)| {
            (name.to_owned(), groups.iter().map(|&group| group.to_owned()).collect())
        });
        let users = built_in.into_iter().chain(more.iter().cloned());
        let users: Vec<User> =
            users.map(|(name, groups)| User { name, groups, token: token() }).collect();

        let line = |user: &User| {
            format!("{},{},{},\"{}\"\n", user.token, user.name, user.name, user.groups.join(","))
        };
        write_secret(&folder.join(TOKENS), &users.iter().map(line).collect::<String>())?;
        let key = rcgen::KeyPair::generate()?;
        write_secret(&folder.join(ACCOUNT_PRIVATE), &key.serialize_pem())?;
        std::fs::write(folder.join(ACCOUNT_PUBLIC), key.public_key_pem())?;
        std::fs::write(folder.join(AUDIT_POLICY), audit_policy().to_string())?;
        Ok(Self { folder: folder.to_owned(), users })
    }

    /// Writes the authority and all kubeconfigs, once the API server has made its certificate.
    pub(super) fn write_kubeconfigs(&self, ca: &str, url: &str) -> Result<()> {
        std::fs::write(self.folder.join(CA), ca)?;
        for user in &self.users {
            self.write_kubeconfig(&user.name, url, &user.token)?;
        }
        Ok(())
    }

    pub(super) fn write_kubeconfig(&self, user: &str, url: &str, token: &str) -> Result<PathBuf> {
        // JSON is YAML, and needs no second library.
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "testbed",
                "cluster": {"server": url, "certificate-authority": self.folder.join(CA)},
            }],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": user}}],
            "current-context": "testbed",
        });
        let path = self.kubeconfig(user);
        write_secret(&path, &serde_json::to_string_pretty(&text)?)?;
        Ok(path)
    }

    pub(super) fn kubeconfig(&self, user: &str) -> PathBuf {
        Self::kubeconfig_in(&self.folder, user)
    }

    pub(super) fn kubeconfig_in(folder: &Path, user: &str) -> PathBuf {
        folder.join(format!("{}.kubeconfig", user.replace(':', ".")))
    }

    pub(super) fn known(&self, user: &str) -> Result<()> {
        if !self.users.iter().any(|known| known.name == user) {
            bail!("no user {user:?} in this testbed: add it with Builder::user");
        }
        Ok(())
    }
}

/// The connection settings of a kubeconfig.
pub(super) async fn config(kubeconfig: &Path) -> Result<kube::Config> {
    let parsed = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("could not read {}", kubeconfig.display()))?;
    Ok(kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await?)
}

/// The authority in the file that the API server writes: its own certificate, then the signer's.
pub(super) fn authority(certificates: &Path) -> Option<String> {
    // The key is written last, so with it the certificate is whole.
    if !certificates.join("apiserver.key").is_file() {
        return None;
    }
    let chain = std::fs::read_to_string(certificates.join("apiserver.crt")).ok()?;
    let begin = chain.rfind("-----BEGIN CERTIFICATE-----")?;
    Some(chain[begin..].to_owned())
}

/// A token nobody else on this machine can guess.
fn token() -> String {
    // Each RandomState of a new thread is keyed by the operating system.
    let half = || {
        let thread = std::thread::spawn(|| RandomState::new().hash_one(0));
        thread.join().unwrap_or_else(|_| RandomState::new().hash_one(1))
    };
    format!("{:016x}{:016x}", half(), half())
}

fn audit_policy() -> serde_json::Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            // Which pod an eviction meant, and what a record said at each moment.
            {
                "level": "RequestResponse", "userGroups": ["system:serviceaccounts:stateward"],
                "verbs": ["create", "update", "patch"],
                "resources": [
                    {"group": "", "resources": ["pods/eviction"]}, {"group": "stateward.dev"},
                ],
            },
            // What stateward asks for is compared with its rights, events included.
            {"level": "Metadata", "userGroups": ["system:serviceaccounts:stateward"]},
            // Leases and events are most of the writes and say nothing.
            {"level": "None", "resources": [
                {"group": "coordination.k8s.io"}, {"group": "", "resources": ["events"]},
                {"group": "events.k8s.io"},
            ]},
            {"level": "RequestResponse", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
            {"level": "Metadata"},
        ],
    })
}
