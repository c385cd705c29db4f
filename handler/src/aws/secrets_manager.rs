//! Reads secrets by Secrets Manager's operation GetSecretValue.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    json_protocol::{CallFailure, JsonOperation},
    secret::Secret,
    signed_http::SignedHttp,
};
use crate::clock::now;

/// How long a secret is kept. Its next version is used after this time, or after a server has refused it.
const MAX_AGE: Duration = Duration::from_secs(300);
const GET_SECRET_VALUE: JsonOperation = JsonOperation {
    service: "secretsmanager",
    target: "secretsmanager.GetSecretValue",
    // A secret has at most 65,536 bytes, and JSON may need six bytes for one of them.
    max_response_bytes: 512 * 1024,
    retryable_error_types: &["ThrottlingException", "InternalServiceError"],
};

/// Keeps the secrets that it has read for a short time, at most as many as the deployment allows.
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
pub enum SecretVersion {
    /// One that was read a short time ago is good.
    Cached,
    /// It is read again.
    Latest,
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
    pub async fn secret(&self, arn: &str, version: SecretVersion) -> Result<Arc<Secret>, CallFailure> {
        if version == SecretVersion::Cached
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

    async fn read(&self, arn: &str) -> Result<Secret, CallFailure> {
        let region = arn.split(':').nth(3).unwrap_or_else(|| self.http.region());
        let request = GetSecretValueRequest { secret_id: arn };
        let response = GET_SECRET_VALUE.call(&self.http, region, self.endpoint.as_deref(), &request).await;
        let body = response.inspect_err(|_| tracing::error!(arn, "a secret cannot be read"))?;
        // The error would quote the body.
        let response = serde_json::from_slice::<GetSecretValueResponse>(&body).map_err(|_| {
            tracing::error!(arn, "a secret is no text");
            CallFailure::Refused
        })?;
        Ok(Secret::new(response.secret_string))
    }
}
