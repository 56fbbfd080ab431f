//! `stateward bug-report`: what is needed to report a fault of stateward.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use stateward_core::policy::Policy;
use stateward_core::review::WebhookKind;
use stateward_resize::crd;
use tokio::net::TcpStream;

use super::Outcome;
use super::connection::Connection;
use super::report;
use super::serve::object_name;
use super::status::{Protection, protection};
use crate::cluster::{Client, Extent, WebhookConfiguration, path, with_query};

/// Denials that are kept, the youngest.
const DENIALS: usize = 100;
/// Resizes that are listed.
const RESIZES: usize = 200;
/// Pods of stateward that are listed.
const PODS: usize = 50;
/// How far back denials are looked for.
const SINCE: SignedDuration = SignedDuration::from_hours(24 * 7);
/// How long any single part may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Arguments of `stateward bug-report`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  kubectl logs -n stateward -l app.kubernetes.io/name=stateward --tail=-1 \
                  > stateward.log\n  stateward bug-report --logs stateward.log > bug-report.json"
)]
pub struct Args {
    /// Which cluster
    #[command(flatten)]
    pub connection: Connection,
    /// Log file with JSON lines, for the recent denials; repeatable
    #[arg(long, value_name = "FILE")]
    pub logs: Vec<PathBuf>,
    /// Policy file, instead of the one in the cluster
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Health port of a replica, to read its metrics; for example that of `kubectl port-forward`
    #[arg(long, value_name = "HOST:PORT")]
    pub health: Option<String>,
    /// Namespace of stateward
    #[arg(long, value_name = "NAMESPACE", default_value = "stateward", value_parser = object_name)]
    pub system_namespace: String,
    /// Namespace for the canary [default: as `stateward status` finds one]
    #[arg(long, value_name = "NAMESPACE", value_parser = object_name)]
    pub canary_namespace: Option<String>,
    /// Name of both webhook configurations and of the Deployment
    #[arg(long, value_name = "NAME", default_value = "stateward", value_parser = object_name)]
    pub webhook_configuration: String,
    /// Do not contact a cluster
    #[arg(long)]
    pub offline: bool,
}

/// Prints it. What cannot be had is named, with the reason.
///
/// # Errors
/// Standard output is closed.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let report = super::runtime()?.block_on(collect(args));
    super::print(&format!("{report:#}\n"))?;
    Ok(Outcome::Clean)
}

async fn collect(args: &Args) -> Value {
    let mut all = Map::new();
    all.insert("time".to_owned(), Timestamp::now().to_string().into());
    all.insert(
        "stateward".to_owned(),
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "commit": env!("STATEWARD_COMMIT"),
            "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        }),
    );
    let mut put = |key: &str, found: anyhow::Result<Value>| {
        let value = found.unwrap_or_else(|error| json!({"unavailable": format!("{error:#}")}));
        all.insert(key.to_owned(), value);
    };
    put("denials", denials(&args.logs));
    put("metrics", metrics(args.health.as_deref()).await);
    if let Some(file) = &args.policy {
        put("policy", policy_file(file));
    }
    if args.offline {
        return Value::Object(all);
    }
    let client = match args.connection.open().await {
        Ok(client) => client,
        Err(error) => {
            put("cluster", Err(error.into()));
            return Value::Object(all);
        }
    };
    put("cluster", get(&client, "/version").await);
    put("enforcing", enforcing(args, &client).await);
    let (namespace, name) = (&args.system_namespace, &args.webhook_configuration);
    for kind in WebhookKind::ALL {
        let found = get(&client, &WebhookConfiguration::path(kind, name)).await;
        put(kind.configuration_plural(), found.map(without_bundles));
    }
    let controller = format!("{name}-controller");
    for (key, name) in [("deployment", name), ("controller", &controller)] {
        let at = path(["apis", "apps", "v1", "namespaces", namespace, "deployments", name]);
        put(key, get(&client, &at).await.map(|found| deployment(&found)));
    }
    let kind = format!("{}.{}", crd::PLURAL, crd::GROUP);
    let at = path(["apis", "apiextensions.k8s.io", "v1", "customresourcedefinitions", &kind]);
    put("customResource", get(&client, &at).await.map(|found| found["status"].clone()));
    let at = path(["apis", crd::GROUP, crd::VERSION, crd::PLURAL]);
    let (listed, left_out) = bounded(list(&client, &at, resize).await, RESIZES);
    put("resizes", listed);
    put("resizesLeftOut", Ok(left_out.into()));
    let selector = [("labelSelector", "app.kubernetes.io/name=stateward")];
    let at = with_query(&path(["api", "v1", "namespaces", namespace, "pods"]), selector);
    let (listed, left_out) = bounded(list(&client, &at, pod).await, PODS);
    put("pods", listed);
    put("podsLeftOut", Ok(left_out.into()));
    if args.policy.is_none() {
        let at = path(["api", "v1", "namespaces", namespace, "configmaps", name]);
        let found = get(&client, &at).await;
        put("policy", found.map(|found| found["data"]["stateward.yaml"].clone()));
    }
    Value::Object(all)
}

async fn get(client: &Client, path: &str) -> anyhow::Result<Value> {
    let (found, _) = client.get::<Value>(path).await?;
    found.with_context(|| format!("{path} does not exist"))
}

fn denials(logs: &[PathBuf]) -> anyhow::Result<Value> {
    if logs.is_empty() {
        bail!("no log was given (--logs)");
    }
    let log = report::read(logs, Timestamp::now() - SINCE)?;
    if log.span.is_none() {
        bail!(
            "no line of the last {} hours is from stateward: the log must be in JSON, as `serve \
             --log-format json` writes it ({} lines were something else)",
            SINCE.as_hours(),
            log.foreign
        );
    }
    let from = log.denials.len().saturating_sub(DENIALS);
    Ok(serde_json::to_value(&log.denials[from..])?)
}

/// The text of a policy, and whether it can be read.
fn policy_file(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read \"{}\"", file.display()))?;
    let error = Policy::parse(&text, "").err().map(|error| error.to_string());
    Ok(json!({"text": text, "error": error}))
}

/// The metrics of one replica, as lines.
async fn metrics(health: Option<&str>) -> anyhow::Result<Value> {
    let health = health.context("no plain port was given (--health)")?;
    let scrape = async {
        let stream = TcpStream::connect(health).await.context("cannot connect")?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::get("/metrics").header(HOST, health).body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        connection.abort();
        let text = String::from_utf8_lossy(&body);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        anyhow::Ok(json!(lines))
    };
    tokio::time::timeout(PATIENCE, scrape).await.context("no answer in time")?
}

async fn enforcing(args: &Args, client: &Client) -> anyhow::Result<Value> {
    let (name, namespace) = (&args.webhook_configuration, args.canary_namespace.as_deref());
    let asked = protection(client, name, namespace);
    let found = tokio::time::timeout(PATIENCE, asked).await.context("no answer in time")?;
    Ok(match found {
        Protection::NotInstalled => json!("not installed"),
        Protection::Asked { canary: Ok(_), .. } => json!(true),
        Protection::Asked { canary: Err(cause), .. } => json!(cause.describe()),
    })
}

/// What `summary` takes of each object, page by page.
async fn list(
    client: &Client,
    path: &str,
    summary: fn(&Value) -> Value,
) -> anyhow::Result<Vec<Value>> {
    let listed = client.list(path, Extent::Whole, |object| Some(summary(object)));
    Ok(tokio::time::timeout(PATIENCE, listed).await.context("no answer in time")??)
}

/// Up to `most` objects, those with something unfinished first, and how many are left out.
fn bounded(listed: anyhow::Result<Vec<Value>>, most: usize) -> (anyhow::Result<Value>, usize) {
    match listed {
        Ok(mut all) => {
            let left_out = all.len().saturating_sub(most);
            all.sort_by_key(|one| one["phase"] == "Complete");
            all.truncate(most);
            (Ok(all.into()), left_out)
        }
        Err(error) => (Err(error), 0),
    }
}

/// How far a resize is. Sizes and reasons are enough; the snapshot of the set stays where it is.
fn resize(record: &Value) -> Value {
    let status = &record["status"];
    json!({
        "namespace": record["metadata"]["namespace"],
        "name": record["metadata"]["name"],
        "generation": record["metadata"]["generation"],
        "spec": record["spec"],
        "phase": status["phase"],
        "state": status["state"],
        "reason": status["reason"],
        "message": status["message"],
        "claims": status["claims"],
        "results": status["results"],
    })
}

/// A configuration; of its bundles the length is enough to tell an empty one.
fn without_bundles(mut found: Value) -> Value {
    if let Some(metadata) = found["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    for webhook in found["webhooks"].as_array_mut().into_iter().flatten() {
        let bundle = &mut webhook["clientConfig"]["caBundle"];
        *bundle = format!("{} bytes", bundle.as_str().unwrap_or_default().len()).into();
    }
    found
}

/// Image, arguments and state; the environment may hold what is nobody's business.
fn deployment(found: &Value) -> Value {
    let container = &found["spec"]["template"]["spec"]["containers"][0];
    json!({
        "image": container["image"],
        "args": container["args"],
        "replicas": found["spec"]["replicas"],
        "status": found["status"]
    })
}

fn pod(pod: &Value) -> Value {
    json!({
        "name": pod["metadata"]["name"],
        "node": pod["spec"]["nodeName"],
        "phase": pod["status"]["phase"],
        "conditions": pod["status"]["conditions"],
        "containers": pod["status"]["containerStatuses"]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_to_what_is_unfinished_first() {
        let phases = ["Complete", "Growing", "Complete", "Aborted"];
        let all = phases.map(|phase| json!({"phase": phase})).to_vec();
        let (listed, left_out) = bounded(Ok(all.clone()), 3);
        let kept: Vec<Value> = listed.unwrap().as_array().unwrap().clone();
        let kept: Vec<&str> = kept.iter().filter_map(|one| one["phase"].as_str()).collect();
        assert_eq!((kept, left_out), (vec!["Growing", "Aborted", "Complete"], 1));
        assert_eq!(bounded(Ok(all), 4).1, 0);
        let (listed, left_out) = bounded(Err(anyhow::anyhow!("no")), 3);
        assert!(listed.is_err());
        assert_eq!(left_out, 0);
    }
}
