//! Lambda's Invoke API for functions: `POST /2015-03-31/functions/{FunctionName}/invocations`.
use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Query, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use fancy_regex::Regex;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{
    Invocation, InvocationType, Lambda, SYNCHRONOUS_PAYLOAD_BYTES, errors::InvokeError, function_name, pool::Pool,
};
use crate::{
    identity::{AccessDenied, AccessRequest, Authenticator},
    template::{ACCOUNT, REGION},
};

const ACTION: &str = "lambda:InvokeFunction";
const LATEST: &str = "$LATEST";
/// A body that is larger is not read to its end, so that the client may miss the error response.
const BODY_BYTES: usize = 2 * SYNCHRONOUS_PAYLOAD_BYTES;
/// Lambda's pattern of `FunctionName`: a name, a partial ARN or an ARN, each with or without a qualifier.
const FUNCTION_NAME_PATTERN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";

static FUNCTION_NAME: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "the pattern is constant")]
    Regex::new(&format!(r"\A{FUNCTION_NAME_PATTERN}\z")).unwrap()
});

/// The function that a request names.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// Without a qualifier.
    arn: String,
    qualifier: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters {
    qualifier: Option<String>,
}

/// What `X-Amz-Invocation-Type` asks for.
#[derive(Clone, Copy)]
enum RequestedType {
    Run(InvocationType),
    /// Only the checks.
    DryRun,
}

/// An error response of the Lambda service.
struct ServiceError {
    status: StatusCode,
    error_type: &'static str,
    body: Value,
}

impl Lambda {
    /// Serves the API to functions with the permissions of their roles. The access key identifies the role;
    /// signatures are not verified.
    pub fn router(&self, authenticator: Authenticator) -> Router {
        Router::new()
            .route("/2015-03-31/functions/{name}/invocations", post(invoke))
            .layer(DefaultBodyLimit::max(BODY_BYTES))
            .with_state((self.clone(), authenticator))
    }

    /// The function with this ARN.
    fn pool(&self, target: &Target) -> Option<&Arc<Pool>> {
        let pool = self.functions.get(function_name(&target.arn))?;
        let is_latest = target.qualifier.as_deref().is_none_or(|qualifier| qualifier == LATEST);
        (pool.function.arn == target.arn && is_latest).then_some(pool)
    }

    /// The ARN of a function without region and account is that of the function with the name.
    fn complete_arn(&self, name: &str) -> String {
        let pool = self.functions.get(name);
        pool.map_or_else(
            || format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"),
            |pool| pool.function.arn.clone(),
        )
    }
}

async fn invoke(
    State((lambda, authenticator)): State<(Lambda, Authenticator)>,
    Path(name): Path<String>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let invocation = Invocation::new(Bytes::new());
    let request_id = invocation.request_id.clone();
    let result = async {
        let pool = find_function(&lambda, &authenticator, &name, parameters.qualifier, &headers)?;
        let requested_type = requested_type(&headers)?;
        let payload = read_payload(body)?;
        match requested_type {
            RequestedType::DryRun => Ok(StatusCode::NO_CONTENT.into_response()),
            RequestedType::Run(kind) => {
                let response = lambda.start_invocation(&pool, kind, Invocation { payload, ..invocation }).await;
                invocation_response(&pool, kind, response)
            }
        }
    };
    let response = result.await.unwrap_or_else(IntoResponse::into_response);
    ([("x-amzn-requestid", request_id)], response).into_response()
}

/// The function, if the caller's role allows its invocation.
fn find_function(
    lambda: &Lambda,
    authenticator: &Authenticator,
    name: &str,
    qualifier: Option<String>,
    headers: &HeaderMap,
) -> Result<Arc<Pool>, ServiceError> {
    let role = authenticator.assumed_role(headers).ok_or_else(ServiceError::unknown_credentials)?;
    let target = Target::parse(lambda, name, qualifier)?;
    let resource = target.qualified_arn();
    role.authorize(&AccessRequest { action: ACTION, resource: &resource, leading_keys: &[] })
        .map_err(|denied| ServiceError::access_denied(&denied))?;
    lambda.pool(&target).cloned().ok_or_else(|| ServiceError::not_found(&resource))
}

impl Target {
    fn parse(lambda: &Lambda, name: &str, qualifier: Option<String>) -> Result<Self, ServiceError> {
        let invalid = || ServiceError::invalid_function_name(name);
        let found = FUNCTION_NAME.captures(name).ok().flatten().ok_or_else(invalid)?;
        let function = found.get(7).ok_or_else(invalid)?;
        let arn = match found.get(1) {
            Some(_) => name[..function.end()].to_owned(),
            None => lambda.complete_arn(function.as_str()),
        };
        let own_qualifier = found.get(9).map(|qualifier| qualifier.as_str().to_owned());
        Ok(Self { arn, qualifier: own_qualifier.or(qualifier) })
    }

    fn qualified_arn(&self) -> String {
        match &self.qualifier {
            Some(qualifier) => format!("{}:{qualifier}", self.arn),
            None => self.arn.clone(),
        }
    }
}

fn requested_type(headers: &HeaderMap) -> Result<RequestedType, ServiceError> {
    let Some(value) = headers.get("x-amz-invocation-type") else {
        return Ok(RequestedType::Run(InvocationType::RequestResponse));
    };
    match value.to_str().unwrap_or_default() {
        "RequestResponse" => Ok(RequestedType::Run(InvocationType::RequestResponse)),
        "Event" => Ok(RequestedType::Run(InvocationType::Event)),
        "DryRun" => Ok(RequestedType::DryRun),
        other => Err(ServiceError::invalid_invocation_type(other)),
    }
}

/// The body, which must be a JSON text. An empty one is an empty object.
fn read_payload(body: Result<Bytes, BytesRejection>) -> Result<Bytes, ServiceError> {
    let body = body.map_err(|_| ServiceError::too_large(SYNCHRONOUS_PAYLOAD_BYTES))?;
    if body.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    match serde_json::from_slice::<IgnoredAny>(&body) {
        Ok(_) => Ok(body),
        Err(error) => Err(ServiceError::invalid_content(&error)),
    }
}

/// The status says nothing about errors of the function; `X-Amz-Function-Error` does.
fn invocation_response(
    pool: &Pool,
    kind: InvocationType,
    response: Result<Bytes, InvokeError>,
) -> Result<Response, ServiceError> {
    let json = (CONTENT_TYPE, "application/json");
    let version = (HeaderName::from_static("x-amz-executed-version"), LATEST);
    match response {
        Ok(_) if kind == InvocationType::Event => Ok(StatusCode::ACCEPTED.into_response()),
        Ok(response) => Ok(([json, version], Body::from(response)).into_response()),
        Err(InvokeError::Unhandled(error)) => {
            let error_header = (HeaderName::from_static("x-amz-function-error"), "Unhandled");
            Ok(([json, version, error_header], error.payload.to_string()).into_response())
        }
        Err(error) => Err(ServiceError::from_invoke_error(&error, pool)),
    }
}

impl ServiceError {
    fn from_invoke_error(error: &InvokeError, pool: &Pool) -> Self {
        match error {
            InvokeError::NotFound { .. } => Self::not_found(&pool.function.arn),
            InvokeError::TooLarge { limit } => Self::too_large(*limit),
            InvokeError::Throttled => Self::throttled(pool, &error.to_string()),
            InvokeError::Unhandled(_) | InvokeError::Stopped => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ServiceException",
                json!({ "Type": "Service", "Message": error.to_string() }),
            ),
        }
    }

    fn unknown_credentials() -> Self {
        let message = "The security token included in the request is invalid.";
        Self::new(StatusCode::FORBIDDEN, "UnrecognizedClientException", json!({ "message": message }))
    }

    fn access_denied(denied: &AccessDenied) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", json!({ "Message": denied.to_string() }))
    }

    fn not_found(arn: &str) -> Self {
        let body = json!({ "Type": "User", "Message": format!("Function not found: {arn}") });
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", body)
    }

    fn throttled(pool: &Pool, message: &str) -> Self {
        let reason = match pool.function.reserved_concurrency {
            Some(_) => "ReservedFunctionConcurrentInvocationLimitExceeded",
            None => "ConcurrentInvocationLimitExceeded",
        };
        let body = json!({ "Reason": reason, "Type": "User", "message": message });
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", body)
    }

    fn too_large(limit: usize) -> Self {
        let body = json!({ "Type": "User", "message": InvokeError::TooLarge { limit }.to_string() });
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", body)
    }

    fn invalid_content(error: &serde_json::Error) -> Self {
        let message = format!("Could not parse request body into json: Could not parse payload into json: {error}");
        let body = json!({ "Type": "User", "message": message });
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestContentException", body)
    }

    fn invalid_function_name(name: &str) -> Self {
        Self::constraint("functionName", name, &format!("satisfy regular expression pattern: {FUNCTION_NAME_PATTERN}"))
    }

    fn invalid_invocation_type(value: &str) -> Self {
        Self::constraint("invocationType", value, "satisfy enum value set: [Event, RequestResponse, DryRun]")
    }

    fn constraint(member: &str, value: &str, constraint: &str) -> Self {
        let message = format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must \
             {constraint}"
        );
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", json!({ "message": message }))
    }

    fn new(status: StatusCode, error_type: &'static str, body: Value) -> Self {
        Self { status, error_type, body }
    }
}

impl IntoResponse for ServiceError {
    fn into_response(self) -> Response {
        let headers = [(CONTENT_TYPE.as_str(), "application/json"), ("x-amzn-errortype", self.error_type)];
        (self.status, headers, self.body.to_string()).into_response()
    }
}
