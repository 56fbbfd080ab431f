//! Requests that go on while something else happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use testbed::Testbed;
use tokio::task::JoinHandle;

/// 100 requests a second for one set, half of which have to be denied. Each reaches both webhooks, so
/// these are 200 reviews.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    workers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Begins; `url` is the set's, as a dry run.
    pub(crate) fn start(testbed: &Testbed, url: &str) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let worker = |number: usize| {
            let (stop, sent, url) = (stop.clone(), sent.clone(), url.to_owned());
            let session = testbed.admin().clone();
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(Duration::from_millis(40));
                let mut failed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    let refuse = sent.fetch_add(1, Ordering::Relaxed) % 2 == number % 2;
                    let (patch, expected) = if refuse {
                        (json!({"spec": {"serviceName": "x"}}), 403)
                    } else {
                        (json!({"metadata": {"labels": {"a": "b"}}}), 200)
                    };
                    let reply = session.merge(&url, patch).await.unwrap();
                    if reply.status != expected {
                        failed.push(format!("{}: {}", reply.status, reply.message()));
                    }
                }
                failed
            })
        };
        let workers = (0..4).map(worker).collect();
        Self { stop, sent, workers }
    }

    /// Ends; gives how many were sent, and what was answered wrongly.
    pub(crate) async fn stop(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut failed = Vec::new();
        for worker in self.workers {
            failed.extend(worker.await.unwrap());
        }
        (self.sent.load(Ordering::Relaxed), failed)
    }
}
