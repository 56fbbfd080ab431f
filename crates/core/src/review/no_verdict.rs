//! The answer to a review that gets no verdict.

use super::{Answer, Head};
use crate::policy::{Mode, OnError, Policy};

/// The reason that a review gets no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoVerdict {
    /// judging it panicked
    Panicked,
    /// judging it took too long
    DeadlineMissed,
    /// judging it took too long, and it is larger than a review of a real workload
    LargeDeadlineMissed,
    /// it is too large to judge
    TooLarge,
    /// other large reviews held all memory until its deadline
    NoMemory,
}

impl NoVerdict {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Panicked,
        Self::DeadlineMissed,
        Self::LargeDeadlineMissed,
        Self::TooLarge,
        Self::NoMemory,
    ];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Panicked => "panic",
            Self::DeadlineMissed => "deadline",
            Self::LargeDeadlineMissed => "large-deadline",
            Self::TooLarge => "too-large",
            Self::NoMemory => "memory",
        }
    }

    /// The reason in logs and messages.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Panicked => "the review panicked",
            Self::DeadlineMissed => "the review missed its deadline",
            Self::LargeDeadlineMissed => {
                "the review missed its deadline and is larger than that of a real workload"
            }
            Self::TooLarge => "the review is too large to judge",
            Self::NoMemory => "too many large reviews are being judged",
        }
    }

    /// What the user can do, if the request is denied whatever the policy's `on-error` says. A user
    /// can choose the size of an object, and must not escape the rules by it.
    const fn way_out(self) -> Option<&'static str> {
        match self {
            Self::Panicked | Self::DeadlineMissed => None,
            Self::LargeDeadlineMissed | Self::TooLarge => Some(
                "1. Make the object smaller: shorten its longest values and lists.\n\
                 2. If it must be so large, ask an administrator to let stateward allow everything for \
                 a while: docs/runbook.md",
            ),
            Self::NoMemory => Some("1. Try again in a few seconds."),
        }
    }

    /// The answer to a review that begins with `head`.
    pub(super) fn answer(self, head: &Head, policy: &Policy) -> Answer {
        let why = self.describe();
        let what = format!("{} was not judged: {why}", head.object());
        let denial = match self.way_out() {
            _ if !head.is_judged(policy) || policy.mode == Mode::Audit => None,
            Some(way_out) => Some(format!(
                "{what}\nA change that cannot be judged could lose data, so it is denied.\n{way_out}"
            )),
            None if policy.on_error == OnError::Allow => None,
            None => {
                Some(format!("{what}\nThe policy denies what cannot be judged (on-error: deny)."))
            }
        };
        Answer::without_verdict(head, why, &what, denial.as_deref())
    }
}
