//! The stack's own user pool: who its users are, and how they sign in, is the command line's business on a laptop.
use serde::Deserialize;

use super::WithoutEffect;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolProperties {
    #[serde(rename = "UserPoolName")]
    _user_pool_name: Option<WithoutEffect>,
    #[serde(rename = "AdminCreateUserConfig")]
    _admin_create_user_config: Option<WithoutEffect>,
    #[serde(rename = "Policies")]
    _policies: Option<WithoutEffect>,
    #[serde(rename = "UsernameConfiguration")]
    _username_configuration: Option<WithoutEffect>,
    #[serde(rename = "AccountRecoverySetting")]
    _account_recovery_setting: Option<WithoutEffect>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolClientProperties {
    #[serde(rename = "UserPoolId")]
    _user_pool_id: WithoutEffect,
    #[serde(rename = "ClientName")]
    _client_name: Option<WithoutEffect>,
    #[serde(rename = "ExplicitAuthFlows")]
    _explicit_auth_flows: Option<WithoutEffect>,
    #[serde(rename = "PreventUserExistenceErrors")]
    _prevent_user_existence_errors: Option<WithoutEffect>,
    #[serde(rename = "EnableTokenRevocation")]
    _enable_token_revocation: Option<WithoutEffect>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolGroupProperties {
    #[serde(rename = "UserPoolId")]
    _user_pool_id: WithoutEffect,
    #[serde(rename = "GroupName")]
    _group_name: WithoutEffect,
    #[serde(rename = "Description")]
    _description: Option<WithoutEffect>,
}
