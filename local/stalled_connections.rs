//! Closes connections whose client stalls in the middle of a request.
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// How much longer a request may wait for its response than the longest invocation of a function. The slowest
/// response is that of a silent model, for which the handler waits.
const RESERVE: Duration = Duration::from_secs(60);

/// How long a request may wait for its response, where functions run for so many seconds at most.
pub fn request_timeout(function_timeout_seconds: impl IntoIterator<Item = u32>) -> Duration {
    let longest = function_timeout_seconds.into_iter().max().unwrap_or_default();
    Duration::from_secs(longest.into()) + RESERVE
}

/// A listener whose connections fail when a request is not answered in time.
pub struct TimeoutListener<L> {
    pub listener: L,
    pub timeout: Duration,
}

impl<L: Listener> Listener for TimeoutListener<L> {
    type Io = TimeoutStream<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (io, address) = self.listener.accept().await;
        (TimeoutStream { io, timeout: self.timeout, deadline: None }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that may be idle without limit, but not in the middle of a request: reading fails with
/// `TimedOut` when nothing was written for too long after something was read.
pub struct TimeoutStream<I> {
    pub io: I,
    timeout: Duration,
    /// Set by the first read after a write, cleared by a write.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<I: AsyncRead + Unpin> AsyncRead for TimeoutStream<I> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, timeout, deadline } = self.get_mut();
        let length_before = buffer.filled().len();
        match Pin::new(io).poll_read(context, buffer) {
            Poll::Ready(result) => {
                if buffer.filled().len() > length_before {
                    deadline.get_or_insert_with(|| Box::pin(sleep(*timeout)));
                }
                Poll::Ready(result)
            }
            Poll::Pending => match deadline {
                Some(deadline) => deadline.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into())),
                None => Poll::Pending,
            },
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for TimeoutStream<I> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.io).poll_write(context, bytes));
        self.deadline = None;
        Poll::Ready(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.io).poll_write_vectored(context, slices));
        self.deadline = None;
        Poll::Ready(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::Instant,
    };

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(180);

    #[test]
    fn request_may_wait_longer_than_any_function_runs() {
        assert_eq!(request_timeout([300, 900, 90]), Duration::from_secs(960));
    }

    fn connection() -> (DuplexStream, TimeoutStream<DuplexStream>) {
        let (client, io) = duplex(1024);
        (client, TimeoutStream { io, timeout: TIMEOUT, deadline: None })
    }

    #[tokio::test(start_paused = true)]
    async fn unanswered_client_times_out_although_it_keeps_sending() {
        let (mut client, mut server) = connection();
        let start = Instant::now();
        let sending = tokio::spawn(async move {
            while client.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(7)).await;
            }
        });
        let error = server.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let elapsed = start.elapsed();
        assert!((TIMEOUT..TIMEOUT + Duration::from_secs(1)).contains(&elapsed), "{elapsed:?}");
        drop(server);
        sending.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn answered_client_may_be_idle() {
        let (mut client, mut server) = connection();
        client.write_all(b"question").await.unwrap();
        server.read_exact(&mut [0; 8]).await.unwrap();
        server.write_all(b"answer").await.unwrap();
        let idle_client = tokio::spawn(async move {
            sleep(10 * TIMEOUT).await;
            client.write_all(b"question").await.unwrap();
            client
        });
        server.read_exact(&mut [0; 8]).await.expect("an idle connection stays open");
        drop(idle_client);
    }
}
