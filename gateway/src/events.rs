//! The function that serves messages of AppSync Events. AppSync invokes it asynchronously, after the
//! channel's handler has checked whose channel it is.
use std::time::Instant;

use api::{delivery::EventsApi, message_limits::MAX_EVENTS};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    caller::Caller,
    calls::{self, Origin},
    command::{self, EntryPoint},
    delivery::deliver,
    graphql::GraphqlApi,
    message_id,
    reply::{ErrorReply, Reply},
};

pub struct EventsGateway {
    api: GraphqlApi,
    events_api: EventsApi,
    /// Whether deltas are sent where a message does not say.
    streams: bool,
}

/// The payload of the channel's data source.
#[derive(Deserialize)]
struct Event {
    caller: Caller,
    /// The caller's own channel for answers.
    channel: String,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    event_id: String,
    payload: Value,
}

impl EventsGateway {
    pub fn new(api: GraphqlApi, events_api: EventsApi, streams: bool) -> Self {
        Self { api, events_api, streams }
    }

    /// Serves the messages of one publish, in order. Nothing is left to be repeated: a client hears of each
    /// failure.
    pub async fn serve(&self, event: Value, deadline: Instant) {
        let Event { caller, channel, messages } = match serde_json::from_value(event) {
            Ok(event) => event,
            Err(_) => return tracing::error!("the event is none of the channel's data source"),
        };
        if messages.len() > MAX_EVENTS {
            tracing::error!(messages = messages.len(), "only the first messages are served");
        }
        for message in messages.into_iter().take(MAX_EVENTS) {
            self.serve_message(&caller, &channel, message, deadline).await;
        }
    }

    async fn serve_message(&self, caller: &Caller, channel: &str, message: Message, deadline: Instant) {
        let derived_id = message_id::of_event(&message.event_id);
        let (client_id, replies) = match command::parse(&message.payload, EntryPoint::Events) {
            Ok(request) => {
                let reply_to = json!({ "events": channel });
                let listener = channel.rsplit('/').next().unwrap_or_default().to_owned();
                let origin =
                    Origin { caller, reply_to, streams: self.streams, listener, derived_id: derived_id.clone() };
                let result = calls::call(&self.api, &request, &origin, deadline).await;
                let replies = calls::replies(&self.api, &request, &origin, result, deadline).await;
                (request.id, replies)
            }
            Err(invalid) => {
                let reply = Reply::Error(ErrorReply::from(&invalid));
                (invalid.id, vec![reply])
            }
        };
        let to_messages = |reply: Reply| reply.into_messages(EntryPoint::Events, client_id.as_deref(), &derived_id);
        for text in replies.into_iter().flat_map(to_messages) {
            if !self.publish(channel, &text, &derived_id, deadline).await {
                return;
            }
        }
    }

    /// Whether AppSync has taken the message.
    async fn publish(&self, channel: &str, text: &str, id: &str, deadline: Instant) -> bool {
        let events = [text];
        match deliver(id, deadline, || self.events_api.publish(channel, &events)).await {
            Ok(failed) if failed.is_empty() => true,
            Ok(failed) => {
                let code = failed.first().and_then(|failed| failed.code.as_deref());
                tracing::error!(message = id, code, "reply not published");
                false
            }
            Err(error) => {
                tracing::error!(message = id, %error, "reply not published");
                false
            }
        }
    }
}
