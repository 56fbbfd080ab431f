//! A control plane on which resizes are carried out by the real binaries, and what tests of it
//! look at.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use stateward::cluster::lease::leases;
use stateward::controller::lease::LEADER;
use testbed::process::{Process, tail};
use testbed::proxy::Proxy;
use testbed::{Builder, Testbed};
use tokio::sync::{MutexGuard, OnceCell};

use crate::record::records;
use crate::rights::{apply_stream, printed};
use crate::webhook::{LONG, STORAGE, Webhook, apply, path};

/// A testbed with the webhook, the record's kind and the rights in it.
pub(crate) struct Resizing {
    pub(crate) bed: Testbed,
    /// who the controller is
    pub(crate) account: PathBuf,
    webhook: Webhook,
}

/// A control plane without a controller, for one test at a time: to start controllers there, and
/// to take parts of it away.
pub(crate) struct Alone {
    pub(crate) resizing: &'static Resizing,
    _turn: MutexGuard<'static, ()>,
}

impl std::ops::Deref for Alone {
    type Target = Resizing;

    fn deref(&self) -> &Resizing {
        self.resizing
    }
}

impl std::ops::Deref for Resizing {
    type Target = Testbed;

    fn deref(&self) -> &Testbed {
        &self.bed
    }
}

impl Resizing {
    /// Starts all but the controller.
    pub(crate) async fn start(builder: Builder) -> Self {
        let bed = builder.audit_log(true).start().await.unwrap();
        bed.play_storage().await.unwrap();
        bed.ensure_namespace("stateward").await.unwrap();
        apply_stream(&bed, &printed(&["--crds", "--rights"])).await;
        let webhook = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "stateward", "namespace": "stateward"},
        });
        bed.apply(webhook).await.unwrap();
        let account =
            bed.kubeconfig_for_service_account("stateward", "stateward-controller").await.unwrap();
        let facts = bed.kubeconfig_for_service_account("stateward", "stateward").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("stateward.yaml");
        std::fs::write(&policy, POLICY).unwrap();
        let arguments =
            [format!("--kubeconfig={}", facts.display()), format!("--policy={}", policy.display())];
        let webhook = Webhook::start(&arguments.each_ref().map(String::as_str)).await;
        webhook.register(&bed, &["--new-claims"]).await;
        Self { bed, account, webhook }
    }

    /// The one that tests take turns with.
    pub(crate) async fn alone() -> Alone {
        static ALONE: OnceCell<Resizing> = OnceCell::const_new();
        static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let turn = TURN.lock().await;
        let resizing = ALONE.get_or_init(async || Self::start(Testbed::builder()).await).await;
        Alone { resizing, _turn: turn }
    }

    /// Takes the webhook away from the API server, or registers it again.
    pub(crate) async fn webhook(&self, registered: bool) {
        if registered {
            return self.webhook.register(&self.bed, &["--new-claims"]).await;
        }
        let configurations = self.webhook.manifests(&["--new-claims"]);
        let delete = ["delete", "--wait", "-f", "-"];
        self.kubectl_with("admin", &delete, Some(&configurations)).await.unwrap().ok().unwrap();
    }

    /// One for all tests that let a controller work in peace.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<(Resizing, Controller)> = OnceCell::const_new();
        let start = async || {
            let resizing = Self::start(Testbed::builder()).await;
            let controller = Controller::start(&resizing, &resizing.account, 4);
            (resizing, controller)
        };
        &SHARED.get_or_init(start).await.0
    }

    /// A controller of its own, behind a proxy; its Lease lasts `lease` seconds.
    pub(crate) async fn proxied(&self, lease: u8) -> (Proxy, Controller) {
        let proxy = self.proxy().await.unwrap();
        let kubeconfig = proxy.kubeconfig(&self.account).unwrap();
        let controller = Controller::start(self, &kubeconfig, lease);
        (proxy, controller)
    }

    /// Waits until each of the three claims has this capacity.
    pub(crate) async fn grown(&self, namespace: &str, size: &str) {
        let grown = self.wait_for("claims to grow", LONG, async || {
            let claims = self.list(namespace, "persistentvolumeclaims").await;
            let all = claims.iter().all(|claim| claim["status"]["capacity"]["storage"] == size);
            Ok((claims.len() == 3 && all).then_some(()))
        });
        self.told(namespace, grown).await;
    }

    /// What is waited for; where it does not come, everything that may say why.
    pub(crate) async fn told<T>(
        &self,
        namespace: &str,
        wait: impl Future<Output = anyhow::Result<T>>,
    ) -> T {
        let error = match wait.await {
            Ok(value) => return value,
            Err(error) => error,
        };
        let record = self.get(&format!("{}/db", records(namespace))).await;
        let live = self.get(&path(namespace, "db")).await;
        let body = |reply: anyhow::Result<testbed::Reply>| reply.map(|reply| reply.body);
        let (record, live) = (body(record).unwrap_or_default(), body(live).unwrap_or_default());
        let mut scene = vec![format!(
            "record {}\nset {} {}",
            record["status"], live["metadata"], live["status"]
        )];
        for plural in ["persistentvolumeclaims", "pods"] {
            for object in self.list(namespace, plural).await {
                let (name, asked) = (&object["metadata"]["name"], &object["spec"]["resources"]);
                scene.push(format!(
                    "{name} {asked} {} {}",
                    object["spec"]["nodeName"], object["status"]
                ));
            }
        }
        for file in std::fs::read_dir(self.folder()).unwrap() {
            let log = file.unwrap().path();
            if log.file_name().unwrap().to_string_lossy().starts_with("controller-") {
                scene.push(format!("{}:\n{}", log.display(), tail(&log, 40)));
            }
        }
        panic!("{namespace}: {error:#}\n{}", scene.join("\n"));
    }

    /// A namespace with a running set made from `set` by `change`; gives the namespace.
    pub(crate) async fn prepare(&self, change: impl Fn(&mut Value)) -> (String, Value) {
        let namespace = self.namespace("resize").await.unwrap();
        let mut set = set(&namespace);
        change(&mut set);
        apply(self, &set, &[]).await.ok().unwrap();
        let replicas = set["spec"]["replicas"].clone();
        self.wait_object(&path(&namespace, "db"), LONG, |live| {
            live["status"]["readyReplicas"].as_u64().unwrap_or(0) == replicas.as_u64().unwrap()
                && live["status"]["observedGeneration"] == live["metadata"]["generation"]
        })
        .await
        .unwrap();
        (namespace, set)
    }

    /// Asks for growth as people do: by applying the larger template, until a controller is there
    /// to carry it out.
    pub(crate) async fn grow(&self, set: &Value, size: &str) {
        let mut set = set.clone();
        *set.pointer_mut(STORAGE).unwrap() = json!(size);
        self.wait_for("growth to be accepted", LONG, async || {
            apply(self, &set, &[]).await.ok().map(Some)
        })
        .await
        .unwrap();
    }

    /// Waits until the record of a namespace's set is in one of the final phases; gives it.
    pub(crate) async fn ended(&self, namespace: &str) -> Value {
        let path = format!("{}/db", records(namespace));
        let over = ["Complete", "Aborted", "Conflict", "Degraded"];
        let ended = self.wait_object(&path, LONG, |record| {
            let phase = record["status"]["phase"].as_str().unwrap_or_default();
            over.contains(&phase) && record["metadata"]["finalizers"].is_null()
        });
        self.told(namespace, ended).await
    }

    /// Asserts that it is complete: claims, template and pods are as promised.
    pub(crate) async fn complete(&self, namespace: &str, size: &str) -> Value {
        // An earlier request's Complete stands until this one is taken up.
        let live = path(namespace, "db");
        let taken_up = self.wait_object(&live, LONG, |live| {
            live["metadata"]["deletionTimestamp"].is_null()
                && live["metadata"]["annotations"]["stateward.dev/resize-requested"].is_null()
        });
        self.told(namespace, taken_up).await;
        let record = self.ended(namespace).await;
        assert_eq!(record["status"]["phase"], "Complete", "{record}");
        let live = self.get(&path(namespace, "db")).await.unwrap().ok().unwrap();
        assert_eq!(live.pointer(STORAGE), Some(&json!(size)), "{live}");
        let mark = &live["metadata"]["annotations"]["stateward.dev/resize-unfinished"];
        assert!(mark.is_null(), "{live}");
        for claim in self.list(namespace, "persistentvolumeclaims").await {
            assert_eq!(claim["spec"]["resources"]["requests"]["storage"], size, "{claim}");
            assert!(claim["metadata"]["deletionTimestamp"].is_null(), "{claim}");
        }
        live
    }

    /// What the core group calls `plural` in a namespace, ordered by name.
    pub(crate) async fn list(&self, namespace: &str, plural: &str) -> Vec<Value> {
        let list = self.get(&format!("/api/v1/namespaces/{namespace}/{plural}")).await.unwrap();
        let mut items = list.ok().unwrap()["items"].as_array().unwrap().clone();
        items.sort_by_key(|item| item["metadata"]["name"].as_str().map(str::to_owned));
        items
    }

    /// How often sets, pods and claims of a namespace were created and deleted since this position
    /// of the audit log.
    pub(crate) fn lives(&self, namespace: &str, from: u64) -> [(usize, usize); 3] {
        let events = self.audit_events_after(from).unwrap();
        let of = |event: &&Value, resource: &str, verb: &str| {
            let object = &event["objectRef"];
            let code = event["responseStatus"]["code"].as_u64().unwrap_or(0);
            event["verb"] == verb
                && object["resource"] == resource
                && object["namespace"] == namespace
                && object["subresource"].is_null()
                && (200..300).contains(&code)
                && !event["requestURI"].as_str().unwrap_or_default().contains("dryRun")
                && event["requestObject"]["dryRun"].is_null()
        };
        ["statefulsets", "pods", "persistentvolumeclaims"].map(|resource| {
            let count = |verb| events.iter().filter(|event| of(event, resource, verb)).count();
            (count("create"), count("delete") + count("deletecollection"))
        })
    }
}

/// Namespaces named `defaults-…` opt in to all that new sets may be given.
const POLICY: &str = "version: 1
scopes:
  - match: {namespaces: [defaults-*]}
    anti-affinity: system
    pod-defaults: [grace-period, fs-group-change-policy]
    size-on-create: claims
";

/// A set of three with one claim each, of a driver that grows online.
pub(crate) fn set(namespace: &str) -> Value {
    let mut set = crate::webhook::set("db", namespace);
    set["spec"]["replicas"] = json!(3);
    set["metadata"]["annotations"] = json!({"stateward.dev/anti-affinity": "none"});
    set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!("standard");
    set
}

/// `stateward controller`, with intervals for tests.
pub(crate) struct Controller {
    process: Mutex<Option<Process>>,
    kubeconfig: PathBuf,
    folder: PathBuf,
    lease: u8,
    health: Mutex<String>,
    /// the namespace of its Leases: in one of its own it leads whoever else does
    pub(crate) system: &'static str,
    /// in seconds
    pub(crate) just_changed: u8,
    /// in seconds
    pub(crate) watch: u8,
    name: String,
}

impl Controller {
    /// Starts one that talks to the API server through `kubeconfig`, with Leases of so many
    /// seconds: short ones where it is to be killed.
    pub(crate) fn start(resizing: &Resizing, kubeconfig: &Path, lease: u8) -> Self {
        let controller = Self::new(resizing, kubeconfig, lease);
        controller.launch();
        controller
    }

    /// The same, not started yet.
    pub(crate) fn new(resizing: &Resizing, kubeconfig: &Path, lease: u8) -> Self {
        Self {
            process: Mutex::default(),
            kubeconfig: kubeconfig.to_owned(),
            folder: resizing.folder().to_owned(),
            lease,
            health: Mutex::default(),
            system: "stateward",
            just_changed: 2,
            watch: 60,
            name: format!("controller-{}", testbed::free_port().unwrap()),
        }
    }

    /// Starts it, also again after it was killed.
    pub(crate) fn launch(&self) {
        let health = format!("127.0.0.1:{}", testbed::free_port().unwrap());
        let arguments = [
            "controller".to_owned(),
            format!("--kubeconfig={}", self.kubeconfig.display()),
            // A crash leaves its Lease behind, so each start is somebody else.
            format!("--identity={}_{}", self.name, testbed::free_port().unwrap()),
            format!("--listen={health}"),
            "--resync=1s".to_owned(),
            format!("--watch={}s", self.watch),
            format!("--system-namespace={}", self.system),
            format!("--lease={}s", self.lease),
            "--renew=300ms".to_owned(),
            "--back-off=500ms".to_owned(),
            format!("--just-changed={}s", self.just_changed),
            "--pin-timeout=20s".to_owned(),
            "--create-quarantine=3s".to_owned(),
            "--create-asked=10s".to_owned(),
            "--set-gone=5s".to_owned(),
            "--log-level=stateward=debug".to_owned(),
        ];
        let program = PathBuf::from(env!("CARGO_BIN_EXE_stateward"));
        let process = Process::start("controller", &program, &arguments, &self.log()).unwrap();
        *self.lock() = Some(process);
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    /// Where its probes and metrics are.
    pub(crate) fn health(&self) -> String {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(&self) {
        let process = self.lock().take();
        drop(process);
    }

    /// Waits until it leads.
    pub(crate) async fn leads(&self, resizing: &Resizing) {
        let path = format!("{}/{LEADER}", leases(self.system));
        let mine = |lease: &Value| {
            let holder = lease["spec"]["holderIdentity"].as_str();
            holder.is_some_and(|holder| holder.starts_with(&self.name))
        };
        resizing.wait_object(&path, LONG, mine).await.unwrap();
    }

    /// Where it logs.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the long forms are asked for, by `STATEWARD_LONG=1`.
pub(crate) fn long() -> bool {
    std::env::var("STATEWARD_LONG").is_ok_and(|value| value == "1")
}
