//! Calls of the API, signed by the gateway's role.
mod operation;
mod response;

use std::time::{Duration, Instant};

use api::{
    backoff::{Backoff, jitter_seed},
    limited_body::read_limited,
    retry::{NextTry, retry},
    signed_http::{SendError, SignedHttp},
    signing::PostRequest,
};
use serde_json::Value;

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
        let try_once = || async {
            let time_left = deadline.saturating_duration_since(now());
            match self.try_once(operation, body.as_bytes(), time_left.min(REQUEST_TIMEOUT)).await {
                Outcome::Success(value) => Ok(value),
                failure => Err(failure),
            }
        };
        let may_repeat = |failure: &Outcome, next: NextTry| {
            let is_retryable = *failure == Outcome::Retryable;
            let has_time = now() + next.delay < deadline;
            if is_retryable && !has_time {
                tracing::error!(?operation, failures = next.failures, "the API does not answer");
            }
            is_retryable && has_time
        };
        retry(RETRY, jitter_seed(&[key]), try_once, may_repeat).await.map_err(|failure| match failure {
            Outcome::Refused(error) => error,
            Outcome::Success(_) | Outcome::Retryable | Outcome::Broken => ErrorReply::unavailable(),
        })
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
