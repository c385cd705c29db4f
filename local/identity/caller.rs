//! An authenticated caller.
use std::sync::Arc;

use serde_json::{Value, json};

use super::principal::Principal;
use crate::stack::AuthMode;

#[derive(Clone)]
pub struct Caller {
    identity: Value,
    credential: Credential,
}

#[derive(Clone)]
enum Credential {
    ApiKey,
    Signature { principal: Arc<Principal>, region: String },
    Token(AuthMode),
}

impl Caller {
    pub fn from_api_key() -> Self {
        Self { identity: Value::Null, credential: Credential::ApiKey }
    }

    /// The signer of a request in a region, with the addresses of `ctx.identity.sourceIp`.
    pub fn from_signature(principal: Arc<Principal>, region: &str, addresses: Vec<String>) -> Self {
        let identity = iam_identity(&principal, addresses);
        Self { identity, credential: Credential::Signature { principal, region: region.to_owned() } }
    }

    /// The user of a token in one of the token modes, with `ctx.identity`.
    pub fn from_token(mode: AuthMode, identity: Value) -> Self {
        Self { identity, credential: Credential::Token(mode) }
    }

    pub fn mode(&self) -> AuthMode {
        match &self.credential {
            Credential::ApiKey => AuthMode::ApiKey,
            Credential::Signature { .. } => AuthMode::Iam,
            Credential::Token(mode) => *mode,
        }
    }

    /// `ctx.identity`.
    pub fn identity(&self) -> &Value {
        &self.identity
    }

    /// Whether the caller is in a group of its user pool.
    pub fn is_in_group(&self, group: &str) -> bool {
        self.identity["groups"].as_array().is_some_and(|groups| groups.iter().any(|own| own == group))
    }

    /// Whether the caller's IAM policies allow a root field. Callers without IAM credentials are not
    /// restricted.
    pub fn may_access_field(&self, api: &str, type_name: &str, field: &str) -> bool {
        self.may_perform("appsync:GraphQL", &format!("{api}/types/{type_name}/fields/{field}"))
    }

    /// Whether the caller's IAM policies allow an action on a resource of an API, given by its path below
    /// `apis/`. Callers without IAM credentials are not restricted.
    pub fn may_perform(&self, action: &str, resource: &str) -> bool {
        let Credential::Signature { principal, region } = &self.credential else { return true };
        let account = &principal.account;
        principal.policy.allows(action, &format!("arn:aws:appsync:{region}:{account}:apis/{resource}"))
    }
}

fn iam_identity(principal: &Principal, addresses: Vec<String>) -> Value {
    let cognito = principal.cognito_identity.as_ref();
    let auth_type = cognito.map(|identity| match identity.provider {
        Some(_) => "authenticated",
        None => "unauthenticated",
    });
    json!({
        "accountId": principal.account,
        "cognitoIdentityPoolId": cognito.map(|identity| &identity.pool_id),
        "cognitoIdentityId": cognito.map(|identity| &identity.identity_id),
        "sourceIp": addresses,
        "username": principal.user_id,
        "userArn": principal.arn,
        "cognitoIdentityAuthType": auth_type,
        "cognitoIdentityAuthProvider": cognito.and_then(|identity| identity.provider.as_ref()),
    })
}
