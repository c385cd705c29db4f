//! HTTP and TLS on one port: the first byte of a connection tells whether a TLS handshake begins.
use std::{
    io, mem,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::serve::Listener;
use futures::{FutureExt, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::either::Either;

/// The first byte of a TLS connection; no HTTP request begins with it.
const TLS_HANDSHAKE: u8 = 0x16;
/// The longest duration of a TLS handshake. A connection that exceeds it fails.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Accepts connections, and those that begin with a TLS handshake too if there is an acceptor.
pub struct TlsListener {
    pub listener: TcpListener,
    pub acceptor: Option<TlsAcceptor>,
}

impl Listener for TlsListener {
    type Io = DetectedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (DetectedStream::new(stream, self.acceptor.clone()), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that is decrypted if its client begins a TLS handshake. The first read or write decides it,
/// so that a silent client does not keep others from being accepted.
pub struct DetectedStream(State);

type OpenStream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

enum State {
    Undetected(TcpStream, TlsAcceptor),
    Handshake(BoxFuture<'static, io::Result<TlsStream<TcpStream>>>),
    Open(OpenStream),
    /// The connection or its handshake has failed.
    Failed,
}

impl DetectedStream {
    fn new(stream: TcpStream, acceptor: Option<TlsAcceptor>) -> Self {
        // Nagle's algorithm would delay deltas.
        drop(stream.set_nodelay(true));
        Self(match acceptor {
            Some(acceptor) => State::Undetected(stream, acceptor),
            None => State::Open(Either::Left(stream)),
        })
    }

    /// The connection, once its first byte has arrived and its handshake is complete.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut OpenStream>>> {
        loop {
            self.0 = match mem::replace(&mut self.0, State::Failed) {
                State::Undetected(stream, acceptor) => match poll_begins_tls(&stream, context) {
                    Poll::Pending => {
                        self.0 = State::Undetected(stream, acceptor);
                        return Poll::Pending;
                    }
                    Poll::Ready(true) => State::Handshake(handshake(stream, acceptor).boxed()),
                    Poll::Ready(false) => State::Open(Either::Left(stream)),
                },
                State::Handshake(mut handshake) => match handshake.poll_unpin(context) {
                    Poll::Pending => {
                        self.0 = State::Handshake(handshake);
                        return Poll::Pending;
                    }
                    Poll::Ready(stream) => State::Open(Either::Right(Box::new(stream?))),
                },
                State::Failed => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
                State::Open(stream) => {
                    self.0 = State::Open(stream);
                    break;
                }
            };
        }
        Poll::Ready(self.opened().map(Pin::new).ok_or(io::ErrorKind::NotConnected.into()))
    }

    fn opened(&mut self) -> Option<&mut OpenStream> {
        match &mut self.0 {
            State::Open(stream) => Some(stream),
            State::Undetected(..) | State::Handshake(_) | State::Failed => None,
        }
    }
}

async fn handshake(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<TlsStream<TcpStream>> {
    let result = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
    result.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).inspect_err(|error| {
        tracing::debug!(%error, "a TLS handshake failed: does the client trust the certificate?");
    })
}

/// Whether the first byte begins a TLS handshake. Reading reports a connection that ends or fails before it.
fn poll_begins_tls(stream: &TcpStream, context: &mut Context<'_>) -> Poll<bool> {
    let mut first = [0];
    let mut buffer = ReadBuf::new(&mut first);
    stream.poll_peek(context, &mut buffer).map(|_| buffer.filled() == [TLS_HANDSHAKE])
}

impl AsyncRead for DetectedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?.poll_read(context, buffer)
    }
}

impl AsyncWrite for DetectedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        matches!(&self.0, State::Open(stream) if stream.is_write_vectored())
    }

    /// Nothing was written to a connection that is not open.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.opened().map_or(Poll::Ready(Ok(())), |stream| Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.opened().map_or(Poll::Ready(Ok(())), |stream| Pin::new(stream).poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::Instant,
    };
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::server::tls_certificate::TlsCertificate;

    async fn listen(acceptor: Option<TlsAcceptor>) -> (TlsListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (TlsListener { listener, acceptor }, address)
    }

    async fn echo(mut stream: DetectedStream) -> io::Result<()> {
        let mut question = [0; 8];
        stream.read_exact(&mut question).await?;
        stream.write_all(&question).await?;
        stream.flush().await
    }

    async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
        stream.write_all(b"question").await.unwrap();
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"question");
    }

    fn connector(certificate: &TlsCertificate) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
    }

    #[tokio::test]
    async fn port_takes_plain_and_encrypted_connections() {
        let certificate = TlsCertificate::generate().unwrap();
        let (mut listener, address) = listen(Some(certificate.acceptor().unwrap())).await;
        let server = tokio::spawn(async move {
            for _ in 0..2 {
                let (stream, _) = listener.accept().await;
                echo(stream).await.unwrap();
            }
        });
        ask(&mut TcpStream::connect(address).await.unwrap()).await;
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        ask(&mut connector(&certificate).connect(name, stream).await.unwrap()).await;
        server.await.unwrap();
    }

    #[tokio::test]
    async fn port_without_a_certificate_passes_every_byte() {
        let (mut listener, address) = listen(None).await;
        let server = tokio::spawn(async move { echo(listener.accept().await.0).await });
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"\x16\x03\x01 etc.").await.unwrap();
        let mut answer = [0; 8];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"\x16\x03\x01 etc.");
        server.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn handshake_that_is_none_fails() {
        let acceptor = TlsCertificate::generate().unwrap().acceptor().unwrap();
        for bytes in [&b"\x16GET / HTTP/1.1\r\n\r\n"[..], b"\x16"] {
            let (mut listener, address) = listen(Some(acceptor.clone())).await;
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await;
                let failed = stream.read(&mut [0; 8]).await.unwrap_err();
                (failed.kind(), stream.write(b"x").await.unwrap_err().kind())
            });
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(bytes).await.unwrap();
            client.shutdown().await.unwrap();
            let (first, later) = server.await.unwrap();
            assert!(matches!(first, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof), "{first}");
            assert_eq!(later, io::ErrorKind::NotConnected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_handshake_fails() {
        let acceptor = TlsCertificate::generate().unwrap().acceptor().unwrap();
        let (mut listener, address) = listen(Some(acceptor)).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"\x16\x03\x01").await.unwrap();
        let (mut stream, _) = listener.accept().await;
        let start = Instant::now();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= HANDSHAKE_TIMEOUT);
    }

    #[tokio::test]
    async fn client_that_sends_nothing_ends_as_a_plain_connection() {
        let acceptor = TlsCertificate::generate().unwrap().acceptor().unwrap();
        let (mut listener, address) = listen(Some(acceptor)).await;
        drop(TcpStream::connect(address).await.unwrap());
        let (mut stream, _) = listener.accept().await;
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    }
}
