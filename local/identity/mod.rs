//! Who calls the API: API keys, IAM principals by their signatures, users by the tokens that issuers have signed; and
//! the issuers of a laptop.
mod assumed_role;
mod auth_error;
mod caller;
mod iam_policy;
mod jwks_cache;
mod local_issuer;
mod oidc_routes;
mod pool_user;
mod principal;
mod signature;
mod signing_key;
mod token;
mod trusted_issuer;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

pub use assumed_role::{AccessDenied, Session};
pub use auth_error::Denial;
pub use caller::Caller;
use http::{HeaderMap, HeaderValue, Uri, header::AUTHORIZATION};
pub use iam_policy::{Access, Grants};
pub use local_issuer::{CLIENT, Issuer, Issuers, NoTokens, TokenUse, Tokens};
pub use oidc_routes::router;
pub use pool_user::User;
pub use principal::{PooledIdentity, Principal};
pub use signing_key::{KeyFault, SigningKey};

use crate::stack::{AuthMode, TokenIssuer};
use token::Token;
use trusted_issuer::Trusted;

const API_KEY: &str = "x-api-key";

/// The keys and principals an API knows. Clones share them.
#[derive(Clone)]
pub struct Directory {
    modes: Vec<AuthMode>,
    keys: Vec<String>,
    principals: Arc<RwLock<HashMap<String, Arc<Principal>>>>,
    trusted: Arc<[Trusted]>,
}

/// A request as its credentials were made for it. For a WebSocket it is not the one that arrived, but the one that
/// AppSync has clients sign in its place.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    pub method: &'a str,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
    pub peer: Option<IpAddr>,
    pub now: SystemTime,
}

impl Directory {
    /// The default mode first.
    pub fn new(modes: Vec<AuthMode>, keys: Vec<String>) -> Self {
        Self { modes, keys, principals: Arc::default(), trusted: Arc::default() }
    }

    /// The same, and whoever has a token of these issuers.
    pub fn trusting(self, issuers: Vec<TokenIssuer>) -> Self {
        Self { trusted: issuers.into_iter().map(Trusted::new).collect(), ..self }
    }

    /// From now on the principal's signatures are known.
    pub fn admit(&self, principal: Principal) {
        let mut principals = self.principals.write().unwrap_or_else(PoisonError::into_inner);
        principals.insert(principal.access_key_id.clone(), Arc::new(principal));
    }

    /// Whose temporary credentials a request was signed with. Its signature is not verified.
    pub fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let signed = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (_, credential) = signed.split_once("Credential=")?;
        let principals = self.principals.read().unwrap_or_else(PoisonError::into_inner);
        let principal = principals.get(credential.split('/').next()?)?;
        let is_session = principal.session_token.is_some();
        is_session.then(|| Session::with(principal.arn.clone(), principal.grants.clone()))
    }

    pub fn default_mode(&self) -> Option<AuthMode> {
        self.modes.first().copied()
    }

    /// A signature is IAM's where the API has that mode; whatever else is in `Authorization` is taken for a token.
    pub async fn caller(&self, presented: &Presented<'_>) -> Result<Caller, Denial> {
        match presented.headers.get(AUTHORIZATION) {
            Some(written) if signature::is_one(written) && self.modes.contains(&AuthMode::Iam) => {
                self.signer(presented)
            }
            Some(written) if !self.trusted.is_empty() => self.bearer(written, presented).await,
            Some(_) if self.modes.contains(&AuthMode::Iam) => Err(Denial::CredentialsMissing),
            _ => self.holder_of_key(presented.headers),
        }
    }

    fn holder_of_key(&self, headers: &HeaderMap) -> Result<Caller, Denial> {
        let key = headers.get(API_KEY).filter(|_| self.modes.contains(&AuthMode::ApiKey));
        let key = key.ok_or(Denial::CredentialsMissing)?;
        if self.keys.iter().any(|known| same(known.as_bytes(), key.as_bytes())) {
            Ok(Caller::with_key())
        } else {
            Err(Denial::NotAuthorized)
        }
    }

    /// The token says which issuer is asked.
    async fn bearer(&self, written: &HeaderValue, presented: &Presented<'_>) -> Result<Caller, Denial> {
        let token = Token::read(written.to_str().map_err(|_| Denial::TokenMalformed)?)?;
        let issuer = self.trusted.iter().find(|trusted| trusted.has_issued(&token)).ok_or(Denial::NotAuthorized)?;
        let identity = issuer.identity(&token, presented).await?;
        Ok(Caller::with_token(issuer.mode(), identity))
    }

    fn signer(&self, presented: &Presented<'_>) -> Result<Caller, Denial> {
        let signature = signature::read(presented.headers)?;
        let principals = self.principals.read().unwrap_or_else(PoisonError::into_inner);
        let principal = principals.get(signature.access_key_id).cloned().ok_or(Denial::ClientUnknown)?;
        drop(principals);
        signature.verify(presented, &principal)?;
        Ok(Caller::signing(principal, signature.region, source_addresses(presented)))
    }
}

/// What `x-forwarded-for` says, then the address that connected.
fn source_addresses(presented: &Presented<'_>) -> Vec<String> {
    let forwarded = presented.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let forwarded = forwarded.flat_map(|value| value.split(',')).map(|address| address.trim().to_owned());
    forwarded.chain(presented.peer.map(|peer| peer.to_string())).collect()
}

/// Equality that takes as long wherever the texts differ.
fn same(known: &[u8], given: &[u8]) -> bool {
    let difference = known.iter().zip(given).fold(0, |difference, (one, other)| difference | (one ^ other));
    known.len() == given.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests;
