//! The frames of the `aws-appsync-event-ws` protocol in both directions.
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    events_error::{ErrorEntry, EventsError, Reply},
    publish_input::{InputError, PublishInput},
    publish_outcome::PublishOutcome,
};
use crate::json_input::{InputObject, JsonDocument, JsonInput};

/// The time without frames after which a client closes the connection.
const CONNECTION_TIMEOUT_MILLISECONDS: u32 = 300_000;
const MAX_ID_LENGTH: usize = 128;

/// A frame of a client.
#[derive(Debug, PartialEq)]
pub enum ClientFrame {
    ConnectionInit,
    Subscribe {
        id: String,
        /// `None` if the frame has none.
        channel: Option<String>,
        authorization: Value,
    },
    Unsubscribe {
        id: String,
    },
    Publish {
        id: String,
        input: Result<PublishInput, InputError>,
        authorization: Value,
    },
    /// A frame of a known type whose id is missing or not allowed.
    InvalidId {
        id: Option<String>,
    },
    Unknown,
}

impl ClientFrame {
    /// Reads the members at the top level. Amplify repeats them in `payload`, which is ignored like any other
    /// member.
    pub fn parse(text: &str) -> Self {
        let value = JsonDocument::parse_lossy(text);
        let members = value.as_ref().and_then(JsonInput::as_object);
        let Some((frame, kind)) = members.and_then(|frame| Some((frame, text_member(frame, "type")?))) else {
            return ClientFrame::Unknown;
        };
        if kind == "connection_init" {
            return ClientFrame::ConnectionInit;
        }
        if !["subscribe", "unsubscribe", "publish"].contains(&kind.as_str()) {
            return ClientFrame::Unknown;
        }
        let id = match text_member(frame, "id") {
            Some(id) if is_id(&id) => id,
            id => return ClientFrame::InvalidId { id },
        };
        let authorization = || frame.get("authorization").map_or(Value::Null, JsonInput::to_json);
        match kind.as_str() {
            "unsubscribe" => ClientFrame::Unsubscribe { id },
            "publish" => {
                let input = PublishInput::from_members(frame);
                ClientFrame::Publish { id, input, authorization: authorization() }
            }
            _ => {
                let channel = text_member(frame, "channel");
                ClientFrame::Subscribe { id, channel, authorization: authorization() }
            }
        }
    }
}

/// The body that clients sign when they subscribe.
pub fn signed_subscribe_body(channel: &str) -> String {
    json!({ "channel": channel }).to_string()
}

fn text_member(members: &InputObject, name: &str) -> Option<String> {
    members.get(name)?.as_text().map(str::to_owned)
}

fn is_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+".contains(&byte);
    (1..=MAX_ID_LENGTH).contains(&id.len()) && id.bytes().all(is_allowed)
}

/// A frame of the server.
#[derive(Debug)]
pub enum ServerFrame<'a> {
    ConnectionAck,
    ConnectionError(&'a ErrorEntry),
    KeepAlive,
    SubscribeSuccess { id: &'a str },
    SubscribeError { id: &'a str, error: &'a EventsError },
    UnsubscribeSuccess { id: &'a str },
    UnsubscribeError { id: &'a str, error: &'a EventsError },
    Data { id: &'a str, event: &'a str },
    BroadcastError { id: &'a str, error: &'a EventsError },
    PublishSuccess { id: &'a str, outcome: &'a PublishOutcome },
    PublishError { id: &'a str, error: &'a EventsError },
    Error { id: Option<&'a str>, error: &'a EventsError },
}

#[derive(Default, Serialize)]
struct Frame<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "connectionTimeoutMs", skip_serializing_if = "Option::is_none")]
    connection_timeout: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(flatten)]
    outcome: Option<&'a PublishOutcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<[ErrorEntry; 1]>,
}

impl ServerFrame<'_> {
    pub fn to_json(&self) -> String {
        let plain = |id, kind| Frame { id, kind, ..Frame::default() };
        let failed = |id, kind, entry| Frame { errors: Some([entry]), ..plain(id, kind) };
        let frame = match *self {
            ServerFrame::ConnectionAck => {
                let connection_timeout = Some(CONNECTION_TIMEOUT_MILLISECONDS);
                Frame { connection_timeout, ..plain(None, "connection_ack") }
            }
            ServerFrame::ConnectionError(entry) => failed(None, "connection_error", entry.clone()),
            ServerFrame::KeepAlive => plain(None, "ka"),
            ServerFrame::SubscribeSuccess { id } => plain(Some(id), "subscribe_success"),
            ServerFrame::SubscribeError { id, error } => {
                failed(Some(id), "subscribe_error", error.entry(Reply::Socket))
            }
            ServerFrame::UnsubscribeSuccess { id } => plain(Some(id), "unsubscribe_success"),
            ServerFrame::UnsubscribeError { id, error } => {
                failed(Some(id), "unsubscribe_error", error.entry(Reply::Socket))
            }
            ServerFrame::Data { id, event } => Frame { event: Some(event), ..plain(Some(id), "data") },
            ServerFrame::BroadcastError { id, error } => {
                failed(Some(id), "broadcast_error", error.entry(Reply::Socket))
            }
            ServerFrame::PublishSuccess { id, outcome } => {
                Frame { outcome: Some(outcome), ..plain(Some(id), "publish_success") }
            }
            ServerFrame::PublishError { id, error } => failed(Some(id), "publish_error", error.entry(Reply::Publish)),
            ServerFrame::Error { id, error } => failed(id, "error", error.entry(Reply::Socket)),
        };
        serde_json::to_string(&frame).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_frames_are_parsed() {
        let authorization = json!({ "host": "h" });
        let subscribe = ClientFrame::Subscribe {
            id: "s-1_+".into(),
            channel: Some("/a/*".into()),
            authorization: authorization.clone(),
        };
        let input = PublishInput { channel: "a".into(), events: vec!["{}".into()] };
        let publish = ClientFrame::Publish { id: "p".into(), input: Ok(input), authorization };
        let missing =
            ClientFrame::Publish { id: "p".into(), input: Err(InputError::ChannelMissing), authorization: Value::Null };
        let no_channel = ClientFrame::Subscribe { id: "s".into(), channel: None, authorization: Value::Null };
        let (longest, too_long) = ("i".repeat(128), "i".repeat(129));
        for (text, expected) in [
            (r#"{"type":"connection_init"}"#.to_owned(), ClientFrame::ConnectionInit),
            (
                r#"{"type":"subscribe","id":"s-1_+","channel":"/a/*","authorization":{"host":"h"},"payload":{}}"#
                    .into(),
                subscribe,
            ),
            (
                r#"{"id":"p","type":"publish","channel":"a","events":["{}"],"authorization":{"host":"h"}}"#.into(),
                publish,
            ),
            (r#"{"id":"p","type":"publish","events":[]}"#.into(), missing),
            (r#"{"id":"s","type":"subscribe"}"#.into(), no_channel),
            (format!(r#"{{"type":"unsubscribe","id":"{longest}"}}"#), ClientFrame::Unsubscribe { id: longest.clone() }),
            (format!(r#"{{"type":"unsubscribe","id":"{too_long}"}}"#), ClientFrame::InvalidId { id: Some(too_long) }),
            (r#"{"type":"subscribe","id":"a b"}"#.into(), ClientFrame::InvalidId { id: Some("a b".into()) }),
            (r#"{"type":"publish","id":7}"#.into(), ClientFrame::InvalidId { id: None }),
            (r#"{"type":"start","id":"a"}"#.into(), ClientFrame::Unknown),
            ("[]".into(), ClientFrame::Unknown),
            ("{".into(), ClientFrame::Unknown),
        ] {
            assert_eq!(ClientFrame::parse(&text), expected, "{text}");
        }
    }

    #[test]
    fn server_frames_have_the_literals_of_appsync() {
        let error = EventsError::UnknownId { id: "zz".into() };
        let outcome = PublishOutcome::default();
        for (frame, json) in [
            (ServerFrame::ConnectionAck, r#"{"type":"connection_ack","connectionTimeoutMs":300000}"#),
            (ServerFrame::KeepAlive, r#"{"type":"ka"}"#),
            (ServerFrame::SubscribeSuccess { id: "s1" }, r#"{"id":"s1","type":"subscribe_success"}"#),
            (ServerFrame::Data { id: "s1", event: "{\"a\":1}" }, r#"{"id":"s1","type":"data","event":"{\"a\":1}"}"#),
            (
                ServerFrame::UnsubscribeError { id: "zz", error: &error },
                r#"{"id":"zz","type":"unsubscribe_error","errors":[{"errorType":"UnknownOperationError","message":"Unknown operation id zz"}]}"#,
            ),
            (
                ServerFrame::PublishSuccess { id: "p", outcome: &outcome },
                r#"{"id":"p","type":"publish_success","failed":[],"successful":[]}"#,
            ),
            (
                ServerFrame::Error { id: None, error: &EventsError::UnknownOperation },
                r#"{"type":"error","errors":[{"errorType":"UnsupportedOperation","message":"unknown not supported through the realtime channel"}]}"#,
            ),
        ] {
            assert_eq!(frame.to_json(), json);
        }
    }
}
