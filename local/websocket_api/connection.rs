//! One open connection, until it is closed.
use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::extract::ws::{Message, WebSocket};
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use super::{close_cause::CloseCause, registry::Registration, request_context::ConnectionInfo, service::Service};
use crate::realtime::client_socket::{ClientSocket, Closed};

/// API Gateway's limit on the time without a message. AWS does not say whether pings are messages; here they
/// are not.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// API Gateway's limit on the duration of a connection.
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(2 * 60 * 60);
/// The number of messages of a connection that are handled concurrently. While it is reached, no frame of the
/// client is read.
const MAX_PENDING_MESSAGES: usize = 32;

/// Serves a connection until it is closed, then invokes `$disconnect`.
pub async fn serve(
    service: Arc<Service>,
    socket: WebSocket,
    registration: Registration,
    info: Arc<ConnectionInfo>,
    messages: mpsc::Receiver<String>,
) {
    let _open = service.tasks.token();
    let mut socket = ClientSocket { socket, send_timeout: service.settings.send_timeout };
    let mut connection = Connection {
        idle_deadline: Instant::now(),
        service: service.clone(),
        registration,
        info: info.clone(),
        pending: FuturesUnordered::new(),
    };
    let Err(cause) = connection.run(&mut socket, messages).await;
    drop(connection);
    let (code, reason) = cause.close_frame();
    socket.close_with(code, reason).await;
    service.disconnect(&info, &cause);
}

struct Connection {
    service: Arc<Service>,
    registration: Registration,
    info: Arc<ConnectionInfo>,
    /// The invocations, each with the text for the client. They go on when the connection is closed.
    pending: FuturesUnordered<JoinHandle<Option<String>>>,
    idle_deadline: Instant,
}

impl Connection {
    async fn run(
        &mut self,
        socket: &mut ClientSocket,
        mut messages: mpsc::Receiver<String>,
    ) -> Result<Infallible, CloseCause> {
        self.record_message();
        let end_of_life = sleep(self.service.settings.scaled(MAX_CONNECTION_AGE));
        tokio::pin!(end_of_life);
        let stopping = self.service.stopping.clone();
        loop {
            tokio::select! {
                received = socket.socket.recv(), if self.pending.len() < MAX_PENDING_MESSAGES => {
                    self.handle_frame(received)?;
                }
                Some(handled) = self.pending.next() => {
                    if let Ok(Some(text)) = handled {
                        self.send(socket, text).await?;
                    }
                }
                message = messages.recv() => self.send(socket, message.ok_or(CloseCause::Deleted)?).await?,
                () = sleep_until(self.idle_deadline) => return Err(CloseCause::Idle),
                () = &mut end_of_life => return Err(CloseCause::TooOld),
                () = stopping.cancelled() => return Err(CloseCause::ServerStops),
            }
        }
    }

    fn handle_frame(&mut self, received: Option<Result<Message, axum::Error>>) -> Result<(), CloseCause> {
        match received {
            Some(Ok(Message::Text(text))) => {
                self.record_message();
                self.begin_invocation(text.as_str().to_owned());
                Ok(())
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Binary(_))) => Err(CloseCause::BinaryMessage),
            Some(Ok(Message::Close(frame))) => Err(CloseCause::from_close_frame(frame)),
            Some(Err(error)) => Err(match Closed::from_read_error(error) {
                Closed::ProtocolError(code) => CloseCause::ProtocolError(code),
                _ => CloseCause::Lost,
            }),
            None => Err(CloseCause::Lost),
        }
    }

    /// Invokes the function of a message in a task of its own, so that the invocation does not depend on the
    /// connection.
    fn begin_invocation(&mut self, body: String) {
        let (service, info) = (self.service.clone(), self.info.clone());
        self.pending.push(self.service.tasks.spawn(async move { service.handle_message(&info, &body).await }));
    }

    async fn send(&mut self, socket: &mut ClientSocket, text: String) -> Result<(), CloseCause> {
        socket.send_text(text).await.map_err(|_| CloseCause::Lost)?;
        self.record_message();
        Ok(())
    }

    fn record_message(&mut self) {
        self.registration.record_message();
        self.idle_deadline = Instant::now() + self.service.settings.scaled(IDLE_TIMEOUT);
    }
}
