//! Stopping a server in steps.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The stages of a server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// ready
    Serving,
    /// not ready, but still serving; each answer closes its connection
    Leaving,
    /// accepts no connections and closes idle ones
    Draining,
}

/// Stops a server, by a call or by signals. Clones are the same handle.
#[derive(Clone, Debug)]
pub struct Shutdown {
    stage: Arc<watch::Sender<Stage>>,
}

impl Shutdown {
    /// A handle of a server that serves.
    pub fn new() -> Self {
        Self { stage: Arc::new(watch::Sender::new(Stage::Serving)) }
    }

    /// Makes the server unready; it serves for the grace period, then drains.
    pub fn begin(&self) {
        self.advance(Stage::Leaving);
    }

    /// Ends the grace period now.
    pub fn hurry(&self) {
        self.advance(Stage::Draining);
    }

    /// Makes SIGTERM and SIGINT begin the shutdown, and a second signal end the grace period.
    ///
    /// # Errors
    /// The process cannot receive signals.
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

    pub(crate) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Waits until the server has reached `stage`.
    pub(crate) async fn reached(&self, stage: Stage) {
        let mut stages = self.stage.subscribe();
        // This handle keeps the sender alive, so waiting cannot fail.
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
