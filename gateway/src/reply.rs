//! The replies of the gateway, as JSON messages of at most the size that their entry point takes.
use api::{
    json_size::fitting_prefix,
    message_limits::{MAX_EVENT_BYTES, MAX_WEBSOCKET_BYTES},
};
use serde_json::{Map, Value, json};

use crate::command::{EntryPoint, InvalidInput};

/// For `"part":…,"parts":…` with the largest numbers, and the other members of a part.
const PART_OVERHEAD: usize = 100;

#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A run has started.
    Accepted {
        conversation_id: String,
        turn_id: String,
    },
    Turn(Value),
    History {
        conversation_id: String,
        events: Value,
        has_more: bool,
    },
    Pong,
    Error(ErrorReply),
    /// The messages of an answer.
    Answer(Vec<String>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct ErrorReply {
    /// What a program branches on: the API's `errorType`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// The API's `errorInfo`.
    pub info: Option<Value>,
    /// The conversation that the client has named.
    pub conversation_id: Option<String>,
}

impl ErrorReply {
    pub fn new(code: &str, message: &str) -> Self {
        Self { code: code.to_owned(), message: message.to_owned(), info: None, conversation_id: None }
    }

    pub fn unavailable() -> Self {
        let message = "The service did not answer. Send the message again; it is answered once if it has the same id.";
        Self::new("Unavailable", message)
    }

    pub fn expired_credential() -> Self {
        Self::new("Unauthorized", "The credential has expired. Connect again with a new one.")
    }

    pub fn in_conversation(self, conversation_id: Option<&str>) -> Self {
        Self { conversation_id: conversation_id.map(str::to_owned), ..self }
    }
}

impl From<&InvalidInput> for ErrorReply {
    fn from(invalid: &InvalidInput) -> Self {
        Self { info: invalid.to_info(), ..Self::new("InvalidInput", &invalid.message) }
    }
}

impl EntryPoint {
    pub const fn max_message_bytes(self) -> usize {
        match self {
            Self::Events => MAX_EVENT_BYTES,
            Self::WebSocket => MAX_WEBSOCKET_BYTES,
        }
    }
}

impl Reply {
    /// The messages of the reply, in order: one, or several parts whose `data`, joined, is the reply's JSON.
    /// `client_id`: the client's id. `derived_id` marks the parts of a reply to a message without one.
    pub fn into_messages(self, entry_point: EntryPoint, client_id: Option<&str>, derived_id: &str) -> Vec<String> {
        let value = match self {
            Self::Answer(messages) => return messages,
            Self::Accepted { conversation_id, turn_id } => {
                json!({ "type": "accepted", "conversationId": conversation_id, "turnId": turn_id })
            }
            Self::Turn(turn) => json!({ "type": "turn", "turn": turn }),
            Self::History { conversation_id, events, has_more } => json!({
                "type": "history", "conversationId": conversation_id, "events": events, "hasMore": has_more,
            }),
            Self::Pong => json!({ "type": "pong" }),
            Self::Error(error) => Value::Object(error.into_json(entry_point)),
        };
        let message = with_id(value, client_id).to_string();
        if message.len() <= entry_point.max_message_bytes() {
            return vec![message];
        }
        let id = client_id.unwrap_or(derived_id);
        let pieces = split(&message, entry_point.max_message_bytes() - PART_OVERHEAD - id.len());
        let parts = pieces.len();
        let to_message = |(index, data): (usize, &str)| {
            json!({ "type": "part", "id": id, "part": index + 1, "parts": parts, "data": data }).to_string()
        };
        pieces.into_iter().enumerate().map(to_message).collect()
    }
}

fn with_id(mut message: Value, client_id: Option<&str>) -> Value {
    if let Some(id) = client_id {
        message["id"] = json!(id);
    }
    message
}

impl ErrorReply {
    /// The samples' pages show `message`, or the text of `result`.
    fn into_json(self, entry_point: EntryPoint) -> Map<String, Value> {
        let Self { code, message, info, conversation_id } = self;
        let mut json = Map::new();
        json.insert("type".into(), json!("error"));
        json.insert("code".into(), json!(code));
        if let Some(info) = info.filter(|info| !info.is_null()) {
            json.insert("info".into(), info);
        }
        if entry_point == EntryPoint::Events {
            json.insert("result".into(), json!({ "text": message }));
            json.insert("error".into(), json!(message));
            json.extend(conversation_id.map(|id| ("sessionId".into(), json!(id))));
        }
        json.insert("message".into(), json!(message));
        json
    }
}

/// Pieces of a text, cut between characters, each with at most this many bytes when it is a string of JSON.
/// At least one character each.
fn split(mut text: &str, max_bytes: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    while let Some(first) = text.chars().next() {
        let cut = fitting_prefix(text, max_bytes).cut.max(first.len_utf8());
        let (piece, rest) = text.split_at(cut);
        pieces.push(piece);
        text = rest;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(reply: Reply, entry_point: EntryPoint, id: Option<&str>) -> Value {
        let [message] = reply.into_messages(entry_point, id, "derived").try_into().unwrap();
        serde_json::from_str(&message).unwrap()
    }

    #[test]
    fn replies_have_their_type_and_the_id_of_the_client() {
        let accepted = || Reply::Accepted { conversation_id: "c".into(), turn_id: "t".into() };
        assert_eq!(
            message(accepted(), EntryPoint::Events, Some("7")),
            json!({ "type": "accepted", "id": "7", "conversationId": "c", "turnId": "t" })
        );
        assert_eq!(
            message(accepted(), EntryPoint::WebSocket, None),
            json!({ "type": "accepted", "conversationId": "c", "turnId": "t" })
        );
        assert_eq!(message(Reply::Pong, EntryPoint::WebSocket, Some("p")), json!({ "type": "pong", "id": "p" }));
        let turn = Reply::Turn(json!({ "id": "t", "status": "CANCELLING" }));
        assert_eq!(
            message(turn, EntryPoint::Events, None),
            json!({ "type": "turn", "turn": { "id": "t", "status": "CANCELLING" } })
        );
        let history = Reply::History { conversation_id: "c".into(), events: json!([{ "id": "e" }]), has_more: true };
        assert_eq!(
            message(history, EntryPoint::Events, Some("h")),
            json!({ "type": "history", "id": "h", "conversationId": "c", "events": [{ "id": "e" }], "hasMore": true })
        );
    }

    #[test]
    fn errors_are_shown_by_the_pages_of_both_samples() {
        let error = || {
            let invalid = InvalidInput { id: None, message: "No.".into(), field: Some("content") };
            Reply::Error(ErrorReply::from(&invalid).in_conversation(Some("c")))
        };
        assert_eq!(
            message(error(), EntryPoint::Events, Some("7")),
            json!({ "type": "error", "id": "7", "code": "InvalidInput", "message": "No.",
                "info": { "field": "content" }, "result": { "text": "No." }, "error": "No.", "sessionId": "c" })
        );
        assert_eq!(
            message(error(), EntryPoint::WebSocket, None),
            json!({ "type": "error", "code": "InvalidInput", "message": "No.", "info": { "field": "content" } })
        );
        let without = ErrorReply { info: Some(Value::Null), ..ErrorReply::unavailable() };
        let without = message(Reply::Error(without), EntryPoint::Events, None);
        assert!(without.get("info").is_none() && without.get("sessionId").is_none(), "{without}");
    }

    #[test]
    fn long_replies_come_in_parts_that_join_to_the_reply() {
        for (entry_point, text) in [
            (EntryPoint::WebSocket, "\"é\\\u{1}🙂 ".repeat(20_000)),
            (EntryPoint::Events, "\n\"".repeat(200_000)),
            (EntryPoint::WebSocket, "x".repeat(32_000)),
        ] {
            let turn = json!({ "text": text });
            let messages = Reply::Turn(turn.clone()).into_messages(entry_point, None, "derived-id");
            assert!(messages.len() > 1);
            let mut joined = String::new();
            for (index, message) in messages.iter().enumerate() {
                assert!(message.len() <= entry_point.max_message_bytes(), "{} bytes", message.len());
                let part: Value = serde_json::from_str(message).unwrap();
                let numbers = json!([part["type"], part["id"], part["part"], part["parts"]]);
                assert_eq!(numbers, json!(["part", "derived-id", index + 1, messages.len()]));
                joined.push_str(part["data"].as_str().unwrap());
            }
            let reply: Value = serde_json::from_str(&joined).unwrap();
            assert_eq!(reply, json!({ "type": "turn", "turn": turn }));
        }
    }

    #[test]
    fn reply_of_the_largest_size_is_one_message() {
        let bare = Reply::Turn(json!("")).into_messages(EntryPoint::WebSocket, None, "d")[0].len();
        let reply =
            |bytes: usize| Reply::Turn(json!("x".repeat(bytes))).into_messages(EntryPoint::WebSocket, None, "d");
        assert_eq!(reply(MAX_WEBSOCKET_BYTES - bare).len(), 1);
        assert_eq!(reply(MAX_WEBSOCKET_BYTES - bare + 1).len(), 2);
    }
}
