//! Which set, in which cluster, and which sizes.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::Value;
use stateward_core::growth::no_volume_size;
use stateward_core::nearest::hint;
use stateward_core::object::Quantity;
use stateward_core::object::names::is_dns_subdomain;
use stateward_resize::Commands;

use crate::cli::connection::Connection;
use crate::cli::serve::object_name;
use crate::controller::{Cluster, Key};

/// Where the chart and `manifests --install` put the controller. The namespace of the pod that runs this
/// command is no answer: a runner of pipelines has one of its own.
const SYSTEM_NAMESPACE: &str = "stateward";

/// Which set, in which cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct Which {
    /// The StatefulSet: NAME, sts/NAME or statefulset/NAME
    #[arg(value_name = "SET", value_parser = set_name)]
    pub set: String,
    #[command(flatten)]
    pub place: Place,
}

/// Which set, and how large it is to be.
#[derive(Clone, Debug, clap::Args)]
pub struct Asked {
    #[command(flatten)]
    pub which: Which,
    /// The size asked: SIZE for the only claim template, TEMPLATE=SIZE otherwise; repeatable
    #[arg(long = "size", value_name = "[TEMPLATE=]SIZE", required = true)]
    pub sizes: Vec<Size>,
}

/// What is asked of a set that is there.
pub(super) struct Wanted {
    /// the set's UID
    pub(super) uid: String,
    /// its claim templates, with their sizes as written
    pub(super) templates: Vec<(String, String)>,
    /// the size asked, by claim template
    pub(super) targets: BTreeMap<String, String>,
}

/// Where sets are.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// Namespace of the set [default: that of the kubeconfig's context]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The cluster
    #[command(flatten)]
    pub connection: Connection,
    /// Namespace of stateward
    #[arg(long, value_name = "NAMESPACE", default_value = SYSTEM_NAMESPACE, value_parser = object_name)]
    pub system_namespace: String,
}

/// A set in a cluster.
pub(super) struct Session {
    pub(super) cluster: Cluster,
    pub(super) key: Key,
    /// builds the commands that are printed
    pub(super) commands: Commands,
}

impl Place {
    /// Builds commands that lead back to this cluster and this controller.
    pub(super) fn commands(&self) -> Commands {
        let elsewhere = self.system_namespace != SYSTEM_NAMESPACE;
        let namespace = elsewhere.then_some(self.system_namespace.as_str());
        self.connection.commands().own("--system-namespace", namespace)
    }

    pub(super) async fn connect(&self) -> anyhow::Result<(Cluster, String)> {
        let cluster = Cluster::new(self.connection.open().await?).with_secrets();
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| cluster.client.kube().default_namespace().to_owned());
        Ok((cluster, namespace))
    }
}

impl Which {
    pub(super) async fn open(&self) -> anyhow::Result<Session> {
        let (cluster, namespace) = self.place.connect().await?;
        let commands = self.place.commands();
        Ok(Session { cluster, key: Key { namespace, name: self.set.clone() }, commands })
    }
}

impl Asked {
    pub(super) async fn open(&self) -> anyhow::Result<(Session, Wanted)> {
        let session = self.which.open().await?;
        let set = session.set().await?;
        let uid = set["metadata"]["uid"].as_str();
        let uid = uid.with_context(|| format!("StatefulSet {} has no UID", session.key))?;
        let templates = templates(&set);
        let targets = targets(&self.sizes, &templates, &session.key)?;
        Ok((session, Wanted { uid: uid.to_owned(), templates, targets }))
    }
}

impl Session {
    /// The set, which has to be there.
    pub(super) async fn set(&self) -> anyhow::Result<Value> {
        let set = self.find_set().await?;
        set.with_context(|| format!("there is no StatefulSet {}", self.key))
    }

    /// The set, if it exists.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) async fn find_set(&self) -> anyhow::Result<Option<Value>> {
        Ok(self.cluster.client.read(&self.key.set()).await?)
    }

    /// A command of ours for this set.
    pub(super) fn command(&self, verb: &str) -> String {
        self.command_with(verb, "")
    }

    /// The same with options.
    pub(super) fn command_with(&self, verb: &str, options: &str) -> String {
        self.commands.resize(verb, &self.key.name, &self.key.namespace, options)
    }
}

/// A size, for the only claim template or for a named one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// the claim template
    pub template: Option<String>,
    /// as written
    pub size: String,
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (template, size) = match text.split_once('=') {
            Some((template, size)) => (Some(template.to_owned()), size),
            None => (None, text),
        };
        if template.as_deref() == Some("") {
            return Err("it has to be SIZE or TEMPLATE=SIZE".to_owned());
        }
        let quantity: Quantity = size.parse().map_err(|why| format!("{why}"))?;
        if let Some(why) = no_volume_size(&quantity) {
            return Err(format!("\"{size}\" {why}"));
        }
        Ok(Self { template, size: size.to_owned() })
    }
}

/// The name in `NAME`, `sts/NAME` and the like.
pub(super) fn set_name(text: &str) -> Result<String, String> {
    let name = match text.split_once('/') {
        Some((kind, name)) => {
            let kinds =
                ["sts", "statefulset", "statefulsets", "statefulset.apps", "statefulsets.apps"];
            if !kinds.contains(&kind.to_ascii_lowercase().as_str()) {
                return Err(format!("\"{kind}\" is no kind that is resized; StatefulSets are"));
            }
            name
        }
        None => text,
    };
    if is_dns_subdomain(name) { Ok(name.to_owned()) } else { Err(format!("\"{name}\" is no name")) }
}

/// The names of the set's claim templates, with their sizes as written.
pub(super) fn templates(set: &Value) -> Vec<(String, String)> {
    let templates = set.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    let text = |template: &Value, pointer| match template.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    templates
        .into_iter()
        .flatten()
        .map(|template| {
            let size = text(template, "/spec/resources/requests/storage");
            (text(template, "/metadata/name"), size)
        })
        .collect()
}

/// Which size is asked of which claim template.
fn targets(
    sizes: &[Size],
    templates: &[(String, String)],
    set: &Key,
) -> anyhow::Result<BTreeMap<String, String>> {
    let names: Vec<&str> = templates.iter().map(|(name, _)| name.as_str()).collect();
    let mut targets = BTreeMap::new();
    for Size { template, size } in sizes {
        let template = match (template.as_deref(), &names[..]) {
            (_, []) => bail!("StatefulSet {set} has no claim template"),
            (Some(template), names) if names.contains(&template) => template,
            (Some(template), names) => bail!(
                "StatefulSet {set} has no claim template \"{template}\"{}",
                hint(template, names)
            ),
            (None, [only]) => only,
            (None, names) => bail!(
                "StatefulSet {set} has several claim templates ({}); say which, as in \
                 --size {}={size}",
                names.join(", "),
                names.first().copied().unwrap_or_default()
            ),
        };
        if targets.insert(template.to_owned(), size.clone()).is_some() {
            bail!("--size is given twice for claim template {template}");
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_named_as_kubectl_names_it() {
        for text in ["db", "sts/db", "statefulset/db", "StatefulSets.apps/db"] {
            assert_eq!(set_name(text).as_deref(), Ok("db"), "{text}");
        }
        assert!(set_name("deploy/db").unwrap_err().contains("StatefulSets are"));
        assert!(set_name("sts/").unwrap_err().contains("no name"));
        assert!(set_name("a b").unwrap_err().contains("no name"));
    }

    fn of(sizes: &[&str], templates: &[&str]) -> Result<Vec<(String, String)>, String> {
        let sizes: Result<Vec<Size>, String> = sizes.iter().map(|size| size.parse()).collect();
        let templates: Vec<_> =
            templates.iter().map(|name| ((*name).to_owned(), "1Gi".to_owned())).collect();
        let key = Key { namespace: "prod".to_owned(), name: "db".to_owned() };
        let targets = targets(&sizes?, &templates, &key).map_err(|error| error.to_string())?;
        Ok(targets.into_iter().collect())
    }

    #[test]
    fn a_size_is_for_the_only_template_or_for_a_named_one() {
        let pair = |name: &str, size: &str| (name.to_owned(), size.to_owned());
        assert_eq!(of(&["200Gi"], &["data"]), Ok(vec![pair("data", "200Gi")]));
        assert_eq!(
            of(&["wal=20Gi", "data=200Gi"], &["data", "wal"]),
            Ok(vec![pair("data", "200Gi"), pair("wal", "20Gi")])
        );
    }

    #[test]
    fn what_is_wrong_with_sizes_is_said() {
        for (sizes, templates, said) in [
            (&["200Gi"][..], &["data", "wal"][..], "several claim templates (data, wal)"),
            (&["dat=1Gi"], &["data"], "did you mean \"data\"?"),
            (&["1Gi"], &[], "has no claim template"),
            (&["1Gi", "data=2Gi"], &["data"], "given twice"),
            (&["=1Gi"], &["data"], "TEMPLATE=SIZE"),
            (&["much"], &["data"], "is not a quantity"),
            (&["-1Gi"], &["data"], "no size of a volume"),
            (&["0"], &["data"], "no size of a volume"),
        ] {
            let error = of(sizes, templates).unwrap_err();
            assert!(error.contains(said), "{sizes:?}: {error}");
        }
    }
}
