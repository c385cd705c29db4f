//! Reads secrets by Secrets Manager's operation GetSecretValue.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use api::signing::PostRequest;
use reqwest::Response;
use serde::{Deserialize, Serialize};

use super::{
    json_protocol::{default_endpoint, error_type},
    limited_body::read_limited,
    secret::Secret,
    signed_http::{SendError, SignedHttp},
};
use crate::clock::now;

/// A secret has at most 65,536 bytes, and JSON may need six bytes for one of them.
const MAX_RESPONSE_BYTES: usize = 512 * 1024;
/// How long a secret is kept. Its next version is used after this time, or after a server has refused it.
const MAX_AGE: Duration = Duration::from_secs(300);
const HEADERS: [(&str, &str); 2] =
    [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "secretsmanager.GetSecretValue")];
/// Errors after which the same request may succeed. The service sends some of them with HTTP 400.
const RETRYABLE_ERROR_TYPES: [&str; 2] = ["ThrottlingException", "InternalServiceError"];

/// Keeps the secrets that it has read for a short time. At most as many as agents may name.
pub struct SecretsManager {
    http: SignedHttp,
    endpoint: Option<String>,
    cache: Mutex<HashMap<String, CachedSecret>>,
}

struct CachedSecret {
    secret: Arc<Secret>,
    read_at: Instant,
}

/// Which version of a secret is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One that was read a short time ago is good.
    Cached,
    /// It is read again.
    Latest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// A repeated call would be refused as well.
    Refused,
    Retryable,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetSecretValueRequest<'a> {
    secret_id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetSecretValueResponse {
    secret_string: String,
}

impl SecretsManager {
    pub fn new(http: SignedHttp, endpoint: Option<String>) -> Self {
        Self { http, endpoint, cache: Mutex::default() }
    }

    /// Tries once.
    pub async fn secret(&self, arn: &str, version: Version) -> Result<Arc<Secret>, SecretError> {
        if version == Version::Cached
            && let Some(secret) = self.cached(arn)
        {
            return Ok(secret);
        }
        let secret = Arc::new(self.read(arn).await?);
        let cached = CachedSecret { secret: Arc::clone(&secret), read_at: now() };
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(arn.to_owned(), cached);
        Ok(secret)
    }

    fn cached(&self, arn: &str) -> Option<Arc<Secret>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = cache.get(arn)?;
        (now().saturating_duration_since(cached.read_at) < MAX_AGE).then(|| Arc::clone(&cached.secret))
    }

    async fn read(&self, arn: &str) -> Result<Secret, SecretError> {
        let body = serde_json::to_vec(&GetSecretValueRequest { secret_id: arn }).map_err(|error| {
            tracing::error!(%error, "the request to Secrets Manager could not be made");
            SecretError::Refused
        })?;
        let response = self.post(arn, &body).await.map_err(|error| send_error(&error))?;
        let status = response.status();
        let body = read_limited(response, MAX_RESPONSE_BYTES).await.map_err(|_| SecretError::Retryable)?;
        if !status.is_success() {
            let error_type = error_type(&body);
            tracing::error!(%status, error_type, arn, "Secrets Manager does not give a secret");
            let is_retryable = status.is_server_error() || RETRYABLE_ERROR_TYPES.contains(&error_type.as_str());
            return Err(if is_retryable { SecretError::Retryable } else { SecretError::Refused });
        }
        // The error would quote the body.
        let response = serde_json::from_slice::<GetSecretValueResponse>(&body).map_err(|_| {
            tracing::error!(arn, "a secret is no text");
            SecretError::Refused
        })?;
        Ok(Secret::new(response.secret_string))
    }

    async fn post(&self, arn: &str, body: &[u8]) -> Result<Response, SendError> {
        let region = arn.split(':').nth(3).unwrap_or_else(|| self.http.region());
        let endpoint = self.endpoint.clone().unwrap_or_else(|| default_endpoint("secretsmanager", region));
        let url = format!("{}/", endpoint.trim_end_matches('/'));
        let post = PostRequest { service: "secretsmanager", url: &url, region, headers: &HEADERS, body };
        self.http.send(post, |request| request).await
    }
}

fn send_error(error: &SendError) -> SecretError {
    match error {
        SendError::Credentials(_) | SendError::Transport(_) => {
            tracing::warn!(%error, "Secrets Manager did not answer");
            SecretError::Retryable
        }
        SendError::Signing(_) | SendError::Request(_) => {
            tracing::error!(%error, "the request to Secrets Manager could not be made");
            SecretError::Refused
        }
    }
}
