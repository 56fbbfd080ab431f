//! `stateward prepare-uninstall`: removes the webhooks and waits for resizes, so that uninstalling
//! leaves no StatefulSet deleted.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject};
use serde_json::Value;
use stateward_core::record::FINALIZER;
use stateward_core::review::WebhookKind;
use stateward_resize::crd;

use super::Outcome;
use super::connection::Connection;
use super::serve::{duration, object_name};
use crate::cluster::{Client, Extent, ReadError, path};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Arguments of `stateward prepare-uninstall`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward prepare-uninstall --dry-run")]
pub struct Args {
    /// Which cluster
    #[command(flatten)]
    pub connection: Connection,
    /// Name of both webhook configurations
    #[arg(long, value_name = "NAME", default_value = "stateward", value_parser = object_name)]
    pub webhook_configuration: String,
    /// Do nothing unless this Helm release installed the configurations
    #[arg(long, value_name = "NAME")]
    pub helm_release: Option<String>,
    /// Print what would be deleted and which sets are being re-created. Changes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How long to wait until no set is being re-created
    #[arg(long, value_name = "DURATION", default_value = "4m", value_parser = duration)]
    pub timeout: Duration,
}

/// What becomes of a webhook configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removal {
    Deleted,
    Absent,
    /// it belongs to another Helm release, or to none
    Foreign,
}

/// Deletes both webhook configurations, then waits until no record carries a finalizer.
///
/// # Errors
/// No cluster, or no right to do this.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    super::runtime()?.block_on(async { prepare(args, &args.connection.open().await?).await })
}

async fn prepare(args: &Args, cluster: &Client) -> anyhow::Result<Outcome> {
    let client = &cluster.kube();
    let plain = |error| anyhow!(cluster.explain(&error));
    let start = Instant::now();
    for kind in WebhookKind::ALL {
        let (kind, name) = (kind.configuration_kind(), &args.webhook_configuration);
        let removal = remove(args, client, kind).await.map_err(plain);
        match removal.with_context(|| format!("cannot delete {kind} {name}"))? {
            Removal::Foreign => {
                let text = format!("{kind} {name} is not of that Helm release: nothing is done\n");
                super::print(&text)?;
                return Ok(Outcome::Clean);
            }
            Removal::Absent => super::print(&format!("{kind} {name} does not exist\n"))?,
            Removal::Deleted if args.dry_run => {
                super::print(&format!("{kind} {name} would be deleted\n"))?;
            }
            Removal::Deleted => super::print(&format!("{kind} {name} is deleted\n"))?,
        }
    }
    let mut said = BTreeSet::new();
    loop {
        let held = held(cluster).await.context("cannot list resizes")?;
        if held.is_empty() {
            super::print("no StatefulSet is being re-created\n")?;
            return Ok(Outcome::Clean);
        }
        let waiting = if args.dry_run { "" } else { ": waiting" };
        for record in &held {
            if said.insert(record.clone()) {
                super::print(&format!("StatefulSet {record} is being re-created{waiting}\n"))?;
            }
        }
        if args.dry_run {
            return Ok(Outcome::Findings);
        }
        if start.elapsed() + PAUSE >= args.timeout {
            super::print(&unfinished(&held, args.timeout))?;
            return Ok(Outcome::Findings);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Deletes one configuration. One of another release stays: whoever applies a rendered chart as a
/// whole also applies the Job that calls this.
async fn remove(args: &Args, client: &kube::Client, kind: &str) -> kube::Result<Removal> {
    let name = &args.webhook_configuration;
    let resource = ApiResource {
        group: "admissionregistration.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "admissionregistration.k8s.io/v1".to_owned(),
        kind: kind.to_owned(),
        plural: format!("{}s", kind.to_lowercase()),
    };
    let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
    let Some(found) = api.get_metadata_opt(name).await? else { return Ok(Removal::Absent) };
    let annotations = found.metadata.annotations.unwrap_or_default();
    let release = annotations.get("meta.helm.sh/release-name");
    if args.helm_release.is_some() && release != args.helm_release.as_ref() {
        return Ok(Removal::Foreign);
    }
    let options =
        if args.dry_run { DeleteParams::default().dry_run() } else { DeleteParams::default() };
    match api.delete(name, &options).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Removal::Absent),
        other => other.map(|_| Removal::Deleted),
    }
}

/// The records with a finalizer of ours, as NAMESPACE/NAME; none if their kind does not exist.
async fn held(client: &Client) -> Result<BTreeSet<String>, ReadError> {
    let at = path(["apis", crd::GROUP, crd::VERSION, crd::PLURAL]);
    let held = |record: &Value| {
        let metadata = &record["metadata"];
        let mut finalizers = metadata["finalizers"].as_array()?.iter();
        let is_held = finalizers.any(|finalizer| finalizer == FINALIZER);
        let (namespace, name) = (metadata["namespace"].as_str()?, metadata["name"].as_str()?);
        is_held.then(|| format!("{namespace}/{name}"))
    };
    Ok(client.list(&at, Extent::Metadata, held).await?.into_iter().collect())
}

/// What to do if the wait did not end in time.
fn unfinished(held: &BTreeSet<String>, timeout: Duration) -> String {
    let sets: Vec<&str> = held.iter().map(String::as_str).collect();
    format!(
        "{} after {} s: the controller still has to re-create these StatefulSets\n  1. See why it \
         waits: kubectl get statefulsetresizes -A -o wide\n  2. See that it runs: kubectl get pods \
         -A -l app.kubernetes.io/component=controller\n  3. Run this again. If you uninstall now, \
         claims and pods stay, but these sets are missing until a controller runs again\n",
        sets.join(", "),
        timeout.as_secs()
    )
}
