//! The same work on many things, on every core.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};

/// Items that a thread takes at once.
const BATCH: usize = 4;

/// Applies `work` to every item by up to `threads` threads. The results stand in the order of the
/// items, whichever thread was faster.
pub(crate) fn map<T: Send, R: Send>(
    items: Vec<T>,
    threads: NonZero<usize>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let threads = threads.get().min(items.len().div_ceil(BATCH));
    if threads <= 1 {
        return items.into_iter().map(work).collect();
    }
    let queue = Mutex::new(items.into_iter().enumerate());
    let run = || {
        let mut done = Vec::new();
        loop {
            // A panic elsewhere leaves the queue whole; it is raised again below.
            let batch: Vec<(usize, T)> =
                queue.lock().unwrap_or_else(PoisonError::into_inner).by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return done;
            }
            done.extend(batch.into_iter().map(|(index, item)| (index, work(item))));
        }
    };
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut results = run();
        for worker in workers {
            results.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    });
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// One thread for each core that this process may use.
pub(crate) fn cores() -> NonZero<usize> {
    std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        for count in [0, 1, 5, 1000] {
            let items: Vec<u64> = (0..count).collect();
            let expected: Vec<u64> = items.iter().map(|item| item * item).collect();
            for threads in [1, 2, 7] {
                let threads = NonZero::new(threads).unwrap();
                assert_eq!(map(items.clone(), threads, |item| item * item), expected);
            }
        }
    }

    #[test]
    fn a_panic_is_passed_on() {
        let caught = std::panic::catch_unwind(|| {
            map((0..100).collect(), NonZero::new(3).unwrap(), |item: i32| assert_ne!(item, 50))
        });
        assert!(caught.is_err());
    }
}
