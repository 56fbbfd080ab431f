//! How long webhooks took, as an API server counts it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use testbed::Testbed;

const HISTOGRAM: &str = "apiserver_admission_webhook_admission_duration_seconds_";

/// The calls of one webhook.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    /// how many took no longer, by the limit in seconds, in rising order
    buckets: Vec<(f64, f64)>,
    /// seconds of all
    seconds: f64,
}

/// The calls of each webhook so far, by its name.
pub(crate) async fn read(testbed: &Testbed) -> Result<BTreeMap<String, Calls>> {
    let page = testbed.kubectl(&["get", "--raw", "/metrics"]).await?.ok()?;
    let mut all = BTreeMap::<String, Calls>::new();
    for line in page.lines() {
        let Some(line) = line.strip_prefix(HISTOGRAM) else { continue };
        let (series, value) = line.rsplit_once(' ').context("a series without a value")?;
        let label = |name: &str| {
            let start = series.find(&format!("{name}=\""))? + name.len() + 2;
            series[start..].split('"').next()
        };
        let calls = all.entry(label("name").context("no name")?.to_owned()).or_default();
        let value: f64 = value.parse()?;
        if series.starts_with("sum") {
            calls.seconds += value;
        } else if series.starts_with("bucket") {
            let limit: f64 = label("le").context("no limit")?.parse()?;
            match calls.buckets.iter_mut().find(|(known, _)| known.total_cmp(&limit).is_eq()) {
                // Operations and outcomes are counted apart.
                Some((_, count)) => *count += value,
                None => calls.buckets.push((limit, value)),
            }
        }
    }
    Ok(all)
}

impl Calls {
    /// Those that came after `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let then = |index: usize| before.buckets.get(index).map_or(0.0, |(_, count)| *count);
        let buckets = self.buckets.iter().enumerate();
        Self {
            buckets: buckets.map(|(i, (limit, count))| (*limit, count - then(i))).collect(),
            seconds: self.seconds - before.seconds,
        }
    }

    /// All of them together.
    pub(crate) fn sum(turns: &[&Self]) -> Self {
        let mut all = Self::default();
        for turn in turns {
            all.seconds += turn.seconds;
            all.buckets.resize(turn.buckets.len(), (0.0, 0.0));
            for (sum, (limit, count)) in all.buckets.iter_mut().zip(&turn.buckets) {
                *sum = (*limit, sum.1 + count);
            }
        }
        all
    }

    /// How many.
    pub(crate) fn count(&self) -> f64 {
        self.buckets.last().map_or(0.0, |(_, count)| *count)
    }

    /// Seconds of each.
    pub(crate) fn mean(&self) -> f64 {
        self.seconds / self.count()
    }

    /// The limit of the first bucket in seconds, and the share of calls in it.
    pub(crate) fn first_bucket(&self) -> (f64, f64) {
        self.buckets.first().map_or((0.0, 0.0), |(limit, count)| (*limit, count / self.count()))
    }

    /// As Prometheus does it: evenly spread within a bucket, so no finer than the buckets are.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = share * self.count();
        let mut below = (0.0, 0.0);
        for &(limit, count) in &self.buckets {
            if count >= rank && limit.is_finite() {
                let within = (rank - below.1) / (count - below.1);
                return below.0 + (limit - below.0) * within;
            }
            below = (limit, count);
        }
        below.0
    }
}
