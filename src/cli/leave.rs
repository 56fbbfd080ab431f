//! `stateward leave`: takes the webhook out of the way and waits for resizes, before stateward goes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams};
use stateward_core::record::FINALIZER;

use super::Outcome;
use super::connection::Connection;
use super::serve::{duration, object_name};
use crate::cluster::Client;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How many records one page holds.
const PAGE: u32 = 500;

/// Arguments of `stateward leave`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward leave --webhook-configuration stateward")]
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
    /// How long to wait until no set is being re-created
    #[arg(long, value_name = "DURATION", default_value = "4m", value_parser = duration)]
    pub timeout: Duration,
}

/// Removes both webhook configurations, then waits until no record carries a finalizer.
///
/// # Errors
/// No cluster, or no right to do this.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    super::runtime()?.block_on(async { leave(args, &args.connection.open().await?).await })
}

async fn leave(args: &Args, cluster: &Client) -> anyhow::Result<Outcome> {
    let client = &cluster.kube();
    let plain = |error| anyhow!(cluster.explain(&error));
    let start = Instant::now();
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let name = &args.webhook_configuration;
        let done = remove(args, client, kind);
        if !done.await.map_err(plain).with_context(|| format!("cannot remove {kind} {name}"))? {
            super::print(&format!("{kind} {name} is not of that Helm release: nothing is done\n"))?;
            return Ok(Outcome::Clean);
        }
        super::print(&format!("{kind} {name} is gone\n"))?;
    }
    let mut said = BTreeSet::new();
    loop {
        let held =
            held(client).await.map_err(plain).context("cannot list the records of resizes")?;
        if held.is_empty() {
            super::print("no set is being re-created\n")?;
            return Ok(Outcome::Clean);
        }
        for record in &held {
            if said.insert(record.clone()) {
                super::print(&format!("StatefulSet {record} is being re-created: waiting\n"))?;
            }
        }
        if start.elapsed() + PAUSE >= args.timeout {
            super::print(&unfinished(&held, args.timeout))?;
            return Ok(Outcome::Findings);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Deletes one configuration, if it is there. False where it is not of the release that is asked for:
/// whoever applies a rendered chart as a whole applies the Job that calls this, too.
async fn remove(args: &Args, client: &kube::Client, kind: &str) -> kube::Result<bool> {
    let name = &args.webhook_configuration;
    let resource = ApiResource {
        group: "admissionregistration.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "admissionregistration.k8s.io/v1".to_owned(),
        kind: kind.to_owned(),
        plural: format!("{}s", kind.to_lowercase()),
    };
    let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
    if let Some(release) = &args.helm_release
        && let Some(found) = api.get_metadata_opt(name).await?
    {
        let annotations = found.metadata.annotations.unwrap_or_default();
        if annotations.get("meta.helm.sh/release-name") != Some(release) {
            return Ok(false);
        }
    }
    match api.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
        other => other.map(|_| true),
    }
}

/// The records with a finalizer of ours, as NAMESPACE/NAME; none where their kind does not exist.
async fn held(client: &kube::Client) -> kube::Result<BTreeSet<String>> {
    let api = Api::<DynamicObject>::all_with(client.clone(), &crate::cluster::record_resource());
    let mut found = BTreeSet::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = match api.list_metadata(&page).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(found),
            other => other?,
        };
        for record in list.items {
            let metadata = record.metadata;
            let ours = metadata.finalizers.iter().flatten().any(|one| one == FINALIZER);
            if let (true, Some(namespace), Some(name)) = (ours, metadata.namespace, metadata.name) {
                found.insert(format!("{namespace}/{name}"));
            }
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(found),
        }
    }
}

/// What to do where it does not end by itself.
fn unfinished(held: &BTreeSet<String>, timeout: Duration) -> String {
    let sets: Vec<&str> = held.iter().map(String::as_str).collect();
    format!(
        "{} after {} s: the controller still has to bring back what it re-creates\n  1. See why it \
         waits: kubectl get statefulsetresizes -A -o wide\n  2. See that it runs: kubectl get pods \
         -A -l app.kubernetes.io/component=controller\n  3. Run this again. Leaving now keeps claims \
         and pods, but such a set stays away until a controller runs again\n",
        sets.join(", "),
        timeout.as_secs()
    )
}
