//! The real external-resizer over each played driver; storage as it is played does the same.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testbed::Testbed;
use testbed::csi::{Driver, Resizer};

const SOON: Duration = Duration::from_secs(60);
/// Of a retry whose number depends on timing.
const IN_USE: u8 = 9;
const OUT_OF_RANGE: u8 = 11;

fn set(name: &str, class: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{
                    "name": "db", "image": "db:1",
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }]},
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": class,
                    "resources": {"requests": {"storage": "10Gi"}},
                },
            }],
        },
    })
}

/// A set on the real resizer and one on the played driver of the same kind.
struct Pair<'a> {
    bed: &'a Testbed,
    namespace: String,
    resizer: Resizer,
}

impl<'a> Pair<'a> {
    async fn new(bed: &'a Testbed, driver: Driver, played: &str) -> Result<Self> {
        let resizer = bed.csi_resizer(driver).await?;
        let namespace = bed.namespace("resizer").await?;
        let pair = Self { bed, namespace, resizer };
        for (name, class) in [("real", pair.resizer.class()), ("played", played)] {
            let sets = format!("/apis/apps/v1/namespaces/{}/statefulsets", pair.namespace);
            bed.create(&sets, set(name, class)).await?.ok()?;
            let ready = |set: &Value| set["status"]["readyReplicas"] == 1;
            bed.wait_object(&format!("{sets}/{name}"), SOON, ready).await?;
        }
        Ok(pair)
    }

    fn claims(&self) -> String {
        format!("/api/v1/namespaces/{}/persistentvolumeclaims", self.namespace)
    }

    async fn grow(&self, size: &str) -> Result<()> {
        for name in ["real", "played"] {
            let patch = json!({"spec": {"resources": {"requests": {"storage": size}}}});
            self.bed.merge(&format!("{}/data-{name}-0", self.claims()), patch).await?.ok()?;
        }
        Ok(())
    }

    async fn scale(&self, replicas: u8) -> Result<()> {
        for name in ["real", "played"] {
            let scale =
                format!("/apis/apps/v1/namespaces/{}/statefulsets/{name}/scale", self.namespace);
            self.bed.merge(&scale, json!({"spec": {"replicas": replicas}})).await?.ok()?;
        }
        Ok(())
    }

    /// Waits until both claims are as said; an error shows what the resizer did.
    async fn both<F: Fn(&Value) -> bool + Copy>(&self, accept: F) -> Result<()> {
        for name in ["real", "played"] {
            self.bed
                .wait_object(&format!("{}/data-{name}-0", self.claims()), SOON, accept)
                .await
                .with_context(|| self.resizer.log_tail())?;
        }
        Ok(())
    }

    /// Every state that the claims were in during `work`, without what differs by nature.
    async fn watched<F: AsyncFnOnce() -> Result<()>>(
        &self,
        work: F,
    ) -> Result<BTreeMap<String, Vec<Value>>> {
        let version = self.bed.get(&self.claims()).await?.ok()?;
        let version = version["metadata"]["resourceVersion"].as_str().context("no version")?;
        work().await?;
        // A watch from the past shows each version, however fast they came.
        let path =
            format!("{}?watch=true&timeoutSeconds=2&resourceVersion={version}", self.claims());
        let events = self.bed.get(&path).await?.ok()?;
        let mut histories: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        // One event alone is JSON, several are lines.
        let text = events.as_str().map_or_else(|| events.to_string(), str::to_owned);
        for line in text.lines() {
            let event: Value = serde_json::from_str(line)?;
            let name = event["object"]["metadata"]["name"].as_str().context("no name")?.to_owned();
            let history = histories.entry(name).or_default();
            let state = masked(&event["object"]);
            if history.last() != Some(&state) {
                history.push(state);
            }
        }
        Ok(histories)
    }

    /// Asserts that both claims went through the same states; gives them.
    async fn same<F: AsyncFnOnce() -> Result<()>>(&self, work: F) -> Result<Vec<Value>> {
        let mut histories = self.watched(work).await?;
        let mut history = |name: &str| {
            histories.remove(&format!("data-{name}-0")).with_context(|| format!("no {name} claim"))
        };
        let (real, played) = (history("real")?, history("played")?);
        let show =
            |list: &[Value]| list.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        assert!(real == played, "real:\n{}\nplayed:\n{}", show(&real), show(&played));
        Ok(real)
    }
}

/// What a claim's resize looks like to those who watch it.
fn masked(claim: &Value) -> Value {
    let mut conditions: Vec<String> = Vec::new();
    for condition in claim["status"]["conditions"].as_array().into_iter().flatten() {
        let kind = condition["type"].as_str().unwrap_or_default();
        // The texts of errors hold names of volumes and drivers.
        let message = condition["message"].as_str().unwrap_or_default();
        let message = message.split("desc = ").next().unwrap_or_default();
        conditions.push(format!("{kind}={} {message}", condition["status"]));
    }
    conditions.sort();
    json!({
        "request": claim["spec"]["resources"]["requests"]["storage"],
        "capacity": claim["status"]["capacity"]["storage"],
        "allocated": claim["status"]["allocatedResources"]["storage"],
        "state": claim["status"]["allocatedResourceStatuses"]["storage"],
        "conditions": conditions,
        "node":
            claim["metadata"]["annotations"]["volume.kubernetes.io/node-expansion-not-required"],
    })
}

fn capacity(size: &str) -> impl Fn(&Value) -> bool + Copy {
    move |claim| {
        claim["status"]["capacity"]["storage"] == size
            && claim["status"]["allocatedResourceStatuses"].is_null()
    }
}

fn condition(kind: &str) -> impl Fn(&Value) -> bool + Copy {
    move |claim| {
        let conditions = claim["status"]["conditions"].as_array();
        conditions.is_some_and(|list| list.iter().any(|condition| condition["type"] == kind))
    }
}

fn states(history: &[Value]) -> Vec<&str> {
    let mut states: Vec<&str> =
        history.iter().map(|state| state["state"].as_str().unwrap_or("")).collect();
    states.dedup();
    states
}

async fn bed() -> Result<&'static Testbed> {
    Testbed::shared().await
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_online_driver_is_played_like_the_real_resizer() -> Result<()> {
    let pair = Pair::new(bed().await?, Driver::Online, "standard").await?;
    let history = pair
        .same(async || {
            pair.grow("20Gi").await?;
            pair.both(capacity("20Gi")).await
        })
        .await?;
    assert_eq!(
        states(&history),
        ["", "ControllerResizeInProgress", "NodeResizePending", "NodeResizeInProgress", ""]
    );
    let calls = pair.resizer.calls();
    assert_eq!((calls.len(), calls[0].required, calls[0].code), (1, 20 << 30, 0), "{calls:?}");
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_driver_without_nodes_is_played_like_the_real_resizer() -> Result<()> {
    let pair = Pair::new(bed().await?, Driver::Controller, "immediate").await?;
    let history = pair
        .same(async || {
            pair.grow("20Gi").await?;
            pair.both(capacity("20Gi")).await
        })
        .await?;
    assert_eq!(states(&history), ["", "ControllerResizeInProgress", ""]);
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_offline_driver_is_played_like_the_real_resizer() -> Result<()> {
    let pair = Pair::new(bed().await?, Driver::Offline, "offline").await?;
    let history = pair
        .same(async || {
            pair.grow("20Gi").await?;
            pair.both(condition("ControllerResizeError")).await?;
            pair.scale(0).await?;
            pair.both(condition("FileSystemResizePending")).await?;
            pair.scale(1).await?;
            pair.both(capacity("20Gi")).await
        })
        .await?;
    assert_eq!(
        states(&history),
        ["", "ControllerResizeInProgress", "NodeResizePending", "NodeResizeInProgress", ""]
    );
    let calls = pair.resizer.calls();
    assert_eq!(calls.first().map(|call| call.code), Some(IN_USE), "{calls:?}");
    assert_eq!(calls.last().map(|call| call.code), Some(0), "{calls:?}");
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_size_out_of_range_is_played_like_the_real_resizer() -> Result<()> {
    let pair = Pair::new(bed().await?, Driver::Infeasible, "infeasible").await?;
    let infeasible = |claim: &Value| {
        claim["status"]["allocatedResourceStatuses"]["storage"] == "ControllerResizeInfeasible"
    };
    pair.same(async || {
        pair.grow("50Gi").await?;
        pair.both(infeasible).await
    })
    .await?;
    let history = pair
        .same(async || {
            pair.grow("12Gi").await?;
            pair.both(capacity("12Gi")).await
        })
        .await?;
    assert_eq!(states(&history).last(), Some(&""));
    let calls = pair.resizer.calls();
    assert_eq!(calls.first().map(|call| call.code), Some(OUT_OF_RANGE), "{calls:?}");
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_slow_driver_is_played_like_the_real_resizer() -> Result<()> {
    let pair = Pair::new(bed().await?, Driver::Slow, "slow").await?;
    pair.same(async || {
        pair.grow("20Gi").await?;
        pair.both(condition("Resizing")).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        pair.both(condition("Resizing")).await?;
        pair.both(capacity("20Gi")).await
    })
    .await?;
    assert_eq!(pair.resizer.calls().len(), 1);
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_rounding_driver_is_played_like_the_real_resizer() -> Result<()> {
    let pair = Pair::new(bed().await?, Driver::Rounding, "rounding").await?;
    let history = pair
        .same(async || {
            pair.grow("10752Mi").await?;
            pair.both(capacity("11Gi")).await
        })
        .await?;
    assert_eq!(history.last().context("no history")?["allocated"], "10752Mi");
    Ok(())
}
