//! Reading a body within limits of time and memory. tower-http limits only single bodies, and its limit
//! answers 413, with which the API server lets a request through under `failurePolicy: Ignore`.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use hyper::body::Bytes;
use stateward_core::review::NoVerdict;
use tokio::time::{Instant, timeout};

use super::memory::{Held, Memory, NoMemory, Size};

/// The beginning of a body that is kept if the rest is not. The API server writes the objects last,
/// so it says who asks for what.
const BEGINNING: usize = 64 * 1024;
/// The size up to which the rest of a body is read and dropped, so that the client reads the answer.
const DROPPED: usize = 128 * 1024 * 1024;

/// Limits of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) size: usize,
    pub(super) time: Duration,
    /// when the review must be answered
    pub(super) deadline: Instant,
}

/// A body that was read.
#[derive(Debug)]
pub(super) enum Received {
    Whole {
        bytes: Bytes,
        size: Size,
        held: Held,
    },
    /// only the beginning was kept
    Beginning {
        bytes: Bytes,
        reason: NoVerdict,
        /// the client may still be sending
        unread: bool,
    },
}

/// The reason that a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// it took too long
    Slow,
    /// the client ended it early, or its encoding is invalid
    Aborted,
}

/// Reads a body, of which it keeps only the beginning if that is larger than allowed or if there is
/// no memory for it. So an endless body holds no more than a small one.
pub(super) async fn read(body: Body, limits: Limits, memory: &Memory) -> Result<Received, Unread> {
    timeout(limits.time, receive(body, limits, memory)).await.unwrap_or(Err(Unread::Slow))
}

async fn receive(mut body: Body, limits: Limits, memory: &Memory) -> Result<Received, Unread> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let (mut held, mut size) = (memory.hold(), Size::default());
    let mut whole = Vec::new();
    let mut next = chunk(&mut body).await?;
    while let Some(bytes) = next {
        size.add(&bytes);
        let length = whole.len() + bytes.len();
        let room = if length > limits.size || announced > limits.size {
            Err(NoMemory::TooLarge)
        } else {
            held.grow_to(size, limits.deadline).await
        };
        if let Err(reason) = room {
            whole.extend_from_slice(&bytes);
            whole.truncate(BEGINNING);
            // The memory of the rest is for others.
            drop(held);
            return drop_rest(body, whole, length, reason).await;
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok(Received::Whole { bytes, size, held });
        }
        if length > whole.capacity() {
            // Memory that is reserved but not written is not resident, so a lie costs nothing.
            let capacity = announced.max(2 * whole.capacity()).clamp(length, limits.size);
            whole.reserve_exact(capacity - whole.len());
        }
        whole.extend_from_slice(&bytes);
        next = chunk(&mut body).await?;
    }
    Ok(Received::Whole { bytes: whole.into(), size, held })
}

/// Reads the rest of a body that is too large. One that waited for memory is late, and is answered at
/// once.
async fn drop_rest(
    mut body: Body,
    mut beginning: Vec<u8>,
    mut size: usize,
    reason: NoMemory,
) -> Result<Received, Unread> {
    beginning.shrink_to_fit();
    let (reason, mut unread) = match reason {
        NoMemory::TooLarge => (NoVerdict::TooLarge, false),
        NoMemory::Taken => (NoVerdict::NoMemory, true),
    };
    while !unread {
        let Some(bytes) = chunk(&mut body).await? else { break };
        if beginning.len() < BEGINNING {
            let missing = (BEGINNING - beginning.len()).min(bytes.len());
            beginning.extend_from_slice(&bytes[..missing]);
        }
        size = size.saturating_add(bytes.len());
        unread = size > DROPPED;
    }
    Ok(Received::Beginning { bytes: beginning.into(), reason, unread })
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
