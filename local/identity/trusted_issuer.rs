//! The issuers whose tokens an API accepts.
use std::sync::Once;

use serde_json::Value;

use super::{
    auth_error::AuthError,
    auth_request::AuthRequest,
    issuer_url,
    jwks_cache::{JwksCache, JwksLocation},
    token::Token,
};
use crate::stack::{AuthMode, IssuerKind, TokenIssuer};

/// An issuer with its published keys.
pub struct TrustedIssuer {
    issuer: TokenIssuer,
    keys: JwksCache,
    /// Logs the first token whose issuer differs by a trailing slash.
    slash_log: Once,
}

impl TrustedIssuer {
    pub fn new(issuer: TokenIssuer) -> Self {
        let location = match issuer.kind {
            IssuerKind::UserPool => JwksLocation::WellKnown,
            IssuerKind::OpenId { .. } => JwksLocation::Discovery,
        };
        let keys = JwksCache::new(&issuer.url, location);
        Self { issuer, keys, slash_log: Once::new() }
    }

    pub fn mode(&self) -> AuthMode {
        self.issuer.kind.mode()
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

    /// Verifies a token and returns `ctx.identity` of its user.
    pub async fn verify(&self, token: &Token<'_>, request: &AuthRequest<'_>) -> Result<Value, AuthError> {
        let key_id = token.key_id.as_deref().ok_or(AuthError::NotAuthorized)?;
        let key = self.keys.key(key_id).await.ok_or(AuthError::NotAuthorized)?;
        let claims = token.verify_signature(&key).ok_or(AuthError::NotAuthorized)?;
        claims.validate(&self.issuer, request.now)?;
        Ok(claims.into_identity(self.issuer.kind, request.source_addresses()))
    }
}
