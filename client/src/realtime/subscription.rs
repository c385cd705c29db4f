//! The handles that a program holds.
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
    mailbox::{Receiver, mailbox},
    session::Signal,
    socket::{Command, Connector, run},
};
use crate::appsync::AppSync;

/// One connection to the API, opened with the first subscription and closed after the last.
#[derive(Clone)]
pub struct Realtime {
    commands: UnboundedSender<Command>,
}

impl Realtime {
    /// Must be called within a Tokio runtime, on which the connection lives.
    pub fn new(api: &AppSync) -> Self {
        let (commands, orders) = unbounded();
        let connector = Connector { endpoint: api.endpoint().clone(), credentials: api.credentials().clone() };
        tokio::spawn(run(connector, orders));
        Self { commands }
    }

    pub fn subscribe(&self, document: &str, variables: &Value) -> Subscription {
        let (signals, stream) = mailbox();
        let id = Uuid::new_v4().to_string();
        let data = json!({ "query": document, "variables": variables }).to_string();
        // If the connection's task is gone, so is the sender of signals, and the stream just ends.
        let _ = self.commands.unbounded_send(Command::Subscribe { id: id.clone(), data, signals });
        Subscription { id, commands: self.commands.clone(), signals: stream }
    }
}

/// A stream of what happens to one subscription; dropping it ends the subscription. Whoever leaves more than a thousand
/// updates unread is told of an interruption in their place.
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
