//! Forwards requests to Amazon Bedrock, signed with the AWS credentials of the user who starts the server.
//! The credentials stay in this process; the handler's processes never see them.
use std::{sync::Arc, time::SystemTime};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse, Response},
    routing::post,
};
use futures::stream::try_unfold;
use http::{HeaderMap, Method, StatusCode, Uri, header::CONTENT_TYPE};
use percent_encoding::percent_decode_str;

use super::{
    BedrockError, REQUEST_BYTES,
    account::AwsAccount,
    advice::{RENEW, advice},
};

/// What is read of a refusal, to say what can be done about it.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("Bedrock needs a region: set AWS_REGION, or a region in your AWS profile")]
    NoRegion,
    #[error("Bedrock needs AWS credentials, and none were found: {RENEW}")]
    NoCredentials,
    #[error("AWS refuses your credentials ({code}): {RENEW}")]
    CredentialsRefused { code: String },
}

/// The endpoint and the credentials of forwarded requests.
pub struct Upstream {
    /// Without a path: `https://bedrock-runtime.us-east-1.amazonaws.com`.
    pub url: String,
    pub region: String,
    pub credentials: SharedCredentialsProvider,
}

impl Upstream {
    /// An endpoint such as `bedrock-runtime`, with region and credentials from the environment or a profile,
    /// as the AWS command line finds them.
    pub async fn from_environment(endpoint: &str) -> Result<Self, UpstreamError> {
        Ok(AwsAccount::load().await?.upstream(endpoint))
    }
}

/// Forwards every request. Must be wrapped in `with_iam_guard`, because it signs for any caller.
pub fn forwarding_router(upstream: Upstream) -> Router {
    router(Arc::new(Forwarder::new(upstream)))
}

pub(super) fn router(state: Arc<Forwarder>) -> Router {
    Router::new()
        .route("/model/{model_id}/converse-stream", post(forward))
        .route("/model/{model_id}/converse", post(forward))
        .route("/guardrail/{guardrail_id}/version/{version}/apply", post(forward))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES))
        .with_state(state)
}

/// Sends requests to Amazon Bedrock. It signs for any caller.
pub struct Forwarder {
    upstream: Upstream,
    client: reqwest::Client,
}

async fn forward(State(forwarder): State<Arc<Forwarder>>, uri: Uri, body: Bytes) -> Response {
    forwarder.forward(uri.path(), body).await
}

impl Forwarder {
    pub fn new(upstream: Upstream) -> Self {
        Self { upstream, client: reqwest::Client::new() }
    }

    /// Sends a POST and relays its response.
    pub async fn forward(&self, path: &str, body: Bytes) -> Response {
        let Some(request) = self.upstream.sign(Method::POST, path, body).await else {
            tracing::warn!("the AWS credentials cannot be loaded: {RENEW}");
            return BedrockError::unknown_credentials().into_response();
        };
        match self.client.execute(request).await {
            Ok(response) if response.status().is_success() => relay(response),
            Ok(response) => relay_refusal(response, path).await,
            Err(error) => {
                tracing::warn!(%error, "Bedrock cannot be reached");
                BedrockError::unavailable().into_response()
            }
        }
    }
}

impl Upstream {
    /// `path` may have a query. None when the credentials cannot be loaded or the request cannot be signed.
    pub(super) async fn sign(&self, method: Method, path: &str, body: Bytes) -> Option<reqwest::Request> {
        let identity = self.credentials.provide_credentials().await.ok()?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("bedrock")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .ok()?
            .into();
        let url = format!("{}{path}", self.url);
        let headers = [("content-type", "application/json")].into_iter();
        let signable = SignableRequest::new(method.as_str(), &url, headers, SignableBody::Bytes(&body)).ok()?;
        let (instructions, _) = sign(signable, &parameters).ok()?.into_parts();
        let request = http::Request::builder().method(method).uri(&url).header(CONTENT_TYPE, "application/json");
        let mut request = request.body(body).ok()?;
        instructions.apply_to_request_http1x(&mut request);
        request.try_into().ok()
    }
}

/// Of a response to RetrieveAndGenerateStream.
pub(crate) const SESSION_ID_HEADER: &str = "x-amzn-bedrock-knowledge-base-session-id";

/// Relays status, error type and the frames of the stream as they arrive.
fn relay(upstream: reqwest::Response) -> Response {
    let (status, headers) = (upstream.status(), upstream.headers().clone());
    let frames = try_unfold(upstream, |mut upstream| async move {
        Ok::<_, reqwest::Error>(upstream.chunk().await?.map(|frame| (frame, upstream)))
    });
    with_body(status, &headers, Body::from_stream(frames))
}

/// Relays a refusal, and logs what the user can do about it.
async fn relay_refusal(mut upstream: reqwest::Response, path: &str) -> Response {
    let (status, headers) = (upstream.status(), upstream.headers().clone());
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = upstream.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_REFUSAL_BYTES {
            break;
        }
    }
    let error_type = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()).unwrap_or_default();
    // `/model/MODEL/converse-stream`
    let model_id = path.strip_prefix("/model/").and_then(|path| path.split('/').next());
    let model_id = model_id.map(|id| percent_decode_str(id).decode_utf8_lossy());
    if let Some(advice) = advice(status, error_type, &body, model_id.as_deref()) {
        tracing::warn!("{advice}");
    }
    with_body(status, &headers, body.into())
}

fn with_body(status: StatusCode, headers: &HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for name in ["content-type", "x-amzn-errortype", "x-amzn-requestid", SESSION_ID_HEADER] {
        if let Some(value) = headers.get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}
