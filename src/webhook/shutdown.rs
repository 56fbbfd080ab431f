//! Telling the server to stop.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How far the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// ready
    Serving,
    /// not ready, still serving, each answer asks the client to go elsewhere
    Leaving,
    /// no new connections, unused ones are closed
    Draining,
}

/// Tells a server to stop, by hand or by signals. Clones are the same handle.
#[derive(Clone, Debug)]
pub struct Shutdown {
    stage: Arc<watch::Sender<Stage>>,
}

impl Shutdown {
    /// A handle that nobody has used yet.
    pub fn new() -> Self {
        Self { stage: Arc::new(watch::Sender::new(Stage::Serving)) }
    }

    /// Stops the server: it turns unready, serves on for the grace period, then drains.
    pub fn begin(&self) {
        self.advance(Stage::Leaving);
    }

    /// Ends the grace period now.
    pub fn hurry(&self) {
        self.advance(Stage::Draining);
    }

    /// From now on SIGTERM and SIGINT begin the shutdown, and a second one ends the grace period.
    ///
    /// # Errors
    /// Signals cannot be received.
    pub fn on_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            for again in [false, true] {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                tracing::info!(signal = name, "received a signal");
                if again { shutdown.hurry() } else { shutdown.begin() }
            }
        });
        Ok(())
    }

    /// Waits until the shutdown has begun.
    pub async fn begun(&self) {
        self.reached(Stage::Leaving).await;
    }

    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Waits until the server is at `stage` or past it.
    pub(super) async fn reached(&self, stage: Stage) {
        let mut stages = self.stage.subscribe();
        // The sender lives as long as this handle, so there is an answer.
        let _ = stages.wait_for(|now| *now >= stage).await;
    }

    fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|now| {
            let later = to > *now;
            *now = to.max(*now);
            later
        });
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}
