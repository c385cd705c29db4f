//! The ports of the server, and the tasks that serve them.
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{Router, serve::ListenerExt};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{StartError, tls_listener::TlsListener};
use crate::stalled_connections::TimeoutListener;

/// Every port that is served. All of them are closed with this value.
pub(super) struct Listeners {
    /// How long a request may wait for its response.
    timeout: Duration,
    shutdown: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Listeners {
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, shutdown: watch::Sender::new(false), tasks: JoinSet::new() }
    }

    /// Serves a service of AWS to functions on a port of its own, and returns its URL.
    pub async fn serve_on_free_port(&mut self, router: Router) -> Result<String, StartError> {
        let listener = listen(0).await?;
        let url = format!("http://{}", local_address(&listener)?);
        self.serve(listener, router);
        Ok(url)
    }

    pub fn serve(&mut self, listener: TcpListener, router: Router) {
        self.serve_with_timeout(listener, router, self.timeout);
    }

    /// As `serve`, also to clients that begin with a TLS handshake.
    pub fn serve_with_tls(&mut self, listener: TcpListener, router: Router, acceptor: TlsAcceptor) {
        self.serve_detected(TlsListener { listener, acceptor: Some(acceptor) }, router, self.timeout);
    }

    pub fn serve_with_timeout(&mut self, listener: TcpListener, router: Router, timeout: Duration) {
        self.serve_detected(TlsListener { listener, acceptor: None }, router, timeout);
    }

    /// With a timeout for stalled requests.
    fn serve_detected(&mut self, listener: TlsListener, router: Router, timeout: Duration) {
        // Only a listener of this type tells the service the address of a client.
        let listener = TimeoutListener { listener, timeout }.tap_io(|_| ());
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let mut shutdown_signal = self.shutdown.subscribe();
        self.tasks.spawn(async move {
            let shutdown = async move { drop(shutdown_signal.wait_for(|is_shutdown| *is_shutdown).await) };
            if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(shutdown).await {
                tracing::error!(%error, "the HTTP service ended");
            }
        });
    }

    /// Runs a task that ends with the ports.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Closes every port and every connection.
    pub async fn close(mut self) {
        self.shutdown.send_replace(true);
        self.tasks.shutdown().await;
    }
}

pub(super) async fn listen(port: u16) -> Result<TcpListener, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken { port },
        _ => StartError::Port { port, error },
    })
}

pub(super) fn local_address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| StartError::Port { port: 0, error })
}
