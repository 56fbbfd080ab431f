//! A real Prometheus that scrapes a loaded stateward: each query of the dashboard has an answer, each
//! alert can be evaluated, and each metric is documented.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use testbed::Testbed;
use testbed::process::Process;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::certificates::{ARGUMENTS, Replica, cluster, register};
use crate::chart::CHART;
use crate::resize::{Controller, Resizing};
use crate::webhook::{LONG, apply, path, set};

/// Prometheus with the alerts of the chart, scraping one replica every second.
struct Prometheus {
    address: String,
    process: Process,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(target: &str) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path)
            .map(|folder| folder.join("prometheus"))
            .find(|program| program.is_file())
            .unwrap_or_else(|| panic!("prometheus is needed: apt-get install -y prometheus"));
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [Path::new(CHART).join("files/alerts*.yaml")],
            "scrape_configs": [{
                "job_name": "stateward",
                "static_configs": [{
                    "targets": [target],
                    "labels": {"namespace": "stateward", "pod": "a"}
                }]
            }]
        });
        std::fs::write(at("prometheus.yaml"), config.to_string()).unwrap();
        let address = format!("127.0.0.1:{}", testbed::free_port().unwrap());
        let arguments = [
            format!("--config.file={}", at("prometheus.yaml")),
            format!("--storage.tsdb.path={}", at("data")),
            format!("--web.listen-address={address}"),
        ];
        let log = folder.path().join("prometheus.log");
        let process = Process::start("prometheus", &program, &arguments, &log).unwrap();
        Self { address, process, _folder: folder }
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.address).await.ok()?;
        let request = format!("GET {path} HTTP/1.0\r\nhost: h\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// Waits until each query gives a number.
    async fn answers(&self, queries: &[(String, String)]) {
        let mut silent = Vec::new();
        testbed::wait::wait_for("every query to have an answer", LONG, async || {
            silent.clear();
            for (title, query) in queries {
                let samples = self.query(query).await;
                let is_number = |sample: &Value| sample["value"][1] != "NaN";
                if !samples.iter().any(is_number) {
                    silent.push(format!("{title}: {query}: {samples:?}"));
                }
            }
            Ok(silent.is_empty().then_some(()))
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}: {silent:#?}"));
    }

    /// The samples that a query gives.
    async fn query(&self, query: &str) -> Vec<Value> {
        let mut encoded = String::new();
        for byte in query.bytes() {
            write!(encoded, "%{byte:02X}").unwrap();
        }
        let answer = self.get(&format!("/api/v1/query?query={encoded}")).await;
        let answer = answer.unwrap_or_else(|| panic!("{query}: {}", self.process.tail()));
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }
}

/// The row of the dashboard about what the controller exports.
const RESIZES: &str = "Resizes";

/// Titles and queries of the dashboard's row about resizes, or of all others, with its variables
/// filled in.
fn queries(resizes: bool) -> Vec<(String, String)> {
    let file = std::fs::read_to_string(Path::new(CHART).join("files/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&file).unwrap();
    let (mut found, mut row) = (Vec::new(), "");
    for panel in dashboard["panels"].as_array().unwrap() {
        if panel["type"] == "row" {
            row = panel["title"].as_str().unwrap();
        }
        if (row == RESIZES) != resizes {
            continue;
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let query = query.replace("$__rate_interval", "1m").replace("$job", "stateward");
            assert!(!query.contains('$'), "{query}");
            found.push((panel["title"].as_str().unwrap().to_owned(), query));
        }
    }
    let least = if resizes { 9 } else { 21 };
    assert!(found.len() >= least, "only {} queries", found.len());
    found
}

/// Something of everything that is counted.
async fn load(testbed: &Testbed, replica: &Replica, policy: &Path) {
    apply(testbed, &set("db", "default"), &[]).await.ok().unwrap();
    let live = format!("{}?dryRun=All", path("default", "db"));
    let retention =
        json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}});
    let edit = async |change: &Value| testbed.merge(&live, change.clone()).await.unwrap().status;
    // Denied; in audit mode it would have been; allowed on purpose.
    assert_eq!(edit(&retention).await, 403);
    for (mode, status) in [("audit", 200), ("enforce", 403)] {
        std::fs::write(policy, format!("version: 1\nmode: {mode}\n")).unwrap();
        testbed::wait::wait_for("the policy to be taken", LONG, async || {
            Ok((edit(&retention).await == status).then_some(()))
        })
        .await
        .unwrap();
    }
    let mut allowed = retention.clone();
    allowed["metadata"]["annotations"] = json!({
        "stateward.dev/allow": "sts-retention-to-delete",
        "stateward.dev/allow-reason": "a test"
    });
    assert_eq!(edit(&allowed).await, 200);
    for replicas in 0..100 {
        edit(&json!({"spec": {"replicas": replicas % 4}})).await;
        edit(&json!({"spec": {"serviceName": "x"}})).await;
    }
    // A client that speaks no TLS.
    let mut stream = TcpStream::connect(("127.0.0.1", replica.port)).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    // One that asks for what is not there.
    let url = format!("https://127.0.0.1:{}/nothing", replica.port);
    let curl = std::process::Command::new("curl").args(["-skS", "-o", "/dev/null", &url]).status();
    assert!(curl.unwrap().success());
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn prometheus_answers_every_query_of_the_dashboard() {
    let (testbed, account) = cluster().await;
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("stateward.yaml");
    std::fs::write(&policy, "version: 1\n").unwrap();
    let file = format!("--policy={}", policy.display());
    let mut arguments = ARGUMENTS.to_vec();
    arguments.extend(["--canary-namespace=stateward-canary", "--canary-interval=500ms"]);
    arguments.extend([file.as_str(), "--certificate-poll=50ms"]);
    let mut replica = Replica::start(&account, &arguments);
    register(&testbed, &replica).await;
    replica.ready().await;
    let prometheus = Prometheus::start(replica.health());
    load(&testbed, &replica, &policy).await;
    // A rate takes two scrapes that differ.
    let scraped = async |denials: &str| {
        let denied =
            "sum(stateward_rule_verdicts_total{rule=\"sts-service-name\",verdict=\"denied\"})";
        testbed::wait::wait_for("the denials to be scraped", LONG, async || {
            let samples = prometheus.query(denied).await;
            Ok(samples.iter().any(|sample| sample["value"][1] == denials).then_some(()))
        })
        .await
        .unwrap();
    };
    scraped("100").await;
    load(&testbed, &replica, &policy).await;
    scraped("200").await;

    prometheus.answers(&queries(false)).await;
    let enforcing = prometheus.query("min(stateward_enforcing)").await;
    assert_eq!(enforcing[0]["value"][1], "1");

    let rules = prometheus.get("/api/v1/rules").await.unwrap();
    let groups = rules["data"]["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 2, "{groups:?}");
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        assert_eq!(rule["health"], "ok", "{rule}");
        // Nobody is woken up by an ordinary day; promtool tests the rest.
        assert_ne!(rule["state"], "firing", "{rule}");
    }
    documented(&replica.page("/metrics").await.unwrap());
}

/// A controller that has carried out one resize, and waits for a person in another.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn prometheus_answers_every_query_about_resizes() {
    let resizing = Resizing::alone().await;
    let controller = Controller::start(&resizing, &resizing.account, 4);
    let prometheus = Prometheus::start(&controller.health());
    controller.leads(&resizing).await;
    let (done, set) = resizing.prepare(|_| {}).await;
    // The histogram has to be scraped before something is counted in it.
    testbed::wait::wait_for("a scrape", LONG, async || {
        let found =
            prometheus.get("/api/v1/query?query=stateward_resize_recreation_seconds_count").await;
        let found = found.is_some_and(|found| found["data"]["result"][0].is_object());
        Ok(found.then_some(()))
    })
    .await
    .unwrap();
    resizing.grow(&set, "20Gi").await;
    resizing.complete(&done, "20Gi").await;
    let keep = |set: &mut Value| set["metadata"]["finalizers"] = json!(["example.com/keep"]);
    let (blocked, set) = resizing.prepare(keep).await;
    resizing.grow(&set, "20Gi").await;

    prometheus.answers(&queries(true)).await;
    for (query, expected) in [
        ("sum(stateward_resize_leader)", "1"),
        ("stateward_resize_records{phase=\"Complete\"}", "1"),
        ("stateward_resize_state{state=\"Blocked\"}", "1"),
        ("stateward_resize_recreation_seconds_count", "1"),
    ] {
        testbed::wait::wait_for(query, LONG, async || {
            let samples = prometheus.query(query).await;
            let is = |sample: &Value| sample["value"][1] == expected;
            Ok((samples.len() == 1 && samples.iter().all(is)).then_some(()))
        })
        .await
        .unwrap();
    }
    // Others take this control plane next.
    let free = json!({"metadata": {"finalizers": null}});
    resizing.merge(&path(&blocked, "db"), free).await.unwrap().ok().unwrap();
    resizing.complete(&blocked, "20Gi").await;
}

/// Each metric with each label and its value stands in the documentation.
fn documented(scrape: &str) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let table = std::fs::read_to_string(file).unwrap();
    let row = |name: &str| {
        let cell = format!("| `{name}` |");
        table.lines().find(|line| line.starts_with(&cell)).map(str::to_owned)
    };
    let mut seen = 0;
    for line in scrape.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once(['{', ' ']).unwrap();
        let parts = ["_bucket", "_sum", "_count"];
        let whole = parts.iter().find_map(|part| name.strip_suffix(part)).and_then(row);
        let row = row(name).or(whole).unwrap_or_else(|| panic!("{name} is not documented"));
        let labels = labels.split_once('}').map_or("", |(labels, _)| labels);
        for pair in labels.split(',').filter(|pair| !pair.is_empty()) {
            let (label, value) = pair.split_once('=').unwrap();
            if ["le", "rule", "version"].contains(&label) {
                continue;
            }
            let value = value.trim_matches('"');
            assert!(row.contains(&format!("`{label}`: ")), "{line}: {row}");
            let words = || row.split([' ', ',', ';']);
            assert!(words().any(|word| word == value), "{line}: {value} is not in {row}");
        }
        seen += 1;
    }
    assert!(seen > 50, "only {seen} lines");
}
