//! Certificates that replicas make themselves, and the trust of the API server in them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use testbed::Testbed;
use testbed::process::Process;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::load::Load;
use crate::webhook::{LONG, apply, path, set};

const SECRET: &str = "/api/v1/namespaces/stateward/secrets/stateward-authority";
const KINDS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];

/// A replica: the real binary with the rights of the service account.
pub(crate) struct Replica {
    pub(crate) port: u16,
    health: String,
    process: Process,
    _folder: tempfile::TempDir,
}

impl Replica {
    /// `serve` with these arguments as the account of `kubeconfig`; `listen` without a port takes
    /// a free one.
    pub(crate) fn start(kubeconfig: &Path, arguments: &[&str]) -> Self {
        Self::start_at(kubeconfig, testbed::free_port().unwrap(), arguments)
    }

    /// The same on a port of the caller's.
    pub(crate) fn start_at(kubeconfig: &Path, port: u16, arguments: &[&str]) -> Self {
        let health = testbed::free_port().unwrap();
        let health = format!("127.0.0.1:{health}");
        let mut all = vec![
            format!("KUBECONFIG={}", kubeconfig.display()),
            env!("CARGO_BIN_EXE_stateward").to_owned(),
            "serve".to_owned(),
            format!("--listen=127.0.0.1:{port}"),
            format!("--health-listen={health}"),
        ];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        Self::run(port, health, &all)
    }

    /// Any command line after `env`.
    pub(crate) fn run(port: u16, health: String, line: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("serve.log");
        let process = Process::start("stateward", Path::new("/usr/bin/env"), line, &log).unwrap();
        Self { port, health, process, _folder: folder }
    }

    /// The address of the plain port.
    pub(crate) fn health(&self) -> &str {
        &self.health
    }

    /// The body of a page of the plain port; nothing while nobody listens.
    pub(crate) async fn page(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.health).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    /// Waits until a counter has gone up by two: what the second one counts began after this call.
    pub(crate) async fn counts_twice(&self, counter: &str) {
        let count = async || {
            let page = self.page("/metrics").await.unwrap_or_default();
            let value = page.lines().find_map(|line| line.strip_prefix(counter));
            value.map_or(0, |value| value.parse::<u64>().unwrap())
        };
        let before = count().await;
        testbed::wait::wait_for(counter, LONG, async || {
            Ok((count().await >= before + 2).then_some(()))
        })
        .await
        .unwrap();
    }

    pub(crate) async fn ready(&mut self) {
        let probe = async || {
            let page = self.page("/readyz").await;
            Ok(page.is_some_and(|page| page.starts_with("ok\n")).then_some(()))
        };
        if let Err(error) = testbed::wait::wait_for("a replica to be ready", LONG, probe).await {
            panic!("{error:#}: {:?}\n{}", self.page("/readyz").await, self.process.tail());
        }
    }

    pub(crate) fn signal(&mut self, signal: &str) {
        self.process.signal(signal).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        self.process.tail()
    }

    /// The certificate that it shows to a client that trusts `bundle`.
    async fn shown(&self, bundle: &[CertificateDer<'static>]) -> Result<Vec<u8>, String> {
        let mut roots = RootCertStore::empty();
        for authority in bundle {
            roots.add(authority.clone()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(stateward::certificates::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let name = ServerName::try_from("stateward.stateward.svc").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let stream = stream.map_err(|error| error.to_string())?;
        Ok(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
    }
}

pub(crate) const ARGUMENTS: [&str; 4] =
    ["--cluster-certs", "--service=stateward", "--cert-name=127.0.0.1", "--trust-interval=200ms"];

/// Applies the documented files, and gives the kubeconfig of the account.
pub(crate) async fn cluster() -> (Testbed, PathBuf) {
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    let rbac = concat!(env!("CARGO_MANIFEST_DIR"), "/certs/cluster/rbac.yaml");
    testbed.kubectl(&["apply", "-f", rbac]).await.unwrap().ok().unwrap();
    let account = testbed.kubeconfig_for_service_account("stateward", "stateward").await.unwrap();
    (testbed, account)
}

/// Registers a replica without any authority, as `stateward manifests` prints it.
pub(crate) async fn register(testbed: &Testbed, replica: &Replica) {
    register_at(testbed, replica.port, &[]).await;
}

/// The same for whatever answers at a port of this machine.
pub(crate) async fn register_at(testbed: &Testbed, port: u16, arguments: &[&str]) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
        .args(["manifests", "--cluster-certs", "--failure-policy=Fail"])
        .arg(format!("--url=https://127.0.0.1:{port}"))
        .args(arguments)
        .output()
        .unwrap();
    let manifests = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !manifests.contains("caBundle"), "{manifests}");
    let applied = testbed.kubectl_with("admin", &["apply", "-f", "-"], Some(&manifests)).await;
    applied.unwrap().ok().unwrap();
}

fn url(kind: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{kind}/stateward")
}

/// What each configuration trusts.
async fn bundles(testbed: &Testbed) -> [Vec<CertificateDer<'static>>; 2] {
    let mut found = KINDS.map(|_| Vec::new());
    for (kind, found) in KINDS.iter().zip(&mut found) {
        let live = testbed.get(&url(kind)).await.unwrap().ok().unwrap();
        let encoded = live["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap_or_default();
        let pem = STANDARD.decode(encoded).unwrap();
        *found = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    }
    found
}

/// Waits until both configurations hold the same `count` authorities; gives them.
async fn agreed(testbed: &Testbed, count: usize) -> Vec<CertificateDer<'static>> {
    let what = format!("both configurations to hold {count} authorities");
    testbed::wait::wait_for(&what, LONG, async || {
        let [mutating, validating] = bundles(testbed).await;
        Ok((mutating == validating && mutating.len() == count).then_some(mutating))
    })
    .await
    .unwrap()
}

pub(crate) async fn authority(testbed: &Testbed) -> String {
    let secret = testbed.get(SECRET).await.unwrap().ok().unwrap();
    secret["data"]["ca.crt"].as_str().unwrap().to_owned()
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn three_replicas_agree_and_repair_deleted_objects() {
    let (testbed, account) = cluster().await;
    let mut replicas: Vec<Replica> = (0..3).map(|_| Replica::start(&account, &ARGUMENTS)).collect();
    testbed::wait::wait_for("a reason to be unready", LONG, async || {
        let page = replicas[0].page("/readyz").await.unwrap_or_default();
        Ok(page.contains("WebhookConfiguration stateward does not exist").then_some(()))
    })
    .await
    .unwrap();
    register(&testbed, &replicas[0]).await;
    for replica in &mut replicas {
        replica.ready().await;
    }
    let bundle = agreed(&testbed, 1).await;
    let mut shown = BTreeSet::new();
    for replica in &replicas {
        shown.insert(replica.shown(&bundle).await.unwrap());
    }
    assert_eq!(shown.len(), 3, "each replica has a certificate of its own");
    denies(&testbed, "first").await;

    // An emptied bundle, as a tool that replaces objects leaves it.
    for kind in KINDS {
        let patch = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]);
        let json_patch = testbed::client::JSON_PATCH;
        testbed.request("PATCH", &url(kind), json_patch, patch).await.unwrap().ok().unwrap();
    }
    assert_eq!(agreed(&testbed, 1).await, bundle);

    // A bundle of somebody else's.
    let stranger = rcgen::generate_simple_self_signed(["stranger".to_owned()]).unwrap().cert.pem();
    let patch = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle",
                        "value": STANDARD.encode(stranger)}]);
    let json_patch = testbed::client::JSON_PATCH;
    testbed.request("PATCH", &url(KINDS[1]), json_patch, patch).await.unwrap().ok().unwrap();
    testbed::wait::wait_for("the stranger to leave", LONG, async || {
        Ok((bundles(&testbed).await[1] == bundle).then_some(()))
    })
    .await
    .unwrap();
    denies(&testbed, "edited").await;

    // A deleted Secret: another authority, trusted beside the one whose certificates are shown.
    let first = authority(&testbed).await;
    testbed.delete(SECRET, Value::Null).await.unwrap().ok().unwrap();
    let both = agreed(&testbed, 2).await;
    assert_eq!(both[1], bundle[0]);
    assert_ne!(authority(&testbed).await, first);
    moved(&replicas, &both[..1]).await;
    denies(&testbed, "deleted").await;

    // A Secret that holds no authority any more.
    let data = json!({"data": {"ca.key": STANDARD.encode("junk"), "ca.crt": null}});
    testbed.merge(SECRET, data).await.unwrap().ok().unwrap();
    let three = testbed::wait::wait_for("another authority", LONG, async || {
        let [mutating, validating] = bundles(&testbed).await;
        let new = mutating.first().is_some_and(|first| !both.contains(first));
        Ok((mutating == validating && new).then_some(mutating))
    })
    .await
    .unwrap();
    moved(&replicas, &three[..1]).await;

    // Configurations that were deleted and come back, while the replicas stay ready.
    for kind in KINDS {
        testbed.delete(&url(kind), Value::Null).await.unwrap().ok().unwrap();
    }
    for replica in &mut replicas {
        replica.counts_twice("stateward_certificate_trust_checks_total{result=\"ok\"} ").await;
        replica.ready().await;
    }
    register(&testbed, &replicas[0]).await;
    assert_eq!(agreed(&testbed, three.len()).await, three);
    denies(&testbed, "back").await;
    let metrics = replicas[2].page("/metrics").await.unwrap();
    assert!(metrics.contains("stateward_ca_bundle_trusted 1"), "{metrics}");
}

/// Waits until every replica shows a certificate that these authorities suffice for.
async fn moved(replicas: &[Replica], bundle: &[CertificateDer<'static>]) {
    for replica in replicas {
        testbed::wait::wait_for("a replica to move", LONG, async || {
            Ok(replica.shown(bundle).await.ok())
        })
        .await
        .unwrap();
    }
}

/// An edit that only stateward's denial answers with 403.
pub(crate) async fn denies(testbed: &Testbed, name: &str) {
    let base = set(name, "default");
    let live = path("default", name);
    testbed::wait::wait_for("the API server to call stateward", LONG, async || {
        if testbed.get(&live).await?.status == 404 {
            apply(testbed, &base, &[]).await;
        }
        let reply = testbed.merge(&live, json!({"spec": {"serviceName": "x"}})).await?;
        Ok((reply.status == 403).then_some(()))
    })
    .await
    .unwrap();
}

/// Authorities that live for 15 seconds and certificates that live for 5, under 100 requests a
/// second: no request fails while everything is replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn authorities_are_replaced_under_requests_without_a_failed_call() {
    let (testbed, account) = cluster().await;
    let mut arguments = ARGUMENTS.to_vec();
    arguments.extend(["--authority-lifetime=15s", "--certificate-lifetime=5s"]);
    let mut replica = Replica::start(&account, &arguments);
    let mut other = Replica::start(&account, &arguments);
    register(&testbed, &replica).await;
    replica.ready().await;
    other.ready().await;
    denies(&testbed, "db").await;
    let url = path("default", "db") + "?dryRun=All";
    let load = Load::start(&testbed, &url);
    let (mut authorities, mut leaves) = (BTreeSet::new(), BTreeSet::new());
    let enough = "three authorities and six certificates";
    testbed::wait::wait_for(enough, 3 * LONG, async || {
        let [bundle, _] = bundles(&testbed).await;
        leaves.insert(replica.shown(&bundle).await.unwrap());
        other.shown(&bundle).await.unwrap();
        authorities.insert(authority(&testbed).await);
        Ok((authorities.len() >= 3 && leaves.len() >= 6).then_some(()))
    })
    .await
    .unwrap();
    let (sent, failed) = load.stop().await;
    assert_eq!(failed, Vec::<String>::new(), "{}", replica.log());
    let (authorities, leaves) = (authorities.len(), leaves.len());
    eprintln!("{sent} requests, {authorities} authorities, {leaves} certificates, none failed");
    assert!(sent > 0);
}

/// API servers learn of an edit a little late, so trust comes well before use.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_new_authority_is_used_only_after_it_was_trusted_for_a_while() {
    let (testbed, account) = cluster().await;
    let mut arguments = ARGUMENTS.to_vec();
    arguments[3] = "--trust-interval=3s";
    let mut replica = Replica::start(&account, &arguments);
    register(&testbed, &replica).await;
    replica.ready().await;
    testbed.delete(SECRET, Value::Null).await.unwrap().ok().unwrap();
    let both = agreed(&testbed, 2).await;
    // Both are trusted now. The replica shows the old certificate for another interval.
    let mut old = 0;
    testbed::wait::wait_for("the replica to move", LONG, async || {
        old += usize::from(replica.shown(&both[1..]).await.is_ok());
        Ok(replica.shown(&both[..1]).await.ok())
    })
    .await
    .unwrap();
    assert!(old > 1, "the new certificate was shown as soon as it was trusted");
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_replica_without_rights_names_the_missing_right() {
    let (testbed, account) = cluster().await;
    testbed.kubectl(&["delete", "clusterrolebinding", "stateward"]).await.unwrap().ok().unwrap();
    let mut replica = Replica::start(&account, &ARGUMENTS);
    let page = testbed::wait::wait_for("a reason to be unready", LONG, async || {
        let page = replica.page("/readyz").await.unwrap_or_default();
        Ok(page.contains("403").then_some(page))
    })
    .await
    .unwrap();
    assert!(page.contains("cannot get resource \"mutatingwebhookconfigurations\""), "{page}");
    // A replica that waits for its rights ends when it is told to.
    replica.signal("TERM");
}
