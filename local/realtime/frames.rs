//! The frames of the `graphql-ws` protocol in both directions.
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    graphql::{GraphqlError, GraphqlResponse},
    identity::AuthError,
    json_input::{InputObject, JsonDocument, JsonInput},
};

/// The time without frames after which a client closes the connection.
const CONNECTION_TIMEOUT_MILLISECONDS: u32 = 300_000;

/// A frame of a client.
#[derive(Debug, PartialEq)]
pub enum ClientFrame {
    ConnectionInit,
    Start { id: String, payload: StartPayload },
    Stop { id: String },
    Unknown,
}

/// The request for a subscription.
#[derive(Debug, PartialEq)]
pub struct StartPayload {
    /// A GraphQL request as JSON text, because clients sign this text.
    pub data: String,
    /// The headers as a JSON object, as in the handshake; null if there are none.
    pub authorization: Value,
}

impl ClientFrame {
    pub fn parse(text: &str) -> Self {
        Self::parse_known(text).unwrap_or(ClientFrame::Unknown)
    }

    fn parse_known(text: &str) -> Option<Self> {
        let value = JsonDocument::parse_lossy(text)?;
        let frame = value.as_object()?;
        let id = || text_member(frame, "id");
        Some(match text_member(frame, "type")?.as_str() {
            "connection_init" => ClientFrame::ConnectionInit,
            "start" => {
                ClientFrame::Start { id: id()?, payload: StartPayload::parse(frame.get("payload")?.as_object()?)? }
            }
            "stop" => ClientFrame::Stop { id: id()? },
            _ => ClientFrame::Unknown,
        })
    }
}

impl StartPayload {
    fn parse(payload: &InputObject) -> Option<Self> {
        let extensions = payload.get("extensions").and_then(JsonInput::as_object);
        let authorization = extensions.and_then(|extensions| extensions.get("authorization"));
        let authorization = authorization.map_or(Value::Null, JsonInput::to_json);
        Some(Self { data: text_member(payload, "data")?, authorization })
    }
}

fn text_member(members: &InputObject, name: &str) -> Option<String> {
    members.get(name)?.as_text().map(str::to_owned)
}

/// A frame of the server.
#[derive(Debug)]
pub enum ServerFrame<'a> {
    ConnectionAck,
    ConnectionError(HandshakeError),
    KeepAlive,
    StartAck {
        id: &'a str,
    },
    Error {
        /// `None` if the error belongs to no operation.
        id: Option<&'a str>,
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
                serialize(None, "connection_error", Some(errors_payload(error.entries())))
            }
            ServerFrame::KeepAlive => serialize(None, "ka", None::<Value>),
            ServerFrame::StartAck { id } => serialize(Some(id), "start_ack", None::<Value>),
            ServerFrame::Error { id, errors } => serialize(*id, "error", Some(errors_payload(errors.clone()))),
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

/// Why a handshake is refused. AppSync completes the upgrade first, because a browser cannot read the
/// response to a refused upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The client offers no sub-protocol.
    NoProtocol,
    /// The client offers other sub-protocols than `graphql-ws`.
    UnsupportedProtocol,
    Unauthorized(AuthError),
}

impl HandshakeError {
    fn entries(self) -> Value {
        match self {
            HandshakeError::NoProtocol => json!([{ "message": "NoProtocolError", "errorCode": 400 }]),
            HandshakeError::UnsupportedProtocol => {
                json!([{ "message": "SubProtocolNotSupportedError", "errorCode": 400 }])
            }
            HandshakeError::Unauthorized(error) => auth_error_entries(error),
        }
    }
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
