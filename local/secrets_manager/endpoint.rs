//! Secrets Manager's HTTP protocol: the operation in a header, JSON bodies.
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};

use super::{SecretsError, SecretsManager};
use crate::{
    identity::{AssumedRole, Authenticator},
    object_only::ObjectOnly,
};

const TARGET: &str = "secretsmanager.GetSecretValue";
/// Far more than a secret's ARN needs.
const MAX_BODY_BYTES: usize = 64 << 10;

/// The HTTP response to a call: the operation's result, or an exception with its `__type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretsResponse {
    pub status: u16,
    pub body: Value,
}

impl SecretsManager {
    /// Serves `POST /` to functions with the permissions of their roles. The access key identifies the role;
    /// signatures are not verified.
    pub fn router(&self, authenticator: Authenticator) -> Router {
        let state = (self.clone(), authenticator);
        Router::new().route("/", post(handle_post)).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).with_state(state)
    }

    /// Handles one call with the permissions of a role. `target` is the `X-Amz-Target` header.
    pub fn handle_call(&self, role: &AssumedRole, target: &str, body: &[u8]) -> SecretsResponse {
        if target != TARGET {
            let message = format!("The local server does not serve '{target}'. It serves GetSecretValue.");
            return SecretsResponse::new(Err(SecretsError::new("UnknownOperationException", message)));
        }
        let request = serde_json::from_slice(body).map(|ObjectOnly(request)| request);
        let request = request.map_err(|error| SecretsError::new("SerializationException", error.to_string()));
        SecretsResponse::new(request.and_then(|request| self.get_secret_value(role, request)))
    }
}

impl SecretsResponse {
    fn new(result: Result<Value, SecretsError>) -> Self {
        match result {
            Ok(body) => Self { status: 200, body },
            Err(SecretsError { error_type, message }) => {
                Self { status: 400, body: json!({ "__type": error_type, "Message": message }) }
            }
        }
    }
}

async fn handle_post(
    State((secrets, authenticator)): State<(SecretsManager, Authenticator)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(role) = authenticator.assumed_role(&headers) else {
        let message = "The security token included in the request is invalid.";
        let error = SecretsError::new("UnrecognizedClientException", message);
        return SecretsResponse::new(Err(error)).into_response();
    };
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    secrets.handle_call(&role, target, &body).into_response()
}

impl IntoResponse for SecretsResponse {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(CONTENT_TYPE, "application/x-amz-json-1.1")], self.body.to_string()).into_response()
    }
}
