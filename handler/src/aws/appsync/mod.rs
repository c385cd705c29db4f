//! Publishes mutations to AppSync, each with one signed POST, and renews its API key.
mod api_key;
mod documents;
mod request;
mod response;
mod signed_http;

use api::types::TurnStatus;
use turn::mutation::{Mutation, PublishFailure};

pub use api_key::{ApiKey, RenewalError};
pub use request::request_body;
pub use response::classify_response;
pub use signed_http::SignedHttp;

use signed_http::SendError;

pub struct AppSync {
    http: SignedHttp,
    url: String,
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

impl AppSync {
    pub fn new(http: SignedHttp, url: &str) -> Self {
        Self { http, url: url.to_owned() }
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
        let response = self.http.post(&self.url, body).await.map_err(send_failure)?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| send_failure(SendError::Transport(error)))?;
        classify_response(status, &body)
    }
}

fn send_failure(error: SendError) -> PublishFailure {
    match error {
        SendError::Signing(_) | SendError::Request(_) => {
            tracing::error!(%error, "signing");
            PublishFailure::Refused
        }
        SendError::Credentials(_) | SendError::Transport(_) => {
            tracing::debug!(%error, "sending");
            PublishFailure::Retryable
        }
    }
}
