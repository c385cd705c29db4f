//! Who calls, once credentials have turned out to be good.
use std::sync::Arc;

use serde_json::{Value, json};

use super::Principal;
use crate::stack::AuthMode;

/// Somebody whose credentials are good.
#[derive(Clone)]
pub struct Caller {
    identity: Value,
    proof: Proof,
}

#[derive(Clone)]
enum Proof {
    Key,
    Signature { principal: Arc<Principal>, region: String },
    Token(AuthMode),
}

impl Caller {
    /// Somebody with an API key.
    pub fn with_key() -> Self {
        Self { identity: Value::Null, proof: Proof::Key }
    }

    /// Somebody who signs in a region, calling from these addresses.
    pub fn signing(principal: Arc<Principal>, region: &str, addresses: Vec<String>) -> Self {
        let identity = identity(&principal, addresses);
        Self { identity, proof: Proof::Signature { principal, region: region.to_owned() } }
    }

    /// Somebody whose token is good, in a mode of tokens.
    pub fn with_token(mode: AuthMode, identity: Value) -> Self {
        Self { identity, proof: Proof::Token(mode) }
    }

    pub fn mode(&self) -> AuthMode {
        match &self.proof {
            Proof::Key => AuthMode::ApiKey,
            Proof::Signature { .. } => AuthMode::Iam,
            Proof::Token(mode) => *mode,
        }
    }

    /// `ctx.identity`.
    pub fn identity(&self) -> &Value {
        &self.identity
    }

    /// Whether the caller is of a group of its user pool.
    pub fn is_of(&self, group: &str) -> bool {
        self.identity["groups"].as_array().is_some_and(|groups| groups.iter().any(|own| own == group))
    }

    /// Whether the caller's IAM policies let it use a root field. Who has none may.
    pub fn may(&self, api: &str, type_name: &str, field: &str) -> bool {
        let Proof::Signature { principal, region } = &self.proof else { return true };
        let account = &principal.account;
        let resource = format!("arn:aws:appsync:{region}:{account}:apis/{api}/types/{type_name}/fields/{field}");
        principal.grants.allow("appsync:GraphQL", &resource)
    }
}

fn identity(principal: &Principal, addresses: Vec<String>) -> Value {
    let pooled = principal.pooled.as_ref();
    let kind = pooled.map(|pooled| if pooled.provider.is_some() { "authenticated" } else { "unauthenticated" });
    json!({
        "accountId": principal.account,
        "cognitoIdentityPoolId": pooled.map(|pooled| &pooled.pool_id),
        "cognitoIdentityId": pooled.map(|pooled| &pooled.identity_id),
        "sourceIp": addresses,
        "username": principal.user_id,
        "userArn": principal.arn,
        "cognitoIdentityAuthType": kind,
        "cognitoIdentityAuthProvider": pooled.and_then(|pooled| pooled.provider.as_ref()),
    })
}
