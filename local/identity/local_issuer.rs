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

use super::{pool_user::PoolUser, sign_in::SignIn};
use crate::{
    stack::TokenIssuer,
    state_dir::{self, StateDirError},
};

const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// As the users of a user pool.
const MAX_NAME_LENGTH: usize = 128;
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
    /// Where a code was redeemed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
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
    /// Any name is a user. Some are suggested.
    AnyName(Vec<PoolUser>),
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
            oidc: oidc_key.map(|key| Arc::new(LocalIssuer::open_id(oidc_url, key).with_suggested_users(users.clone()))),
            pool: pool_key.map(|key| Arc::new(LocalIssuer::user_pool(pool_url, key, users))),
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
        Self { url, key, users: Users::AnyName(Vec::new()) }
    }

    /// Names that the sign-in page of an OpenID Connect provider offers.
    pub fn with_suggested_users(self, users: Vec<PoolUser>) -> Self {
        Self { users: Users::AnyName(users), ..self }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The users that can be chosen from.
    pub fn users(&self) -> &[PoolUser] {
        match &self.users {
            Users::Pool(users) | Users::AnyName(users) => users,
        }
    }

    pub fn takes_any_name(&self) -> bool {
        matches!(self.users, Users::AnyName(_))
    }

    /// Whether somebody of this name may sign in.
    pub fn has_user(&self, name: &str) -> bool {
        self.find_user(name).is_some()
    }

    /// Issues an ID token and an access token to a user.
    pub fn issue_tokens(&self, name: &str, now: SystemTime) -> Result<TokenResponse, TokenError> {
        self.issue_tokens_of(&SignIn { name: name.to_owned(), time: now, nonce: None }, now)
    }

    /// Issues an ID token and an access token to a user who has signed in before.
    pub(super) fn issue_tokens_of(&self, sign_in: &SignIn, now: SystemTime) -> Result<TokenResponse, TokenError> {
        let user = self.find_user(&sign_in.name).ok_or_else(|| TokenError::UnknownUser(sign_in.name.clone()))?;
        let sign = |token_use| {
            let mut claims = self.claims(&user, token_use, now);
            claims["auth_time"] = json!(seconds_since_1970(sign_in.time));
            if let Some(nonce) = sign_in.nonce.as_ref().filter(|_| token_use == TokenUse::Id) {
                claims["nonce"] = json!(nonce);
            }
            self.key.sign(&claims)
        };
        Ok(TokenResponse {
            id_token: sign(TokenUse::Id)?,
            access_token: sign(TokenUse::Access)?,
            token_type: "Bearer",
            expires_in: TOKEN_LIFETIME.as_secs(),
            refresh_token: None,
        })
    }

    /// The claims of a user's token.
    pub fn claims(&self, user: &PoolUser, token_use: TokenUse, now: SystemTime) -> Value {
        let now = seconds_since_1970(now);
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
            (Users::AnyName(_), _) => {
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
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "revocation_endpoint": format!("{url}/revoke"),
            "end_session_endpoint": format!("{url}/logout"),
            "jwks_uri": format!("{url}/.well-known/jwks.json"),
            "scopes_supported": ["openid"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "id_token_signing_alg_values_supported": ["RS256"],
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
            Users::AnyName(_) if (1..=MAX_NAME_LENGTH).contains(&name.chars().count()) => Some(PoolUser::named(name)),
            Users::AnyName(_) => None,
        }
    }
}

fn seconds_since_1970(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
