//! Unseals credentials by KMS's operation Decrypt.
use api::signing::PostRequest;
use aws_smithy_types::base64;
use serde::{Deserialize, Serialize};

use reqwest::Response;

use super::{
    json_protocol::{default_endpoint, error_type},
    limited_body::read_limited,
    secret::Secret,
    signed_http::{SendError, SignedHttp},
};

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

pub struct Kms {
    http: SignedHttp,
    endpoint: String,
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

impl Kms {
    pub fn new(http: SignedHttp, endpoint: Option<String>) -> Self {
        let endpoint = endpoint.unwrap_or_else(|| default_endpoint("kms", http.region()));
        Self { http, endpoint }
    }

    /// Tries once.
    pub async fn decrypt(&self, ciphertext: &str, context: EncryptionContext<'_>) -> Result<Secret, DecryptError> {
        let body = serde_json::to_vec(&DecryptRequest { ciphertext_blob: ciphertext, encryption_context: context })
            .map_err(|error| {
                tracing::error!(%error, "the request to KMS could not be made");
                DecryptError::Refused
            })?;
        let response = self.post(&body).await.map_err(|error| send_error(&error))?;
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

    async fn post(&self, body: &[u8]) -> Result<Response, SendError> {
        let url = format!("{}/", self.endpoint.trim_end_matches('/'));
        let post = PostRequest { service: "kms", url: &url, region: self.http.region(), headers: &HEADERS, body };
        self.http.send(post, |request| request).await
    }
}

fn send_error(error: &SendError) -> DecryptError {
    match error {
        SendError::Credentials(_) | SendError::Transport(_) => {
            tracing::warn!(%error, "KMS did not answer");
            DecryptError::Retryable
        }
        SendError::Signing(_) | SendError::Request(_) => {
            tracing::error!(%error, "the request to KMS could not be made");
            DecryptError::Refused
        }
    }
}

pub(super) fn plaintext(body: &[u8]) -> Option<Secret> {
    let response: DecryptResponse = serde_json::from_slice(body).ok()?;
    let bytes = base64::decode(response.plaintext).ok()?;
    String::from_utf8(bytes).ok().map(Secret::new)
}
