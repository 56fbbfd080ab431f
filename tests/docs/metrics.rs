//! `docs/metrics.md` names every metric with every label.
//! `STATEWARD_UPDATE=1 cargo test --test docs metrics` writes its table again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use stateward::telemetry::{Metrics, ResizeMetrics};
use stateward_core::record::{ClaimState, Phase, State};
use stateward_core::review::{Outcome, RuleOutcome};

const BEGIN: &str = "<!-- metrics:begin -->\n";
const END: &str = "<!-- metrics:end -->\n";

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")
}

/// Metrics with every label value that there is.
fn exercised() -> Metrics {
    let metrics = Metrics::new();
    for endpoint in ["mutate", "validate"] {
        metrics.took(endpoint, Duration::from_millis(1));
        for operation in ["CREATE", "UPDATE", "DELETE", "CONNECT"] {
            for kind in ["StatefulSet", "PersistentVolumeClaim", "Scale", "other"] {
                metrics.reviewed(endpoint, operation, kind, Outcome::Allowed.name());
            }
        }
    }
    for outcome in [
        Outcome::Allowed,
        Outcome::Warned,
        Outcome::Patched,
        Outcome::Denied,
        Outcome::Error,
        Outcome::Exempt,
        Outcome::Disabled,
        Outcome::Canary,
    ] {
        metrics.reviewed("mutate", "CREATE", "StatefulSet", outcome.name());
    }
    for verdict in [
        RuleOutcome::Denied,
        RuleOutcome::Warned,
        RuleOutcome::Audited,
        RuleOutcome::Allowed,
        RuleOutcome::NotJudged,
    ] {
        metrics.judged("sts-vct-size-shrink", verdict.name());
    }
    for phase in ["decode", "decide"] {
        metrics.phase_took(phase, Duration::from_micros(1));
    }
    for reason in
        ["path", "method", "content-type", "too-large", "slow-body", "aborted-body", "review"]
    {
        metrics.bad_request(reason);
    }
    for reason in ["closed", "header-timeout", "idle-timeout", "write-timeout", "error"] {
        metrics.connection_closed(reason);
    }
    for reason in ["protocol", "client", "closed", "timeout"] {
        metrics.handshake_failed(reason);
    }
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        metrics.bundle_edited(kind);
    }
    for cause in [
        "audit",
        "disabled",
        "configuration",
        "ca-bundle",
        "selector",
        "unreachable",
        "foreign",
        "not-sent",
        "unknown",
    ] {
        metrics.canary_sent(Some(cause));
    }
    metrics.canary_sent(None);
    for result in ["sent", "limited", "failed"] {
        metrics.event(result);
    }
    metrics.facts_unknown(&[]);
    metrics
}

/// Those of the resize controller, as `serve --with-controller` shows them beside the others.
fn resizes(metrics: &mut Metrics) {
    let resizes = ResizeMetrics::default();
    resizes.register(metrics.registry_mut());
    resizes.count(
        Phase::ALL.iter().map(ToString::to_string),
        State::ALL.iter().map(|state| (state.to_string(), "reason".to_owned())),
        ClaimState::ALL.iter().map(ClaimState::as_str),
    );
    for outcome in ["committed", "rejected", "unknown"] {
        resizes.wrote("Create", outcome);
    }
}

#[derive(Default)]
struct Described {
    kind: String,
    help: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// The metrics of a scrape by name.
fn described(scrape: &str) -> BTreeMap<String, Described> {
    let mut all: BTreeMap<String, Described> = BTreeMap::new();
    let mut current = String::new();
    for line in scrape.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            name.clone_into(&mut current);
            help.trim_end_matches('.')
                .clone_into(&mut all.entry(current.clone()).or_default().help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, current, "a type without a help text");
            kind.clone_into(&mut all.get_mut(name).unwrap().kind);
        } else if !line.starts_with('#') {
            let labels =
                line.split_once('{').map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
            for pair in labels.split(',').filter(|pair| !pair.is_empty()) {
                let (label, value) = pair.split_once('=').unwrap();
                let values = all.get_mut(&current).unwrap().labels.entry(label.to_owned());
                values.or_default().insert(value.trim_matches('"').to_owned());
            }
        }
    }
    all
}

fn table(all: &BTreeMap<String, Described>) -> String {
    let mut table = "| Metric | Type | Labels | Meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for (name, Described { kind, help, labels }) in all {
        let end = match kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let labels: Vec<String> = labels
            .iter()
            .filter(|(label, _)| *label != "le")
            .map(|(label, values)| {
                let values: Vec<&str> = match label.as_str() {
                    "rule" => vec!["ids of rules"],
                    "reason" if name.contains("resize") => vec!["reasons of records"],
                    "action" => vec!["what a resize writes"],
                    "version" => vec!["SemVer"],
                    _ => values.iter().map(String::as_str).collect(),
                };
                format!("`{label}`: {}", values.join(", "))
            })
            .collect();
        writeln!(table, "| `{name}{end}` | {kind} | {} | {help} |", labels.join("; ")).unwrap();
    }
    table
}

#[test]
fn the_documented_metrics_match_the_code() {
    let mut metrics = exercised();
    resizes(&mut metrics);
    let wanted = table(&described(&metrics.encode().unwrap()));
    let text = std::fs::read_to_string(page()).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    if std::env::var_os("STATEWARD_UPDATE").is_some() {
        std::fs::write(page(), format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
    } else {
        assert_eq!(
            found, wanted,
            "STATEWARD_UPDATE=1 cargo test --test docs metrics writes it again"
        );
    }
}

/// Counters that alerts are made of are there from the start, so that the first event is a change;
/// what is not known yet is absent.
#[test]
fn a_fresh_server_shows_what_alerts_need() {
    let scrape = Metrics::new().encode().unwrap();
    for line in [
        "stateward_shed_total{reason=\"reviews\"} 0",
        "stateward_review_panics_total 0",
        "stateward_policy_reloads_total{result=\"failed\"} 0",
        "stateward_disabled 0",
        "stateward_audit_mode 0",
    ] {
        assert!(scrape.lines().any(|found| found == line), "{line}: {scrape}");
    }
    assert!(!scrape.contains("stateward_enforcing"), "{scrape}");
}
