//! Hands on what a watch sees.

use tokio::sync::mpsc;

use crate::cluster::watch::{Seen, Watcher};

/// Watches for ever, and hands on what `edit` makes of what is seen.
pub(super) async fn watch<R, E>(
    what: String,
    mut watcher: Watcher<R>,
    edits: mpsc::Sender<E>,
    edit: impl Fn(Seen<R>) -> E,
) {
    let mut complaint = String::new();
    loop {
        let seen = watcher.next().await;
        match &seen {
            Seen::Lost(failure) if complaint != failure.why => {
                complaint.clone_from(&failure.why);
                // Clusters need not have every kind.
                if failure.not_served {
                    tracing::info!(what, error = complaint, "cannot be watched");
                } else {
                    tracing::warn!(what, error = complaint, "cannot be watched");
                }
            }
            Seen::All(_) if !complaint.is_empty() => {
                tracing::info!(what, "watched again");
                complaint.clear();
            }
            _ => {}
        }
        if edits.send(edit(seen)).await.is_err() {
            return;
        }
    }
}
