//! What states share: statuses and actions by number, compared in full.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use jiff::Timestamp;
use stateward_core::record::Status;
use stateward_resize::Action;

use super::{NOW, OLDEST, TICK};

/// A fast hash of small keys; equality is always compared in full.
#[derive(Default)]
pub(crate) struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

pub(crate) type Hashed<K, V> = HashMap<K, V, BuildHasherDefault<Fold>>;

/// Values that states share: a state holds their number.
struct Interned<T>(Vec<T>, Hashed<T, u32>);

impl<T: Clone + Eq + Hash> Interned<T> {
    fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.1.get(&value) {
            return *number;
        }
        let number = u32::try_from(self.0.len()).unwrap();
        self.0.push(value.clone());
        self.1.insert(value, number);
        number
    }
}

thread_local! {
    static STATUSES: RefCell<Interned<Status>> = RefCell::new(Interned(Vec::new(), Hashed::default()));
    static ACTIONS: RefCell<Interned<Action>> = RefCell::new(Interned(Vec::new(), Hashed::default()));
}

/// A status of the record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct StatusId(u32);

impl StatusId {
    /// Conditions are dropped: no decision may read them, and here none can.
    pub(crate) fn of(mut status: Status) -> Self {
        status.conditions.clear();
        // Nothing reads these: they are for people.
        status.claims.iter_mut().for_each(|row| row.since = None);
        status.recreation.deleted_at = None;
        let surplus = status.results.len().saturating_sub(1);
        status.results.drain(..surplus);
        for at in times(&mut status) {
            let age = NOW.duration_since(*at).as_secs().min(OLDEST);
            *at = Timestamp::from_second(NOW.as_second() - age).unwrap();
        }
        Self(STATUSES.with_borrow_mut(|all| all.number(status)))
    }

    pub(crate) fn get(self) -> Status {
        STATUSES.with_borrow(|all| all.0[self.0 as usize].clone())
    }

    pub(crate) fn read<R>(self, read: impl FnOnce(&Status) -> R) -> R {
        STATUSES.with_borrow(|all| read(&all.0[self.0 as usize]))
    }

    pub(super) fn older(self) -> Self {
        let mut status = self.get();
        for at in times(&mut status) {
            *at = Timestamp::from_second(at.as_second() - TICK).unwrap();
        }
        Self::of(status)
    }

    /// The set has changed: the resourceVersion that was remembered is an old one.
    pub(super) fn stale(self) -> Self {
        let remembered =
            |status: &Status| status.recreation.resource_version.as_deref() == Some("now");
        if !self.read(remembered) {
            return self;
        }
        let mut status = self.get();
        status.recreation.resource_version = Some("old".to_owned());
        Self::of(status)
    }
}

fn times(status: &mut Status) -> Vec<&mut Timestamp> {
    let recreation = &mut status.recreation;
    let kept = [
        &mut recreation.pinned_since,
        &mut recreation.refused_since,
        &mut recreation.gone_since,
        &mut status.last_create,
    ];
    let results = status.results.iter_mut().map(|ended| &mut ended.at);
    kept.into_iter().filter_map(Option::as_mut).chain(results).collect()
}

/// A write that was sent and has not arrived.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct InFlight {
    pub(super) action: u32,
    /// the record has not changed since
    pub record_fresh: bool,
}

impl InFlight {
    pub(crate) fn new(action: Action) -> Self {
        let action = ACTIONS.with_borrow_mut(|all| all.number(action));
        Self { action, record_fresh: true }
    }

    pub(crate) fn action(self) -> Action {
        ACTIONS.with_borrow(|all| all.0[self.action as usize].clone())
    }

    pub(super) fn map_status(self, change: impl FnOnce(StatusId) -> StatusId) -> Self {
        match self.action() {
            Action::WriteStatus(status) => {
                let status = change(StatusId::of(*status)).get();
                let new = Self::new(Action::WriteStatus(Box::new(status)));
                Self { record_fresh: self.record_fresh, ..new }
            }
            _ => self,
        }
    }
}
