//! A connection under time limits: clients that send nothing, or take nothing, are let go.
//!
//! hyper has one limit for the head of a request, and it runs while a connection is unused, too.
//! An unused connection of the API server is welcome for minutes, half a request is not, so the two
//! are told apart here.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a client that was told to go away may go on sending, so that it reads why: closing
/// with unread input resets the connection, and the answer is lost.
const LINGER: Duration = Duration::from_secs(1);

/// Time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) header: Duration,
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

/// What a connection is doing.
const UNUSED: u8 = 0;
const HEAD: u8 = 1;
const REQUEST: u8 = 2;

/// What the stream and the handler of requests tell each other.
#[derive(Debug)]
pub(super) struct Pulse {
    doing: AtomicU8,
    /// how often the connection became unused
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

impl Pulse {
    /// A connection on which a head is expected at once.
    pub(super) fn new() -> Self {
        Self {
            doing: AtomicU8::new(HEAD),
            rounds: AtomicU32::new(0),
            unread: AtomicBool::new(false),
            ended_by: AtomicU8::new(0),
        }
    }

    /// A head has arrived; from here on the handler keeps the time.
    pub(super) fn request_begins(&self) {
        self.doing.store(REQUEST, Ordering::Relaxed);
    }

    /// The answer is ready.
    pub(super) fn request_ends(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.doing.store(UNUSED, Ordering::Relaxed);
    }

    /// The client will be told to go away while it still sends.
    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// hyper gave the connection up.
    pub(super) fn broke(&self) {
        let _ = self.ended_by.compare_exchange(0, ERROR, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// What ended the connection, for metrics.
    pub(super) fn ended_by(&self) -> &'static str {
        REASONS[usize::from(self.ended_by.load(Ordering::Relaxed)) % REASONS.len()]
    }
}

/// A stream under time limits.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    stream: S,
    limits: Limits,
    pulse: Arc<Pulse>,
    /// for reading, and for lingering
    timer: Pin<Box<Sleep>>,
    /// what `timer` is set for: activity and round
    timed: Option<(u8, u32)>,
    /// set while nothing can be written
    stalled: Option<Pin<Box<Sleep>>>,
    lingering: bool,
}

impl<S> Guarded<S> {
    pub(super) fn new(stream: S, limits: Limits, pulse: Arc<Pulse>) -> Self {
        let timer = Box::pin(sleep(limits.header));
        Self { stream, limits, pulse, timer, timed: None, stalled: None, lingering: false }
    }

    fn end(&self, by: u8) -> io::Error {
        self.pulse.ended_by.store(by, Ordering::Relaxed);
        io::Error::from(io::ErrorKind::TimedOut)
    }

    /// Nothing to read: is it time to give up, and why?
    fn poll_give_up(&mut self, cx: &mut Context<'_>) -> Poll<u8> {
        let doing = self.pulse.doing.load(Ordering::Relaxed);
        let (limit, reason) = match doing {
            HEAD => (self.limits.header, HEADER_TIMEOUT),
            UNUSED => (self.limits.idle, IDLE_TIMEOUT),
            _ => return Poll::Pending,
        };
        let timed = Some((doing, self.pulse.rounds.load(Ordering::Relaxed)));
        if self.timed != timed {
            self.timed = timed;
            self.timer.as_mut().reset(Instant::now() + limit);
        }
        self.timer.as_mut().poll(cx).map(|()| reason)
    }

    /// Passes on the outcome of a write, unless none was possible for too long.
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

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
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
                    // Only an unused connection begins with a head; a body leaves this alone.
                    let _ = this.pulse.doing.compare_exchange(
                        UNUSED,
                        HEAD,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    );
                }
                Poll::Ready(read)
            }
            Poll::Pending => this.poll_give_up(cx).map(|reason| Err(this.end(reason))),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
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
            // After an answer hyper waits for input without asking for it again, so the timer is
            // set here. When it fires hyper asks, and gets the timeout.
            let _ = this.poll_give_up(cx);
        }
        this.timed_write(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.lingering {
            let closed = Pin::new(&mut this.stream).poll_shutdown(cx);
            ready!(this.timed_write(cx, closed))?;
            if !this.pulse.unread.load(Ordering::Relaxed) {
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
                // The client is done, or gone; either way nothing more can be lost.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
