//! A stream with time limits: it ends the connection of a client that does not send or does not read.
//!
//! hyper has one time limit for the head of a request, which also runs while a connection is idle. The
//! API server may keep an idle connection for minutes, but must send a head within seconds, so this
//! module times the two apart.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long to discard input after an early answer. Closing with unread input resets the connection,
/// and the client would lose the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) write: Duration,
}

/// The phases of a connection.
const IDLE: u8 = 0;
const HEAD: u8 = 1;
const REQUEST: u8 = 2;

/// The state that a stream shares with the handler of its requests.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    phase: AtomicU8,
    /// how often the connection became idle
    rounds: AtomicU32,
    unread: AtomicBool,
    /// the limit that ended the connection, as an index to `REASONS`
    ended_by: AtomicU8,
}

const REASONS: [&str; 5] = ["closed", "header-timeout", "idle-timeout", "write-timeout", "error"];
const HEADER_TIMEOUT: u8 = 1;
const IDLE_TIMEOUT: u8 = 2;
const WRITE_TIMEOUT: u8 = 3;
const ERROR: u8 = 4;

impl ConnectionState {
    /// A connection whose client must send a head at once.
    pub(crate) fn new() -> Self {
        Self {
            phase: AtomicU8::new(HEAD),
            rounds: AtomicU32::new(0),
            unread: AtomicBool::new(false),
            ended_by: AtomicU8::new(0),
        }
    }

    /// A head has arrived; from now on the handler limits the time.
    pub(crate) fn request_begins(&self) {
        self.phase.store(REQUEST, Ordering::Relaxed);
    }

    /// The answer is ready.
    pub(crate) fn request_ends(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.phase.store(IDLE, Ordering::Relaxed);
    }

    /// Whether a request is being answered.
    pub(crate) fn is_serving(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == REQUEST
    }

    /// The answer leaves a part of the request unread.
    pub(crate) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// hyper ended the connection with an error.
    pub(crate) fn broke(&self) {
        let _ = self.ended_by.compare_exchange(0, ERROR, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The reason that the connection ended, for metrics.
    pub(crate) fn ended_by(&self) -> &'static str {
        REASONS[usize::from(self.ended_by.load(Ordering::Relaxed)) % REASONS.len()]
    }
}

/// A stream with time limits.
#[derive(Debug)]
pub(crate) struct TimedStream<S> {
    stream: S,
    limits: Limits,
    state: Arc<ConnectionState>,
    /// for reading, and for lingering
    timer: Pin<Box<Sleep>>,
    /// the phase and round that `timer` is set for
    timed: Option<(u8, u32)>,
    /// set while the client does not read
    stalled: Option<Pin<Box<Sleep>>>,
    lingering: bool,
}

impl<S> TimedStream<S> {
    pub(crate) fn new(stream: S, limits: Limits, state: Arc<ConnectionState>) -> Self {
        let timer = Box::pin(sleep(limits.header));
        Self { stream, limits, state, timer, timed: None, stalled: None, lingering: false }
    }

    fn end(&self, by: u8) -> io::Error {
        self.state.ended_by.store(by, Ordering::Relaxed);
        io::Error::from(io::ErrorKind::TimedOut)
    }

    /// The reason to end the connection, once the limit of its phase has passed without input.
    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<u8> {
        let phase = self.state.phase.load(Ordering::Relaxed);
        let (limit, reason) = match phase {
            HEAD => (self.limits.header, HEADER_TIMEOUT),
            IDLE => (self.limits.idle, IDLE_TIMEOUT),
            _ => return Poll::Pending,
        };
        let timed = Some((phase, self.state.rounds.load(Ordering::Relaxed)));
        if self.timed != timed {
            self.timed = timed;
            self.timer.as_mut().reset(Instant::now() + limit);
        }
        self.timer.as_mut().poll(cx).map(|()| reason)
    }

    /// The result of a write, or an error after the client has not read for too long.
    fn timed_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.limits.write;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(self.end(WRITE_TIMEOUT)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                if buffer.filled().len() > before {
                    // Input begins a head only while the connection is idle; otherwise it is body.
                    let _ = this.state.phase.compare_exchange(
                        IDLE,
                        HEAD,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    );
                }
                Poll::Ready(read)
            }
            Poll::Pending => this.poll_limit(cx).map(|reason| Err(this.end(reason))),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.timed_write(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bytes);
        this.timed_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        if flushed.is_ready() {
            // After an answer hyper waits for a wake-up without polling for input, so this sets the
            // timer. When it fires, hyper polls and gets the timeout.
            let _ = this.poll_limit(cx);
        }
        this.timed_write(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.lingering {
            let closed = Pin::new(&mut this.stream).poll_shutdown(cx);
            ready!(this.timed_write(cx, closed))?;
            if !this.state.unread.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            this.lingering = true;
            this.timer.as_mut().reset(Instant::now() + LINGER);
        }
        let mut waste = [0; 4096];
        loop {
            if this.timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut waste);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                // The client has closed its side, so the answer can no longer be lost.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
