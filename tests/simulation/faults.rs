//! What goes wrong between a controller and the API server, drawn from the seed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;

use crate::server::{Plain, Reply};

/// What becomes of one request.
#[derive(Debug)]
pub(crate) enum Fate {
    /// it is answered
    Fine,
    /// the connection breaks before it arrives
    CutBefore,
    /// it is carried out, and the connection breaks
    CutAfter,
    /// a gateway gives up waiting; it is carried out, or not
    Gateway { committed: bool },
    /// it is refused, and not carried out
    Refused(Reply),
    /// there is no answer, and it is carried out much later
    Late(Duration),
    /// the controller ends before it is sent
    CrashBefore,
    /// the controller ends after it was carried out, before the answer
    CrashAfter,
}

impl Fate {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Fine => "",
            Self::CutBefore => " cut-before",
            Self::CutAfter => " cut-after",
            Self::Gateway { committed: true } => " 504-committed",
            Self::Gateway { committed: false } => " 504-lost",
            Self::Refused(_) => " refused",
            Self::Late(_) => " late",
            Self::CrashBefore => " crash-before",
            Self::CrashAfter => " crash-after",
        }
    }
}

/// The weather: faults by chance, and those that last a while.
#[derive(Clone)]
pub(crate) struct Faults(Arc<Mutex<State>>);

struct State {
    rng: Rng,
    /// of 1000 writes, how many go wrong; reads do a fifth as often
    rate: u32,
    weather: Weather,
}

/// Faults that last a while.
#[expect(clippy::struct_excessive_bools, reason = "independent marks of the weather")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    /// nothing is answered
    pub unreachable: bool,
    /// CREATEs of sets are refused
    pub refusing: bool,
    /// watches tell nothing
    pub silent: bool,
    /// writes of records are refused
    pub record_closed: bool,
}

impl Faults {
    pub(crate) fn new(rng: Rng, rate: u32) -> Self {
        Self(Arc::new(Mutex::new(State { rng, rate, weather: Weather::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_weather(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.state().weather);
    }

    pub(crate) fn weather(&self) -> Weather {
        self.state().weather
    }

    /// No fault from now on.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        state.rate = 0;
        state.weather = Weather::default();
    }

    /// How long a message is on its way.
    pub(crate) fn latency(&self) -> Duration {
        Duration::from_millis(self.state().rng.u64(1..12))
    }

    /// Whether a watch breaks at this event: by its end, or by 410.
    pub(crate) fn watch_breaks(&self) -> Option<bool> {
        let mut state = self.state();
        let rate = state.rate;
        (state.rng.u32(0..1000) < rate / 2).then(|| state.rng.bool())
    }

    /// What becomes of a request.
    pub(crate) fn fate(&self, request: &Plain) -> Fate {
        let mut state = self.state();
        let weather = state.weather;
        if weather.unreachable {
            return Fate::CutBefore;
        }
        let is = |part: &str| request.uri.contains(part);
        if weather.refusing && request.method == "POST" && is("/statefulsets?") {
            let message = "admission webhook \"policy.example.com\" denied the request: not now";
            return Fate::Refused(Reply::refused(403, "Forbidden", message));
        }
        if weather.record_closed && request.is_write() && is("/statefulsetresizes") {
            return Fate::Refused(Reply::refused(403, "Forbidden", "it may not"));
        }
        let rate = if request.is_write() { state.rate } else { state.rate / 5 };
        if state.rng.u32(0..1000) >= rate {
            return Fate::Fine;
        }
        let refused = |code, reason| Fate::Refused(Reply::refused(code, reason, "by chance"));
        if !request.is_write() {
            return match state.rng.u8(0..5) {
                0 => refused(429, "TooManyRequests"),
                1 => refused(500, "InternalError"),
                2 => Fate::Late(Duration::ZERO),
                3 => Fate::CrashBefore,
                _ => Fate::CutBefore,
            };
        }
        match state.rng.u8(0..16) {
            0 | 1 => Fate::CutBefore,
            2..=4 => Fate::CutAfter,
            5 | 6 => Fate::Gateway { committed: true },
            7 => Fate::Gateway { committed: false },
            8 => refused(409, "Conflict"),
            9 => refused(429, "TooManyRequests"),
            10 => refused(403, "Forbidden"),
            // No longer than the protocol says that a write may be on its way.
            11 | 12 => Fate::Late(Duration::from_millis(state.rng.u64(500..100_000))),
            13 => Fate::CrashBefore,
            _ => Fate::CrashAfter,
        }
    }
}
