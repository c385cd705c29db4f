//! KMS's HTTP protocol: the operation in a header, JSON bodies.
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::{Kms, kms_error::KmsError};
use crate::{
    identity::{AssumedRole, Authenticator},
    object_only::ObjectOnly,
};

const TARGET_HEADER: &str = "x-amz-target";
const TARGET_PREFIX: &str = "TrentService.";
/// Far more than the largest ciphertext and encryption context need.
const MAX_BODY_BYTES: usize = 64 << 10;

/// The HTTP response to a call: the operation's result, or an exception with its `__type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsResponse {
    pub status: u16,
    pub body: Value,
    pub request_id: String,
}

impl Kms {
    /// Serves `POST /` to functions with the permissions of their roles. The access key identifies the role;
    /// signatures are not verified.
    pub fn router(&self, authenticator: Authenticator) -> Router {
        let state = (self.clone(), authenticator);
        Router::new().route("/", post(handle_post)).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).with_state(state)
    }

    /// Handles one call with the permissions of a role. `target` is the `X-Amz-Target` header, such as
    /// `TrentService.Encrypt`.
    pub fn handle_call(&self, role: &AssumedRole, target: &str, body: &[u8]) -> KmsResponse {
        KmsResponse::new(match target.strip_prefix(TARGET_PREFIX) {
            Some("Encrypt") => parse(body).and_then(|request| self.encrypt(role, request)),
            Some("Decrypt") => parse(body).and_then(|request| self.decrypt(role, request)),
            _ => Err(KmsError::unknown_operation(target)),
        })
    }
}

impl KmsResponse {
    pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

    fn new(result: Result<Value, KmsError>) -> Self {
        let (status, body) = match result {
            Ok(body) => (StatusCode::OK, body),
            Err(error) => (StatusCode::BAD_REQUEST, error.to_json()),
        };
        Self { status: status.as_u16(), body, request_id: Uuid::new_v4().to_string() }
    }
}

async fn handle_post(
    State((kms, authenticator)): State<(Kms, Authenticator)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(role) = authenticator.assumed_role(&headers) else {
        return KmsResponse::new(Err(KmsError::unknown_client())).into_response();
    };
    let target = headers.get(TARGET_HEADER).and_then(|target| target.to_str().ok()).unwrap_or_default();
    kms.handle_call(&role, target, &body).into_response()
}

fn parse<R: DeserializeOwned>(body: &[u8]) -> Result<R, KmsError> {
    let request = serde_json::from_slice(body);
    request.map(|ObjectOnly(request)| request).map_err(|error| KmsError::serialization(error.to_string()))
}

impl IntoResponse for KmsResponse {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = [(CONTENT_TYPE.as_str(), KmsResponse::CONTENT_TYPE), ("x-amzn-requestid", &self.request_id)];
        (status, headers, self.body.to_string()).into_response()
    }
}
