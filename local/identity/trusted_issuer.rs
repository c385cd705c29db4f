//! Whose tokens an API takes.
use serde_json::Value;

use super::{
    Denial, Presented,
    jwks_cache::{Keyring, Publication},
    source_addresses,
    token::Token,
};
use crate::stack::{AuthMode, IssuerKind, TokenIssuer};

/// An issuer whose tokens are taken, with its keys.
pub struct Trusted {
    issuer: TokenIssuer,
    keyring: Keyring,
}

impl Trusted {
    pub fn new(issuer: TokenIssuer) -> Self {
        let publication = match issuer.kind {
            IssuerKind::UserPool => Publication::Keys,
            IssuerKind::OpenId { .. } => Publication::Discovery,
        };
        let keyring = Keyring::new(&issuer.url, publication);
        Self { issuer, keyring }
    }

    pub fn mode(&self) -> AuthMode {
        self.issuer.kind.mode()
    }

    pub fn has_issued(&self, token: &Token<'_>) -> bool {
        token.issuer.as_deref() == Some(&self.issuer.url)
    }

    /// `ctx.identity` of whom the token was issued to.
    pub async fn identity(&self, token: &Token<'_>, presented: &Presented<'_>) -> Result<Value, Denial> {
        let key_id = token.key_id.as_deref().ok_or(Denial::NotAuthorized)?;
        let key = self.keyring.key(key_id).await.ok_or(Denial::NotAuthorized)?;
        let claims = token.verify(&key).ok_or(Denial::NotAuthorized)?;
        claims.check(&self.issuer, presented.now)?;
        Ok(claims.identity(self.issuer.kind, source_addresses(presented)))
    }
}
