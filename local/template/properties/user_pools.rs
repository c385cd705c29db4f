//! The stack's own user pool. On the local server, its users are given on the command line.
use serde::Deserialize;

use super::Ignored;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolProperties {
    #[serde(rename = "UserPoolName")]
    _user_pool_name: Option<Ignored>,
    #[serde(rename = "AdminCreateUserConfig")]
    _admin_create_user_config: Option<Ignored>,
    #[serde(rename = "Policies")]
    _policies: Option<Ignored>,
    #[serde(rename = "UsernameConfiguration")]
    _username_configuration: Option<Ignored>,
    #[serde(rename = "AccountRecoverySetting")]
    _account_recovery_setting: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolClientProperties {
    #[serde(rename = "UserPoolId")]
    _user_pool_id: Ignored,
    #[serde(rename = "ClientName")]
    _client_name: Option<Ignored>,
    #[serde(rename = "ExplicitAuthFlows")]
    _explicit_auth_flows: Option<Ignored>,
    #[serde(rename = "PreventUserExistenceErrors")]
    _prevent_user_existence_errors: Option<Ignored>,
    #[serde(rename = "EnableTokenRevocation")]
    _enable_token_revocation: Option<Ignored>,
    #[serde(rename = "SupportedIdentityProviders")]
    _supported_identity_providers: Option<Ignored>,
    #[serde(rename = "AllowedOAuthFlowsUserPoolClient")]
    _allowed_oauth_flows_user_pool_client: Option<Ignored>,
    #[serde(rename = "AllowedOAuthFlows")]
    _allowed_oauth_flows: Option<Ignored>,
    #[serde(rename = "AllowedOAuthScopes")]
    _allowed_oauth_scopes: Option<Ignored>,
    #[serde(rename = "CallbackURLs")]
    _callback_urls: Option<Ignored>,
    #[serde(rename = "LogoutURLs")]
    _logout_urls: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolDomainProperties {
    #[serde(rename = "UserPoolId")]
    _user_pool_id: Ignored,
    #[serde(rename = "Domain")]
    _domain: Ignored,
    #[serde(rename = "ManagedLoginVersion")]
    _managed_login_version: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginStyleProperties {
    #[serde(rename = "UserPoolId")]
    _user_pool_id: Ignored,
    #[serde(rename = "ClientId")]
    _client_id: Option<Ignored>,
    #[serde(rename = "UseCognitoProvidedValues")]
    _use_cognito_provided_values: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolGroupProperties {
    #[serde(rename = "UserPoolId")]
    _user_pool_id: Ignored,
    #[serde(rename = "GroupName")]
    _group_name: Ignored,
    #[serde(rename = "Description")]
    _description: Option<Ignored>,
}
