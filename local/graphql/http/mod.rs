//! The HTTP surface: POST and GET of GraphQL, and preflights.
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_TYPE, COOKIE,
    },
    request::Parts,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::graphql::{Call, Request, Service};
use crate::identity::{Denial, Presented};

const BODY_BYTES: usize = 1024 * 1024;
const CLIENT_HEADERS: &str =
    "authorization, content-type, x-api-key, x-amz-date, x-amz-security-token, x-amz-user-agent";
static ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

pub fn router(service: Arc<Service>) -> Router {
    Router::new().route("/graphql", get(asked_by_get).post(asked_by_post).options(preflight)).with_state(service)
}

/// Why a request is not GraphQL.
enum Malformed {
    Empty,
    Unparsable,
}

async fn asked_by_post(State(service): State<Arc<Service>>, parts: Parts, body: Body) -> Response {
    let body = match arrived(body, service.settings.request_time).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let asked = match std::str::from_utf8(&body) {
        Ok("") => Err(Malformed::Empty),
        Ok(json) => Request::read(json).ok_or(Malformed::Unparsable),
        Err(_) => Err(Malformed::Unparsable),
    };
    serve(&service, &parts, &body, asked).await
}

async fn asked_by_get(State(service): State<Arc<Service>>, parts: Parts) -> Response {
    let asked =
        Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri).ok().and_then(|Query(query)| of_query(query));
    serve(&service, &parts, &[], asked.ok_or(Malformed::Unparsable)).await
}

/// The whole body, unless it is too large or takes too long.
async fn arrived(body: Body, most: Duration) -> Result<Bytes, Response> {
    match timeout(most, to_bytes(body, BODY_BYTES)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            let sentence = "A request has at most 1048576 bytes.";
            Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", sentence))
        }
        Err(_) => {
            let sentence = "The request did not arrive in time.";
            Err(refusal(StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException", sentence))
        }
    }
}

/// Every origin may call; the headers it may send are named, since a wildcard does not cover `authorization`.
async fn preflight(headers: HeaderMap) -> Response {
    let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = StatusCode::OK.into_response();
    let answer = response.headers_mut();
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.unwrap_or(HeaderValue::from_static(CLIENT_HEADERS)));
    answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("172800"));
    response
}

fn of_query(mut query: BTreeMap<String, String>) -> Option<Request> {
    let variables = query.remove("variables").map(|written| serde_json::from_str(&written)).transpose().ok()?;
    let operation_name = query.remove("operationName");
    Some(Request { query: query.remove("query")?, variables, operation_name, halves: false })
}

async fn serve(service: &Service, parts: &Parts, body: &[u8], asked: Result<Request, Malformed>) -> Response {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    let presented = Presented {
        method: parts.method.as_str(),
        uri: &parts.uri,
        headers: &parts.headers,
        body,
        peer,
        now: SystemTime::now(),
    };
    let caller = match service.directory.caller(&presented).await {
        Ok(caller) => caller,
        Err(denial) => return denied(denial),
    };
    let request = match asked {
        Ok(request) => request,
        Err(malformed) => return malformed.into_response(),
    };
    match service.answer(&request, &Call { caller, request: seen(&parts.headers) }).await {
        Ok(answer) => respond(StatusCode::OK, &answer, &answer.headers),
        Err(denial) => denied(denial),
    }
}

/// `ctx.request`: headers in lower case, a repeated one as a list, cookies withheld.
pub(crate) fn seen(headers: &HeaderMap) -> Value {
    let text = |value: &HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()));
    let seen = headers.keys().filter(|name| **name != COOKIE).map(|name| {
        let mut values: Vec<_> = headers.get_all(name).iter().map(text).collect();
        let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        (name.to_string(), value)
    });
    json!({ "headers": seen.collect::<serde_json::Map<_, _>>(), "domainName": null })
}

fn denied(denial: Denial) -> Response {
    refusal(denial.status(), denial.error_type(), denial.sentence())
}

impl IntoResponse for Malformed {
    fn into_response(self) -> Response {
        let sentence = match self {
            Malformed::Empty => "Request body is empty.",
            Malformed::Unparsable => "Unable to parse GraphQL query.",
        };
        refusal(StatusCode::BAD_REQUEST, "MalformedHttpRequestException", sentence)
    }
}

fn refusal(status: StatusCode, error_type: &'static str, sentence: &str) -> Response {
    let body = json!({ "errors": [{ "errorType": error_type, "message": sentence }] });
    let mut response = respond(status, &body, &[]);
    response.headers_mut().insert(ERROR_TYPE.clone(), HeaderValue::from_static(error_type));
    response
}

fn respond(status: StatusCode, body: &impl serde::Serialize, headers: &[(String, String)]) -> Response {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = (status, body).into_response();
    let answer = response.headers_mut();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.insert(name, value);
        }
    }
    answer.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8"));
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "x-amzn-RequestId,x-amzn-ErrorType,x-amz-user-agent,x-amzn-ErrorMessage,Date,x-amz-schema-version",
        ),
    );
    response.headers_mut().insert("x-amzn-appsync-tokensconsumed", HeaderValue::from_static("1"));
    response
}
