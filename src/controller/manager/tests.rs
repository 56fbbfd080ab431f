//! The manager in simulated time, against an API server that each test plays.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::{Method, Request, Response};
use kube::client::Body;
use serde_json::json;
use stateward_core::annotations::RESIZE_REQUESTED;
use stateward_core::record::{FINALIZER, Record};

use super::*;
use crate::controller::Stored;
use crate::controller::reconcile::Reconciler;

/// Longer than every interval of the controller.
const LONG: Duration = Duration::from_secs(3600);

/// A controller whose requests `answer` answers by method and path.
fn controller<A>(answer: impl Fn(Method, String) -> A + Send + 'static) -> Controller
where
    A: Future<Output = (u16, Value)> + Send + 'static,
{
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = answer(request.method().clone(), request.uri().path().to_owned());
        async move {
            let (code, body) = answer.await;
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    Controller::new(
        Cluster::new(kube::Client::new(service, "default")),
        "stateward",
        "here_1",
        Parameters { authorize_claims: false, ..Parameters::default() },
        Intervals { touched: 1, ..Intervals::default() },
        ResizeMetrics::default(),
    )
}

fn nothing() -> Controller {
    controller(|_, _| std::future::ready(list()))
}

fn key(name: &str) -> Key {
    Key { namespace: "prod".to_owned(), name: name.to_owned() }
}

fn list() -> (u16, Value) {
    (200, json!({"metadata": {}, "items": []}))
}

fn set(annotations: &Value) -> (u16, Value) {
    let template = json!({
        "metadata": {"name": "data"},
        "spec": {"resources": {"requests": {"storage": "10Gi"}}},
    });
    let metadata = json!({"name": "db", "uid": "U", "annotations": annotations});
    (200, json!({"metadata": metadata, "spec": {"volumeClaimTemplates": [template]}}))
}

/// Waits in simulated time until `count` is reached.
async fn reaches(count: &AtomicUsize, wanted: usize) {
    let reached = async {
        while count.load(Ordering::SeqCst) < wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, reached).await.expect("it is never reached");
}

fn reconciler(shared: &Shared, record: Option<Record>) -> Reconciler {
    let (cluster, parameters) = (shared.cluster.clone(), shared.parameters.clone());
    let back_off = shared.intervals.back_off;
    let mut reconciler =
        Reconciler::new(cluster, key("db"), parameters, back_off, shared.metrics.clone());
    reconciler.stored = record.map(|record| Stored { record, object: Value::Null });
    reconciler.set_read = true;
    reconciler
}

#[tokio::test]
async fn a_task_ends_only_without_a_finalizer_and_with_a_set_that_was_read() {
    let controller = nothing();
    let shared = &controller.shared;
    let ended = |reconciler: &Reconciler| shared.ended(&key("db"), reconciler, &Notify::new());
    let mut record = Record::default();
    record.status.phase = Phase::Complete;
    assert!(ended(&reconciler(shared, Some(record.clone()))));
    record.finalizer = true;
    assert!(!ended(&reconciler(shared, Some(record))));
    assert!(ended(&reconciler(shared, None)));
    let mut unread = reconciler(shared, None);
    unread.set_read = false;
    assert!(!ended(&unread));
}

#[tokio::test]
async fn a_claim_that_grows_after_its_resize_is_complete_wakes_its_set() {
    let controller = nothing();
    let shared = &controller.shared;
    for (name, phase, claims) in [
        ("db", Phase::Complete, ["Done", "NodePending"]),
        ("done", Phase::Complete, ["Done", "Done"]),
        ("ended", Phase::Aborted, ["Done", "NodePending"]),
    ] {
        let claims = claims.map(str::to_owned).to_vec();
        let summary = RecordSummary { phase, halt: None, claims };
        shared.state().records.insert(key(name), summary);
    }
    let woken = |part: &str| -> Vec<String> {
        shared.sets_of(&key(part)).into_iter().map(|set| set.name).collect()
    };
    assert_eq!((woken("data-db-1"), woken("db-1")), (vec!["db".to_owned()], vec!["db".to_owned()]));
    for other in ["data-done-1", "data-ended-1", "data-mydb-1"] {
        assert!(woken(other).is_empty(), "{other}");
    }
}

#[tokio::test]
async fn whoever_waits_for_a_slot_is_woken_however_one_becomes_free() {
    let waiting = || RecordSummary {
        phase: Phase::ClaimsGrown,
        halt: Some(("Waiting".to_owned(), "TooManyAtOnce".to_owned())),
        claims: Vec::new(),
    };
    let gone = |shared: &Arc<Shared>| shared.record_gone(&key("first"));
    let seen = |shared: &Arc<Shared>| {
        let record = json!({"metadata": {"name": "first", "namespace": "prod"}});
        let record = serde_json::value::to_raw_value(&record).unwrap();
        shared.record_seen(watches::SeenRecord::read(&record).unwrap());
    };
    let ended = |shared: &Arc<Shared>| {
        assert!(shared.ended(&key("first"), &reconciler(shared, None), &Notify::new()));
    };
    for release in [&gone as &dyn Fn(&Arc<Shared>), &seen, &ended] {
        let controller = nothing();
        let shared = &controller.shared;
        shared.state().touched.note(&key("first"));
        shared.state().records.insert(key("second"), waiting());
        release(shared);
        assert!(shared.state().tasks.contains_key(&key("second")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_whose_removal_was_refused_is_removed_later() {
    let patches = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&patches);
    let controller = controller(move |method, path| {
        let record = json!({
            "metadata": {"namespace": "prod", "name": "db", "uid": "R", "finalizers": [FINALIZER]},
            "status": {"phase": "Complete"},
        });
        std::future::ready(match path.rsplit('/').next() {
            Some("db") if path.contains("/apps/") => set(&json!({})),
            Some("db") if method == Method::PATCH => match seen.fetch_add(1, Ordering::SeqCst) {
                0 => (403, json!({"message": "no"})),
                _ => (200, record),
            },
            Some("db") => (200, record),
            _ => list(),
        })
    });
    let shared = &controller.shared;
    shared.leads.send_replace(true);
    shared.wake(&key("db"));
    reaches(&patches, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_although_the_set_could_not_be_read_at_first() {
    let (reads, records) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let created = Arc::clone(&records);
    let controller = controller(move |method, path| {
        std::future::ready(match path.rsplit('/').next() {
            Some("db") if path.contains("/apps/") => {
                // As many as one read is tried.
                if reads.fetch_add(1, Ordering::SeqCst) < 4 {
                    (500, json!({}))
                } else {
                    set(&json!({RESIZE_REQUESTED: r#"{"data":"20Gi"}"#}))
                }
            }
            Some("db") => (404, json!({})),
            _ if method == Method::POST => {
                created.fetch_add(1, Ordering::SeqCst);
                (201, json!({}))
            }
            _ => list(),
        })
    });
    let shared = &controller.shared;
    shared.leads.send_replace(true);
    shared.wake(&key("db"));
    reaches(&records, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_set_is_reconciled_again_after_a_panic() {
    let reads = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&reads);
    let controller = controller(move |_, path| {
        let first = path.ends_with("/db")
            && !path.contains("/apps/")
            && seen.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            assert!(!first, "a panic that a test makes");
            if path.ends_with("/db") { (404, json!({})) } else { list() }
        }
    });
    let shared = &controller.shared;
    shared.leads.send_replace(true);
    shared.wake(&key("db"));
    reaches(&reads, 2).await;
    tokio::time::sleep(LONG).await;
    assert!(shared.state().reconciling.is_empty() && shared.state().tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn leadership_is_renewed_while_rights_are_not_answered() {
    #[derive(Default)]
    struct Seen {
        asked: AtomicUsize,
        answered: AtomicUsize,
        leader: AtomicUsize,
        can_resize: AtomicUsize,
    }
    let seen = Arc::new(Seen::default());
    let server = Arc::clone(&seen);
    let controller = controller(move |method, path| {
        let seen = Arc::clone(&server);
        async move {
            if path.ends_with("/selfsubjectaccessreviews") {
                seen.asked.fetch_add(1, Ordering::SeqCst);
                reaches(&seen.leader, 3).await;
                seen.answered.fetch_add(1, Ordering::SeqCst);
                return (201, json!({"status": {"allowed": true}}));
            }
            let name = path.rsplit('/').next().unwrap_or_default();
            let spec = json!({"holderIdentity": "here_1", "leaseDurationSeconds": 15});
            let lease = json!({"metadata": {"name": name}, "spec": spec});
            if method == Method::PUT && name == LEADER {
                seen.leader.fetch_add(1, Ordering::SeqCst);
            } else if method == Method::PUT && name == CAN_RESIZE {
                seen.can_resize.fetch_add(1, Ordering::SeqCst);
            }
            if path.contains("/leases/") { (200, lease) } else { list() }
        }
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&controller.shared).lead());
    tasks.spawn(Arc::clone(&controller.shared).tell_able());
    reaches(&seen.can_resize, 1).await;
    let [asked, answered] = [&seen.asked, &seen.answered].map(|count| count.load(Ordering::SeqCst));
    assert!(asked >= 9 && asked == answered, "{answered} of {asked} were answered in time");
}
