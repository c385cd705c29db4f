//! Unseals credentials by KMS's operation Decrypt.
use aws_smithy_types::base64;
use serde::{Deserialize, Serialize};

use super::{
    json_protocol::{CallFailure, JsonOperation},
    secret::Secret,
    signed_http::SignedHttp,
};

const DECRYPT: JsonOperation = JsonOperation {
    service: "kms",
    target: "TrentService.Decrypt",
    // A response is smaller: it has at most 4,096 bytes of plaintext.
    max_response_bytes: 64 * 1024,
    retryable_error_types: &[
        "ThrottlingException",
        "DependencyTimeoutException",
        "KMSInternalException",
        "KeyUnavailableException",
        "LimitExceededException",
    ],
};

pub struct Kms {
    http: SignedHttp,
    endpoint: Option<String>,
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
    /// `endpoint`: in place of that of the handler's region.
    pub fn new(http: SignedHttp, endpoint: Option<String>) -> Self {
        Self { http, endpoint }
    }

    /// Tries once.
    pub async fn decrypt(&self, ciphertext: &str, context: EncryptionContext<'_>) -> Result<Secret, CallFailure> {
        let request = DecryptRequest { ciphertext_blob: ciphertext, encryption_context: context };
        let body = DECRYPT.call(&self.http, self.http.region(), self.endpoint.as_deref(), &request).await?;
        plaintext(&body).ok_or_else(|| {
            tracing::error!("KMS answered without a plaintext of UTF-8");
            CallFailure::Refused
        })
    }
}

pub(super) fn plaintext(body: &[u8]) -> Option<Secret> {
    let response: DecryptResponse = serde_json::from_slice(body).ok()?;
    let bytes = base64::decode(response.plaintext).ok()?;
    String::from_utf8(bytes).ok().map(Secret::new)
}
