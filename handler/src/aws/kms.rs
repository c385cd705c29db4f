//! Unseals credentials by KMS's operation Decrypt.
use std::{fmt, time::SystemTime};

use api::signing::{PostRequest, SigningError};
use aws_config::{Region, SdkConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_smithy_types::base64;
use serde::{Deserialize, Serialize};

use super::{ConnectError, limited_body::read_limited};

/// A response of KMS is smaller: it has at most 4,096 bytes of plaintext.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;
const HEADERS: [(&str, &str); 2] =
    [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "TrentService.Decrypt")];
/// Errors after which the same request may succeed. KMS sends some of them with HTTP 400.
const RETRYABLE_ERROR_TYPES: [&str; 5] = [
    "ThrottlingException",
    "DependencyTimeoutException",
    "KMSInternalException",
    "KeyUnavailableException",
    "LimitExceededException",
];

/// A text that no log and no message shows.
pub struct Secret(String);

impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

pub struct Kms {
    http: reqwest::Client,
    region: Region,
    endpoint: String,
    credentials: SharedCredentialsProvider,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecryptError {
    /// A repeated call would be refused as well.
    Refused,
    Retryable,
}

/// What a sealed text belongs to. KMS unseals it only with the same context.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptionContext<'a> {
    pub conversation_id: &'a str,
    pub turn_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DecryptRequest<'a> {
    ciphertext_blob: &'a str,
    encryption_context: EncryptionContext<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DecryptResponse {
    /// In Base64.
    plaintext: String,
}

#[derive(Deserialize)]
struct ErrorResponse {
    #[serde(rename = "__type")]
    error_type: String,
}

impl Kms {
    pub fn new(http: reqwest::Client, config: &SdkConfig, endpoint: Option<String>) -> Result<Self, ConnectError> {
        let region = config.region().cloned().ok_or(ConnectError::NoRegion)?;
        let credentials = config.credentials_provider().ok_or(ConnectError::NoCredentials)?;
        let endpoint = endpoint.unwrap_or_else(|| default_endpoint(region.as_ref()));
        Ok(Self { http, region, endpoint, credentials })
    }

    /// Tries once.
    pub async fn decrypt(&self, ciphertext: &str, context: EncryptionContext<'_>) -> Result<Secret, DecryptError> {
        let credentials = self.credentials.provide_credentials().await.map_err(|error| {
            tracing::warn!(%error, "no credentials to unseal a credential");
            DecryptError::Retryable
        })?;
        let request = self.signed_request(ciphertext, context, credentials).map_err(|error| {
            tracing::error!(%error, "the request to KMS could not be made");
            DecryptError::Refused
        })?;
        let response = self.http.execute(request).await.map_err(|error| {
            tracing::warn!(is_connect = error.is_connect(), "KMS did not answer");
            DecryptError::Retryable
        })?;
        let status = response.status();
        let body = read_limited(response, MAX_RESPONSE_BYTES).await.map_err(|_| DecryptError::Retryable)?;
        if !status.is_success() {
            let error_type = error_type(&body);
            tracing::error!(%status, error_type, "KMS does not unseal a credential");
            let is_retryable = status.is_server_error() || RETRYABLE_ERROR_TYPES.contains(&error_type.as_str());
            return Err(if is_retryable { DecryptError::Retryable } else { DecryptError::Refused });
        }
        plaintext(&body).ok_or_else(|| {
            tracing::error!("KMS answered without a plaintext of UTF-8");
            DecryptError::Refused
        })
    }

    fn signed_request(
        &self,
        ciphertext: &str,
        context: EncryptionContext<'_>,
        credentials: Credentials,
    ) -> Result<reqwest::Request, RequestError> {
        let body = serde_json::to_vec(&DecryptRequest { ciphertext_blob: ciphertext, encryption_context: context })?;
        let url = format!("{}/", self.endpoint.trim_end_matches('/'));
        let region = self.region.as_ref();
        let post = PostRequest { service: "kms", url: &url, region, headers: &HEADERS, body: &body };
        let authorization = post.sign(credentials, SystemTime::now())?;
        let mut request = self.http.post(&url);
        for (name, value) in HEADERS {
            request = request.header(name, value);
        }
        for (name, value) in authorization {
            request = request.header(name, value);
        }
        Ok(request.body(body).build()?)
    }
}

#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("the context is not JSON")]
    Body(#[from] serde_json::Error),
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

fn default_endpoint(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://kms.{region}.{domain}")
}

/// The name of an error, which may have a namespace before it.
fn error_type(body: &[u8]) -> String {
    let response = serde_json::from_slice::<ErrorResponse>(body);
    let error_type = response.map(|response| response.error_type).unwrap_or_default();
    error_type.rsplit('#').next().unwrap_or_default().to_owned()
}

pub(super) fn plaintext(body: &[u8]) -> Option<Secret> {
    let response: DecryptResponse = serde_json::from_slice(body).ok()?;
    let bytes = base64::decode(response.plaintext).ok()?;
    String::from_utf8(bytes).ok().map(Secret)
}
