//! The local token issuers: a user pool and an OpenID Connect provider that issue tokens without a password.
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use serde_json::{Value, json};
use tokens::{SigningKey, SigningKeyError};
use uuid::Uuid;

use super::pool_user::PoolUser;
use crate::{
    stack::TokenIssuer,
    state_dir::{self, StateDirError},
};

const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The client id of both issuers; the value of the template's `Ref` to its user pool client.
pub const LOCAL_CLIENT_ID: &str = "local";

/// An issuer for development: every client that reaches its port can get a token.
pub struct LocalIssuer {
    url: String,
    key: SigningKey,
    users: Users,
}

/// The local issuers that the API trusts.
#[derive(Default)]
pub struct LocalIssuers {
    pub pool: Option<Arc<LocalIssuer>>,
    pub oidc: Option<Arc<LocalIssuer>>,
}

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    Id,
    Access,
}

/// The response of a token endpoint.
#[derive(Serialize)]
pub struct TokenResponse {
    pub id_token: String,
    pub access_token: String,
    pub token_type: &'static str,
    /// In seconds.
    pub expires_in: u64,
}

/// The reason why an issuer issues no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("there is no user '{0}'")]
    UnknownUser(String),
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
}

/// The users of an issuer.
enum Users {
    /// The users of a user pool.
    Pool(Vec<PoolUser>),
    /// Any name is a user.
    AnyName,
}

impl LocalIssuers {
    /// The URL of the user pool of a server.
    pub fn pool_url(server: &str) -> String {
        format!("{server}/pool")
    }

    /// The URL of the OpenID Connect provider of a server.
    pub fn oidc_url(server: &str) -> String {
        format!("{server}/oidc")
    }

    /// Makes the local issuers that are among the trusted issuers. Their keys are stored in the folder
    /// `state`; without a folder, new keys are generated.
    pub fn load(
        trusted: &[TokenIssuer],
        server: &str,
        users: Vec<PoolUser>,
        state: Option<&Path>,
    ) -> Result<Self, StateDirError> {
        let key_if_trusted = |url: &str, file_name| {
            let is_trusted = trusted.iter().any(|issuer| issuer.url == url);
            is_trusted
                .then(|| state_dir::load_or_create_key(state.map(|state| state.join(file_name)).as_deref()))
                .transpose()
        };
        let (pool_url, oidc_url) = (Self::pool_url(server), Self::oidc_url(server));
        let pool_key = key_if_trusted(&pool_url, "pool-key")?;
        let oidc_key = key_if_trusted(&oidc_url, "oidc-key")?;
        Ok(Self {
            pool: pool_key.map(|key| Arc::new(LocalIssuer::user_pool(pool_url, key, users))),
            oidc: oidc_key.map(|key| Arc::new(LocalIssuer::open_id(oidc_url, key))),
        })
    }
}

impl LocalIssuer {
    /// A user pool, which issues tokens to its users.
    pub fn user_pool(url: String, key: SigningKey, users: Vec<PoolUser>) -> Self {
        Self { url, key, users: Users::Pool(users) }
    }

    /// An OpenID Connect provider, which issues tokens to any name.
    pub fn open_id(url: String, key: SigningKey) -> Self {
        Self { url, key, users: Users::AnyName }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Issues an ID token and an access token to a user.
    pub fn issue_tokens(&self, name: &str, now: SystemTime) -> Result<TokenResponse, TokenError> {
        let user = self.find_user(name).ok_or_else(|| TokenError::UnknownUser(name.to_owned()))?;
        let id_token = self.key.sign(&self.claims(&user, TokenUse::Id, now))?;
        let access_token = self.key.sign(&self.claims(&user, TokenUse::Access, now))?;
        Ok(TokenResponse { id_token, access_token, token_type: "Bearer", expires_in: TOKEN_LIFETIME.as_secs() })
    }

    /// The claims of a user's token.
    pub fn claims(&self, user: &PoolUser, token_use: TokenUse, now: SystemTime) -> Value {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = json!({
            "iss": self.url,
            "sub": user.subject(),
            "iat": now,
            "auth_time": now,
            "exp": now + TOKEN_LIFETIME.as_secs(),
            "jti": Uuid::new_v4().to_string(),
        });
        let specific = match (&self.users, token_use) {
            (Users::Pool(_), TokenUse::Id) => {
                json!({ "token_use": "id", "aud": LOCAL_CLIENT_ID, "cognito:username": user.name })
            }
            (Users::Pool(_), TokenUse::Access) => {
                json!({ "token_use": "access", "client_id": LOCAL_CLIENT_ID, "username": user.name, "version": 2 })
            }
            (Users::AnyName, _) => {
                json!({ "aud": LOCAL_CLIENT_ID, "azp": LOCAL_CLIENT_ID, "preferred_username": user.name })
            }
        };
        if let (Value::Object(claims), Value::Object(specific)) = (&mut claims, specific) {
            claims.extend(specific);
            if !user.groups.is_empty() {
                claims.insert("cognito:groups".to_owned(), json!(user.groups));
            }
        }
        claims
    }

    /// The OpenID Connect discovery document.
    pub fn discovery_document(&self) -> Value {
        let url = &self.url;
        json!({
            "issuer": url,
            "jwks_uri": format!("{url}/.well-known/jwks.json"),
            "token_endpoint": format!("{url}/token"),
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
        })
    }

    /// The JSON Web Key Set.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.key.to_jwk()] })
    }

    fn find_user(&self, name: &str) -> Option<PoolUser> {
        match &self.users {
            Users::Pool(users) => users.iter().find(|user| user.name == name).cloned(),
            Users::AnyName if name.is_empty() => None,
            Users::AnyName => Some(PoolUser::named(name)),
        }
    }
}
