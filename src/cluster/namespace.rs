//! The break-glass: an annotation on stateward's own namespace.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use stateward_core::annotations::DISABLED_UNTIL;

use super::{Client, path};
use crate::health::BreakGlass;
use crate::telemetry::Metrics;

/// Together with the time of a request this stays below the 5 s that are promised.
const INTERVAL: Duration = Duration::from_secs(2);
/// A time beyond this is taken for a mistake: nobody would notice that stateward is still away.
const FURTHEST: SignedDuration = SignedDuration::from_hours(24);

/// Looks at the own namespace every two seconds, and disables the webhook while that asks for it.
///
/// What was read last holds until its own time, also while the API server cannot be asked: that is
/// when people need it most. A namespace that was never read disables nothing.
#[derive(Debug)]
pub struct NamespaceWatch {
    client: Client,
    namespace: String,
    switch: BreakGlass,
    metrics: Arc<Metrics>,
    /// the annotation as it was seen last
    seen: Option<String>,
    disabled: bool,
    complained: bool,
}

/// What the annotation asks for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    /// nothing, or something that has passed
    Enabled,
    /// allow everything until then
    Disabled(Timestamp),
    /// not possible, with the reason
    Refused(String),
}

fn request(annotation: Option<&str>, now: Timestamp) -> Request {
    let Some(text) = annotation else { return Request::Enabled };
    match text.trim().parse::<Timestamp>() {
        Err(_) => Request::Refused("it is no time such as 2030-01-31T18:00:00Z".to_owned()),
        Ok(until) if until <= now => Request::Enabled,
        Ok(until) if until.duration_since(now) > FURTHEST => {
            Request::Refused(format!("it is more than {} h ahead", FURTHEST.as_hours()))
        }
        Ok(until) => Request::Disabled(until),
    }
}

impl NamespaceWatch {
    /// Nothing is asked yet.
    pub fn new(
        client: Client,
        namespace: String,
        switch: BreakGlass,
        metrics: Arc<Metrics>,
    ) -> Self {
        metrics.disabled(false);
        let (seen, disabled, complained) = (None, false, false);
        Self { client, namespace, switch, metrics, seen, disabled, complained }
    }

    /// Looks, for ever.
    pub async fn run(mut self) {
        loop {
            self.look().await;
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn look(&mut self) {
        let namespace = self.namespace.clone();
        let path = path(["api", "v1", "namespaces", &namespace]);
        match self.client.get::<Namespace>(&path).await {
            Ok((found, now)) => {
                let annotations = found.and_then(|found| found.metadata.annotations);
                let annotation = annotations.and_then(|mut all| all.remove(DISABLED_UNTIL));
                self.complained = false;
                self.metrics.namespace_read(true);
                self.follow(annotation, now);
            }
            Err(error) => {
                self.metrics.namespace_read(false);
                if !self.complained {
                    let error = format!("{:#}", anyhow::Error::from(error));
                    tracing::warn!(
                        namespace,
                        error,
                        "cannot read the own namespace: {DISABLED_UNTIL} has no effect meanwhile"
                    );
                    self.complained = true;
                }
            }
        }
        let disabled = self.switch.until();
        if self.disabled && disabled.is_none() {
            tracing::warn!(namespace, "ENABLED: reviews are judged again");
        }
        self.disabled = disabled.is_some();
        self.metrics.disabled(self.disabled);
    }

    fn follow(&mut self, annotation: Option<String>, now: Timestamp) {
        let request = request(annotation.as_deref(), now);
        let (namespace, changed) = (&self.namespace, annotation != self.seen);
        match request {
            Request::Enabled => self.switch.enable(),
            Request::Disabled(until) => {
                if changed {
                    tracing::error!(
                        namespace,
                        %until,
                        "DISABLED by {DISABLED_UNTIL}: everything is allowed, nothing is judged"
                    );
                }
                let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                self.switch.disable(until, left);
            }
            Request::Refused(reason) => {
                if changed {
                    let value = annotation.as_deref().unwrap_or_default();
                    tracing::error!(
                        namespace,
                        value,
                        reason,
                        "NOT DISABLED: {DISABLED_UNTIL} cannot be followed, reviews are judged"
                    );
                }
                self.switch.enable();
            }
        }
        self.seen = annotation;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A read that begins right before the annotation is set, and the one after it.
    const _: () = assert!(2 * INTERVAL.as_secs() < 5, "docs promise an effect within 5 seconds");

    #[test]
    fn a_time_within_a_day_disables_and_nothing_else_does() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let at = |text: &str| request(Some(text), now);
        assert_eq!(request(None, now), Request::Enabled);
        assert_eq!(at("2026-11-21T09:59:59Z"), Request::Enabled);
        assert_eq!(at("2026-11-21T10:00:00Z"), Request::Enabled);
        let noon = Request::Disabled("2026-11-21T12:00:00Z".parse().unwrap());
        assert_eq!(at("2026-11-21T12:00:00Z"), noon);
        assert_eq!(at(" 2026-11-21T13:00:00+01:00 "), noon);
        assert!(matches!(at("2026-11-22T10:00:00Z"), Request::Disabled(_)));
        let refused = |text| match at(text) {
            Request::Refused(reason) => reason,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(refused("2026-11-22T10:00:01Z"), "it is more than 24 h ahead");
        assert!(refused("tomorrow").starts_with("it is no time"));
        assert!(refused("").starts_with("it is no time"));
        assert!(refused("2026-11-21").starts_with("it is no time"));
    }
}
