//! What goes over the wire, in both directions.
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    graphql::{Answer, graphql_error::GraphqlError},
    identity::Denial,
};

/// How long a client waits for a sign of life before it gives the connection up.
const CONNECTION_TIMEOUT_MILLISECONDS: u32 = 300_000;

/// What a client may say.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    ConnectionInit,
    Start {
        id: String,
        payload: Start,
    },
    Stop {
        id: String,
    },
    #[serde(other)]
    Unknown,
}

/// A subscription that is asked for. `data` is a GraphQL request, as text: signatures are made over it.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Start {
    pub data: String,
    #[serde(default)]
    pub extensions: Extensions,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
pub struct Extensions {
    /// Headers, as the handshake has them.
    #[serde(default)]
    pub authorization: Value,
}

impl ClientFrame {
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or(ClientFrame::Unknown)
    }
}

/// What the server may say.
#[derive(Debug)]
pub enum ServerFrame<'a> {
    ConnectionAck,
    ConnectionError(Denial),
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
        answer: &'a Answer,
    },
    Complete {
        id: &'a str,
    },
    /// A mutation ended the subscription.
    Invalidated {
        id: &'a str,
    },
}

#[derive(Serialize)]
struct Written<'a, P> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<P>,
}

impl ServerFrame<'_> {
    pub fn text(&self) -> String {
        match self {
            ServerFrame::ConnectionAck => {
                written(None, "connection_ack", Some(json!({ "connectionTimeoutMs": CONNECTION_TIMEOUT_MILLISECONDS })))
            }
            ServerFrame::ConnectionError(denial) => written(None, "connection_error", Some(errors(denied(*denial)))),
            ServerFrame::KeepAlive => written(None, "ka", None::<Value>),
            ServerFrame::StartAck { id } => written(Some(id), "start_ack", None::<Value>),
            ServerFrame::Error { id, errors: entries } => written(Some(id), "error", Some(errors(entries.clone()))),
            ServerFrame::Data { id, answer } => written(Some(id), "data", Some(answer)),
            ServerFrame::Complete { id } => written(Some(id), "complete", None::<Value>),
            ServerFrame::Invalidated { id } => {
                written(Some(id), "complete", Some(json!({ "message": "Subscription complete." })))
            }
        }
    }
}

fn written(id: Option<&str>, kind: &str, payload: Option<impl Serialize>) -> String {
    serde_json::to_string(&Written { id, kind, payload }).unwrap_or_default()
}

fn errors(entries: Value) -> Value {
    json!({ "errors": entries })
}

/// A denial as a WebSocket tells it.
pub fn denied(denial: Denial) -> Value {
    match denial {
        Denial::CredentialsMissing => json!([{ "message": "Required headers are missing.", "errorCode": 400 }]),
        Denial::SignatureMismatch | Denial::SignatureExpired => {
            json!([{ "errorType": "BadRequestException", "message": denial.sentence(), "errorCode": 400 }])
        }
        Denial::NotAuthorized
        | Denial::ClientUnknown
        | Denial::PermissionMissing
        | Denial::TokenMalformed
        | Denial::TokenExpired => {
            json!([{ "errorType": "UnauthorizedException", "message": denial.sentence(), "errorCode": 401 }])
        }
    }
}

pub fn error(error_type: &str, sentence: impl Into<String>) -> Value {
    json!([{ "errorType": error_type, "message": sentence.into() }])
}

/// GraphQL errors as a WebSocket tells them: shorter than over HTTP.
pub fn of_graphql(errors: &[GraphqlError]) -> Value {
    let entry = |error: &GraphqlError| match error.detail.as_ref().and_then(|detail| detail.error_type.as_ref()) {
        Some(error_type) => json!({ "errorType": error_type, "message": error.message }),
        None => json!({ "message": error.message }),
    };
    errors.iter().map(entry).collect()
}
