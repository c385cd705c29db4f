//! Runs operations of GraphQL APIs that are tools, each with one POST as the caller.
use std::collections::HashMap;

use reqwest::{
    Response, StatusCode,
    header::{HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;
use turn::tool::{GraphqlTool, ToolRun};

use super::{
    call_error::{CallError, MAX_RESPONSE_BYTES, NOT_REACHED, limited_message},
    caller_credential::NOT_ACCEPTED,
};
use crate::aws::{limited_body::read_limited, redaction::remove_credential};

/// The most errors of a response that the model is told.
const MAX_ERRORS: usize = 10;
/// An error with a longer path is told without it.
const MAX_PATH_BYTES: usize = 1000;
const REQUEST_REFUSED: &str = "The tool's API did not accept the request.";

/// One operation with its variables and the caller's credential.
pub struct GraphqlRequest {
    url: String,
    credential: (HeaderName, HeaderValue),
    body: Vec<u8>,
}

/// The document has one operation, so its name is not needed.
#[derive(Serialize)]
struct RequestBody<'a> {
    query: &'a str,
    variables: &'a RawValue,
}

#[derive(Deserialize)]
struct ResponseBody<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    errors: Option<Vec<ResponseError<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponseError<'a> {
    #[serde(default)]
    message: String,
    #[serde(borrow)]
    path: Option<&'a RawValue>,
    error_type: Option<String>,
}

/// What the model gets if the operation has a result and errors.
#[derive(Serialize)]
struct PartialResult<'a> {
    data: &'a RawValue,
    errors: Vec<PartialError<'a>>,
}

#[derive(Serialize)]
struct PartialError<'a> {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a RawValue>,
}

impl GraphqlRequest {
    pub fn new(
        tool: &GraphqlTool,
        url: &str,
        run: &ToolRun,
        credential: (HeaderName, HeaderValue),
    ) -> Result<Self, CallError> {
        let body = request_body(tool, run).map_err(|error| {
            tracing::error!(%error, tool = run.tool.name, "the arguments are not JSON");
            CallError::Refused(NOT_REACHED)
        })?;
        Ok(Self { url: url.to_owned(), credential, body })
    }

    /// Tries once. Returns the operation's result: JSON text, byte for byte.
    pub async fn send(&self, http: &reqwest::Client, run: &ToolRun) -> Result<String, CallError> {
        let tool = &run.tool.name;
        let (name, value) = self.credential.clone();
        // The connection is closed after the response, as after an invocation of Lambda. A call of the
        // handler's own API may use one that a publish of the same attempt left open.
        let request = http
            .post(&self.url)
            .header("connection", "close")
            .header("content-type", "application/json")
            .header(name, value)
            .body(self.body.clone());
        let response = request.send().await.map_err(|error| {
            tracing::info!(tool, is_connect = error.is_connect(), "the API of a tool did not answer");
            CallError::from(error)
        })?;
        let status = response.status();
        if let Some(error) = status_error(&response) {
            tracing::warn!(tool, %status, "the API of a tool refuses a call");
            return Err(error);
        }
        let body = read_limited(response, MAX_RESPONSE_BYTES).await?;
        // Before texts are cut, so that no part of the credential is left.
        let body = remove_credential(body, self.credential.1.as_bytes());
        if status == StatusCode::OK {
            return operation_result(&body);
        }
        tracing::warn!(tool, %status, "the API of a tool refuses a call");
        Err(refusal(&body))
    }
}

fn request_body(tool: &GraphqlTool, run: &ToolRun) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&RequestBody { query: &tool.document, variables: serde_json::from_str(&run.tool_use.input)? })
}

/// What a response means whose body is not read.
fn status_error(response: &Response) -> Option<CallError> {
    match response.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(CallError::Refused(NOT_ACCEPTED)),
        StatusCode::TOO_MANY_REQUESTS => Some(CallError::NotStarted),
        StatusCode::REQUEST_TIMEOUT => Some(CallError::ServerError),
        status if status.is_server_error() => Some(CallError::ServerError),
        status if status.is_redirection() || status.is_informational() => Some(CallError::Refused(REQUEST_REFUSED)),
        _ => None,
    }
}

/// What the body of a response with status 200 means.
pub fn operation_result(body: &[u8]) -> Result<String, CallError> {
    let response: ResponseBody = serde_json::from_slice(body).map_err(|_| CallError::NotJson)?;
    let errors = response.errors.unwrap_or_default();
    let data = response.data.filter(|data| errors.is_empty() || !is_without_values(data));
    match data {
        Some(data) if errors.is_empty() => Ok(data.get().to_owned()),
        Some(data) => partial_result(data, errors),
        None => Err(failure(&errors).unwrap_or_else(|| CallError::failed(""))),
    }
}

/// What a response means that has another status than 200, and a body.
fn refusal(body: &[u8]) -> CallError {
    let response = serde_json::from_slice::<ResponseBody>(body).ok();
    let errors = response.and_then(|response| response.errors).unwrap_or_default();
    failure(&errors).unwrap_or(CallError::Refused(REQUEST_REFUSED))
}

/// Whether data is an object whose members are all null: an operation with one field that failed has such
/// data beside its error.
fn is_without_values(data: &RawValue) -> bool {
    let members = serde_json::from_str::<HashMap<String, Option<IgnoredAny>>>(data.get());
    members.is_ok_and(|members| members.values().all(Option::is_none))
}

/// `None` if the errors say nothing.
fn failure(errors: &[ResponseError<'_>]) -> Option<CallError> {
    if errors.iter().any(|error| error.error_type.as_deref() == Some("UnauthorizedException")) {
        return Some(CallError::Refused(NOT_ACCEPTED));
    }
    let messages: Vec<_> = errors.iter().filter_map(|error| limited_message(&error.message)).take(MAX_ERRORS).collect();
    (!messages.is_empty()).then(|| CallError::Failed(messages.join("\n")))
}

fn partial_result(data: &RawValue, errors: Vec<ResponseError<'_>>) -> Result<String, CallError> {
    let errors = errors.into_iter().take(MAX_ERRORS).map(|error| PartialError {
        message: limited_message(&error.message).unwrap_or_default(),
        path: error.path.filter(|path| path.get().len() <= MAX_PATH_BYTES),
    });
    serde_json::to_string(&PartialResult { data, errors: errors.collect() }).map_err(|_| CallError::NotJson)
}
