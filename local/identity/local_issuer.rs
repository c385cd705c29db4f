//! The issuers of a laptop: a user pool and an OpenID Connect provider that give out tokens for the asking.
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{KeyFault, SigningKey, User};
use crate::{
    stack::TokenIssuer,
    state_dir::{self, StateDirError},
};

const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The one client of both issuers, as the template's `Ref` of its user pool's client names it.
pub const CLIENT: &str = "laptop";

/// Whoever reaches the port may have a token of it: for development.
pub struct Issuer {
    url: String,
    key: SigningKey,
    users: Users,
}

/// The issuers that live here, of those that the API trusts.
#[derive(Default)]
pub struct Issuers {
    pub pool: Option<Arc<Issuer>>,
    pub oidc: Option<Arc<Issuer>>,
}

/// What a token is for: telling who its user is, or calling in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    Id,
    Access,
}

/// What a token endpoint answers.
#[derive(Serialize)]
pub struct Tokens {
    pub id_token: String,
    pub access_token: String,
    pub token_type: &'static str,
    /// In seconds.
    pub expires_in: u64,
}

/// Why an issuer gives out none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTokens {
    #[error("there is no user '{0}'")]
    UserUnknown(String),
    #[error(transparent)]
    Unsigned(#[from] KeyFault),
}

/// Whom an issuer knows.
enum Users {
    Of(Vec<User>),
    Anybody,
}

impl Issuers {
    /// Where the issuers of a server are.
    pub fn pool_url(server: &str) -> String {
        format!("{server}/pool")
    }

    pub fn oidc_url(server: &str) -> String {
        format!("{server}/oidc")
    }

    /// `state` is where their keys are kept; without it, they are drawn.
    pub fn of(
        trusted: &[TokenIssuer],
        server: &str,
        users: Vec<User>,
        state: Option<&Path>,
    ) -> Result<Self, StateDirError> {
        let key_of = |url: &str, name| {
            let lives_here = trusted.iter().any(|issuer| issuer.url == url);
            lives_here
                .then(|| state_dir::load_or_create_key(state.map(|state| state.join(name)).as_deref()))
                .transpose()
        };
        let (pool, oidc) = (Self::pool_url(server), Self::oidc_url(server));
        Ok(Self {
            pool: key_of(&pool, "pool-key")?.map(|key| Arc::new(Issuer::pool(pool, key, users))),
            oidc: key_of(&oidc, "oidc-key")?.map(|key| Arc::new(Issuer::open_id(oidc, key))),
        })
    }
}

impl Issuer {
    /// A user pool: it knows its users.
    pub fn pool(url: String, key: SigningKey, users: Vec<User>) -> Self {
        Self { url, key, users: Users::Of(users) }
    }

    /// An OpenID Connect provider: it knows everybody.
    pub fn open_id(url: String, key: SigningKey) -> Self {
        Self { url, key, users: Users::Anybody }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    pub fn tokens(&self, name: &str, now: SystemTime) -> Result<Tokens, NoTokens> {
        let user = self.user(name).ok_or_else(|| NoTokens::UserUnknown(name.to_owned()))?;
        let id_token = self.key.sign(&self.claims(&user, TokenUse::Id, now))?;
        let access_token = self.key.sign(&self.claims(&user, TokenUse::Access, now))?;
        Ok(Tokens { id_token, access_token, token_type: "Bearer", expires_in: LIFETIME.as_secs() })
    }

    /// What a token of the user says.
    pub fn claims(&self, user: &User, token_use: TokenUse, now: SystemTime) -> Value {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = json!({
            "iss": self.url,
            "sub": user.subject(),
            "iat": now,
            "auth_time": now,
            "exp": now + LIFETIME.as_secs(),
            "jti": Uuid::new_v4().to_string(),
        });
        let own = match (&self.users, token_use) {
            (Users::Of(_), TokenUse::Id) => {
                json!({ "token_use": "id", "aud": CLIENT, "cognito:username": user.name })
            }
            (Users::Of(_), TokenUse::Access) => {
                json!({ "token_use": "access", "client_id": CLIENT, "username": user.name, "version": 2 })
            }
            (Users::Anybody, _) => json!({ "aud": CLIENT, "azp": CLIENT, "preferred_username": user.name }),
        };
        let groups = (!user.groups.is_empty()).then(|| ("cognito:groups".to_owned(), json!(user.groups)));
        if let (Value::Object(claims), Value::Object(own)) = (&mut claims, own) {
            claims.extend(own.into_iter().chain(groups));
        }
        claims
    }

    /// OpenID Connect's discovery document.
    pub fn discovery(&self) -> Value {
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

    pub fn published_keys(&self) -> Value {
        json!({ "keys": [self.key.published()] })
    }

    fn user(&self, name: &str) -> Option<User> {
        match &self.users {
            Users::Of(users) => users.iter().find(|user| user.name == name).cloned(),
            Users::Anybody => Some(User::named(name)).filter(|_| !name.is_empty()),
        }
    }
}
