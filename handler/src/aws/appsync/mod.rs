//! Publishes mutations to AppSync, each with one signed POST, and renews its API key.
mod api_key;
mod documents;
mod request;
mod response;

use std::time::Duration;

use api::signing::PostRequest;
use reqwest::Response;
use turn::mutation::{Accepted, Mutation, PublishFailure};

pub use api_key::{ApiKey, RenewalError};
pub use request::{request_body, title_body};
pub use response::{accepted_update, classify_response};

use super::signed_http::{SendError, SignedHttp};

/// AppSync gives up after 30 s. A publish without a response in this time is sent again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

pub struct AppSync {
    http: SignedHttp,
    url: String,
}

impl AppSync {
    pub fn new(http: SignedHttp, url: &str) -> Self {
        Self { http, url: url.to_owned() }
    }

    /// Returns the turn's status in the response and, if it is kept, the update.
    pub async fn publish(&self, mutation: &Mutation, keeps_update: bool) -> Result<Accepted, PublishFailure> {
        let sequence = mutation.sequence;
        let result = self.send(request_body(mutation), keeps_update).await;
        match &result {
            Ok(Accepted { status, .. }) => tracing::debug!(sequence, ?status, "published"),
            Err(PublishFailure::Refused) => tracing::error!(sequence, "publish refused"),
            Err(failure) => tracing::info!(sequence, ?failure, "not published"),
        }
        result
    }

    /// Gives a conversation a title. `Stale` where it has one.
    pub async fn publish_title(&self, conversation_id: &str, title: &str) -> Result<(), PublishFailure> {
        let body = title_body(conversation_id, title);
        let response = post(&self.http, &self.url, &body).await.map_err(send_failure)?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| send_failure(SendError::Transport(error)))?;
        classify_response(status, &body).map(drop)
    }

    async fn send(&self, body: Vec<u8>, keeps_update: bool) -> Result<Accepted, PublishFailure> {
        let response = post(&self.http, &self.url, &body).await.map_err(send_failure)?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| send_failure(SendError::Transport(error)))?;
        let status = classify_response(status, &body)?;
        Ok(Accepted { status, update: if keeps_update { accepted_update(&body) } else { None } })
    }
}

async fn post(http: &SignedHttp, url: &str, body: &[u8]) -> Result<Response, SendError> {
    let headers = [("content-type", "application/json")];
    let post = PostRequest { service: "appsync", url, region: http.region(), headers: &headers, body };
    http.send(post, |request| request.timeout(REQUEST_TIMEOUT)).await
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
