//! The HTTP route of an Events API: publishing by POST, and CORS preflights.
use std::sync::Arc;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::State,
    response::{IntoResponse, Response},
    routing::{MethodRouter, post},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE, request::Parts};
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use super::{
    events_error::{EventsError, Reply},
    publish_input::{InputError, PublishInput},
    publish_outcome::PublishOutcome,
    service::{Requester, Service},
};
use crate::{graphql::preflight_response, identity::AuthRequest};

/// The escapes of its texts make a body longer than its events.
pub const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;
static ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

pub fn routes() -> MethodRouter<Arc<Service>> {
    post(handle_post).options(async |headers: HeaderMap| preflight_response(&headers)).fallback(refuse_method)
}

async fn handle_post(State(service): State<Arc<Service>>, parts: Parts, body: Body) -> Response {
    let body = match timeout(service.settings.request_timeout, to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return error_response(&InputError::PayloadTooLarge.into()),
        Err(_) => {
            let message = "The request did not arrive in time.";
            return errors_response(
                StatusCode::REQUEST_TIMEOUT,
                HeaderValue::from_static("RequestTimeoutException"),
                &json!({ "errorType": "RequestTimeoutException", "message": message }),
            );
        }
    };
    match publish(&service, &parts, &body).await {
        Ok(outcome) => json_response(StatusCode::OK, &outcome),
        Err(error) => error_response(&error),
    }
}

/// Errors of authentication come before errors of the request.
async fn publish(service: &Service, parts: &Parts, body: &Bytes) -> Result<PublishOutcome, EventsError> {
    let caller = service.authenticator.authenticate(&AuthRequest::from_parts(parts, body)).await?;
    let request = PublishInput::parse(body)?.validate()?;
    service.publish(&Requester::new(caller, &parts.headers), request).await
}

async fn refuse_method() -> Response {
    errors_response(
        StatusCode::NOT_FOUND,
        HeaderValue::from_static("UnknownOperationException"),
        &json!({ "errorType": "UnknownOperationException", "message": "Unknown Operation Request." }),
    )
}

fn error_response(error: &EventsError) -> Response {
    let entry = error.entry(Reply::Http);
    let error_type = HeaderValue::from_str(&entry.error_type);
    errors_response(error.status(), error_type.unwrap_or(HeaderValue::from_static("BadRequestException")), &entry)
}

fn errors_response(status: StatusCode, error_type: HeaderValue, entry: &impl Serialize) -> Response {
    let mut response = json_response(status, &json!({ "errors": [entry] }));
    response.headers_mut().insert(ERROR_TYPE.clone(), error_type);
    response
}

fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    let mut response = (status, serde_json::to_vec(body).unwrap_or_default()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-amzn-appsync-tokensconsumed", HeaderValue::from_static("1"));
    response
}
