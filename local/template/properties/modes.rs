//! How callers of the API prove who they are.
use std::{collections::BTreeMap, time::Duration};

use fancy_regex::Regex;
use serde::Deserialize;

use crate::{
    stack::{AuthMode, IssuerKind, TokenIssuer},
    template::Fault,
};

/// The issuers of the stack's own user pools, by pool id.
pub type Pools = BTreeMap<String, String>;

/// A default mode; one that takes tokens would need settings beside it, which the laptop edition does not read.
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
        pool: PoolTrusted,
    },
    #[serde(rename = "OPENID_CONNECT")]
    OpenId {
        #[serde(rename = "OpenIDConnectConfig")]
        provider: ProviderTrusted,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PoolTrusted {
    user_pool_id: String,
    aws_region: String,
    app_id_client_regex: Option<ClientPattern>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ProviderTrusted {
    issuer: String,
    client_id: Option<ClientPattern>,
    /// In milliseconds, as the next.
    #[serde(rename = "IatTTL")]
    iat_ttl: Option<u64>,
    #[serde(rename = "AuthTTL")]
    auth_ttl: Option<u64>,
}

/// Whether AppSync looks for a client's id anywhere in a client's name is not documented: here it is the whole name.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
struct ClientPattern(Regex);

impl TryFrom<String> for ClientPattern {
    type Error = Fault;

    fn try_from(pattern: String) -> Result<Self, Fault> {
        let whole = Regex::new(&format!(r"\A(?:{pattern})\z"));
        whole.map(Self).map_err(|_| Fault::new(format!("{pattern} is not a regular expression of client ids")))
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

    /// Of a pool that is not the stack's own, the laptop edition asks Cognito for the keys.
    pub fn issuer(&self, pools: &Pools) -> Option<TokenIssuer> {
        match self {
            Self::ApiKey {} | Self::Iam {} => None,
            Self::UserPool { pool: PoolTrusted { user_pool_id: id, aws_region: region, app_id_client_regex } } => {
                let elsewhere = || format!("https://cognito-idp.{region}.amazonaws.com/{id}");
                let url = pools.get(id).cloned().unwrap_or_else(elsewhere);
                let clients = app_id_client_regex.clone().map(|ClientPattern(pattern)| pattern);
                Some(TokenIssuer { url, clients, kind: IssuerKind::UserPool })
            }
            Self::OpenId { provider: ProviderTrusted { issuer, client_id, iat_ttl, auth_ttl } } => {
                let after_issue = iat_ttl.map(Duration::from_millis);
                let after_authentication = auth_ttl.map(Duration::from_millis);
                let clients = client_id.clone().map(|ClientPattern(pattern)| pattern);
                let kind = IssuerKind::OpenId { after_issue, after_authentication };
                Some(TokenIssuer { url: issuer.clone(), clients, kind })
            }
        }
    }
}
