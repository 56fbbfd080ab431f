//! The facts that a caller who is not authenticated may learn from the answer to a review.
//!
//! Every client that reaches the webhook's port can send a review about any object. The API server always sends
//! the stored object, whose UID is random, so a caller who names it either is the API server or may
//! read the object.

use std::sync::Arc;

use super::{Fact, Facts, Objects};
use crate::object::Kind;

const WITHHELD: &str = "a caller that shows that it is the API server";

impl Facts {
    /// Whether the cluster has an object of this kind, namespace, name and UID.
    pub fn has(&self, kind: Kind, namespace: &str, name: &str, uid: &str) -> bool {
        if uid.is_empty() {
            return false;
        }
        match kind {
            // The UID of a Scale is that of its set.
            Kind::StatefulSet | Kind::Scale => {
                matches!(self.set(namespace, name), Fact::Known(Some(set)) if set.uid == uid)
            }
            Kind::Claim => {
                matches!(self.claim(namespace, name), Fact::Known(claim) if claim.uid == uid)
            }
            Kind::Namespace => matches!(
                self.namespaces.get("", name),
                Fact::Known(Some(namespace)) if namespace.uid == uid
            ),
            Kind::Volume => matches!(
                self.volumes.get("", name),
                Fact::Known(Some(volume)) if volume.uid == uid
            ),
            Kind::Class => {
                matches!(self.class(name), Fact::Known(class) if class.uid == uid)
            }
            Kind::Snapshot => matches!(
                self.snapshots.get(namespace, name),
                Fact::Known(Some(snapshot)) if snapshot.uid == uid
            ),
            Kind::Other => false,
        }
    }

    /// The facts for a caller who claims to create an object, which has no UID yet. Rules about
    /// creation must know what is there already, but not how much of a quota is left, or how many
    /// nodes there are, unless the policy spreads new sets or raises new claims by that.
    #[must_use]
    pub fn for_unknown_creator(&self, with_nodes: bool, with_quotas: bool) -> Self {
        let mut facts = self.clone();
        if !with_nodes {
            facts.nodes = Objects::unknown(WITHHELD);
        }
        if !with_quotas {
            facts.quotas = Objects::unknown(WITHHELD);
        }
        facts
    }

    /// The facts for any other caller who names no object of the cluster: none about objects.
    #[must_use]
    pub fn for_unknown_caller(&self) -> Self {
        Self {
            packs: Arc::clone(&self.packs),
            attributes_classes: Objects::unknown(WITHHELD),
            autoscalers: Objects::unknown(WITHHELD),
            budgets: Objects::unknown(WITHHELD),
            claims: Objects::unknown(WITHHELD),
            claim_users: Objects::unknown(WITHHELD),
            classes: Objects::unknown(WITHHELD),
            namespaces: Objects::unknown(WITHHELD),
            nodes: Objects::unknown(WITHHELD),
            quotas: Objects::unknown(WITHHELD),
            records: Objects::unknown(WITHHELD),
            volumes: Objects::unknown(WITHHELD),
            snapshots: Objects::unknown(WITHHELD),
            snapshot_contents: Objects::unknown(WITHHELD),
            snapshot_classes: Objects::unknown(WITHHELD),
            services: Objects::unknown(WITHHELD),
            sets: Objects::unknown(WITHHELD),
            pods: Objects::unknown(WITHHELD),
            controller: self.controller.clone(),
            own_user: self.own_user.clone(),
        }
    }
}
