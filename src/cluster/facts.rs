//! Facts from a live cluster, watched.
//!
//! Each kind has a watch of its own, whose objects are reduced to what is read before they are
//! kept; of most kinds only the exceptions are kept. One task puts what was seen into [`Facts`] and
//! publishes them; a review takes what is published, and waits for nobody. A kind that was never
//! listed, or whose watch is lost for too long, is unknown.

mod lease;
mod state;
mod watch;

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use serde_json::value::RawValue;
use stateward_core::facts::read::{self, Reduced};
use stateward_core::facts::{Alike, ControllerState, FactKind, Facts};
use stateward_resize::CAN_RESIZE;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::state::{Edit, Slot, State};
use self::watch::watch;
use super::lease::{LeaseRead, leases};
use super::survey::{extent, list_path};
use super::watch::{Seen, Watched, Watcher};
use super::{Client, Extent, with_query};

/// What was seen is handed on in portions of at most this many.
const PORTION: usize = 1024;

/// Where to look, and how long to trust what was seen.
#[derive(Clone, Debug)]
pub struct Options {
    /// the namespace of the Lease
    pub system_namespace: String,
    /// how long facts are told after their watch was lost. Default: 30 s
    pub patience: Duration,
    /// how long a watch lasts before it is renewed, in seconds; one that broke off silently is
    /// noticed 5 s after that. Default: 30
    pub watch_seconds: u32,
    /// the user that a controller of this very process has, beside its own service account
    pub own_user: Option<String>,
}

impl Options {
    /// The defaults, with the namespace of the Lease.
    pub fn new(system_namespace: impl Into<String>) -> Self {
        Self {
            system_namespace: system_namespace.into(),
            patience: Duration::from_secs(30),
            watch_seconds: 30,
            own_user: None,
        }
    }
}

/// Facts that follow a cluster for as long as this lives.
#[derive(Debug)]
pub struct ClusterFacts {
    published: Arc<ArcSwap<Published>>,
    _tasks: JoinSet<()>,
}

/// One state of the cluster.
#[derive(Debug)]
struct Published {
    facts: Facts,
    /// until when the Lease lives, and the facts from then on
    then: Option<(Instant, Facts)>,
}

impl ClusterFacts {
    /// Starts to watch, on the runtime of the caller. Everything is unknown until it was listed.
    pub fn start(client: &kube::Client, options: &Options) -> Self {
        let (edits, received) = mpsc::channel(PORTION);
        let state = State::new(options);
        let published = Arc::new(ArcSwap::from_pointee(state.publish(Instant::now())));
        let mut tasks = JoinSet::new();
        let mut follow = Follow {
            client: Client::from(client.clone()),
            seconds: options.watch_seconds,
            edits: &edits,
            tasks: &mut tasks,
        };
        follow.kind(FactKind::AttributesClass, read::attributes_class, |state| {
            &mut state.attributes_classes
        });
        follow.kind(FactKind::Autoscaler, read::autoscaler, |state| &mut state.autoscalers);
        follow.kind(FactKind::Budget, read::budget, |state| &mut state.budgets);
        follow.kind(FactKind::Claim, read::claim, |state| &mut state.claims);
        follow.kind(FactKind::Class, read::class, |state| &mut state.classes);
        follow.kind(FactKind::Namespace, read::namespace, |state| &mut state.namespaces);
        follow.kind(FactKind::Node, read::node, |state| &mut state.nodes);
        follow.kind(FactKind::Quota, read::quota, |state| &mut state.quotas);
        follow.kind(FactKind::Volume, read::volume, |state| &mut state.volumes);
        follow.kind(FactKind::Service, read::service, |state| &mut state.services);
        follow.kind(FactKind::Set, read::set, |state| &mut state.sets);
        follow.kind(FactKind::Pod, read::pod, |state| &mut state.pods);
        follow.kind(FactKind::Snapshot, read::snapshot, |state| &mut state.snapshots);
        follow.kind(FactKind::SnapshotContent, read::snapshot_content, |state| {
            &mut state.snapshot_contents
        });
        follow.kind(FactKind::SnapshotClass, read::snapshot_class, |state| {
            &mut state.snapshot_classes
        });
        follow.kind(FactKind::Record, read::record, |state| &mut state.records);
        follow.lease(&options.system_namespace);
        tasks.spawn(publish(state, received, Arc::clone(&published)));
        Self { published, _tasks: tasks }
    }

    /// The facts as they are now, for one review.
    pub fn load(&self) -> Snapshot {
        let published = self.published.load();
        let late = published.then.as_ref().is_some_and(|(until, _)| Instant::now() >= *until);
        Snapshot { published, late }
    }
}

/// The facts at one time.
pub struct Snapshot {
    published: Guard<Arc<Published>>,
    late: bool,
}

impl Deref for Snapshot {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        match &self.published.then {
            Some((_, facts)) if self.late => facts,
            _ => &self.published.facts,
        }
    }
}

impl Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("late", &self.late).finish_non_exhaustive()
    }
}

/// Starts watches.
struct Follow<'a> {
    client: Client,
    seconds: u32,
    edits: &'a mpsc::Sender<Edit>,
    tasks: &'a mut JoinSet<()>,
}

impl Follow<'_> {
    /// The one Lease.
    fn lease(&mut self, namespace: &str) {
        let selector = format!("metadata.name={CAN_RESIZE}");
        let path = with_query(&leases(namespace), [("fieldSelector", selector.as_str())]);
        let edit = |seen| -> Edit { Box::new(move |state, now| state.lease.apply(seen, now)) };
        let read = |lease: &RawValue| Some(LeaseRead::read(lease));
        self.spawn(path, Extent::Whole, read, |_, _| {}, edit);
    }

    /// All objects of a kind.
    fn kind<T: Alike + Clone + Send + Sync + 'static>(
        &mut self,
        kind: FactKind,
        reduce: fn(&RawValue) -> Option<Reduced<T>>,
        slot: fn(&mut State) -> &mut Slot<T>,
    ) {
        let edit = move |seen: Seen<Reduced<T>>| -> Edit {
            Box::new(move |state, now| slot(state).apply(seen, now))
        };
        self.spawn(list_path(kind.info(), None), extent(kind), reduce, Alike::share, edit);
    }

    fn spawn<R: Send + 'static>(
        &mut self,
        path: String,
        extent: Extent,
        read: fn(&RawValue) -> Option<R>,
        share: fn(&mut R, &R),
        edit: impl Fn(Seen<R>) -> Edit + Send + 'static,
    ) {
        let what = path.split('?').next().unwrap_or_default().to_owned();
        let target = Watched { path, extent, seconds: self.seconds };
        let watcher = Watcher::new(self.client.clone(), target, read).sharing(share);
        self.tasks.spawn(watch(what, watcher, self.edits.clone(), edit));
    }
}

/// Puts what was seen into the facts. Under load many edits are published together.
async fn publish(
    mut state: State,
    mut edits: mpsc::Receiver<Edit>,
    published: Arc<ArcSwap<Published>>,
) {
    let mut portion = Vec::with_capacity(PORTION);
    loop {
        // Time alone changes them as well: a watch is lost for too long.
        let received =
            tokio::time::timeout(Duration::from_secs(1), edits.recv_many(&mut portion, PORTION));
        if received.await == Ok(0) {
            return;
        }
        let now = Instant::now();
        for edit in portion.drain(..) {
            edit(&mut state, now);
        }
        published.store(Arc::new(state.publish(now)));
    }
}

impl State {
    fn publish(&self, now: Instant) -> Published {
        let facts = self.facts(now);
        let then = self.lease.alive_until().filter(|_| facts.controller == ControllerState::Runs);
        let then = then.map(|until| {
            let controller = self.lease.controller(until);
            (until, Facts { controller, ..facts.clone() })
        });
        Published { facts, then }
    }
}
