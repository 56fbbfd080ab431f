//! Who leads, and who says that a request would be carried out.

use std::sync::Arc;
use std::time::Duration;

use stateward_resize::CAN_RESIZE;
use tokio::time::Instant;

use super::Shared;
use crate::controller::lease::{LEADER, Lease};

/// For how long rights that were confirmed count as such.
const RIGHTS: Duration = Duration::from_secs(60);

impl Shared {
    /// Leads while it can. Nothing else is asked in this loop, so that slow answers to other
    /// questions do not cost the Lease.
    pub(super) async fn lead(self: Arc<Self>) {
        let mut leader = self.lease(LEADER);
        let mut held = Instant::now();
        loop {
            let leads = match self.hold(&mut leader).await {
                Ok(leads) => leads,
                Err(why) => {
                    tracing::warn!(error = why, "the Lease of the leader cannot be held");
                    // Held until it would have run out for the others.
                    *self.leads.borrow() && held.elapsed() < self.intervals.lease
                }
            };
            if leads {
                held = Instant::now();
            }
            if self.leads.send_if_modified(|known| std::mem::replace(known, leads) != leads) {
                tracing::info!(identity = self.identity, leads, "leadership has changed");
                self.wake_all();
            }
            self.metrics.set_leader(leads);
            self.count();
            tokio::time::sleep(self.intervals.renew).await;
        }
    }

    /// Says while it leads that a request would be carried out.
    pub(super) async fn tell_able(self: Arc<Self>) {
        let mut leads = self.leads.subscribe();
        let mut can_resize = self.lease(CAN_RESIZE);
        loop {
            let leading = *leads.borrow_and_update();
            let able = leading && self.say_able(&mut can_resize).await;
            self.metrics.set_can_resize(able);
            // The sender is as old as this task.
            let _ = tokio::time::timeout(self.intervals.renew, leads.changed()).await;
        }
    }

    /// Takes or renews a Lease; others take it if that is not done in time.
    async fn hold(&self, lease: &mut Lease) -> Result<bool, String> {
        match tokio::time::timeout(self.intervals.lease, lease.hold()).await {
            Ok(held) => held.map_err(|why| why.to_string()),
            Err(_) => Err("the API server did not answer in time".to_owned()),
        }
    }

    /// Renews the Lease that says so where a request that is taken now would be carried out
    /// (`docs/resize.md`, Who may ask).
    async fn say_able(&self, lease: &mut Lease) -> bool {
        if let Err(why) = self.able().await {
            tracing::warn!(why, "requests are not taken: a resize would stall");
            return false;
        }
        // Answers may have taken so long that another instance leads now.
        if !*self.leads.borrow() {
            return false;
        }
        match self.hold(lease).await {
            Ok(held) => held,
            Err(why) => {
                tracing::warn!(error = why, "the Lease {CAN_RESIZE} cannot be held");
                false
            }
        }
    }

    async fn able(&self) -> Result<(), String> {
        if let Some(why) = self.stuck() {
            return Err(why);
        }
        self.cluster.able(&self.parameters).await?;
        let confirmed = self.state().rights;
        if confirmed.is_none_or(|since| since.elapsed() >= RIGHTS) {
            self.state().rights = None;
            self.cluster.rights().await?;
            self.state().rights = Some(Instant::now());
        }
        Ok(())
    }

    /// A reconcile that does not end.
    pub(super) fn stuck(&self) -> Option<String> {
        let state = self.state();
        let mut reconciles = state.reconciling.iter();
        let stuck = reconciles.find(|(_, began)| began.elapsed() > self.intervals.stuck);
        stuck.map(|(key, _)| format!("reconciling at {key} does not end"))
    }
}
