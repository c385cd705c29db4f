//! Messages to clients that listen at channels of AppSync Events or at connections of a WebSocket API.
use std::time::Duration;

use serde::Deserialize;

use crate::{
    errors::is_retryable_status,
    limited_body::read_limited,
    signed_http::{SendError, SignedHttp},
    signing::{PostRequest, encoded_value},
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_RESPONSE_BYTES: usize = 64 * 1024;
/// The connection is closed, or not yet open.
const GONE: u16 = 410;

/// An Events API.
#[derive(Clone)]
pub struct EventsApi {
    http: SignedHttp,
    /// Ends with `/event`.
    url: String,
}

/// The connections of one stage of a WebSocket API.
#[derive(Clone)]
pub struct Connections {
    http: SignedHttp,
    /// Of the stage, such as `https://abc.execute-api.eu-west-1.amazonaws.com/prod`.
    url: String,
}

/// Why a message is not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The client has gone.
    #[error("the connection is closed")]
    Gone,
    #[error("the service answered {0}")]
    Status(u16),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("the time is over")]
    OutOfTime,
}

/// An event that AppSync did not take from an accepted request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FailedEvent {
    pub index: usize,
    pub code: Option<String>,
}

#[derive(Deserialize)]
struct PublishResponse {
    failed: Vec<FailedEvent>,
}

impl DeliveryError {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Gone | Self::OutOfTime => false,
            Self::Status(status) => is_retryable_status(*status),
            Self::Send(error) => matches!(error, SendError::Credentials(_) | SendError::Transport(_)),
        }
    }
}

impl EventsApi {
    pub fn new(http: SignedHttp, url: &str) -> Self {
        Self { http, url: url.to_owned() }
    }

    /// Tries once to publish at most [`MAX_EVENTS`](crate::message_limits::MAX_EVENTS) events, which are JSON
    /// texts. Returns those that AppSync did not take; it would not take them again.
    pub async fn publish(&self, channel: &str, events: &[&str]) -> Result<Vec<FailedEvent>, DeliveryError> {
        let body = serde_json::json!({ "channel": channel, "events": events }).to_string();
        let post = PostRequest {
            service: "appsync",
            url: &self.url,
            region: self.http.region(),
            headers: &[("content-type", "application/json")],
            body: body.as_bytes(),
        };
        let response = self.http.send(post, |request| request.timeout(REQUEST_TIMEOUT)).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(DeliveryError::Status(status.as_u16()));
        }
        // The events are published, whatever the response says.
        let body = read_limited(response, MAX_RESPONSE_BYTES).await.unwrap_or_default();
        Ok(serde_json::from_slice::<PublishResponse>(&body).map(|response| response.failed).unwrap_or_default())
    }
}

impl Connections {
    pub fn new(http: SignedHttp, url: &str) -> Self {
        Self { http, url: url.trim_end_matches('/').to_owned() }
    }

    /// Tries once to send a text message.
    pub async fn send(&self, connection_id: &str, text: &str) -> Result<(), DeliveryError> {
        let url = format!("{}/@connections/{}", self.url, encoded_value(connection_id));
        let region = self.http.region();
        let post = PostRequest { service: "execute-api", url: &url, region, headers: &[], body: text.as_bytes() };
        let response = self.http.send(post, |request| request.timeout(REQUEST_TIMEOUT)).await?;
        match response.status().as_u16() {
            200..300 => Ok(()),
            GONE => Err(DeliveryError::Gone),
            status => Err(DeliveryError::Status(status)),
        }
    }
}
