//! An IAM identity that can sign requests.
use serde_json::Value;

use super::{Grants, assumed_role::RoleArn};

pub struct Principal {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// Temporary credentials come with one, and are no good without it.
    pub session_token: Option<String>,
    pub account: String,
    /// A user's ARN, or that of a role's session.
    pub arn: String,
    /// What IAM knows the identity by; resolvers see it as `ctx.identity.username`.
    pub user_id: String,
    /// Whom a Cognito identity pool has given the credentials to.
    pub pooled: Option<PooledIdentity>,
    pub grants: Grants,
}

/// An identity of a Cognito identity pool: somebody without an IAM identity of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PooledIdentity {
    pub pool_id: String,
    pub identity_id: String,
    /// As AWS writes who vouches for it, such as `cognito-idp.us-east-1.amazonaws.com/us-east-1_a:CognitoSignIn:<sub>`;
    /// nobody does for a guest.
    pub provider: Option<String>,
}

impl Principal {
    /// A session of a role, with temporary credentials and the statements of the role's policies.
    pub fn role_session(role_arn: &str, session: &str, credentials: [String; 3], statements: &[Value]) -> Self {
        let [access_key_id, secret_access_key, session_token] = credentials;
        let role = RoleArn::of(role_arn);
        let unique: String = role.name.chars().filter(char::is_ascii_alphanumeric).take(17).collect();
        Self {
            access_key_id,
            secret_access_key,
            session_token: Some(session_token),
            account: role.account.to_owned(),
            arn: role.session(session),
            user_id: format!("AROA{}:{session}", unique.to_ascii_uppercase()),
            pooled: None,
            grants: Grants::of_statements(statements),
        }
    }

    /// Somebody whom an identity pool lets use a role.
    pub fn identity_pool_user(
        identity: PooledIdentity,
        role_arn: &str,
        credentials: [String; 3],
        statements: &[Value],
    ) -> Self {
        let session = Self::role_session(role_arn, "CognitoIdentityCredentials", credentials, statements);
        Self { pooled: Some(identity), ..session }
    }

    /// A user with long-lived credentials who may call every field.
    pub fn administrator(account: &str, name: &str, access_key_id: String, secret_access_key: String) -> Self {
        let unique: String = name.chars().filter(char::is_ascii_alphanumeric).take(17).collect();
        Self {
            access_key_id,
            secret_access_key,
            session_token: None,
            account: account.to_owned(),
            arn: format!("arn:aws:iam::{account}:user/{name}"),
            user_id: format!("AIDA{}", unique.to_ascii_uppercase()),
            pooled: None,
            grants: Grants::everything(),
        }
    }
}
