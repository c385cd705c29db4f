//! HTTP responses with AppSync's headers and error bodies.
use axum::response::{IntoResponse, Response};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_TYPE,
    },
};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::identity::AuthError;

const CLIENT_HEADERS: &str =
    "authorization, content-type, x-api-key, x-amz-date, x-amz-security-token, x-amz-user-agent";
const EXPOSED_HEADERS: &str =
    "x-amzn-RequestId,x-amzn-ErrorType,x-amz-user-agent,x-amzn-ErrorMessage,Date,x-amz-schema-version";
static ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
static REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// The reason why a body is not a GraphQL request.
pub enum MalformedRequest {
    Empty,
    Unparsable,
}

impl IntoResponse for MalformedRequest {
    fn into_response(self) -> Response {
        let message = match self {
            MalformedRequest::Empty => "Request body is empty.",
            MalformedRequest::Unparsable => "Unable to parse GraphQL query.",
        };
        error_response(StatusCode::BAD_REQUEST, "MalformedHttpRequestException", message)
    }
}

/// Allows every origin to read the response, and gives the response an id.
pub async fn add_common_headers(mut response: Response) -> Response {
    let request_id = HeaderValue::try_from(Uuid::new_v4().to_string());
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    if let Ok(request_id) = request_id {
        headers.insert(REQUEST_ID.clone(), request_id);
    }
    response
}

/// The response to a preflight. Lists the allowed headers, because a wildcard does not include
/// `authorization`.
pub fn preflight_response(request_headers: &HeaderMap) -> Response {
    let requested = request_headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, requested.unwrap_or(HeaderValue::from_static(CLIENT_HEADERS)));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("172800"));
    response
}

pub fn auth_error_response(error: AuthError) -> Response {
    error_response(error.status(), error.error_type(), &error.message())
}

pub fn error_response(status: StatusCode, error_type: &'static str, message: &str) -> Response {
    let body = json!({ "errors": [{ "errorType": error_type, "message": message }] });
    let mut response = json_response(status, &body, &[]);
    response.headers_mut().insert(ERROR_TYPE.clone(), HeaderValue::from_static(error_type));
    response
}

/// A JSON response. `extra_headers` that are not valid HTTP headers are ignored.
pub fn json_response(status: StatusCode, body: &impl Serialize, extra_headers: &[(String, String)]) -> Response {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    for (name, value) in extra_headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8"));
    headers.insert("x-amzn-appsync-tokensconsumed", HeaderValue::from_static("1"));
    response
}
