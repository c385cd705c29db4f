//! Forwards requests to Amazon Bedrock, signed with the AWS credentials of the user who starts the server.
//! The credentials stay in this process; the handler's processes never see them.
use std::{sync::Arc, time::SystemTime};

use aws_config::{BehaviorVersion, default_provider::credentials::DefaultCredentialsChain};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError};
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
use http::{StatusCode, Uri, header::CONTENT_TYPE};

use super::{BedrockError, REQUEST_BYTES};

#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("Bedrock needs a region: set AWS_REGION, or a region in your AWS profile")]
    NoRegion,
    #[error("Bedrock needs AWS credentials, and none were found: {0}")]
    NoCredentials(#[from] CredentialsError),
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
        let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
        let region = config.region().ok_or(UpstreamError::NoRegion)?.to_string();
        let chain = DefaultCredentialsChain::builder().build().await;
        let credentials = config.credentials_provider().unwrap_or_else(|| SharedCredentialsProvider::new(chain));
        credentials.provide_credentials().await?;
        Ok(Self { url: format!("https://{endpoint}.{region}.amazonaws.com"), region, credentials })
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
        let result = match self.upstream.sign(path, body).await {
            Some(request) => self.client.execute(request).await,
            None => return BedrockError::unknown_credentials().into_response(),
        };
        match result {
            Ok(response) => relay(response),
            Err(error) => {
                tracing::warn!(%error, "Bedrock cannot be reached");
                BedrockError::unavailable().into_response()
            }
        }
    }
}

impl Upstream {
    /// None when the credentials cannot be loaded or the request cannot be signed.
    async fn sign(&self, path: &str, body: Bytes) -> Option<reqwest::Request> {
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
        let signable = SignableRequest::new("POST", &url, headers, SignableBody::Bytes(&body)).ok()?;
        let (instructions, _) = sign(signable, &parameters).ok()?.into_parts();
        let mut request = http::Request::post(&url).header(CONTENT_TYPE, "application/json").body(body).ok()?;
        instructions.apply_to_request_http1x(&mut request);
        request.try_into().ok()
    }
}

/// Of a response to RetrieveAndGenerateStream.
pub(crate) const SESSION_ID_HEADER: &str = "x-amzn-bedrock-knowledge-base-session-id";

/// Relays status, error type and the frames of the stream as they arrive.
fn relay(upstream: reqwest::Response) -> Response {
    let status = upstream.status();
    let headers = upstream.headers().clone();
    let frames = try_unfold(upstream, |mut upstream| async move {
        Ok::<_, reqwest::Error>(upstream.chunk().await?.map(|frame| (frame, upstream)))
    });
    let mut response = Response::new(Body::from_stream(frames));
    *response.status_mut() = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    for name in ["content-type", "x-amzn-errortype", "x-amzn-requestid", SESSION_ID_HEADER] {
        if let Some(value) = headers.get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}
