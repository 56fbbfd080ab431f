//! One decision's input.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use stateward_core::object::Quantity;
use stateward_core::record::{Record, Status};

use super::observed::Observed;
use super::parameters::Parameters;

/// One decision's input, with the requested sizes parsed.
pub struct View<'a> {
    /// the cluster
    pub observed: &'a Observed,
    /// the record
    pub record: &'a Record,
    /// the time
    pub now: Timestamp,
    /// every interval
    pub parameters: &'a Parameters,
    /// claim template → requested size; empty before a request is acted on
    pub targets: BTreeMap<String, Quantity>,
}

impl<'a> View<'a> {
    /// Reads the requested sizes from the record.
    pub fn new(
        observed: &'a Observed,
        record: &'a Record,
        now: Timestamp,
        parameters: &'a Parameters,
    ) -> Self {
        let targets = record.status.request.iter().flat_map(|request| &request.targets);
        let targets =
            targets.filter_map(|(name, size)| Some((name.clone(), size.parse().ok()?))).collect();
        Self { observed, record, now, parameters, targets }
    }

    pub(crate) fn status(&self) -> &Status {
        &self.record.status
    }

    /// How long ago something happened; the maximum if it never did.
    pub fn elapsed(&self, since: Option<Timestamp>) -> SignedDuration {
        since.map_or(SignedDuration::MAX, |since| self.now.duration_since(since))
    }

    /// The `resize-id` that our patches write on claims.
    pub fn claim_id(&self) -> String {
        let number = self.status().request.as_ref().map_or(0, |request| request.number);
        format!("{}/{number}", self.record.uid)
    }
}
