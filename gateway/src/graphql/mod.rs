//! Calls of the API, signed by the gateway's role.
mod operation;
mod response;

use std::time::{Duration, Instant};

use api::{
    backoff::{Backoff, jitter_seed},
    limited_body::read_limited,
    signed_http::{SendError, SignedHttp},
    signing::PostRequest,
};
use serde_json::Value;
use tokio::time::sleep;

pub use operation::{DOCUMENTS, Operation};
pub use response::{Outcome, classify};

use crate::{now, reply::ErrorReply};

/// How long one try may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long all tries of a call may take. A message on a WebSocket connection is answered within 29 seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Left after the last try, so that the client hears of the failure.
const REPLY_TIME: Duration = Duration::from_secs(3);
const RETRY: Backoff = Backoff::half_jitter(Duration::from_millis(200), Duration::from_secs(3));
/// AppSync's own limit is 5 MB.
const MAX_RESPONSE_BYTES: usize = 6 * 1024 * 1024;

#[derive(Clone)]
pub struct GraphqlApi {
    http: SignedHttp,
    url: String,
}

impl GraphqlApi {
    pub fn new(http: SignedHttp, url: &str) -> Self {
        Self { http, url: url.to_owned() }
    }

    /// Calls an operation until it succeeds or is refused, for at most 15 seconds and until 3 seconds before
    /// `deadline`. Returns the value of its field. `key` spreads the tries of different calls.
    pub async fn call(
        &self,
        operation: Operation,
        variables: &Value,
        key: &str,
        deadline: Instant,
    ) -> Result<Value, ErrorReply> {
        let body = operation.body(variables);
        let deadline = deadline.checked_sub(REPLY_TIME).unwrap_or(deadline).min(now() + CALL_TIMEOUT);
        let mut failures = 0;
        loop {
            let time_left = deadline.saturating_duration_since(now());
            match self.try_once(operation, body.as_bytes(), time_left.min(REQUEST_TIMEOUT)).await {
                Outcome::Success(value) => return Ok(value),
                Outcome::Refused(error) => return Err(error),
                Outcome::Broken => return Err(ErrorReply::unavailable()),
                Outcome::Retryable => failures += 1,
            }
            let delay = RETRY.seeded_delay(failures, jitter_seed(&[key]));
            if now() + delay >= deadline {
                tracing::error!(?operation, failures, "the API does not answer");
                return Err(ErrorReply::unavailable());
            }
            sleep(delay).await;
        }
    }

    async fn try_once(&self, operation: Operation, body: &[u8], timeout: Duration) -> Outcome {
        let headers = [("content-type", "application/json")];
        let region = self.http.region();
        let post = PostRequest { service: "appsync", url: &self.url, region, headers: &headers, body };
        let response = match self.http.send(post, |request| request.timeout(timeout)).await {
            Ok(response) => response,
            Err(error @ (SendError::Signing(_) | SendError::Request(_))) => {
                tracing::error!(%error, ?operation, "the request could not be made");
                return Outcome::Broken;
            }
            Err(error) => {
                tracing::warn!(%error, ?operation, "the API did not answer");
                return Outcome::Retryable;
            }
        };
        let status = response.status().as_u16();
        match read_limited(response, MAX_RESPONSE_BYTES).await {
            Ok(body) => classify(status, &body, operation.field()),
            Err(error) => {
                tracing::warn!(%error, ?operation, "the API's answer could not be read");
                Outcome::Retryable
            }
        }
    }
}
