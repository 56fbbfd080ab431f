//! Events about denials, on the object: tools that apply for people often keep their errors to
//! themselves. What keeps them few keeps those of resizes few, too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use stateward_core::object::{KINDS, KindInfo};
use stateward_core::review::Denial;
use tokio::sync::mpsc;

use super::{Client, path};
use crate::telemetry::Metrics;

/// The same thing of the same object is not told again for this long: a tool that tries every few
/// seconds would bury everything else.
const QUIET: Duration = Duration::from_secs(300);
/// Events in a row; afterwards one a second.
const BURST: u32 = 20;
/// Denials that wait to be told; more are counted and left out.
const WAITING: usize = 256;
/// The longest message that the API server takes in an event.
const LONGEST: usize = 1024;

/// Takes denials for events. Clones are the same handle.
#[derive(Clone, Debug)]
pub struct Events {
    denials: mpsc::Sender<Denial>,
    metrics: Arc<Metrics>,
}

/// Writes events for the denials that [`Events`] has taken.
#[derive(Debug)]
pub struct EventWriter {
    client: Client,
    denials: mpsc::Receiver<Denial>,
    metrics: Arc<Metrics>,
    limit: Limit,
    complained: bool,
}

impl Events {
    /// A handle, and what writes for it.
    pub fn new(client: Client, metrics: Arc<Metrics>) -> (Self, EventWriter) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let writer = EventWriter {
            client,
            denials: receiver,
            metrics: Arc::clone(&metrics),
            limit: Limit::new(Instant::now()),
            complained: false,
        };
        (Self { denials: sender, metrics }, writer)
    }

    /// Tells about denials, if there is time. A dry run leaves no trace.
    pub fn denied(&self, denials: &[Denial]) {
        for denial in denials.iter().filter(|denial| !denial.dry_run && !denial.name.is_empty()) {
            if self.denials.try_send(denial.clone()).is_err() {
                self.metrics.event("limited");
            }
        }
    }
}

impl EventWriter {
    /// Writes, for as long as there is a handle.
    pub async fn run(mut self) {
        while let Some(denial) = self.denials.recv().await {
            let about = format!("{} {}", denial.namespace, denial.object);
            if self.limit.passes(about, denial.rule, Instant::now()) {
                self.write(&denial).await;
            } else {
                self.metrics.event("limited");
            }
        }
    }

    async fn write(&mut self, denial: &Denial) {
        let path = path(["api", "v1", "namespaces", place(&denial.namespace), "events"]);
        let body = denied(denial, Timestamp::now()).to_string().into_bytes();
        let sent = self.client.send(Method::POST, &path, "application/json", Some(body)).await;
        // A namespace that is gone by now takes no events, which is nobody's fault.
        let written = sent.and_then(|answer| answer.found::<Value>(Method::POST, path));
        self.metrics.event(if written.is_ok() { "sent" } else { "failed" });
        match written {
            Ok(_) => self.complained = false,
            Err(error) if !self.complained => {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(error, "cannot write events about denials");
                self.complained = true;
            }
            Err(_) => {}
        }
    }
}

fn denied(denial: &Denial, now: Timestamp) -> Value {
    let Denial { rule, namespace, user, message, kind, name, uid, .. } = denial;
    let info = KINDS.iter().find(|info| info.name == *kind);
    let api_version = &info.map(KindInfo::api_version).unwrap_or_default();
    let text = format!("{user} may not: {message} [{rule}] · stateward explain {rule}");
    event(&About { api_version, kind, namespace, name, uid }, "Warning", "Denied", &text, now)
}

/// The namespace of an event about an object. The API server takes events about objects of the cluster
/// only in `default`.
fn place(namespace: &str) -> &str {
    if namespace.is_empty() { "default" } else { namespace }
}

/// The object that an event is about.
pub(crate) struct About<'a> {
    pub(crate) api_version: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
}

/// An event as the API server takes it, with a message that is cut where it would be too long;
/// `kind` is `Normal` or `Warning`.
pub(crate) fn event(
    about: &About<'_>,
    kind: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Value {
    let message: String = message.chars().take(LONGEST / 4).collect();
    let short: String = about.name.chars().take(200).collect();
    let short = short.trim_end_matches(['.', '-']);
    let time = now.round(jiff::Unit::Second).unwrap_or(now).to_string();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": format!("{short}."), "namespace": place(about.namespace)},
        "involvedObject": {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": about.uid
        },
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": "stateward"},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1
    })
}

/// What keeps events few.
#[derive(Debug)]
pub(crate) struct Limit {
    told: HashMap<(String, String), Instant>,
    tokens: u32,
    filled: Instant,
}

impl Limit {
    /// One that has let nothing pass.
    pub(crate) fn new(now: Instant) -> Self {
        Self { told: HashMap::new(), tokens: BURST, filled: now }
    }

    /// Whether an event is to be written that says `what` about an object.
    pub(crate) fn passes(&mut self, about: String, what: &str, now: Instant) -> bool {
        let seconds = now.duration_since(self.filled).as_secs();
        if seconds > 0 {
            let more = u32::try_from(seconds).unwrap_or(BURST);
            self.tokens = self.tokens.saturating_add(more).min(BURST);
            self.filled += Duration::from_secs(seconds);
        }
        let key = (about, what.to_owned());
        let quiet = self.told.get(&key).is_some_and(|told| now.duration_since(*told) < QUIET);
        if quiet || self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        self.told.retain(|_, told| now.duration_since(*told) < QUIET);
        self.told.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(name: &str, rule: &'static str) -> Denial {
        Denial {
            rule,
            object: format!("StatefulSet shop/{name}"),
            namespace: "shop".to_owned(),
            user: "dev".to_owned(),
            field: "spec.serviceName".to_owned(),
            message: "serviceName would change, a → b".to_owned(),
            dry_run: false,
            kind: "StatefulSet",
            name: name.to_owned(),
            uid: "u".to_owned(),
        }
    }

    #[test]
    fn the_same_denial_is_told_once_in_five_minutes() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(limit.passes("db".to_owned(), "sts-service-name", at(0)));
        assert!(!limit.passes("db".to_owned(), "sts-service-name", at(299)));
        assert!(limit.passes("db".to_owned(), "sts-selector", at(299)));
        assert!(limit.passes("web".to_owned(), "sts-service-name", at(299)));
        assert!(limit.passes("db".to_owned(), "sts-service-name", at(300)));
        assert_eq!(limit.told.len(), 3);
    }

    #[test]
    fn a_storm_ends_at_one_a_second() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let passed = |limit: &mut Limit, from: u32, at: u64| {
            let now = start + Duration::from_secs(at);
            (from..from + 100).filter(|n| limit.passes(n.to_string(), "sts-selector", now)).count()
        };
        assert_eq!(passed(&mut limit, 0, 0), 20);
        assert_eq!(passed(&mut limit, 100, 3), 3);
        assert_eq!(passed(&mut limit, 200, 3), 0);
        assert_eq!(passed(&mut limit, 300, 3600), 20);
    }

    #[test]
    fn an_event_is_about_the_object() {
        let now: Timestamp = "2026-11-21T10:00:00.5Z".parse().unwrap();
        let made = denied(&denial("db", "sts-service-name"), now);
        assert_eq!(made["involvedObject"]["apiVersion"], "apps/v1");
        assert_eq!(made["metadata"]["generateName"], "db.");
        assert_eq!(
            made["message"],
            "dev may not: serviceName would change, a → b [sts-service-name] · stateward explain \
             sts-service-name"
        );
    }
}
