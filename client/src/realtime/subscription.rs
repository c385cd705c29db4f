//! Handles on a connection and on its subscriptions.
use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    Stream, StreamExt,
    channel::mpsc::{UnboundedSender, unbounded},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Signal,
    signal_queue::{Receiver, signal_queue},
    socket::{Command, Connector, run},
};
use crate::appsync::AppSync;

/// One connection to the API, opened with its first subscription and closed after its last. Clones share the
/// connection.
#[derive(Clone)]
pub struct Realtime {
    commands: UnboundedSender<Command>,
}

impl Realtime {
    /// Spawns the connection's task: call this within a Tokio runtime.
    pub fn new(api: &AppSync) -> Self {
        let (commands, receiver) = unbounded();
        let connector = Connector { endpoint: api.endpoint().clone(), credentials: api.credentials_provider() };
        tokio::spawn(run(connector, receiver));
        Self { commands }
    }

    pub fn subscribe(&self, document: &str, variables: &Value) -> Subscription {
        let (sender, signals) = signal_queue();
        let id = Uuid::new_v4().to_string();
        let operation = json!({ "query": document, "variables": variables }).to_string();
        // If the connection's task is gone, the command and its sender are dropped, and the stream ends.
        let _ = self.commands.unbounded_send(Command::Subscribe { id: id.clone(), operation, signals: sender });
        Subscription { id, commands: self.commands.clone(), signals }
    }
}

/// The signals of one subscription as a stream. Dropping it unsubscribes. An owner who leaves more than a
/// thousand updates unread receives [`Signal::Interrupted`] in place of them.
pub struct Subscription {
    id: String,
    commands: UnboundedSender<Command>,
    signals: Receiver,
}

impl Stream for Subscription {
    type Item = Signal;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Signal>> {
        self.signals.poll_next_unpin(context)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let _ = self.commands.unbounded_send(Command::Unsubscribe { id: std::mem::take(&mut self.id) });
    }
}
