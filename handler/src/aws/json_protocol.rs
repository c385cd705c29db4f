//! Calls of services with AWS's JSON protocol.
use std::time::Duration;

use api::signing::PostRequest;
use serde::{Deserialize, Serialize};

use super::{
    limited_body::read_limited,
    signed_http::{SendError, SignedHttp, default_endpoint},
};

/// How long one try may take, so that tries are left within the time limit of a tool.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// One operation of a service.
pub struct JsonOperation {
    /// The service's name in endpoints and signatures.
    pub service: &'static str,
    /// Such as `TrentService.Decrypt`.
    pub target: &'static str,
    /// No more of a response is read.
    pub max_response_bytes: usize,
    /// Errors after which the same request may succeed. Services send some of them with HTTP 400.
    pub retryable_error_types: &'static [&'static str],
}

/// Why a call has no result. The log has more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// A repeated call would be refused as well.
    Refused,
    Retryable,
}

#[derive(Deserialize)]
struct ErrorResponse {
    #[serde(rename = "__type")]
    error_type: String,
}

impl JsonOperation {
    /// Tries once, for a short time. Returns the body of a successful response. `endpoint`: in place of that
    /// of the region.
    pub async fn call(
        &self,
        http: &SignedHttp,
        region: &str,
        endpoint: Option<&str>,
        request: &impl Serialize,
    ) -> Result<Vec<u8>, CallFailure> {
        let target = self.target;
        let body = serde_json::to_vec(request).map_err(|error| {
            tracing::error!(%error, target, "the request could not be made");
            CallFailure::Refused
        })?;
        let endpoint = endpoint.map_or_else(|| default_endpoint(self.service, region), str::to_owned);
        let url = format!("{}/", endpoint.trim_end_matches('/'));
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let post = PostRequest { service: self.service, url: &url, region, headers: &headers, body: &body };
        let response = http
            .send(post, |request| request.timeout(CALL_TIMEOUT))
            .await
            .map_err(|error| send_failure(&error, target))?;
        let status = response.status();
        let body = read_limited(response, self.max_response_bytes).await.map_err(|_| CallFailure::Retryable)?;
        if status.is_success() {
            return Ok(body);
        }
        // The message is not logged, because it may quote the request.
        let error_type = error_type(&body);
        tracing::error!(%status, error_type, target, "the service refuses the request");
        let is_retryable = status.is_server_error() || self.retryable_error_types.contains(&error_type.as_str());
        Err(if is_retryable { CallFailure::Retryable } else { CallFailure::Refused })
    }
}

fn send_failure(error: &SendError, target: &str) -> CallFailure {
    match error {
        SendError::Credentials(_) | SendError::Transport(_) => {
            tracing::warn!(%error, target, "the service did not answer");
            CallFailure::Retryable
        }
        SendError::Signing(_) | SendError::Request(_) => {
            tracing::error!(%error, target, "the request could not be made");
            CallFailure::Refused
        }
    }
}

/// The name of an error, which may have a namespace before it.
fn error_type(body: &[u8]) -> String {
    let response = serde_json::from_slice::<ErrorResponse>(body);
    let error_type = response.map(|response| response.error_type).unwrap_or_default();
    error_type.rsplit('#').next().unwrap_or_default().to_owned()
}
