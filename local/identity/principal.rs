//! IAM identities that sign requests.
use serde_json::Value;

use super::{assumed_role::RoleArn, iam_policy::IamPolicy};

pub struct Principal {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// The session token, which temporary credentials require.
    pub session_token: Option<String>,
    pub account: String,
    /// The ARN of a user or of a role session.
    pub arn: String,
    /// IAM's unique id; `ctx.identity.username` of resolvers.
    pub user_id: String,
    /// The identity of a Cognito identity pool that received the credentials.
    pub cognito_identity: Option<CognitoIdentity>,
    pub policy: IamPolicy,
}

/// An identity of a Cognito identity pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CognitoIdentity {
    pub pool_id: String,
    pub identity_id: String,
    /// The login provider, such as `cognito-idp.us-east-1.amazonaws.com/us-east-1_a:CognitoSignIn:<sub>`;
    /// `None` for a guest.
    pub provider: Option<String>,
}

impl Principal {
    /// A role session with temporary credentials (access key id, secret, session token) and the statements of
    /// the role's policies.
    pub fn role_session(role_arn: &str, session_name: &str, credentials: [String; 3], statements: &[Value]) -> Self {
        let [access_key_id, secret_access_key, session_token] = credentials;
        let role = RoleArn::parse(role_arn);
        Self {
            access_key_id,
            secret_access_key,
            session_token: Some(session_token),
            account: role.account.to_owned(),
            arn: role.session_arn(session_name),
            user_id: format!("{}:{session_name}", unique_id("AROA", role.name)),
            cognito_identity: None,
            policy: IamPolicy::from_statements(statements),
        }
    }

    /// A role session of a user of a Cognito identity pool.
    pub fn identity_pool_user(
        identity: CognitoIdentity,
        role_arn: &str,
        credentials: [String; 3],
        statements: &[Value],
    ) -> Self {
        let session = Self::role_session(role_arn, "CognitoIdentityCredentials", credentials, statements);
        Self { cognito_identity: Some(identity), ..session }
    }

    /// An IAM user with long-lived credentials and all permissions.
    pub fn administrator(account: &str, name: &str, access_key_id: String, secret_access_key: String) -> Self {
        Self {
            access_key_id,
            secret_access_key,
            session_token: None,
            account: account.to_owned(),
            arn: format!("arn:aws:iam::{account}:user/{name}"),
            user_id: unique_id("AIDA", name),
            cognito_identity: None,
            policy: IamPolicy::allow_all(),
        }
    }
}

/// An id in the form of IAM's unique ids, derived from the name.
fn unique_id(prefix: &str, name: &str) -> String {
    let suffix: String = name.chars().filter(char::is_ascii_alphanumeric).take(17).collect();
    format!("{prefix}{}", suffix.to_ascii_uppercase())
}
