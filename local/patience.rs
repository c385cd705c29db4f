//! Patience with slow clients: a connection ends on which something was begun and never came to an answer.
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

/// Longer than the slowest answer takes to begin, which is a model's that is about to be given up.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A listener whose connections end when a client dawdles.
pub struct Patient<L> {
    pub listener: L,
    pub patience: Duration,
}

impl<L: Listener> Listener for Patient<L> {
    type Io = Watched<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (io, address) = self.listener.accept().await;
        (Watched { io, patience: self.patience, unanswered: None }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that may be idle for as long as it likes, but not halfway through a request: reading from it fails when
/// nothing was written for too long after something was read.
pub struct Watched<I> {
    pub io: I,
    patience: Duration,
    unanswered: Option<Pin<Box<Sleep>>>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, patience, unanswered } = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(io).poll_read(task, buffer) {
            Poll::Ready(read) => {
                if buffer.filled().len() > before {
                    unanswered.get_or_insert_with(|| Box::pin(sleep(*patience)));
                }
                Poll::Ready(read)
            }
            Poll::Pending => match unanswered {
                Some(waited) => waited.as_mut().poll(task).map(|()| Err(io::ErrorKind::TimedOut.into())),
                None => Poll::Pending,
            },
        }
    }
}

impl<I: AsyncWrite + Unpin> Watched<I> {
    fn written(&mut self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        self.unanswered = None;
        Poll::Ready(written)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(task, bytes));
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(task, slices));
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(task)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::Instant,
    };

    use super::*;

    fn watched() -> (DuplexStream, Watched<DuplexStream>) {
        let (client, io) = duplex(1024);
        (client, Watched { io, patience: PATIENCE, unanswered: None })
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_trickles_is_given_up_however_diligently() {
        let (mut client, mut server) = watched();
        let begun = Instant::now();
        let trickling = tokio::spawn(async move {
            while client.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(7)).await;
            }
        });
        let fault = server.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::TimedOut);
        assert!((PATIENCE..PATIENCE + Duration::from_secs(1)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        drop(server);
        trickling.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_answered_may_be_idle() {
        let (mut client, mut server) = watched();
        client.write_all(b"question").await.unwrap();
        server.read_exact(&mut [0; 8]).await.unwrap();
        server.write_all(b"answer").await.unwrap();
        let idle = tokio::spawn(async move {
            sleep(10 * PATIENCE).await;
            client.write_all(b"question").await.unwrap();
            client
        });
        server.read_exact(&mut [0; 8]).await.expect("it was only idle");
        drop(idle);
    }
}
