//! Who is reconciled next: a namespace whose reads are slow waits for itself, and others do not wait
//! for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns of reconciles. Each namespace has a line of its own, and only as many as may be
/// reconciled at the same time step out of it into the common line. Lines are first in, first out.
pub(super) struct Queue {
    all: Arc<Semaphore>,
    /// how many turns one namespace has at the same time
    of_one: usize,
    namespaces: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A turn, until it is dropped.
pub(super) struct Turn<'q> {
    queue: &'q Queue,
    namespace: String,
    /// both are given back before the namespace's line is looked at
    permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Queue {
    pub(super) fn new(all: usize, of_one: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), of_one, namespaces: Mutex::default() }
    }

    /// Waits for a turn; nothing once the queue is closed, which it never is.
    pub(super) async fn turn(&self, namespace: &str) -> Option<Turn<'_>> {
        let line = {
            let mut namespaces = self.namespaces();
            let new = || Arc::new(Semaphore::new(self.of_one));
            Arc::clone(namespaces.entry(namespace.to_owned()).or_insert_with(new))
        };
        let mut turn = Turn { queue: self, namespace: namespace.to_owned(), permits: None };
        let own = line.acquire_owned().await.ok()?;
        let common = Arc::clone(&self.all).acquire_owned().await.ok()?;
        turn.permits = Some((own, common));
        Some(turn)
    }

    fn namespaces(&self) -> MutexGuard<'_, HashMap<String, Arc<Semaphore>>> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.permits = None;
        let mut namespaces = self.queue.namespaces();
        // Nobody else of the namespace waits or works: only the map knows its line.
        if namespaces.get(&self.namespace).is_some_and(|line| Arc::strong_count(line) == 1) {
            namespaces.remove(&self.namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn a_namespace_has_only_its_part_of_the_turns() {
        let queue = Queue::new(4, 1);
        let _slow = queue.turn("slow").await;
        assert!(timeout(SOON, queue.turn("slow")).await.is_err(), "its part is used up");
        let others = (queue.turn("a").await, queue.turn("b").await, queue.turn("c").await);
        assert!(timeout(SOON, queue.turn("d")).await.is_err(), "all turns are used up");
        drop(others);
        assert!(timeout(SOON, queue.turn("d")).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_line_of_one_namespace_is_not_before_others() {
        let queue = Arc::new(Queue::new(2, 1));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        let names = std::iter::repeat_n("slow", 100).chain(["quick", "quick"]);
        for (at, name) in names.enumerate() {
            let (queue, order) = (Arc::clone(&queue), Arc::clone(&order));
            tasks.spawn(async move {
                // In the order in which they come.
                sleep(Duration::from_millis(at as u64)).await;
                let turn = queue.turn(name).await;
                sleep(Duration::from_secs(60)).await;
                order.lock().unwrap().push(name);
                drop(turn);
            });
        }
        tasks.join_all().await;
        let order = order.lock().unwrap();
        assert_eq!(order.len(), 102);
        let last = order.iter().rposition(|name| *name == "quick").unwrap();
        assert!(last <= 4, "{last}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_turns_of_a_namespace_come_in_order() {
        let queue = Arc::new(Queue::new(8, 1));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..20_u64 {
            let (queue, order) = (Arc::clone(&queue), Arc::clone(&order));
            tasks.spawn(async move {
                sleep(Duration::from_millis(n)).await;
                let _turn = queue.turn("one").await;
                sleep(Duration::from_secs(1)).await;
                order.lock().unwrap().push(n);
            });
        }
        tasks.join_all().await;
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_has_no_turns_is_forgotten() {
        let queue = Queue::new(2, 1);
        for n in 0..100 {
            let _turn = queue.turn(&format!("n{n}")).await;
        }
        let turn = queue.turn("held").await;
        assert!(timeout(SOON, queue.turn("held")).await.is_err(), "who gives up is forgotten, too");
        assert_eq!(queue.namespaces().len(), 1);
        drop(turn);
        assert!(queue.namespaces().is_empty());
    }
}
