//! The HTTP routes of an API: GraphQL by POST and GET, and CORS preflights.
pub mod forwarded_headers;
pub mod responses;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Query, State},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode, header::ALLOW, request::Parts};
use tokio::time::timeout;

use self::{
    forwarded_headers::forwarded_request,
    responses::{
        MalformedRequest, add_common_headers, auth_error_response, error_response, json_response, preflight_response,
    },
};
use super::{
    request::{CallContext, Request},
    service::Service,
};
use crate::identity::AuthRequest;

const MAX_BODY_BYTES: usize = 1024 * 1024;

pub fn router(service: Arc<Service>) -> Router {
    let methods = get(handle_get).head(refuse_head).post(handle_post).options(handle_preflight);
    Router::new().route("/graphql", methods).with_state(service)
}

async fn handle_post(State(service): State<Arc<Service>>, parts: Parts, body: Body) -> Response {
    let body = match read_body(body, service.settings.request_timeout).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let request = match std::str::from_utf8(&body) {
        Ok("") => Err(MalformedRequest::Empty),
        Ok(json) => Request::parse(json).ok_or(MalformedRequest::Unparsable),
        Err(_) => Err(MalformedRequest::Unparsable),
    };
    respond(&service, &parts, &body, request).await
}

async fn handle_get(State(service): State<Arc<Service>>, parts: Parts) -> Response {
    let query = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri);
    let request = query.ok().and_then(|Query(parameters)| request_from_query(&parameters));
    respond(&service, &parts, &[], request.ok_or(MalformedRequest::Unparsable)).await
}

async fn handle_preflight(headers: HeaderMap) -> Response {
    preflight_response(&headers)
}

/// Without this handler axum would answer a HEAD by running the query.
async fn refuse_head() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET,POST,OPTIONS")]).into_response()
}

/// Adds the headers of every response of an API to a router's responses, also to those with status 404 and
/// 405.
pub fn with_common_headers(router: Router) -> Router {
    router.fallback(async || StatusCode::NOT_FOUND).layer(map_response(add_common_headers))
}

/// Reads the whole body. The error is the response to a body that is too large or too slow.
async fn read_body(body: Body, time_limit: Duration) -> Result<Bytes, Response> {
    match timeout(time_limit, to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            let message = "A request has at most 1048576 bytes.";
            Err(error_response(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", message))
        }
        Err(_) => {
            let message = "The request did not arrive in time.";
            Err(error_response(StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException", message))
        }
    }
}

fn request_from_query(parameters: &BTreeMap<String, String>) -> Option<Request> {
    let parameter = |name| parameters.get(name).map(String::as_str);
    Request::from_parameters(parameter("query")?, parameter("variables"), parameter("operationName"))
}

/// Authenticates the caller and executes the request. Authentication errors come before errors of the
/// request.
async fn respond(
    service: &Service,
    parts: &Parts,
    body: &[u8],
    request: Result<Request, MalformedRequest>,
) -> Response {
    let caller = match service.authenticator.authenticate(&AuthRequest::from_parts(parts, body)).await {
        Ok(caller) => caller,
        Err(error) => return auth_error_response(error),
    };
    let request = match request {
        Ok(request) => request,
        Err(malformed) => return malformed.into_response(),
    };
    let call = CallContext { caller, request: forwarded_request(&parts.headers) };
    match service.execute(&request, &call).await {
        Ok(response) => json_response(StatusCode::OK, &response, &response.headers),
        Err(error) => auth_error_response(error),
    }
}
