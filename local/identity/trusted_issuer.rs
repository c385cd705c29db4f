//! The issuers whose tokens an API accepts.
use serde_json::Value;

use super::{
    auth_error::AuthError,
    auth_request::AuthRequest,
    jwks_cache::{JwksCache, JwksLocation},
    token::Token,
};
use crate::stack::{AuthMode, IssuerKind, TokenIssuer};

/// An issuer with its published keys.
pub struct TrustedIssuer {
    issuer: TokenIssuer,
    keys: JwksCache,
}

impl TrustedIssuer {
    pub fn new(issuer: TokenIssuer) -> Self {
        let location = match issuer.kind {
            IssuerKind::UserPool => JwksLocation::WellKnown,
            IssuerKind::OpenId { .. } => JwksLocation::Discovery,
        };
        let keys = JwksCache::new(&issuer.url, location);
        Self { issuer, keys }
    }

    pub fn mode(&self) -> AuthMode {
        self.issuer.kind.mode()
    }

    /// Whether the token names this issuer. The claim is not verified.
    pub fn is_issuer_of(&self, token: &Token<'_>) -> bool {
        token.issuer.as_deref() == Some(&self.issuer.url)
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
