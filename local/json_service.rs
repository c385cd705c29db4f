//! AWS's JSON protocol, for services of the local server: one POST with the operation in a header and JSON
//! bodies.
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    identity::{AssumedRole, Authenticator},
    object_only::ObjectOnly,
};

/// Far more than any request of these services needs.
const MAX_BODY_BYTES: usize = 64 << 10;
const TARGET_HEADER: &str = "x-amz-target";

/// A service whose callers are functions with the permissions of their roles.
pub trait JsonService: Clone + Send + Sync + 'static {
    /// Handles one call with the permissions of a role. `target` is the `X-Amz-Target` header, such as
    /// `TrentService.Encrypt`.
    fn handle_call(&self, role: &AssumedRole, target: &str, body: &[u8]) -> JsonResponse;

    /// Serves `POST /`. The access key identifies the role; signatures are not verified.
    fn router(&self, authenticator: Authenticator) -> Router {
        let state = (self.clone(), authenticator);
        let layer = DefaultBodyLimit::max(MAX_BODY_BYTES);
        Router::new().route("/", post(handle_post::<Self>)).layer(layer).with_state(state)
    }
}

/// The HTTP response to a call: the operation's result, or an exception with its `__type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonResponse {
    pub status: u16,
    pub body: Value,
    pub request_id: String,
}

impl JsonResponse {
    pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

    /// All exceptions of these services have the status 400.
    pub fn new(result: Result<Value, Value>) -> Self {
        let (status, body) = match result {
            Ok(body) => (StatusCode::OK, body),
            Err(exception) => (StatusCode::BAD_REQUEST, exception),
        };
        Self { status: status.as_u16(), body, request_id: Uuid::new_v4().to_string() }
    }
}

/// The request, or why the body is none.
pub fn parse_request<R: DeserializeOwned>(body: &[u8]) -> Result<R, String> {
    serde_json::from_slice(body).map(|ObjectOnly(request)| request).map_err(|error| error.to_string())
}

async fn handle_post<S: JsonService>(
    State((service, authenticator)): State<(S, Authenticator)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(role) = authenticator.assumed_role(&headers) else {
        let message = "The security token included in the request is invalid.";
        let exception = json!({ "__type": "UnrecognizedClientException", "message": message });
        return JsonResponse::new(Err(exception)).into_response();
    };
    let target = headers.get(TARGET_HEADER).and_then(|target| target.to_str().ok()).unwrap_or_default();
    service.handle_call(&role, target, &body).into_response()
}

impl IntoResponse for JsonResponse {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = [(CONTENT_TYPE.as_str(), Self::CONTENT_TYPE), ("x-amzn-requestid", &self.request_id)];
        (status, headers, self.body.to_string()).into_response()
    }
}
