//! Publishes copies of updates to channels of AppSync Events.
use std::time::Duration;

use api::{errors::is_retryable_status, signing::PostRequest};
use serde::Deserialize;
use serde_json::json;
use turn::mirror::{MirrorFailure, MirrorMessage};

use super::{
    limited_body::read_limited,
    signed_http::{SendError, SignedHttp},
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// An Event API.
pub struct EventsApi {
    http: SignedHttp,
    /// Ends with `/event`.
    url: String,
}

#[derive(Deserialize)]
struct Response {
    failed: Vec<FailedEvent>,
}

#[derive(Deserialize)]
struct FailedEvent {
    index: usize,
    code: Option<String>,
}

impl EventsApi {
    pub fn new(http: SignedHttp, url: &str) -> Self {
        Self { http, url: url.to_owned() }
    }

    /// Tries once. An event that AppSync does not take is not sent again.
    pub async fn publish(&self, channel: &str, messages: &[MirrorMessage]) -> Result<(), MirrorFailure> {
        let events: Vec<&str> = messages.iter().map(|message| message.text.as_str()).collect();
        let body = json!({ "channel": channel, "events": events }).to_string();
        let post = PostRequest {
            service: "appsync",
            url: &self.url,
            region: self.http.region(),
            headers: &[("content-type", "application/json")],
            body: body.as_bytes(),
        };
        let response = self.http.send(post, |request| request.timeout(REQUEST_TIMEOUT)).await.map_err(send_failure)?;
        let status = response.status();
        if !status.is_success() {
            tracing::info!(%status, "events not published");
            return Err(failure_of_status(status.as_u16()));
        }
        let Ok(body) = read_limited(response, MAX_RESPONSE_BYTES).await else { return Ok(()) };
        for failed in serde_json::from_slice::<Response>(&body).map(|response| response.failed).unwrap_or_default() {
            let sequence = messages.get(failed.index).map(|message| message.sequence);
            tracing::info!(sequence, code = failed.code, "event not published");
        }
        Ok(())
    }
}

pub fn failure_of_status(status: u16) -> MirrorFailure {
    if is_retryable_status(status) { MirrorFailure::Retryable } else { MirrorFailure::Refused }
}

pub fn send_failure(error: SendError) -> MirrorFailure {
    match error {
        SendError::Signing(_) | SendError::Request(_) => {
            tracing::error!(%error, "signing");
            MirrorFailure::Refused
        }
        SendError::Credentials(_) | SendError::Transport(_) => {
            tracing::debug!(%error, "sending");
            MirrorFailure::Retryable
        }
    }
}
