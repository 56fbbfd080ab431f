//! The proxy in front of the API server, with kubectl as the process under test.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use testbed::proxy::{Fault, Proxy, Request};
use testbed::{Output, Testbed};

const SOON: Duration = Duration::from_secs(20);

struct Bench {
    bed: &'static Testbed,
    proxy: Proxy,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Bench {
    async fn new() -> Result<Self> {
        let bed = Testbed::shared().await?;
        let proxy = bed.proxy().await?;
        let kubeconfig = proxy.kubeconfig(&bed.kubeconfig())?;
        let namespace = bed.namespace("proxy").await?;
        Ok(Self { bed, proxy, kubeconfig, namespace })
    }

    async fn create(&self, name: &str) -> Result<Output> {
        let arguments = ["-n", &self.namespace, "create", "configmap", name];
        self.bed.kubectl_as(&self.kubeconfig, &arguments, None).await
    }

    async fn exists(&self, name: &str) -> Result<bool> {
        Ok(self.bed.get(&self.path(name)).await?.status == 200)
    }

    fn path(&self, name: &str) -> String {
        format!("/api/v1/namespaces/{}/configmaps/{name}", self.namespace)
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_proxy_forwards_and_records_requests() -> Result<()> {
    let bench = Bench::new().await?;
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plain"},
    });
    let apply = ["-n", &bench.namespace, "create", "--validate=false", "-f", "-"];
    let object = object.to_string();
    bench.bed.kubectl_as(&bench.kubeconfig, &apply, Some(&object)).await?.ok()?;
    assert!(bench.exists("plain").await?);
    let exchanges = bench.proxy.exchanges();
    let writes: Vec<_> = exchanges.iter().filter(|one| one.request.is_write()).collect();
    assert_eq!(writes.len(), 1, "{exchanges:?}");
    let request = &writes[0].request;
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, format!("/api/v1/namespaces/{}/configmaps", bench.namespace));
    assert_eq!(request.json()["metadata"]["name"], "plain");
    assert_eq!((writes[0].committed, writes[0].answered), (Some(201), Some(201)));
    assert_eq!(request.hash(), request.clone().hash());

    let dry = ["-n", &bench.namespace, "delete", "configmap", "plain", "--dry-run=server"];
    bench.bed.kubectl_as(&bench.kubeconfig, &dry, None).await?.ok()?;
    let exchanges = bench.proxy.exchanges();
    assert_eq!(exchanges.iter().filter(|one| one.request.is_write()).count(), 1);
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_proxy_cuts_connections_before_and_after_a_write() -> Result<()> {
    let bench = Bench::new().await?;
    let killed = Arc::new(AtomicUsize::new(0));
    let kill = Arc::clone(&killed);
    let before = bench.proxy.on(Request::is_write).nth(2).then(move || {
        kill.fetch_add(1, Ordering::SeqCst);
    });
    let before = before.fault(Fault::Before);
    bench.create("first").await?.ok()?;
    assert_eq!((before.hits(), killed.load(Ordering::SeqCst)), (0, 0));
    let output = bench.create("second").await?;
    assert!(!output.success() && output.stderr.contains("EOF"), "{}", output.stderr);
    assert_eq!((before.hits(), killed.load(Ordering::SeqCst)), (1, 1));
    assert!(!bench.exists("second").await?);

    let after = bench.proxy.on(Request::is_write).fault(Fault::After);
    assert!(!bench.create("third").await?.success());
    assert_eq!(after.hits(), 1);
    assert!(bench.exists("third").await?);
    let exchanges = bench.proxy.exchanges();
    let writes: Vec<_> = exchanges.iter().filter(|one| one.request.is_write()).collect();
    let told: Vec<_> = writes.iter().map(|one| (one.committed, one.answered)).collect();
    assert_eq!(told, [(Some(201), Some(201)), (None, None), (Some(201), None)]);
    bench.create("fourth").await?.ok()?;
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_proxy_can_answer_instead_of_the_server() -> Result<()> {
    let bench = Bench::new().await?;
    for (status, text) in [(403, "Forbidden"), (409, "Conflict"), (500, "InternalError")] {
        let armed = bench.proxy.on(Request::is_write).fault(Fault::Refuse(status));
        let output = bench.create("refused").await?;
        assert!(output.stderr.contains(text), "{status}: {}", output.stderr);
        assert_eq!(armed.hits(), 1);
        assert!(!bench.exists("refused").await?);
    }
    // Clients wait as long as the header says, and ask again.
    let start = Instant::now();
    let armed = bench.proxy.on(Request::is_write).fault(Fault::Refuse(429));
    bench.create("throttled").await?.ok()?;
    assert_eq!(armed.hits(), 1);
    assert!(start.elapsed() >= Duration::from_secs(1));

    let armed = bench.proxy.on(Request::is_write).fault(Fault::Hide(504));
    let output = bench.create("hidden").await?;
    assert!(!output.success() && output.stderr.contains("Timeout"), "{}", output.stderr);
    assert_eq!(armed.hits(), 1);
    assert!(bench.exists("hidden").await?);

    let armed = bench.proxy.on(Request::is_write).every().fault(Fault::Refuse(403));
    for name in ["one", "two"] {
        assert!(!bench.create(name).await?.success());
    }
    assert_eq!(armed.hits(), 2);
    bench.proxy.disarm();
    bench.create("three").await?.ok()?;
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_proxy_delivers_a_write_late() -> Result<()> {
    let bench = Bench::new().await?;
    let delay = Duration::from_secs(2);
    bench.proxy.on(Request::is_write).fault(Fault::Late(delay));
    let start = Instant::now();
    assert!(!bench.create("late").await?.success());
    assert!(!bench.exists("late").await?);
    bench.bed.wait_object(&bench.path("late"), SOON, |_| true).await?;
    assert!(start.elapsed() >= delay);

    bench.proxy.on(Request::is_write).fault(Fault::Slow(delay));
    let start = Instant::now();
    bench.create("slow").await?.ok()?;
    assert!(start.elapsed() >= delay);
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_proxy_holds_back_watch_events() -> Result<()> {
    let bench = Bench::new().await?;
    let session = bench.bed.session(&bench.kubeconfig).await?;
    let maps = format!("/api/v1/namespaces/{}/configmaps", bench.namespace);
    let path = format!("{maps}?watch=true&timeoutSeconds=1");
    let of_maps = |request: &Request| request.path.ends_with("/configmaps");
    let timed = async || {
        let start = Instant::now();
        let text = session.get(&path).await?.ok()?;
        let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
        assert!(text.contains("\"ADDED\""), "{text}");
        anyhow::Ok(start.elapsed())
    };
    let free = timed().await?;
    bench.proxy.hold(of_maps, Some(Duration::from_secs(4)));
    let held = timed().await?;
    assert!(held >= Duration::from_secs(4) && held > free, "{held:?} {free:?}");
    bench.proxy.release();

    bench.proxy.hold(of_maps, None);
    let release = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        // Only events are held back.
        assert!(session.get(&maps).await?.is_success());
        bench.proxy.release();
        anyhow::Ok(())
    };
    let (held, released) = tokio::join!(timed(), release);
    released?;
    assert!(held? >= Duration::from_secs(5));
    timed().await?;
    let watches = bench.proxy.exchanges().iter().filter(|one| one.request.is_watch()).count();
    assert_eq!(watches, 4);
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_proxy_cuts_watches_only() -> Result<()> {
    let bench = Bench::new().await?;
    let session = bench.bed.session(&bench.kubeconfig).await?;
    let maps = format!("/api/v1/namespaces/{}/configmaps", bench.namespace);
    let watch = |seconds: u8| format!("{maps}?watch=true&timeoutSeconds={seconds}");
    let cut = bench.proxy.on(|_| true).every().fault(Fault::Cut(Duration::from_secs(2)));
    assert!(session.get(&maps).await?.is_success());
    assert_eq!(cut.hits(), 0, "only watches are cut");
    let ended = tokio::time::timeout(SOON, session.get(&watch(60))).await?;
    assert!(ended.is_err(), "the end was not noticed");
    assert_eq!(cut.hits(), 1);
    bench.proxy.disarm();
    assert!(session.get(&watch(1)).await?.is_success());
    Ok(())
}
