//! The management API: `POST`, `GET` and `DELETE` of `/STAGE/@connections/ID`.
use std::{borrow::Cow, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::any,
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE, request::Parts};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    ids::is_id,
    request_context::formatted,
    service::{MAX_MESSAGE_BYTES, Service},
};
use crate::{
    fault_injection::Fault,
    identity::{AccessDenied, AccessRequest, AuthError, AuthRequest},
    template::{ACCOUNT, REGION},
};

const SIGNED_SERVICE: &str = "execute-api";
const ACTION: &str = "execute-api:ManageConnections";
/// A body that is larger is not read to its end, so that the client may miss the error response.
const MAX_BODY_BYTES: usize = 1024 * 1024;
const TIME_FORMAT: &str = "%Y-%m-%dT%H:%M:%SZ";
static ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Serves the API below the domain, as API Gateway does, and below the URL of WebSockets. Clients may escape
/// the at sign.
pub fn routes() -> Router<Arc<Service>> {
    let mut router = Router::new();
    for segment in ["@connections", "%40connections"] {
        router = router
            .route(&format!("/{{stage}}/{segment}/{{id}}"), any(handle_request))
            .route(&format!("/ws/{{stage}}/{segment}/{{id}}"), any(handle_request))
            .route(&format!("/{segment}/{{id}}"), any(async || ManagementError::StageUnknown.into_response()));
    }
    router
}

/// Why a request is refused, with the exceptions of API Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ManagementError {
    /// The path has no stage, or one of another API.
    StageUnknown,
    Unsigned,
    SignatureInvalid(AuthError),
    AccessDenied(AccessDenied),
    MethodUnknown,
    /// The connection is closed, or not yet open.
    NotOpen,
    IdMalformed(String),
    PayloadTooLarge,
    /// The client does not accept the messages in time.
    LimitExceeded,
    BodyIncomplete,
}

async fn handle_request(
    State(service): State<Arc<Service>>,
    Path((stage, id)): Path<(String, String)>,
    parts: Parts,
    body: Body,
) -> Response {
    let result = manage(&service, &stage, &id, &parts, body).await;
    result.unwrap_or_else(IntoResponse::into_response)
}

async fn manage(
    service: &Service,
    stage: &str,
    id: &str,
    parts: &Parts,
    body: Body,
) -> Result<Response, ManagementError> {
    if stage != service.api.stage {
        return Err(ManagementError::StageUnknown);
    }
    let body = timeout(service.settings.request_timeout, to_bytes(body, MAX_BODY_BYTES)).await;
    let body = body.map_err(|_| ManagementError::BodyIncomplete)?.map_err(|_| ManagementError::PayloadTooLarge)?;
    authorize(service, id, parts, &body)?;
    if !is_id(id) {
        return Err(ManagementError::IdMalformed(id.to_owned()));
    }
    match parts.method {
        Method::POST => post(service, id, &body).await,
        Method::GET => get(service, id),
        Method::DELETE if service.connections.delete(id) => Ok(StatusCode::NO_CONTENT.into_response()),
        Method::DELETE => Err(ManagementError::NotOpen),
        _ => Err(ManagementError::MethodUnknown),
    }
}

/// Verifies the signature, and asks the policies of the signer.
fn authorize(service: &Service, id: &str, parts: &Parts, body: &Bytes) -> Result<(), ManagementError> {
    let request = AuthRequest::from_parts(parts, body);
    let role = service.authenticator.authenticate_signer(&request, SIGNED_SERVICE).map_err(|error| match error {
        AuthError::CredentialsMissing => ManagementError::Unsigned,
        error => ManagementError::SignatureInvalid(error),
    })?;
    let (api, stage, method) = (&service.api.id, &service.api.stage, &parts.method);
    let resource = format!("arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/{stage}/{method}/@connections/{id}");
    let access = AccessRequest { action: ACTION, resource: &resource, leading_keys: &[] };
    role.authorize(&access).map_err(ManagementError::AccessDenied)
}

/// Sends a text message to the client. Bytes that are not UTF-8 are replaced.
async fn post(service: &Service, id: &str, body: &Bytes) -> Result<Response, ManagementError> {
    if body.len() > MAX_MESSAGE_BYTES {
        return Err(ManagementError::PayloadTooLarge);
    }
    let messages = service.connections.messages_to(id).ok_or(ManagementError::NotOpen)?;
    if service.settings.faults.should_inject(Fault::ConnectionsGone) {
        return Err(ManagementError::NotOpen);
    }
    let text = String::from_utf8_lossy(body).into_owned();
    match timeout(service.settings.send_timeout, messages.send(text)).await {
        Ok(Ok(())) => Ok(StatusCode::OK.into_response()),
        Ok(Err(_)) => Err(ManagementError::NotOpen),
        Err(_) => Err(ManagementError::LimitExceeded),
    }
}

fn get(service: &Service, id: &str) -> Result<Response, ManagementError> {
    let (info, last_active) = service.connections.describe(id).ok_or(ManagementError::NotOpen)?;
    let body = json!({
        "connectedAt": formatted(info.connected_at, TIME_FORMAT),
        "identity": info.identity(),
        "lastActiveAt": formatted(last_active, TIME_FORMAT),
    });
    Ok(json_response(StatusCode::OK, &body))
}

impl ManagementError {
    fn status(&self) -> StatusCode {
        match self {
            Self::StageUnknown
            | Self::Unsigned
            | Self::SignatureInvalid(_)
            | Self::AccessDenied(_)
            | Self::MethodUnknown => StatusCode::FORBIDDEN,
            Self::NotOpen => StatusCode::GONE,
            Self::IdMalformed(_) => StatusCode::BAD_REQUEST,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LimitExceeded => StatusCode::TOO_MANY_REQUESTS,
            Self::BodyIncomplete => StatusCode::REQUEST_TIMEOUT,
        }
    }

    fn error_type(&self) -> &'static str {
        match self {
            Self::StageUnknown | Self::AccessDenied(_) => "ForbiddenException",
            Self::Unsigned | Self::MethodUnknown => "MissingAuthenticationTokenException",
            Self::SignatureInvalid(error) => error.error_type(),
            Self::NotOpen => "GoneException",
            Self::IdMalformed(_) => "BadRequestException",
            Self::PayloadTooLarge => "PayloadTooLargeException",
            Self::LimitExceeded => "LimitExceededException",
            Self::BodyIncomplete => "RequestTimeoutException",
        }
    }

    /// Two of API Gateway's exceptions have no message.
    fn message(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::StageUnknown => Some("Forbidden".into()),
            Self::Unsigned | Self::MethodUnknown => Some("Missing Authentication Token".into()),
            Self::SignatureInvalid(error) => Some(error.message()),
            Self::AccessDenied(denied) => Some(denied.to_string().into()),
            Self::NotOpen | Self::LimitExceeded => None,
            Self::IdMalformed(id) => Some(format!("Invalid connectionId: {id}").into()),
            Self::PayloadTooLarge => Some(format!("A message has at most {MAX_MESSAGE_BYTES} bytes.").into()),
            Self::BodyIncomplete => Some("The request did not arrive in time.".into()),
        }
    }
}

impl IntoResponse for ManagementError {
    fn into_response(self) -> Response {
        let body = self.message().map_or_else(|| json!({}), |message| json!({ "message": message }));
        let mut response = json_response(self.status(), &body);
        response.headers_mut().insert(ERROR_TYPE.clone(), HeaderValue::from_static(self.error_type()));
        response
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
