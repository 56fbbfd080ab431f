//! Reading a body within limits of time and memory. A body limit of tower-http knows only one body,
//! and not what all of them hold together.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use hyper::body::Bytes;
use tokio::time::timeout;

/// The size of a body that is not counted, so that ordinary reviews pass while large ones are shed.
const UNCOUNTED: usize = 64 * 1024;

/// The reason that a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// it is larger than allowed
    TooLarge,
    /// it took too long
    Slow,
    /// all bodies together hold too much memory
    NoMemory,
    /// the client ended it early, or its encoding is invalid
    Aborted,
}

/// The memory that all bodies may hold together.
#[derive(Debug)]
pub(super) struct Memory {
    left: AtomicUsize,
}

/// The memory that one body holds until this is dropped.
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
    /// Holds memory for a body of `size` bytes; `false` if too little is left.
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

/// Reads the whole body. A body that announces a size above `max` fails unread; any other fails as
/// soon as it is above `max`, so that an endless body holds no more than a large one.
pub(super) async fn read(
    body: Body,
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
    mut body: Body,
    announced: usize,
    max: usize,
    held: &mut Held<'_>,
) -> Result<Bytes, Unread> {
    let Some(first) = chunk(&mut body).await? else { return Ok(Bytes::new()) };
    if body.is_end_stream() && first.len() <= max {
        return Ok(first);
    }
    // The announced size may be a lie, so it reserves only what is uncounted.
    let mut whole = Vec::with_capacity(announced.clamp(first.len(), UNCOUNTED.max(first.len())));
    let mut next = Some(first);
    while let Some(bytes) = next {
        let size = whole.len() + bytes.len();
        if size > max {
            return Err(Unread::TooLarge);
        }
        // Growing the vector doubles it.
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

/// The next piece of data, without trailers.
async fn chunk(body: &mut Body) -> Result<Option<Bytes>, Unread> {
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
