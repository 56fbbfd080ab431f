//! One watch, begun anew whenever it fails.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::Resource;
use kube::api::Api;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The first pause after a failure; it doubles up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// What a watch saw.
#[derive(Debug)]
pub(super) enum Seen<R> {
    /// these, and no others
    All(Vec<R>),
    /// a new or changed object
    Applied(R),
    /// an object that is gone
    Deleted(R),
    /// nothing from now on, until all are listed again
    Lost(String),
}

/// Watches for ever, and hands on what `edit` makes of each event. After a failure everything is
/// listed again here: the watcher of kube mends a broken watch without saying so.
pub(super) async fn watch<K, R, E>(
    api: Api<K>,
    config: watcher::Config,
    reduce: fn(&K) -> R,
    edits: mpsc::Sender<E>,
    edit: impl Fn(Seen<R>) -> E,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let what = api.resource_url().to_owned();
    let (mut pause, mut complaint) = (FIRST_PAUSE, String::new());
    loop {
        let begun = Instant::now();
        let mut stream = pin!(watcher(api.clone(), config.clone()));
        let mut list = Vec::new();
        let error = loop {
            let seen = match stream.next().await {
                Some(Ok(Event::Init)) => {
                    list = Vec::new();
                    continue;
                }
                Some(Ok(Event::InitApply(object))) => {
                    list.push(reduce(&object));
                    continue;
                }
                Some(Ok(Event::InitDone)) => {
                    if !complaint.is_empty() {
                        tracing::info!(what, "watched again");
                        complaint.clear();
                    }
                    Seen::All(std::mem::take(&mut list))
                }
                Some(Ok(Event::Apply(object))) => Seen::Applied(reduce(&object)),
                Some(Ok(Event::Delete(object))) => Seen::Deleted(reduce(&object)),
                Some(Err(error)) => break describe(&error),
                None => break "the watch has ended".to_owned(),
            };
            if edits.send(edit(seen)).await.is_err() {
                return;
            }
        };
        if complaint != error {
            tracing::warn!(what, error, "cannot be watched");
            complaint.clone_from(&error);
        }
        if edits.send(edit(Seen::Lost(error))).await.is_err() {
            return;
        }
        if begun.elapsed() > 6 * LAST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// An error in one line, without the API server's whole object.
fn describe(error: &watcher::Error) -> String {
    let cause = match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => cause,
        watcher::Error::WatchError(status) => return status.message.clone(),
        watcher::Error::NoResourceVersion => return error.to_string(),
    };
    match cause {
        kube::Error::Api(status) => status.message.trim().to_owned(),
        other => other.to_string(),
    }
}
