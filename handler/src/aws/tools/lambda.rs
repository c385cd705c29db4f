//! Invokes Lambda functions that are tools, each with one signed POST.
use api::signing::PostRequest;
use reqwest::{Response, StatusCode, header::HeaderMap};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;
use turn::tool::{LambdaTool, ToolRun};

use super::call_error::{CallError, MAX_RESPONSE_BYTES, NOT_ALLOWED, NOT_REACHED};
use crate::{
    aws::{
        limited_body::read_limited,
        signed_http::{SendError, SignedHttp, default_endpoint},
    },
    function_arn::FunctionArn,
};

const CONTENT_TYPE: (&str, &str) = ("content-type", "application/json");
const INVOCATION_TYPE: (&str, &str) = ("x-amz-invocation-type", "RequestResponse");

pub struct Lambda {
    http: SignedHttp,
    /// In place of that of the function's region.
    endpoint: Option<String>,
}

/// What a tool gets.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    idempotency_key: String,
    tool_use_id: &'a str,
    name: &'a str,
    input: &'a RawValue,
    caller: PayloadCaller<'a>,
    conversation_id: &'a str,
    turn_id: &'a str,
}

#[derive(Serialize)]
struct PayloadCaller<'a> {
    id: Option<&'a str>,
    name: Option<&'a str>,
}

/// The response of a function that ended with an error. Its stack trace is not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionFailure {
    error_message: Option<String>,
}

impl Lambda {
    pub fn new(http: SignedHttp, endpoint: Option<String>) -> Self {
        Self { http, endpoint }
    }

    /// Tries once. Returns the function's result: JSON text, byte for byte.
    pub async fn invoke(&self, tool: &LambdaTool, run: &ToolRun) -> Result<String, CallError> {
        let arn = &tool.function_arn;
        let Some(function) = FunctionArn::parse(arn) else {
            tracing::error!(tool = run.tool.name, arn, "not the ARN of a function");
            return Err(CallError::Refused(NOT_ALLOWED));
        };
        let body = payload(run).map_err(|error| {
            tracing::error!(%error, tool = run.tool.name, "the arguments are not JSON");
            CallError::Refused(NOT_REACHED)
        })?;
        let response = self.post(&function, &body).await.map_err(|error| send_error(error, run))?;
        if response.status() != StatusCode::OK {
            return Err(refusal(&response, arn, run));
        }
        let has_failed = response.headers().contains_key("x-amz-function-error");
        function_result(read_limited(response, MAX_RESPONSE_BYTES).await?, has_failed)
    }

    /// The connection is closed after the response: on one that was idle while Lambda froze the handler a
    /// call could fail, and it may not be repeated.
    async fn post(&self, function: &FunctionArn<'_>, body: &[u8]) -> Result<Response, SendError> {
        let endpoint = self.endpoint.clone().unwrap_or_else(|| default_endpoint("lambda", function.region));
        let url = format!("{}{}", endpoint.trim_end_matches('/'), function.invocations_path());
        let headers = [CONTENT_TYPE, INVOCATION_TYPE];
        let post = PostRequest { service: "lambda", url: &url, region: function.region, headers: &headers, body };
        self.http.send(post, |request| request.header("connection", "close")).await
    }
}

fn send_error(error: SendError, run: &ToolRun) -> CallError {
    let tool = &run.tool.name;
    match error {
        SendError::Credentials(error) => {
            tracing::warn!(%error, tool, "no credentials to invoke a tool");
            CallError::NotStarted
        }
        SendError::Signing(_) | SendError::Request(_) => {
            tracing::error!(%error, tool, "the request for a tool could not be made");
            CallError::Refused(NOT_REACHED)
        }
        SendError::Transport(error) => {
            tracing::info!(tool, is_connect = error.is_connect(), "lambda did not answer");
            CallError::from(error)
        }
    }
}

fn payload(run: &ToolRun) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Payload {
        idempotency_key: run.idempotency_key(),
        tool_use_id: &run.tool_use.id,
        name: &run.tool_use.name,
        input: serde_json::from_str(&run.tool_use.input)?,
        caller: PayloadCaller { id: run.caller.id.as_deref(), name: run.caller.name.as_deref() },
        conversation_id: &run.claim.conversation_id,
        turn_id: &run.claim.turn_id,
    })
}

/// What a response other than 200 means. Its body is not read, because it may quote the request.
fn refusal(response: &Response, arn: &str, run: &ToolRun) -> CallError {
    let status = response.status();
    let tool = &run.tool.name;
    let error_type = error_type(response.headers());
    if matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
        tracing::error!(tool, arn, error_type, %status, "the handler may not invoke a tool, or it does not exist");
        return CallError::Refused(NOT_ALLOWED);
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        tracing::warn!(tool, error_type, "a tool is throttled");
        return CallError::NotStarted;
    }
    if status.is_server_error() {
        tracing::warn!(tool, error_type, %status, "a tool could not be invoked");
        return CallError::ServerError;
    }
    tracing::error!(tool, arn, error_type, %status, "lambda refuses to invoke a tool");
    CallError::Refused(NOT_REACHED)
}

fn error_type(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-amzn-errortype")?.to_str().ok()
}

/// What the body of a response means: the function's result, or its error where it has failed.
pub fn function_result(body: Vec<u8>, has_failed: bool) -> Result<String, CallError> {
    if has_failed {
        return Err(function_failure(&body));
    }
    String::from_utf8(body).ok().filter(|text| is_json(text)).ok_or(CallError::NotJson)
}

fn function_failure(body: &[u8]) -> CallError {
    let failure = serde_json::from_slice::<FunctionFailure>(body).ok();
    CallError::failed(&failure.and_then(|failure| failure.error_message).unwrap_or_default())
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}
