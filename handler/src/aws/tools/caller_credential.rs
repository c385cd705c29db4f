//! The credential of a turn's caller, for the tools of the turn.
use std::time::SystemTime;

use aws_smithy_types::base64;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::Deserialize;
use tokio::sync::OnceCell;
use turn::tool::{CallerCredential, NoCredential, ToolRun};

use super::{call_error::CallError, retry_in_time};
use crate::{
    aws::{
        json_protocol::CallFailure,
        kms::{EncryptionContext, Kms},
        secret::Secret,
    },
    clock::epoch_milliseconds,
};

pub const NOT_ACCEPTED: &str = "The caller's sign-in was not accepted. It may have expired.";
const NOT_SEALED: &str = "The caller's sign-in could not be sealed.";
const NOT_UNSEALED: &str = "The caller's sign-in could not be unsealed.";

/// What a tool sends as the caller.
#[derive(Debug)]
pub enum Credential {
    ApiKey(Secret),
    Token(Secret),
}

impl Credential {
    /// Refuses a token that has expired.
    pub fn header(&self, at: SystemTime) -> Result<(HeaderName, HeaderValue), CallError> {
        let (name, secret) = match self {
            Self::ApiKey(key) => (HeaderName::from_static("x-api-key"), key),
            Self::Token(token) if has_expired(token, at) => return Err(CallError::Refused(NOT_ACCEPTED)),
            Self::Token(token) => (AUTHORIZATION, token),
        };
        let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| CallError::Refused(NOT_ACCEPTED))?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

/// The part of a JSON Web Token's payload that is read.
#[derive(Deserialize)]
struct TokenPayload {
    /// Seconds since 1970.
    exp: f64,
}

/// `false` for a token whose expiry is not known.
fn has_expired(token: &Secret, at: SystemTime) -> bool {
    let payload = token.expose().split('.').nth(1).and_then(decode_base64_url);
    let payload = payload.and_then(|payload| serde_json::from_slice::<TokenPayload>(&payload).ok());
    payload.is_some_and(|payload| epoch_milliseconds(at) as f64 >= payload.exp * 1000.0)
}

fn decode_base64_url(text: &str) -> Option<Vec<u8>> {
    let padding = "=".repeat(text.len().wrapping_neg() % 4);
    base64::decode(format!("{}{padding}", text.replace('-', "+").replace('_', "/"))).ok()
}

/// The credential of one turn. It is unsealed for the first tool that needs it.
#[derive(Debug, Default)]
pub struct CredentialCache {
    unsealed: OnceCell<Result<Credential, CallError>>,
}

impl CredentialCache {
    /// Tries until the end of the run. A refusal of KMS is final.
    pub async fn credential(&self, run: &ToolRun, kms: &Kms) -> Result<&Credential, CallError> {
        let result = self.unsealed.get_or_try_init(|| unseal(run, kms)).await?;
        result.as_ref().map_err(CallError::clone)
    }
}

/// The outer error may be another in the next try.
async fn unseal(run: &ToolRun, kms: &Kms) -> Result<Result<Credential, CallError>, CallError> {
    let (sealed, to_credential): (_, fn(Secret) -> Credential) = match run.caller.credential.as_deref() {
        Some(CallerCredential::ApiKey { sealed }) => (sealed, Credential::ApiKey),
        Some(CallerCredential::Token { sealed }) => (sealed, Credential::Token),
        Some(CallerCredential::None { reason }) => return Ok(Err(CallError::Refused(reason_text(*reason)))),
        None => return Ok(Err(CallError::Refused(NOT_SEALED))),
    };
    let context = EncryptionContext { conversation_id: &run.claim.conversation_id, turn_id: &run.claim.turn_id };
    let is_retryable = |failure: &CallFailure| *failure == CallFailure::Retryable;
    match retry_in_time(run, || kms.decrypt(sealed, context), is_retryable).await {
        Ok(secret) => Ok(Ok(to_credential(secret))),
        Err(CallFailure::Refused) => Ok(Err(CallError::Refused(NOT_UNSEALED))),
        Err(CallFailure::Retryable) => Err(CallError::Refused(NOT_UNSEALED)),
    }
}

fn reason_text(reason: NoCredential) -> &'static str {
    match reason {
        NoCredential::Iam => {
            "This tool needs the caller's own sign-in, and callers with IAM have none that can be passed on."
        }
        NoCredential::OnBehalf => {
            "This tool needs the caller's own sign-in, which only a request over GraphQL passes on. It can be run \
             if the caller asks over GraphQL."
        }
        NoCredential::TooLong => "The caller's token is longer than 4,096 bytes and cannot be passed on.",
        NoCredential::NotSealed => NOT_SEALED,
        NoCredential::Disabled => "This deployment does not pass sign-ins to tools.",
    }
}
