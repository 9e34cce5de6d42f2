//! Answers that are ready together leave together: one TLS record and one call of the kernel for all of them.
//!
//! When many reviews of one connection run at once, each that is done wakes the connection, which would send that one
//! answer by itself: encrypting it, handing it to the kernel and waking the client costs as much as judging a review.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};

/// How many bytes are held back at most.
const MOST: usize = 64 * 1024;

/// A stream that lets everything run once that is ready to, before it sends what was written. Where nothing else is
/// ready, that is at once.
///
/// It takes no vectored writes: h2 would hand each larger answer on by itself then.
#[derive(Debug)]
pub(super) struct Corked<S> {
    inner: BufWriter<S>,
    /// Whether others were let run since something was held back.
    waited: bool,
}

impl<S: AsyncWrite> Corked<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner: BufWriter::with_capacity(MOST, inner), waited: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Corked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.inner.buffer().is_empty() && !self.waited {
            self.waited = true;
            // A task that wakes itself while it runs goes behind all that are ready.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.waited = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    /// Takes so many bytes at once, and notes them.
    struct Sink {
        most: usize,
        taken: Vec<Vec<u8>>,
        closed: bool,
    }

    impl AsyncWrite for Sink {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let bytes = &bytes[..bytes.len().min(self.most)];
            self.taken.push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.closed = true;
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn corked(most: usize) -> Corked<Sink> {
        Corked::new(Sink { most, taken: Vec::new(), closed: false })
    }

    fn write(stream: &mut Corked<Sink>, cx: &mut Context<'_>, bytes: &[u8]) {
        let Poll::Ready(Ok(taken)) = Pin::new(stream).poll_write(cx, bytes) else { panic!("not taken") };
        assert_eq!(taken, bytes.len());
    }

    #[test]
    fn what_is_written_before_the_others_have_run_leaves_as_one() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let cx = &mut Context::from_waker(&waker);
        let mut stream = corked(usize::MAX);
        for turn in 1..=2 {
            write(&mut stream, cx, b"one");
            assert!(Pin::new(&mut stream).poll_flush(cx).is_pending());
            assert_eq!(woken.0.load(Ordering::Relaxed), turn, "nobody else would have it polled again");
            write(&mut stream, cx, b"two");
            assert!(matches!(Pin::new(&mut stream).poll_flush(cx), Poll::Ready(Ok(()))));
            assert_eq!(stream.inner.get_ref().taken, vec![b"onetwo".to_vec(); turn]);
        }
        assert!(Pin::new(&mut stream).poll_flush(cx).is_ready(), "there is nothing to wait for");
    }

    #[test]
    fn nothing_is_lost_however_little_is_taken_at_once() {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut stream = corked(1_000);
        let bytes: Vec<u8> = (0..3 * MOST).map(|n| n as u8).collect();
        for part in bytes.chunks(40_000) {
            write(&mut stream, cx, part);
            assert!(stream.inner.buffer().len() <= MOST, "{} bytes are held", stream.inner.buffer().len());
        }
        assert!(Pin::new(&mut stream).poll_shutdown(cx).is_ready());
        assert!(stream.inner.get_ref().closed);
        assert_eq!(stream.inner.get_ref().taken.concat(), bytes);
    }

    #[test]
    fn a_stream_that_takes_nothing_is_a_fault() {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut stream = corked(0);
        write(&mut stream, cx, b"one");
        assert!(Pin::new(&mut stream).poll_flush(cx).is_pending());
        let Poll::Ready(Err(error)) = Pin::new(&mut stream).poll_flush(cx) else { panic!("no fault") };
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}
