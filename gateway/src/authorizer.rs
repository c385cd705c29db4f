//! The function that decides who may connect to a WebSocket API, by the rules of the GraphQL API.
use std::time::{Duration, SystemTime};

use lambda_runtime::Diagnostic;
use serde_json::{Value, json};
use tokens::{FetchLimit, Token, TokenError, TrustedIssuer, constant_time};

use crate::{
    caller::{Caller, UnusableIdentity},
    credential::{Credential, CredentialError},
    settings::{AcceptedApiKey, AuthorizerSettings},
    websocket_event::ProxyEvent,
};

/// An unknown key id makes the process read the issuer's keys again at most once a minute.
const KEY_FETCHES: FetchLimit = FetchLimit { fetches: 1, interval: Duration::from_secs(60) };
/// API Gateway takes 8 KB.
const MAX_RESULT_BYTES: usize = 7 * 1024;

pub struct Authorizer {
    issuers: Vec<TrustedIssuer>,
    api_key: Option<AcceptedApiKey>,
}

/// Why somebody may not connect. No text has the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("the token is refused: {0}")]
    Token(#[from] TokenError),
    #[error("the token is of an issuer that the API does not trust")]
    UntrustedIssuer,
    #[error(transparent)]
    Identity(#[from] UnusableIdentity),
    #[error("the API key is wrong")]
    WrongApiKey,
    #[error("the API key has expired")]
    ExpiredApiKey,
    #[error("the API takes no API key")]
    NoApiKey,
    #[error("the caller's name and groups are longer than API Gateway takes")]
    TooLarge,
}

/// The function fails, which API Gateway answers with 500: the same handshake may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizerError {
    #[error("the event is none of a WebSocket API's authorizer")]
    Event,
    #[error("the issuer's keys cannot be read")]
    KeysUnavailable,
}

impl From<AuthorizerError> for Diagnostic {
    fn from(error: AuthorizerError) -> Self {
        let error_type = match error {
            AuthorizerError::Event => "Gateway.Event",
            AuthorizerError::KeysUnavailable => "Gateway.KeysUnavailable",
        };
        Self { error_type: error_type.into(), error_message: error.to_string() }
    }
}

/// Somebody who may connect.
struct AuthorizedCaller {
    caller: Caller,
    /// In seconds since 1970; `None` for a credential that does not expire.
    expires_at: Option<u64>,
}

impl Authorizer {
    pub fn new(settings: AuthorizerSettings) -> Self {
        let issuers = settings.issuers.into_iter().map(|issuer| TrustedIssuer::new(issuer, KEY_FETCHES)).collect();
        Self { issuers, api_key: settings.api_key }
    }

    /// Returns the policy for API Gateway.
    pub async fn serve(&self, event: Value, now: SystemTime) -> Result<Value, AuthorizerError> {
        let event: ProxyEvent = serde_json::from_value(event).map_err(|_| AuthorizerError::Event)?;
        let method_arn = event.method_arn.as_deref().ok_or(AuthorizerError::Event)?;
        let connection = event.request_context.connection_id.as_str();
        let authorized = self.authorize(&event, now).await;
        match authorized.and_then(|authorized| allowing_result(&authorized, method_arn)) {
            Ok(result) => Ok(result),
            Err(Refusal::Token(TokenError::KeysUnavailable)) => Err(AuthorizerError::KeysUnavailable),
            Err(refusal) => {
                tracing::info!(connection, %refusal, "connection refused");
                Ok(json!({ "principalId": "unknown", "policyDocument": policy("Deny", method_arn) }))
            }
        }
    }

    async fn authorize(&self, event: &ProxyEvent, now: SystemTime) -> Result<AuthorizedCaller, Refusal> {
        match Credential::find(event)? {
            Credential::Token(token) => self.authorize_token(&token, now).await,
            Credential::ApiKey(key) => self.authorize_api_key(&key, now),
        }
    }

    async fn authorize_token(&self, token: &str, now: SystemTime) -> Result<AuthorizedCaller, Refusal> {
        let token = Token::parse(token)?;
        let issuer = self.issuers.iter().find(|issuer| issuer.is_issuer_of(&token));
        let issuer = issuer.ok_or(Refusal::UntrustedIssuer)?;
        let claims = issuer.verify(&token, now).await?;
        let expires_at = claims.expiry().map(|seconds| seconds as u64);
        let identity = claims.into_identity(issuer.kind(), Vec::new());
        Ok(AuthorizedCaller { caller: Caller::from_identity(&identity)?, expires_at })
    }

    fn authorize_api_key(&self, key: &str, now: SystemTime) -> Result<AuthorizedCaller, Refusal> {
        let AcceptedApiKey { text, expires } = self.api_key.as_ref().ok_or(Refusal::NoApiKey)?;
        if !constant_time::equal(text.as_bytes(), key.as_bytes()) {
            return Err(Refusal::WrongApiKey);
        }
        if expires.is_some_and(|expires| expires <= now) {
            return Err(Refusal::ExpiredApiKey);
        }
        let since_1970 = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(AuthorizedCaller { caller: Caller::api_key(), expires_at: expires.map(since_1970) })
    }
}

/// The context reaches the routes' functions as texts.
fn allowing_result(authorized: &AuthorizedCaller, method_arn: &str) -> Result<Value, Refusal> {
    let mut context = json!({ "caller": json!(authorized.caller).to_string() });
    if let Some(expires_at) = authorized.expires_at {
        context["expiresAt"] = json!(expires_at);
    }
    let result = json!({
        "principalId": authorized.caller.user_id(),
        "policyDocument": policy("Allow", method_arn),
        "context": context,
    });
    if result.to_string().len() > MAX_RESULT_BYTES { Err(Refusal::TooLarge) } else { Ok(result) }
}

fn policy(effect: &str, method_arn: &str) -> Value {
    let statement = json!({ "Action": "execute-api:Invoke", "Effect": effect, "Resource": method_arn });
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}
