//! Writes that the API server refuses: each is tried again later and later, while others go on.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::intervals::{REFUSED, doubled};

/// What was refused.
#[derive(Default)]
pub(super) struct Refusals(BTreeMap<String, Refusal>);

/// The last of some refusals in a row.
struct Refusal {
    why: String,
    at: Instant,
    times: u32,
}

impl Refusal {
    /// How long it holds: from then on the write is tried again.
    fn holds(&self, longest: Duration) -> Duration {
        doubled(REFUSED, self.times, longest)
    }
}

impl Refusals {
    /// Learns from the answer to a write; whether it was a refusal.
    pub(super) fn learn(&mut self, what: &str, why: Option<&String>, committed: bool) -> bool {
        let Some(why) = why else {
            if committed {
                self.0.remove(what);
            }
            return false;
        };
        let times = self.0.get(what).map_or(0, |before| before.times).saturating_add(1);
        let refusal = Refusal { why: why.clone(), at: Instant::now(), times };
        self.0.insert(what.to_owned(), refusal);
        true
    }

    /// What is not to be tried yet, with the answers. None holds longer than `longest`, and what
    /// nobody has tried again for long after that is forgotten.
    pub(super) fn held(&mut self, longest: Duration) -> BTreeMap<String, String> {
        self.0.retain(|_, refusal| refusal.at.elapsed() < longest.saturating_mul(4));
        let held = self.0.iter().filter(|(_, one)| one.at.elapsed() < one.holds(longest));
        held.map(|(what, one)| (what.clone(), one.why.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_again_is_tried_later_and_later() {
        let (why, mut refusals) = ("quota".to_owned(), Refusals::default());
        for seconds in [2, 4, 8, 16, 30, 30] {
            assert!(refusals.learn("a", Some(&why), false));
            tokio::time::advance(Duration::from_millis(seconds * 1000 - 1)).await;
            assert_eq!(refusals.held(LONGEST).get("a"), Some(&why), "{seconds}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(refusals.held(LONGEST).is_empty(), "{seconds}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_ends_with_the_write_and_holds_up_no_other() {
        let (why, mut refusals) = ("quota".to_owned(), Refusals::default());
        refusals.learn("a", Some(&why), false);
        refusals.learn("b", Some(&why), false);
        assert!(!refusals.learn("a", None, true));
        assert_eq!(refusals.held(LONGEST).into_keys().collect::<Vec<_>>(), ["b"]);
        // An answer that was lost tells nothing.
        assert!(!refusals.learn("b", None, false));
        assert_eq!(refusals.held(LONGEST).len(), 1);
        tokio::time::advance(LONGEST * 4).await;
        assert!(refusals.held(LONGEST).is_empty() && refusals.0.is_empty());
    }
}
