//! Signed calls of AWS services with JSON bodies.
use std::time::{Duration, SystemTime};

use api::signing::ServiceRequest;
use aws_credential_types::Credentials;
use reqwest::{Method, Response};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{StartError, variable};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the longest call: a statement of the RDS Data API may take 45 seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(50);
/// A longer response is not read. The RDS Data API's and Bedrock's have at most 1 MB.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;
/// Longer messages of services are cut.
const MAX_MESSAGE_CHARACTERS: usize = 1_000;

/// The clients of all services, with the credentials that Lambda gives the function.
#[derive(Clone)]
pub struct Aws {
    pub http: reqwest::Client,
    region: String,
    credentials: Credentials,
}

/// A service that is called.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The first label of its host.
    endpoint: &'static str,
    signing_name: &'static str,
    /// The variable with a URL in place of the service's own, as AWS's SDKs name it.
    endpoint_variable: &'static str,
}

pub const RDS_DATA: Service = Service::new("rds-data", "rds-data", "AWS_ENDPOINT_URL_RDS_DATA");
pub const SECRETS_MANAGER: Service =
    Service::new("secretsmanager", "secretsmanager", "AWS_ENDPOINT_URL_SECRETS_MANAGER");
pub const BEDROCK_AGENT: Service = Service::new("bedrock-agent", "bedrock", "AWS_ENDPOINT_URL_BEDROCK_AGENT");
pub const SQS: Service = Service::new("sqs", "sqs", "AWS_ENDPOINT_URL_SQS");

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The service answered with an error.
    #[error("{kind}{}{message}", if message.is_empty() { "" } else { ": " })]
    Service { status: u16, kind: String, message: String },
    /// There is no answer: the call may or may not have had its effect.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// A call like this one can never succeed.
    #[error("the request cannot be made: {0}")]
    Request(String),
}

impl CallError {
    /// The service's name of the error, such as `ConflictException`.
    pub fn kind(&self) -> &str {
        match self {
            Self::Service { kind, .. } => kind,
            Self::NoAnswer(_) | Self::Request(_) => "",
        }
    }

    pub fn message(&self) -> &str {
        match self {
            Self::Service { message, .. } | Self::NoAnswer(message) | Self::Request(message) => message,
        }
    }

    /// Whether the same call may succeed later, whatever the service.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Service { status, kind, .. } => {
                api::errors::is_retryable_status(*status) || kind == "ThrottlingException"
            }
            Self::NoAnswer(_) => true,
            Self::Request(_) => false,
        }
    }
}

impl Service {
    const fn new(endpoint: &'static str, signing_name: &'static str, endpoint_variable: &'static str) -> Self {
        Self { endpoint, signing_name, endpoint_variable }
    }

    fn url(&self, region: &str, path: &str) -> String {
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let endpoint = std::env::var(self.endpoint_variable)
            .unwrap_or_else(|_| format!("https://{}.{region}.{domain}", self.endpoint));
        format!("{}{path}", endpoint.trim_end_matches('/'))
    }
}

impl Aws {
    pub fn from_environment() -> Result<Self, StartError> {
        let credentials = Credentials::new(
            variable("AWS_ACCESS_KEY_ID")?,
            variable("AWS_SECRET_ACCESS_KEY")?,
            std::env::var("AWS_SESSION_TOKEN").ok(),
            None,
            "Lambda",
        );
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, region: variable("AWS_REGION")?, credentials })
    }

    /// Calls an operation of a service with a REST protocol, once.
    pub async fn call_rest<R: DeserializeOwned>(
        &self,
        service: Service,
        method: Method,
        path: &str,
        request: &impl Serialize,
    ) -> Result<R, CallError> {
        self.call(service, method, path, &[("content-type", "application/json")], request).await
    }

    /// Calls an operation of a service with AWS's JSON protocol, such as `AmazonSQS.SendMessage`, once.
    pub async fn call_json<R: DeserializeOwned>(
        &self,
        service: Service,
        target: &str,
        request: &impl Serialize,
    ) -> Result<R, CallError> {
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target)];
        self.call(service, Method::POST, "/", &headers, request).await
    }

    async fn call<R: DeserializeOwned>(
        &self,
        service: Service,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        request: &impl Serialize,
    ) -> Result<R, CallError> {
        let body = if method == Method::GET {
            Vec::new()
        } else {
            serde_json::to_vec(request).map_err(|error| CallError::Request(error.to_string()))?
        };
        let url = service.url(&self.region, path);
        let signed = ServiceRequest {
            method: method.as_str(),
            service: service.signing_name,
            url: &url,
            region: &self.region,
            headers,
            body: &body,
        };
        let authorization = signed
            .sign(self.credentials.clone(), SystemTime::now())
            .map_err(|error| CallError::Request(error.to_string()))?;
        let mut http_request = self.http.request(method, &url);
        for (name, value) in headers {
            http_request = http_request.header(*name, *value);
        }
        for (name, value) in authorization {
            http_request = http_request.header(name, value);
        }
        let response = http_request.body(body).send().await.map_err(|error| no_answer(&error))?;
        read_response(response).await
    }
}

fn no_answer(error: &reqwest::Error) -> CallError {
    CallError::NoAnswer(error.to_string())
}

async fn read_response<R: DeserializeOwned>(response: Response) -> Result<R, CallError> {
    let status = response.status().as_u16();
    let error_header = response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let error_header = error_header.map(str::to_owned);
    let body = read_body(response).await?;
    if (200..300).contains(&status) {
        let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
        // The error's text could quote the response, which may be a secret.
        return serde_json::from_slice(body).map_err(|_| CallError::NoAnswer("the response is not as expected".into()));
    }
    let body = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    Err(service_error(status, error_header.as_deref(), &body))
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(&error))? {
        if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
            return Err(CallError::NoAnswer("the response is too long".into()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The error of a response. Its name is in a header or in the body, perhaps with a namespace or a URL.
fn service_error(status: u16, header: Option<&str>, body: &Value) -> CallError {
    let name = header.or(body["__type"].as_str()).or(body["code"].as_str()).unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    let kind = name.rsplit('#').next().unwrap_or_default();
    let kind = if kind.is_empty() { format!("HTTP {status}") } else { kind.to_owned() };
    let message = body["message"].as_str().or(body["Message"].as_str()).unwrap_or_default();
    CallError::Service { status, kind, message: message.chars().take(MAX_MESSAGE_CHARACTERS).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_are_named_by_header_or_body() {
        let named = |header: Option<&str>, body: Value| service_error(400, header, &body).kind().to_owned();
        let header = Some("ConflictException:http://internal.amazon.com/coral/");
        assert_eq!(named(header, json!({})), "ConflictException");
        assert_eq!(named(None, json!({ "__type": "com.amazonaws.sqs#QueueDoesNotExist" })), "QueueDoesNotExist");
        assert_eq!(named(None, json!({ "code": "BadRequestException" })), "BadRequestException");
        assert_eq!(named(None, Value::Null), "HTTP 400");
    }

    #[test]
    fn long_messages_are_cut() {
        let error = service_error(400, None, &json!({ "message": "é".repeat(5_000) }));
        assert_eq!(error.message().chars().count(), MAX_MESSAGE_CHARACTERS);
    }

    #[test]
    fn server_errors_throttling_and_lost_answers_are_transient() {
        let of = |status: u16, kind: &str| CallError::Service { status, kind: kind.into(), message: String::new() };
        assert!(of(503, "ServiceUnavailableError").is_transient() && of(429, "").is_transient());
        assert!(of(400, "ThrottlingException").is_transient() && CallError::NoAnswer(String::new()).is_transient());
        assert!(!of(400, "BadRequestException").is_transient() && !CallError::Request(String::new()).is_transient());
    }
}
