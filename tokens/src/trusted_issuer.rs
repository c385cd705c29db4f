//! The issuers whose tokens an API accepts.
use std::{sync::Once, time::SystemTime};

use crate::{
    issuer::{IssuerKind, TokenIssuer},
    issuer_url,
    jwks_cache::{FetchLimit, JwksCache, JwksLocation, KeyError},
    token::{Claims, Token, TokenError},
};

/// An issuer with its published keys.
pub struct TrustedIssuer {
    issuer: TokenIssuer,
    keys: JwksCache,
    /// Logs the first token whose issuer differs by a trailing slash.
    slash_log: Once,
}

impl TrustedIssuer {
    pub fn new(issuer: TokenIssuer, limit: FetchLimit) -> Self {
        let location = match issuer.kind {
            IssuerKind::UserPool => JwksLocation::WellKnown,
            IssuerKind::OpenId { .. } => JwksLocation::Discovery,
        };
        let keys = JwksCache::new(&issuer.url, location, limit);
        Self { issuer, keys, slash_log: Once::new() }
    }

    pub fn kind(&self) -> IssuerKind {
        self.issuer.kind
    }

    pub fn url(&self) -> &str {
        &self.issuer.url
    }

    /// Whether the token names this issuer. The claim is not verified.
    pub fn is_issuer_of(&self, token: &Token<'_>) -> bool {
        let Some(claim) = token.issuer.as_deref() else { return false };
        let is_same = issuer_url::is_same(claim, self.url());
        if is_same && claim != self.url() {
            self.slash_log.call_once(|| {
                let issuer = self.url();
                tracing::warn!(issuer, "tokens name this issuer with another trailing slash, which is ignored");
            });
        }
        is_same
    }

    /// Verifies a token and returns its claims.
    pub async fn verify(&self, token: &Token<'_>, now: SystemTime) -> Result<Claims, TokenError> {
        let key_id = token.key_id.as_deref().ok_or(TokenError::NotAuthorized)?;
        let key = self.keys.key(key_id).await.map_err(|error| match error {
            KeyError::Unknown => TokenError::NotAuthorized,
            KeyError::Unavailable => TokenError::KeysUnavailable,
        })?;
        let claims = token.verify_signature(&key).ok_or(TokenError::NotAuthorized)?;
        claims.validate(&self.issuer, now)?;
        Ok(claims)
    }
}
