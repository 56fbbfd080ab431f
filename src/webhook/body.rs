//! Reading a body within its limits.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::{Body as _, Bytes, Incoming};
use tokio::time::timeout;

/// This much of each body is not counted, so that ordinary reviews pass while large ones are shed.
const UNCOUNTED: usize = 64 * 1024;

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// it is larger than allowed
    TooLarge,
    /// it took too long
    Slow,
    /// all bodies together are too large
    NoMemory,
    /// the client broke it off, or it is not well-formed
    Aborted,
}

/// The memory that bodies may occupy together.
#[derive(Debug)]
pub(super) struct Memory {
    left: AtomicUsize,
}

/// Memory in use; given back when dropped.
#[derive(Debug)]
pub(super) struct Held<'a> {
    memory: &'a Memory,
    bytes: usize,
}

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        Self { left: AtomicUsize::new(bytes) }
    }
}

impl Held<'_> {
    /// Holds enough for a body of `size` bytes, if there is enough.
    fn grow(&mut self, size: usize) -> bool {
        let more = size.saturating_sub(UNCOUNTED).saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let taken = self
            .memory
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(more));
        if taken.is_ok() {
            self.bytes += more;
        }
        taken.is_ok()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.memory.left.fetch_add(self.bytes, Ordering::Relaxed);
        }
    }
}

/// The whole body. What is announced as too large is refused unread; what is not announced, as soon
/// as it is too large, so that an endless body occupies no more than a large one.
pub(super) async fn read(
    body: Incoming,
    max: usize,
    memory: &Memory,
    limit: Duration,
) -> Result<(Bytes, Held<'_>), Unread> {
    let announced = body.size_hint().lower();
    if announced > max as u64 {
        return Err(Unread::TooLarge);
    }
    let mut held = Held { memory, bytes: 0 };
    let bytes = timeout(limit, collect(body, announced as usize, max, &mut held))
        .await
        .unwrap_or(Err(Unread::Slow))?;
    Ok((bytes, held))
}

async fn collect(
    mut body: Incoming,
    announced: usize,
    max: usize,
    held: &mut Held<'_>,
) -> Result<Bytes, Unread> {
    let Some(first) = chunk(&mut body).await? else { return Ok(Bytes::new()) };
    if body.is_end_stream() && first.len() <= max {
        return Ok(first);
    }
    // What is announced is not believed beyond what is uncounted.
    let mut whole = Vec::with_capacity(announced.clamp(first.len(), UNCOUNTED.max(first.len())));
    let mut next = Some(first);
    while let Some(bytes) = next {
        let size = whole.len() + bytes.len();
        if size > max {
            return Err(Unread::TooLarge);
        }
        // A vector doubles when it grows, so that is what it costs.
        if size > whole.capacity() && !held.grow((2 * whole.capacity()).max(size).min(max)) {
            return Err(Unread::NoMemory);
        }
        if size > whole.capacity() {
            let capacity = (2 * whole.capacity()).max(size).min(max);
            whole.reserve_exact(capacity - whole.len());
        }
        whole.extend_from_slice(&bytes);
        next = chunk(&mut body).await?;
    }
    Ok(whole.into())
}

/// The next piece of data; trailers are passed over.
async fn chunk(body: &mut Incoming) -> Result<Option<Bytes>, Unread> {
    loop {
        match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Unread::Aborted),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}
