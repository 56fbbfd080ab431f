//! The memory that all reviews may hold together.

use std::sync::Arc;

use stateward_core::review::NoVerdict;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The memory of each review that is not counted, so that ordinary reviews need not wait for large
/// ones.
const UNCOUNTED: usize = 128 * 1024;
/// The size of a part that a review takes; bodies grow in such steps.
const STEP: usize = 64 * 1024;
/// What an item of a list or a member of an object is counted with, in bytes. Those of claim
/// templates take up to 350 when they are decoded, so [`MOST_ITEMS`] bounds them.
const PER_ITEM: usize = 96;
/// No review with more items is decoded: an edit of 24,000 claim templates has 288,000, and would
/// take 100 MB.
const MOST_ITEMS: usize = 128 * 1024;
/// A review of a real workload has fewer items; one of 12 KB has about 400.
const UNUSUAL_ITEMS: usize = 8 * 1024;

/// A budget of memory, in which reviews wait for each other.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    steps: Arc<Semaphore>,
    total: usize,
}

/// The reason that a review gets no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoMemory {
    /// it needs more than there is
    TooLarge,
    /// other reviews hold it
    Taken,
}

impl From<NoMemory> for NoVerdict {
    fn from(reason: NoMemory) -> Self {
        match reason {
            NoMemory::TooLarge => Self::TooLarge,
            NoMemory::Taken => Self::NoMemory,
        }
    }
}

/// The memory of one review until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    memory: Memory,
    bytes: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        let steps = bytes / STEP;
        Self { steps: Arc::new(Semaphore::new(steps)), total: steps * STEP }
    }

    pub(super) fn hold(&self) -> Held {
        Held { memory: self.clone(), bytes: 0, permit: None }
    }
}

impl Held {
    /// Holds memory for a review of this size; waits for it until `deadline`.
    pub(super) async fn grow_to(&mut self, size: Size, deadline: Instant) -> Result<(), NoMemory> {
        let wanted = size.memory().saturating_sub(UNCOUNTED).next_multiple_of(STEP);
        if wanted <= self.bytes {
            return Ok(());
        }
        if wanted > self.memory.total || size.items > MOST_ITEMS {
            return Err(NoMemory::TooLarge);
        }
        let steps = u32::try_from((wanted - self.bytes) / STEP).map_err(|_| NoMemory::TooLarge)?;
        let more = Arc::clone(&self.memory.steps).acquire_many_owned(steps);
        // The semaphore is never closed.
        let Ok(Ok(more)) = timeout_at(deadline, more).await else { return Err(NoMemory::Taken) };
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        self.bytes = wanted;
        Ok(())
    }
}

/// How much a review takes, estimated without decoding it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    bytes: usize,
    items: usize,
}

impl Size {
    /// Adds the next part of a body. Counting part by part leaves the thread to others in between.
    pub(super) fn add(&mut self, part: &[u8]) {
        self.bytes += part.len();
        self.items += part.iter().filter(|byte| matches!(byte, b',' | b'{' | b'[')).count();
    }

    /// The body, its decoded text and its decoded items.
    pub(super) const fn memory(self) -> usize {
        2 * self.bytes + PER_ITEM * self.items
    }

    /// Whether the review is larger than that of a real workload.
    pub(super) const fn is_unusual(self, bytes: usize) -> bool {
        self.bytes > bytes || self.items > UNUSUAL_ITEMS
    }
}
