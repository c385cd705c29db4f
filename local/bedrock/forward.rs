//! Amazon Bedrock itself: requests of the handler, signed anew with the credentials of whoever runs the laptop edition.
//! They stay in this process; the handler's own processes never see them.
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

use super::{REQUEST_BYTES, Refusal};

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("Bedrock needs a region: set AWS_REGION, or a region in your AWS profile")]
    NoRegion,
    #[error("Bedrock needs AWS credentials, and none were found: {0}")]
    NoCredentials(#[from] CredentialsError),
}

/// Where requests go, and as whom.
pub struct Upstream {
    /// Without a path: `https://bedrock-runtime.us-east-1.amazonaws.com`.
    pub url: String,
    pub region: String,
    pub credentials: SharedCredentialsProvider,
}

impl Upstream {
    /// As the AWS command line would find it: environment, profile, single sign-on.
    pub async fn of_the_caller() -> Result<Self, Fault> {
        let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
        let region = config.region().ok_or(Fault::NoRegion)?.to_string();
        let chain = DefaultCredentialsChain::builder().build().await;
        let credentials = config.credentials_provider().unwrap_or_else(|| SharedCredentialsProvider::new(chain));
        credentials.provide_credentials().await?;
        Ok(Self { url: format!("https://bedrock-runtime.{region}.amazonaws.com"), region, credentials })
    }
}

/// For whom `guarded` lets through, and for nobody else.
pub fn forward(upstream: Upstream) -> Router {
    let state = Arc::new(Forwarder { upstream, client: reqwest::Client::new() });
    Router::new()
        .route("/model/{model}/converse-stream", post(pass_on))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES))
        .with_state(state)
}

struct Forwarder {
    upstream: Upstream,
    client: reqwest::Client,
}

async fn pass_on(State(state): State<Arc<Forwarder>>, uri: Uri, body: Bytes) -> Response {
    let answer = match state.upstream.signed(uri.path(), body).await {
        Some(request) => state.client.execute(request).await,
        None => return Refusal::unknown_credentials().into_response(),
    };
    match answer {
        Ok(answer) => answered(answer),
        Err(error) => {
            tracing::warn!(%error, "Bedrock cannot be reached");
            Refusal::unavailable().into_response()
        }
    }
}

impl Upstream {
    async fn signed(&self, path: &str, body: Bytes) -> Option<reqwest::Request> {
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

/// The answer as it comes: status, error type, and the frames of the stream one by one.
fn answered(answer: reqwest::Response) -> Response {
    let status = answer.status();
    let headers = answer.headers().clone();
    let frames = try_unfold(answer, |mut answer| async move {
        Ok::<_, reqwest::Error>(answer.chunk().await?.map(|frame| (frame, answer)))
    });
    let mut response = Response::new(Body::from_stream(frames));
    *response.status_mut() = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    for name in ["content-type", "x-amzn-errortype", "x-amzn-requestid"] {
        if let Some(value) = headers.get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}
