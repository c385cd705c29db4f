//! Where a client of another entry point listens, and how much one request to it may have.
use api::message_limits::{MAX_EVENT_BYTES, MAX_EVENTS, MAX_WEBSOCKET_BYTES};
use serde::Deserialize;

/// Where replies go, and which.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplyTo {
    #[serde(flatten)]
    pub listener: Listener,
    /// Whether the client gets every update, and not the answer alone.
    #[serde(default)]
    pub stream: bool,
    /// The client's id of its request, for the messages: at most 128 characters.
    pub request_id: Option<String>,
    /// The user who listens, where this one is not the owner of the conversation.
    pub participant_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Listener {
    /// The path of a channel of AppSync Events.
    Events(String),
    #[serde(rename = "websocket")]
    WebSocket(Connection),
}

/// A connection of the deployment's WebSocket API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    pub connection_id: String,
    /// The user who has opened it. The table keeps it under this id.
    pub user_id: String,
}

/// How much one request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    pub messages: usize,
    /// Of all messages, and so of each. A larger update is replaced by a reference, and a larger answer comes
    /// in parts.
    pub bytes: usize,
}

impl Listener {
    pub const fn request_limits(&self) -> RequestLimits {
        match self {
            Self::Events(_) => RequestLimits { messages: MAX_EVENTS, bytes: MAX_EVENT_BYTES },
            // A request is one message.
            Self::WebSocket(_) => RequestLimits { messages: 1, bytes: MAX_WEBSOCKET_BYTES },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn reply_to_is_read_as_the_resolvers_write_it() {
        let events: ReplyTo = from_value(json!({ "events": "/chat/responses/ann" })).unwrap();
        let listener = Listener::Events("/chat/responses/ann".into());
        assert_eq!(events, ReplyTo { listener, stream: false, request_id: None, participant_id: None });
        let websocket = json!({
            "websocket": { "connectionId": "abc=", "userId": "API_KEY" }, "stream": true, "requestId": "7",
            "participantId": "i#bob",
        });
        let websocket: ReplyTo = from_value(websocket).unwrap();
        let connection = Connection { connection_id: "abc=".into(), user_id: "API_KEY".into() };
        let expected = ReplyTo {
            listener: Listener::WebSocket(connection),
            stream: true,
            request_id: Some("7".into()),
            participant_id: Some("i#bob".into()),
        };
        assert_eq!(websocket, expected);
    }
}
