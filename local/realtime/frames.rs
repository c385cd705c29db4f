//! The frames of the `graphql-ws` protocol in both directions.
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    graphql::{GraphqlError, GraphqlResponse},
    identity::AuthError,
};

/// The time without frames after which a client closes the connection.
const CONNECTION_TIMEOUT_MILLISECONDS: u32 = 300_000;

/// A frame of a client.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    ConnectionInit,
    Start {
        id: String,
        payload: StartPayload,
    },
    Stop {
        id: String,
    },
    #[serde(other)]
    Unknown,
}

/// The request for a subscription. `data` is a GraphQL request as JSON text, because clients sign this text.
#[derive(Debug, PartialEq, Deserialize)]
pub struct StartPayload {
    pub data: String,
    #[serde(default)]
    pub extensions: Extensions,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
pub struct Extensions {
    /// The headers as a JSON object, as in the handshake.
    #[serde(default)]
    pub authorization: Value,
}

impl ClientFrame {
    pub fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or(ClientFrame::Unknown)
    }
}

/// A frame of the server.
#[derive(Debug)]
pub enum ServerFrame<'a> {
    ConnectionAck,
    ConnectionError(AuthError),
    KeepAlive,
    StartAck {
        id: &'a str,
    },
    Error {
        id: &'a str,
        errors: Value,
    },
    Data {
        id: &'a str,
        response: &'a GraphqlResponse,
    },
    Complete {
        id: &'a str,
    },
    /// A mutation invalidated the subscription.
    Invalidated {
        id: &'a str,
    },
}

#[derive(Serialize)]
struct Frame<'a, P> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<P>,
}

impl ServerFrame<'_> {
    pub fn to_json(&self) -> String {
        match self {
            ServerFrame::ConnectionAck => {
                let payload = json!({ "connectionTimeoutMs": CONNECTION_TIMEOUT_MILLISECONDS });
                serialize(None, "connection_ack", Some(payload))
            }
            ServerFrame::ConnectionError(error) => {
                serialize(None, "connection_error", Some(errors_payload(auth_error_entries(*error))))
            }
            ServerFrame::KeepAlive => serialize(None, "ka", None::<Value>),
            ServerFrame::StartAck { id } => serialize(Some(id), "start_ack", None::<Value>),
            ServerFrame::Error { id, errors } => serialize(Some(id), "error", Some(errors_payload(errors.clone()))),
            ServerFrame::Data { id, response } => serialize(Some(id), "data", Some(response)),
            ServerFrame::Complete { id } => serialize(Some(id), "complete", None::<Value>),
            ServerFrame::Invalidated { id } => {
                serialize(Some(id), "complete", Some(json!({ "message": "Subscription complete." })))
            }
        }
    }
}

fn serialize(id: Option<&str>, kind: &str, payload: Option<impl Serialize>) -> String {
    serde_json::to_string(&Frame { id, kind, payload }).unwrap_or_default()
}

fn errors_payload(entries: Value) -> Value {
    json!({ "errors": entries })
}

/// The error entries of an authentication error on a WebSocket.
pub fn auth_error_entries(error: AuthError) -> Value {
    match error {
        AuthError::CredentialsMissing => json!([{ "message": "Required headers are missing.", "errorCode": 400 }]),
        AuthError::SignatureMismatch
        | AuthError::SignatureExpired { .. }
        | AuthError::SignatureNotYetCurrent { .. } => {
            json!([{ "errorType": "BadRequestException", "message": error.message(), "errorCode": 400 }])
        }
        AuthError::NotAuthorized
        | AuthError::ClientUnknown
        | AuthError::PermissionMissing
        | AuthError::TokenMalformed
        | AuthError::TokenExpired => {
            json!([{ "errorType": "UnauthorizedException", "message": error.message(), "errorCode": 401 }])
        }
    }
}

pub fn error_entries(error_type: &str, message: impl Into<String>) -> Value {
    json!([{ "errorType": error_type, "message": message.into() }])
}

/// The error entries of GraphQL errors on a WebSocket, which have fewer members than over HTTP.
pub fn graphql_error_entries(errors: &[GraphqlError]) -> Value {
    let entry = |error: &GraphqlError| match error.detail.as_ref().and_then(|detail| detail.error_type.as_ref()) {
        Some(error_type) => json!({ "errorType": error_type, "message": error.message }),
        None => json!({ "message": error.message }),
    };
    errors.iter().map(entry).collect()
}
