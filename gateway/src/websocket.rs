//! The function that serves the routes of a WebSocket API: `$connect`, `$default` and `$disconnect`.
//!
//! Routes are one-way: every reply is posted to its connection.
use std::time::{Duration, Instant};

use api::delivery::{Connections, DeliveryError};
use serde_json::{Value, json};

use crate::{
    caller::Caller,
    calls::{self, Origin},
    command::{self, Command, Conversation, EntryPoint, Request},
    connection_table::{ConnectionKey, ConnectionTable},
    delivery::deliver,
    graphql::GraphqlApi,
    message_id,
    reply::{ErrorReply, Reply},
    subprotocol,
    websocket_event::{EventType, ProxyEvent},
};

/// A user's open connections; all callers with the API key are one user and have no limit.
const MAX_CONNECTIONS: u64 = 50;

pub struct WebSocketGateway {
    api: GraphqlApi,
    connections: Connections,
    table: ConnectionTable,
}

/// One message of an open connection.
struct Message<'a> {
    caller: &'a Caller,
    user_id: &'a str,
    connection_id: &'a str,
    deadline: Instant,
}

impl Message<'_> {
    fn key(&self) -> ConnectionKey<'_> {
        ConnectionKey { user_id: self.user_id, connection_id: self.connection_id }
    }
}

impl WebSocketGateway {
    pub fn new(api: GraphqlApi, connections: Connections, table: ConnectionTable) -> Self {
        Self { api, connections, table }
    }

    /// `now`: since 1970. Returns the answer for API Gateway.
    pub async fn serve(&self, event: Value, now: Duration, deadline: Instant) -> Value {
        let event: ProxyEvent = match serde_json::from_value(event) {
            Ok(event) => event,
            Err(_) => {
                tracing::error!("the event is none of a WebSocket API");
                return status(400);
            }
        };
        let Some((caller, expires_at)) = event.authorized_caller() else {
            tracing::error!("the event has no caller: the API has no authorizer");
            return status(401);
        };
        let user_id = caller.user_id();
        let connection_id = event.request_context.connection_id.as_str();
        let message = Message { caller: &caller, user_id: &user_id, connection_id, deadline };
        match event.request_context.event_type {
            EventType::Connect => self.connect(&event, &message, now).await,
            EventType::Disconnect => self.disconnect(&message).await,
            EventType::Message if expires_at.is_some_and(|expires_at| expires_at <= now.as_secs()) => {
                let body = event.body.as_deref().unwrap_or_default();
                let id = command::parse_text(body, EntryPoint::WebSocket)
                    .map_or_else(|invalid| invalid.id, |valid| valid.id);
                self.post(&message, Reply::Error(ErrorReply::expired_credential()), id.as_deref(), "").await;
                status(200)
            }
            EventType::Message => self.receive(&event, &message).await,
        }
    }

    async fn connect(&self, event: &ProxyEvent, message: &Message<'_>, now: Duration) -> Value {
        if !message.caller.is_api_key() {
            match self.table.count(message.user_id, now, message.deadline).await {
                Ok(count) if count >= MAX_CONNECTIONS => {
                    tracing::info!(count, "the user has too many connections");
                    return status(429);
                }
                Ok(_) => {}
                Err(_) => return status(503),
            }
        }
        if self.table.put(message.key(), now, message.deadline).await.is_err() {
            return status(503);
        }
        match subprotocol::is_offered(&event.header_values("sec-websocket-protocol")) {
            true => json!({ "statusCode": 200, "headers": { "Sec-WebSocket-Protocol": subprotocol::NAME } }),
            false => status(200),
        }
    }

    /// An item that stays expires.
    async fn disconnect(&self, message: &Message<'_>) -> Value {
        if self.table.delete(message.key(), message.deadline).await.is_err() {
            tracing::warn!(connection = message.connection_id, "the connection's item stays until it expires");
        }
        status(200)
    }

    async fn receive(&self, event: &ProxyEvent, message: &Message<'_>) -> Value {
        let context = &event.request_context;
        let derived_id = message_id::of_websocket_message(&context.connection_id, context.message_id());
        let (client_id, replies) =
            match command::parse_text(event.body.as_deref().unwrap_or_default(), EntryPoint::WebSocket) {
                Ok(request) => {
                    let reply_to = json!({ "websocket": { "connectionId": context.connection_id } });
                    let origin = Origin {
                        caller: message.caller,
                        reply_to,
                        streams: false,
                        listener: context.connection_id.clone(),
                        derived_id: derived_id.clone(),
                    };
                    let replies = self.answer(&request, &origin, message).await;
                    (request.id, replies)
                }
                Err(invalid) => {
                    let reply = Reply::Error(ErrorReply::from(&invalid));
                    (invalid.id, vec![reply])
                }
            };
        for reply in replies {
            self.post(message, reply, client_id.as_deref(), &derived_id).await;
        }
        status(200)
    }

    async fn answer(&self, request: &Request, origin: &Origin<'_>, message: &Message<'_>) -> Vec<Reply> {
        let result = match &request.command {
            Command::Send { conversation: Conversation::OfConnection, text, replaces_turn_id, stream } => {
                let send = |conversation| Request {
                    id: request.id.clone(),
                    command: Command::Send {
                        conversation,
                        text: text.clone(),
                        replaces_turn_id: replaces_turn_id.clone(),
                        stream: *stream,
                    },
                    is_acknowledged: request.is_acknowledged,
                };
                self.send_in_conversation_of_connection(send, origin, message).await
            }
            _ => self.call(request, origin, message).await,
        };
        calls::replies(&self.api, request, origin, result, message.deadline).await
    }

    /// Sends a message in the conversation that the connection's first message has begun. A conversation that
    /// has been deleted is begun again. Two first messages at once begin one each; the connection keeps that
    /// which is stored first.
    async fn send_in_conversation_of_connection(
        &self,
        send: impl Fn(Conversation) -> Request,
        origin: &Origin<'_>,
        message: &Message<'_>,
    ) -> Result<Value, ErrorReply> {
        let stored = self.table.conversation(message.key(), message.deadline).await;
        let old = stored.map_err(|_| ErrorReply::unavailable())?;
        if let Some(id) = &old {
            match self.call(&send(Conversation::Existing(id.clone())), origin, message).await {
                Err(error) if error.code == "NotFound" => {}
                result => return result,
            }
        }
        let turn = self.call(&send(Conversation::New), origin, message).await?;
        let new = turn["conversationId"].as_str().unwrap_or_default();
        let is_kept = self.table.replace_conversation(message.key(), old.as_deref(), new, message.deadline).await;
        if !is_kept.unwrap_or(false) {
            tracing::warn!(connection = message.connection_id, "the next message begins another conversation");
        }
        Ok(turn)
    }

    async fn call(&self, request: &Request, origin: &Origin<'_>, message: &Message<'_>) -> Result<Value, ErrorReply> {
        calls::call(&self.api, request, origin, message.deadline).await
    }

    /// Posts a reply. Nothing more is sent to a connection that has gone, and its item is deleted.
    async fn post(&self, message: &Message<'_>, reply: Reply, client_id: Option<&str>, derived_id: &str) {
        let connection = message.connection_id;
        for text in reply.into_messages(EntryPoint::WebSocket, client_id, derived_id) {
            match deliver(connection, message.deadline, || self.connections.send(connection, &text)).await {
                Ok(()) => {}
                Err(DeliveryError::Gone) => {
                    tracing::info!(connection, "the connection has gone");
                    self.disconnect(message).await;
                    return;
                }
                Err(error) => {
                    tracing::error!(connection, %error, "reply not sent");
                    return;
                }
            }
        }
    }
}

fn status(code: u16) -> Value {
    json!({ "statusCode": code })
}
