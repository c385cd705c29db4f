//! The JSON frames of AppSync's realtime protocol.
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::errors::ApiError;

/// The keep-alive timeout where `connection_ack` names none: AppSync's documented default.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientFrame {
    Init,
    /// Its credentials are added when it is sent.
    Start {
        id: String,
        /// The GraphQL operation as a JSON text.
        operation: String,
    },
    Stop {
        id: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum ServerFrame {
    ConnectionAck {
        /// How long the server may send nothing before the connection counts as lost.
        timeout: Duration,
    },
    ConnectionError(Vec<ApiError>),
    KeepAlive,
    StartAck {
        id: String,
    },
    Data {
        id: String,
        data: Value,
    },
    Error {
        /// Empty for errors that concern no subscription.
        id: String,
        errors: Vec<ApiError>,
    },
    Complete {
        id: String,
    },
    /// A frame of another type, or no valid frame.
    Unknown,
}

impl ClientFrame {
    /// `authorization` is sent with `Start` only.
    pub fn to_text(&self, authorization: &Value) -> String {
        match self {
            Self::Init => json!({ "type": "connection_init" }),
            Self::Start { id, operation } => {
                let extensions = json!({ "authorization": authorization });
                json!({ "id": id, "type": "start", "payload": { "data": operation, "extensions": extensions } })
            }
            Self::Stop { id } => json!({ "id": id, "type": "stop" }),
        }
        .to_string()
    }
}

impl ServerFrame {
    pub fn parse(text: &str) -> Self {
        let Ok(RawFrame { kind, id, payload }) = serde_json::from_str(text) else { return Self::Unknown };
        match kind.as_str() {
            "connection_ack" => Self::ConnectionAck { timeout: parse_timeout(&payload) },
            "connection_error" => Self::ConnectionError(parse_errors(&payload)),
            "ka" => Self::KeepAlive,
            "start_ack" => Self::StartAck { id },
            "data" => Self::Data { id, data: payload.get("data").cloned().unwrap_or_default() },
            "error" => Self::Error { id, errors: parse_errors(&payload) },
            "complete" => Self::Complete { id },
            _ => Self::Unknown,
        }
    }
}

#[derive(Deserialize)]
struct RawFrame {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    payload: Value,
}

fn parse_timeout(payload: &Value) -> Duration {
    payload.get("connectionTimeoutMs").and_then(Value::as_u64).map_or(DEFAULT_TIMEOUT, Duration::from_millis)
}

/// AppSync sends a list of errors, and for some limits a single object.
fn parse_errors(payload: &Value) -> Vec<ApiError> {
    let entries = match payload.get("errors") {
        Some(Value::Array(entries)) => entries.as_slice(),
        Some(entry) => std::slice::from_ref(entry),
        None => &[],
    };
    entries.iter().filter_map(|entry| ApiError::deserialize(entry).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::ErrorType;

    #[test]
    fn start_carries_the_operation_as_text_and_its_credentials() {
        let start = ClientFrame::Start { id: "s".to_owned(), operation: "{\"query\":\"q\"}".to_owned() };
        let text = start.to_text(&json!({"host": "h", "x-api-key": "k"}));
        let frame: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            frame,
            json!({"id": "s", "type": "start", "payload": {"data": "{\"query\":\"q\"}",
                "extensions": {"authorization": {"host": "h", "x-api-key": "k"}}}})
        );
    }

    #[test]
    fn server_frames_are_parsed() {
        let id = || "s".to_owned();
        let cases = [
            (r#"{"type":"connection_ack","payload":{"connectionTimeoutMs":1000}}"#, ack(1)),
            (r#"{"type":"connection_ack"}"#, ack(300)),
            (r#"{"type":"ka"}"#, ServerFrame::KeepAlive),
            (r#"{"type":"start_ack","id":"s"}"#, ServerFrame::StartAck { id: id() }),
            (r#"{"type":"start_ack","id":"s","payload":{}}"#, ServerFrame::StartAck { id: id() }),
            (r#"{"type":"complete","id":"s"}"#, ServerFrame::Complete { id: id() }),
            (
                r#"{"type":"data","id":"s","payload":{"data":{"f":1}}}"#,
                ServerFrame::Data { id: id(), data: json!({"f":1}) },
            ),
            (r#"{"type":"later"}"#, ServerFrame::Unknown),
            ("not json", ServerFrame::Unknown),
            ("[]", ServerFrame::Unknown),
        ];
        for (text, frame) in cases {
            assert_eq!(ServerFrame::parse(text), frame, "{text}");
        }
    }

    #[test]
    fn errors_are_parsed_from_a_list_or_one_object() {
        let list = r#"{"type":"error","id":"s","payload":{"errors":[{"errorType":"Unauthorized","message":"no"}]}}"#;
        let one = r#"{"type":"error","id":"s","payload":{"errors":{"errorType":"Unauthorized","message":"no"}}}"#;
        assert_eq!(ServerFrame::parse(list), ServerFrame::parse(one));
        let ServerFrame::Error { errors, .. } = ServerFrame::parse(one) else { panic!("an error frame") };
        assert_eq!(errors[0].error_type, Some(ErrorType::Unauthorized));
    }

    fn ack(seconds: u64) -> ServerFrame {
        ServerFrame::ConnectionAck { timeout: Duration::from_secs(seconds) }
    }
}
