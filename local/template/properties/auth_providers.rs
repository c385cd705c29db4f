//! The authentication providers of the API.
use std::{collections::BTreeMap, time::Duration};

use fancy_regex::Regex;
use serde::Deserialize;
use tokens::parse_client_pattern;

use crate::{
    stack::{AuthMode, IssuerKind, TokenIssuer},
    template::TemplateError,
};

/// The issuers of the stack's own user pools, by pool id.
pub type UserPools = BTreeMap<String, String>;

/// The supported default modes. A mode for tokens would need further properties of the API.
#[derive(Clone, Copy, Deserialize)]
pub enum DefaultMode {
    #[serde(rename = "API_KEY")]
    ApiKey,
    #[serde(rename = "AWS_IAM")]
    Iam,
}

#[derive(Deserialize)]
#[serde(tag = "AuthenticationType", deny_unknown_fields)]
pub enum Provider {
    #[serde(rename = "API_KEY")]
    ApiKey {},
    #[serde(rename = "AWS_IAM")]
    Iam {},
    #[serde(rename = "AMAZON_COGNITO_USER_POOLS")]
    UserPool {
        #[serde(rename = "UserPoolConfig")]
        pool: UserPoolConfig,
    },
    #[serde(rename = "OPENID_CONNECT")]
    OpenId {
        #[serde(rename = "OpenIDConnectConfig")]
        provider: OpenIdConnectConfig,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct UserPoolConfig {
    user_pool_id: String,
    aws_region: String,
    app_id_client_regex: Option<ClientPattern>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct OpenIdConnectConfig {
    issuer: String,
    client_id: Option<ClientPattern>,
    /// In milliseconds.
    #[serde(rename = "IatTTL")]
    iat_ttl: Option<u64>,
    /// In milliseconds.
    #[serde(rename = "AuthTTL")]
    auth_ttl: Option<u64>,
}

/// Matches whole client ids.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
struct ClientPattern(Regex);

impl TryFrom<String> for ClientPattern {
    type Error = TemplateError;

    fn try_from(pattern: String) -> Result<Self, TemplateError> {
        parse_client_pattern(&pattern).map(Self).map_err(|error| TemplateError::new(error.to_string()))
    }
}

impl From<DefaultMode> for AuthMode {
    fn from(mode: DefaultMode) -> Self {
        match mode {
            DefaultMode::ApiKey => Self::ApiKey,
            DefaultMode::Iam => Self::Iam,
        }
    }
}

impl Provider {
    pub fn mode(&self) -> AuthMode {
        match self {
            Self::ApiKey {} => AuthMode::ApiKey,
            Self::Iam {} => AuthMode::Iam,
            Self::UserPool { .. } => AuthMode::UserPool,
            Self::OpenId { .. } => AuthMode::OpenId,
        }
    }

    /// The issuer of the provider's tokens: the local server for a pool of the stack, Cognito for any other
    /// pool.
    pub fn issuer(&self, user_pools: &UserPools) -> Option<TokenIssuer> {
        match self {
            Self::ApiKey {} | Self::Iam {} => None,
            Self::UserPool { pool: UserPoolConfig { user_pool_id: id, aws_region: region, app_id_client_regex } } => {
                let cognito_url = || format!("https://cognito-idp.{region}.amazonaws.com/{id}");
                let url = user_pools.get(id).cloned().unwrap_or_else(cognito_url);
                let clients = app_id_client_regex.clone().map(|ClientPattern(pattern)| pattern);
                Some(TokenIssuer { url, clients, kind: IssuerKind::UserPool })
            }
            Self::OpenId { provider: OpenIdConnectConfig { issuer, client_id, iat_ttl, auth_ttl } } => {
                let iat_ttl = iat_ttl.map(Duration::from_millis);
                let auth_ttl = auth_ttl.map(Duration::from_millis);
                let clients = client_id.clone().map(|ClientPattern(pattern)| pattern);
                let kind = IssuerKind::OpenId { iat_ttl, auth_ttl };
                Some(TokenIssuer { url: issuer.clone(), clients, kind })
            }
        }
    }
}
