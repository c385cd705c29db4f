//! Who calls the API: API keys, and IAM principals by their signatures.
mod denial;
mod grants;
mod principal;
mod session;
mod signature;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use http::{HeaderMap, Uri, header::AUTHORIZATION};
use serde_json::{Value, json};

pub use denial::Denial;
pub use grants::{Access, Grants};
pub use principal::Principal;
pub use session::{AccessDenied, Session};

use crate::stack::AuthMode;

const API_KEY: &str = "x-api-key";

/// The keys and principals an API knows. Clones share them.
#[derive(Clone)]
pub struct Directory {
    modes: Vec<AuthMode>,
    keys: Vec<String>,
    principals: Arc<RwLock<HashMap<String, Arc<Principal>>>>,
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

/// Somebody whose credentials are good.
#[derive(Clone)]
pub struct Caller {
    identity: Value,
    principal: Option<Signed>,
}

#[derive(Clone)]
struct Signed {
    principal: Arc<Principal>,
    region: String,
}

impl Directory {
    /// The default mode first.
    pub fn new(modes: Vec<AuthMode>, keys: Vec<String>) -> Self {
        Self { modes, keys, principals: Arc::default() }
    }

    /// From now on the principal's signatures are known.
    pub fn admit(&self, principal: Principal) {
        let mut principals = self.principals.write().unwrap_or_else(PoisonError::into_inner);
        principals.insert(principal.access_key_id.clone(), Arc::new(principal));
    }

    /// Whether this is a key of temporary credentials: of a function's process, not of a user.
    pub fn is_session(&self, access_key_id: &str) -> bool {
        let principals = self.principals.read().unwrap_or_else(PoisonError::into_inner);
        principals.get(access_key_id).is_some_and(|principal| principal.session_token.is_some())
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

    pub fn caller(&self, presented: &Presented<'_>) -> Result<Caller, Denial> {
        if presented.headers.contains_key(AUTHORIZATION) && self.modes.contains(&AuthMode::Iam) {
            return self.signer(presented);
        }
        let key = presented.headers.get(API_KEY).filter(|_| self.modes.contains(&AuthMode::ApiKey));
        let key = key.ok_or(Denial::CredentialsMissing)?;
        if self.keys.iter().any(|known| same(known.as_bytes(), key.as_bytes())) {
            Ok(Caller::with_key())
        } else {
            Err(Denial::NotAuthorized)
        }
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

impl Caller {
    /// Somebody with an API key.
    pub fn with_key() -> Self {
        Self { identity: Value::Null, principal: None }
    }

    /// Somebody who signs in a region, calling from these addresses.
    pub fn signing(principal: Arc<Principal>, region: &str, addresses: Vec<String>) -> Self {
        let identity = identity(&principal, addresses);
        Self { identity, principal: Some(Signed { principal, region: region.to_owned() }) }
    }

    pub fn mode(&self) -> AuthMode {
        if self.principal.is_some() { AuthMode::Iam } else { AuthMode::ApiKey }
    }

    /// `ctx.identity`.
    pub fn identity(&self) -> &Value {
        &self.identity
    }

    /// Whether the caller's IAM policies let it use a root field. An API key has none, and may.
    pub fn may(&self, api: &str, type_name: &str, field: &str) -> bool {
        self.principal.as_ref().is_none_or(|Signed { principal, region }| {
            let account = &principal.account;
            let resource = format!("arn:aws:appsync:{region}:{account}:apis/{api}/types/{type_name}/fields/{field}");
            principal.grants.allow("appsync:GraphQL", &resource)
        })
    }
}

fn identity(principal: &Principal, addresses: Vec<String>) -> Value {
    json!({
        "accountId": principal.account,
        "cognitoIdentityPoolId": null,
        "cognitoIdentityId": null,
        "sourceIp": addresses,
        "username": principal.user_id,
        "userArn": principal.arn,
        "cognitoIdentityAuthType": null,
        "cognitoIdentityAuthProvider": null,
    })
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
