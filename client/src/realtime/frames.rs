//! The JSON frames of the protocol.
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::errors::ApiError;

/// When AppSync does not say how long it may be silent.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientFrame {
    Init,
    /// `data` is the operation, a JSON text; its credentials are added when it is sent.
    Start {
        id: String,
        data: String,
    },
    Stop {
        id: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum ServerFrame {
    Ack {
        timeout: Duration,
    },
    /// The handshake was refused.
    Refused(Vec<ApiError>),
    KeepAlive,
    Started {
        id: String,
    },
    Data {
        id: String,
        data: Value,
    },
    Error {
        id: String,
        errors: Vec<ApiError>,
    },
    Complete {
        id: String,
    },
    /// Of a kind this client does not know.
    Unknown,
}

impl ClientFrame {
    /// `authorization` is what a start carries; the other frames need none.
    pub fn to_text(&self, authorization: &Value) -> String {
        match self {
            Self::Init => json!({ "type": "connection_init" }),
            Self::Start { id, data } => {
                let extensions = json!({ "authorization": authorization });
                json!({ "id": id, "type": "start", "payload": { "data": data, "extensions": extensions } })
            }
            Self::Stop { id } => json!({ "id": id, "type": "stop" }),
        }
        .to_string()
    }
}

impl ServerFrame {
    pub fn parse(text: &str) -> Self {
        let Ok(Raw { kind, id, payload }) = serde_json::from_str(text) else { return Self::Unknown };
        match kind.as_str() {
            "connection_ack" => Self::Ack { timeout: timeout(&payload) },
            "connection_error" => Self::Refused(errors(&payload)),
            "ka" => Self::KeepAlive,
            "start_ack" => Self::Started { id },
            "data" => Self::Data { id, data: payload.get("data").cloned().unwrap_or_default() },
            "error" => Self::Error { id, errors: errors(&payload) },
            "complete" => Self::Complete { id },
            _ => Self::Unknown,
        }
    }
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    payload: Value,
}

fn timeout(payload: &Value) -> Duration {
    payload.get("connectionTimeoutMs").and_then(Value::as_u64).map_or(DEFAULT_TIMEOUT, Duration::from_millis)
}

/// AppSync sends a list, and for some limits a single object.
fn errors(payload: &Value) -> Vec<ApiError> {
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
    fn a_start_carries_its_operation_as_text_and_its_own_credentials() {
        let start = ClientFrame::Start { id: "s".to_owned(), data: "{\"query\":\"q\"}".to_owned() };
        let text = start.to_text(&json!({"host": "h", "x-api-key": "k"}));
        let frame: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            frame,
            json!({"id": "s", "type": "start", "payload": {"data": "{\"query\":\"q\"}",
                "extensions": {"authorization": {"host": "h", "x-api-key": "k"}}}})
        );
    }

    #[test]
    fn what_appsync_sends_is_understood() {
        let id = || "s".to_owned();
        let cases = [
            (r#"{"type":"connection_ack","payload":{"connectionTimeoutMs":1000}}"#, ack(1)),
            (r#"{"type":"connection_ack"}"#, ack(300)),
            (r#"{"type":"ka"}"#, ServerFrame::KeepAlive),
            (r#"{"type":"start_ack","id":"s"}"#, ServerFrame::Started { id: id() }),
            (r#"{"type":"start_ack","id":"s","payload":{}}"#, ServerFrame::Started { id: id() }),
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
    fn errors_come_as_a_list_or_as_one_object() {
        let list = r#"{"type":"error","id":"s","payload":{"errors":[{"errorType":"Unauthorized","message":"no"}]}}"#;
        let one = r#"{"type":"error","id":"s","payload":{"errors":{"errorType":"Unauthorized","message":"no"}}}"#;
        assert_eq!(ServerFrame::parse(list), ServerFrame::parse(one));
        let ServerFrame::Error { errors, .. } = ServerFrame::parse(one) else { panic!("an error frame") };
        assert_eq!(errors[0].error_type, Some(ErrorType::Unauthorized));
    }

    fn ack(seconds: u64) -> ServerFrame {
        ServerFrame::Ack { timeout: Duration::from_secs(seconds) }
    }
}
