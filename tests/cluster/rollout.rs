//! The webhook is rolled, its certificates are replaced and the API server restarts, all under load;
//! and a cluster in which no replica is left starts one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use testbed::{Component, Session};
use tokio::net::{TcpListener, TcpStream};

use crate::certificates::{ARGUMENTS, Replica, authority, cluster, register_at};
use crate::webhook::{LONG, apply, path, set};

/// How long an endpoint is used after its pod was told to stop, as in a real cluster.
const LAG: Duration = Duration::from_millis(700);

/// What a Service does: a connection goes to one of the ready replicas, and stays there.
struct Balancer {
    port: u16,
    ready: Arc<Mutex<Vec<u16>>>,
}

impl Balancer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ready: Arc<Mutex<Vec<u16>>> = Arc::default();
        let endpoints = Arc::clone(&ready);
        tokio::spawn(async move {
            for turn in 0.. {
                let Ok((mut client, _)) = listener.accept().await else { return };
                let chosen = {
                    let ready = endpoints.lock().unwrap();
                    (!ready.is_empty()).then(|| ready[turn % ready.len()])
                };
                tokio::spawn(async move {
                    // Without an endpoint the connection ends, which counts as a failed call.
                    let Some(port) = chosen else { return };
                    let Ok(mut replica) = TcpStream::connect(("127.0.0.1", port)).await else {
                        return;
                    };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut replica).await;
                });
            }
        });
        Self { port, ready }
    }

    fn add(&self, replica: &Replica) {
        self.ready.lock().unwrap().push(replica.port);
    }

    fn remove(&self, replica: &Replica) {
        self.ready.lock().unwrap().retain(|port| *port != replica.port);
    }
}

/// What the answers to requests were.
#[derive(Default)]
struct Seen {
    allowed: AtomicUsize,
    denied: AtomicUsize,
    /// without a word from any webhook, while the API server restarts
    away: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Seen {
    /// One request that has to be denied or allowed.
    async fn ask(&self, session: &Session, url: &str, refuse: bool) {
        let patch = if refuse {
            json!({"spec": {"serviceName": "x"}})
        } else {
            json!({"metadata": {"labels": {"a": "b"}}})
        };
        let Ok(reply) = session.merge(url, patch).await else {
            self.away.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let message = reply.message();
        let denial = message.contains("admission webhook") && message.contains("serviceName");
        match (refuse, reply.status) {
            (true, 403) if denial => self.denied.fetch_add(1, Ordering::Relaxed),
            (false, 200) => self.allowed.fetch_add(1, Ordering::Relaxed),
            // The API server says that it is not ready; a webhook that failed is called one.
            (_, 401 | 403 | 429 | 500 | 503 | 504)
                if !message.contains("calling webhook") && !denial =>
            {
                self.away.fetch_add(1, Ordering::Relaxed)
            }
            (_, status) => {
                self.wrong.lock().unwrap().push(format!("{status}: {message}"));
                0
            }
        };
    }

    fn answered(&self) -> usize {
        self.allowed.load(Ordering::Relaxed) + self.denied.load(Ordering::Relaxed)
    }
}

/// A number from the environment.
fn parameter(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// `STATEWARD_ROLLOUT_RATE` is reviews a second (50), `STATEWARD_ROLLOUT_ROUNDS` how many times both
/// replicas are replaced (2). With 200 and 20 it is the long form.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_rollout_under_load_gives_no_wrong_verdict_and_fails_no_call() {
    let rate = parameter("STATEWARD_ROLLOUT_RATE", 50);
    let rounds = parameter("STATEWARD_ROLLOUT_ROUNDS", 2);
    let (testbed, account) = cluster().await;
    let testbed = Arc::new(testbed);
    let balancer = Balancer::start().await;
    let mut arguments = ARGUMENTS.to_vec();
    arguments.extend(["--authority-lifetime=45s", "--certificate-lifetime=12s"]);
    arguments.extend(["--grace-period=2s"]);
    let start = || Replica::start(&account, &arguments);
    let mut replicas = vec![start(), start()];
    register_at(&testbed, balancer.port, &[]).await;
    for replica in &mut replicas {
        replica.ready().await;
        balancer.add(replica);
    }
    let namespace = testbed.namespace("rollout").await.unwrap();
    apply(&testbed, &set("db", &namespace), &[]).await.ok().unwrap();

    let url = path(&namespace, "db") + "?dryRun=All";
    let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Seen::default()));
    // Each request is reviewed by both webhooks where it is allowed.
    let every = Duration::from_micros(4 * 2 * 1_000_000 / rate);
    let workers: Vec<_> = (0..4)
        .map(|number| {
            let (stop, seen, url) = (stop.clone(), seen.clone(), url.clone());
            let session = testbed.admin().clone();
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(every);
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                for turn in number.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    ticks.tick().await;
                    seen.ask(&session, &url, turn % 2 == 0).await;
                }
            })
        })
        .collect();

    let mut authorities = BTreeSet::from([authority(&testbed).await]);
    for round in 0..rounds {
        let before = seen.answered();
        for replica in &mut replicas {
            let mut new = start();
            new.ready().await;
            balancer.add(&new);
            let mut old = std::mem::replace(replica, new);
            // Told to stop before it leaves the endpoints, as it happens.
            old.signal("TERM");
            tokio::time::sleep(LAG).await;
            balancer.remove(&old);
            testbed::wait::wait_for("a replica to end by itself", LONG, async || {
                Ok(old.page("/livez").await.is_none().then_some(()))
            })
            .await
            .unwrap();
        }
        if round % 2 == 0 {
            testbed.restart(Component::ApiServer).await.unwrap();
        }
        let after = seen.answered();
        assert!(after > before, "nothing was asked during the rollout");
        authorities.insert(authority(&testbed).await);
    }
    // Long enough for the authority to be replaced at least once, too.
    testbed::wait::wait_for("another authority", LONG, async || {
        authorities.insert(authority(&testbed).await);
        Ok((authorities.len() > 1).then_some(()))
    })
    .await
    .unwrap();
    let before = seen.answered();
    testbed::wait::wait_for("answers at the end", LONG, async || {
        Ok((seen.answered() > before + 20).then_some(()))
    })
    .await
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    let (allowed, denied, away) = (
        seen.allowed.load(Ordering::Relaxed),
        seen.denied.load(Ordering::Relaxed),
        seen.away.load(Ordering::Relaxed),
    );
    assert_eq!(*seen.wrong.lock().unwrap(), Vec::<String>::new(), "{}", replicas[0].log());
    eprintln!(
        "{allowed} allowed, {denied} denied, {away} unanswered while the API server restarted, {} \
         rollouts, {} authorities: none wrong, no call failed",
        2 * rounds,
        authorities.len()
    );
    assert!(allowed > 20 && denied > 20);
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_cluster_that_has_lost_every_replica_under_fail_starts_one() {
    let (testbed, account) = cluster().await;
    let port = testbed::free_port().unwrap();
    let mut replica = Replica::start_at(&account, port, &ARGUMENTS);
    // As `--service` does by itself.
    register_at(&testbed, port, &["--exclude-namespace=stateward"]).await;
    replica.ready().await;
    let namespace = testbed.namespace("shop").await.unwrap();
    let sets = |namespace: &str| format!("/apis/apps/v1/namespaces/{namespace}/statefulsets");
    testbed::wait::wait_for("the API server to call it", LONG, async || {
        let reply =
            testbed.create(&(sets(&namespace) + "?dryRun=All"), set("db", &namespace)).await?;
        Ok(reply.is_success().then_some(()))
    })
    .await
    .unwrap();
    drop(replica);

    // What nobody judges goes on: it is what starts a cluster, and stateward in it.
    let refused = testbed.create(&sets(&namespace), set("db", &namespace)).await.unwrap();
    assert!(refused.message().contains("failed calling webhook"), "{}", refused.message());
    for exempt in ["stateward", "kube-system"] {
        testbed.create(&sets(exempt), set("db", exempt)).await.unwrap().ok().unwrap();
    }
    let claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-db-0", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    });
    let claims = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
    let refused = testbed.create(&claims, claim.clone()).await.unwrap();
    assert!(refused.message().contains("failed calling webhook"), "{}", refused.message());
    let controller = "system:serviceaccount:kube-system:statefulset-controller";
    let controller = testbed.admin().impersonate(controller, &["system:masters"]).unwrap();
    controller.create(&claims, claim).await.unwrap().ok().unwrap();
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": namespace},
        "spec": {"containers": [{"name": "web", "image": "nginx:1.29"}]}
    });
    testbed.create(&pods, pod).await.unwrap().ok().unwrap();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
    testbed.create("/api/v1/nodes", node).await.unwrap().ok().unwrap();
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                       "metadata": {"name": "l", "namespace": namespace}});
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
    testbed.create(&leases, lease).await.unwrap().ok().unwrap();

    // Even where the authority is lost as well, a replica comes up and is trusted again.
    let secret = "/api/v1/namespaces/stateward/secrets/stateward-authority";
    testbed.delete(secret, Value::Null).await.unwrap().ok().unwrap();
    let mut replica = Replica::start_at(&account, port, &ARGUMENTS);
    replica.ready().await;
    testbed::wait::wait_for("sets to be judged again", LONG, async || {
        let reply = testbed.create(&sets(&namespace), set("db", &namespace)).await?;
        Ok((reply.status == 201).then_some(()))
    })
    .await
    .unwrap();
}
