//! Publishes mutations to AppSync, each with one signed POST.
mod documents;
mod request;
mod response;

use std::time::{Duration, SystemTime};

use api::{
    signing::{PostRequest, SigningError},
    types::TurnStatus,
};
use aws_config::{Region, SdkConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use turn::mutation::{Mutation, PublishFailure};

pub use request::request_body;
pub use response::classify_response;

/// AppSync gives up after 30 s. A publish without a response in this time is sent again.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
const CONTENT_TYPE: (&str, &str) = ("content-type", "application/json");

pub struct AppSync {
    http: reqwest::Client,
    url: String,
    region: Region,
    credentials: SharedCredentialsProvider,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("AWS_REGION must be set.")]
    NoRegion,
    #[error("The environment must provide AWS credentials.")]
    NoCredentials,
    #[error("The HTTP client cannot be set up: {0}.")]
    Http(#[from] reqwest::Error),
}

#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

impl AppSync {
    pub fn new(http: reqwest::Client, config: &SdkConfig, url: &str) -> Result<Self, ConnectError> {
        Ok(Self {
            http,
            url: url.to_owned(),
            region: config.region().cloned().ok_or(ConnectError::NoRegion)?,
            credentials: config.credentials_provider().ok_or(ConnectError::NoCredentials)?,
        })
    }

    /// Returns the turn's status in the response.
    pub async fn publish(&self, mutation: &Mutation) -> Result<TurnStatus, PublishFailure> {
        let sequence = mutation.sequence;
        let result = self.send(request_body(mutation)).await;
        match result {
            Ok(status) => tracing::debug!(sequence, ?status, "published"),
            Err(PublishFailure::Refused) => tracing::error!(sequence, "publish refused"),
            Err(failure) => tracing::info!(sequence, ?failure, "not published"),
        }
        result
    }

    async fn send(&self, body: Vec<u8>) -> Result<TurnStatus, PublishFailure> {
        let credentials = self.credentials.provide_credentials().await.map_err(retryable)?;
        let request = self.signed_request(body, credentials).map_err(|error| {
            tracing::error!(%error, "signing");
            PublishFailure::Refused
        })?;
        let response = self.http.execute(request).await.map_err(retryable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(retryable)?;
        classify_response(status, &body)
    }

    fn signed_request(&self, body: Vec<u8>, credentials: Credentials) -> Result<reqwest::Request, RequestError> {
        let post = PostRequest {
            service: "appsync",
            url: &self.url,
            region: self.region.as_ref(),
            headers: &[CONTENT_TYPE],
            body: &body,
        };
        let authorization = post.sign(credentials, SystemTime::now())?;
        let mut request = self.http.post(&self.url).timeout(PUBLISH_TIMEOUT).header(CONTENT_TYPE.0, CONTENT_TYPE.1);
        for (name, value) in authorization {
            request = request.header(name, value);
        }
        Ok(request.body(body).build()?)
    }
}

/// The mutation may or may not have arrived.
fn retryable(error: impl std::error::Error) -> PublishFailure {
    tracing::debug!(%error, "sending");
    PublishFailure::Retryable
}
