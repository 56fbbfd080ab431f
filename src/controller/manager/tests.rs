//! The manager in simulated time, against an API server that each test plays.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::{Method, Request, Response};
use kube::client::Body;
use serde_json::json;

use super::*;

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

fn list() -> (u16, Value) {
    (200, json!({"metadata": {}, "items": []}))
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
