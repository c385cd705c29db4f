//! The callers of the matrix, with their credentials.
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use client::{AppSync, Credentials, credentials::IamKeys};
use local::{
    identity::{CognitoIdentity, LocalIssuer, PoolUser, Principal, SigningKey, TokenUse},
    stack::{Function, Role},
    template::{self, Deployment},
};
use serde_json::{Value, json};

use super::send_request::Caller;
use crate::backend::Backend;

const USERS: [&str; 4] = ["owner", "writer", "reader", "outsider"];
const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);

pub struct Callers {
    /// By their names in matrix.txt.
    callers: BTreeMap<String, Caller>,
    /// By authorization mode.
    owners: BTreeMap<&'static str, Owner>,
}

/// The owner of a mode's conversations, and the ids of the users that they are shared with.
pub struct Owner {
    pub api: AppSync,
    pub writer: Option<String>,
    pub reader: Option<String>,
}

impl Callers {
    pub async fn new(backend: &Backend) -> Self {
        let mut callers = Self { callers: BTreeMap::new(), owners: BTreeMap::new() };
        callers.add("anonymous", Caller::ANONYMOUS);
        callers.add_api_keys(backend).await;
        let issuers = &backend.server.issuers;
        callers.add_token_callers(backend, "pool", issuers.pool.as_ref().expect("the server has a user pool"));
        callers.add_token_callers(backend, "oidc", issuers.oidc.as_ref().expect("the server has an OIDC provider"));
        callers.add_iam_callers(backend).await;
        callers
    }

    pub fn get(&self, name: &str) -> &Caller {
        self.callers.get(name).unwrap_or_else(|| panic!("matrix.txt names an unknown caller {name}"))
    }

    /// The mode of the conversation that a caller requests: that of the caller itself, but for
    /// `key.outsider`.
    pub fn mode_of(&self, caller: &str) -> &'static str {
        let name = match caller {
            "key.outsider" => "pool",
            "anonymous" => "key",
            other => other.split('.').next().unwrap_or_default(),
        };
        self.owners.keys().find(|mode| **mode == name).unwrap_or_else(|| panic!("{caller} has no mode"))
    }

    pub fn owner_of(&self, mode: &str) -> &Owner {
        &self.owners[mode]
    }

    fn add(&mut self, name: impl Into<String>, caller: Caller) {
        self.callers.insert(name.into(), caller);
    }

    async fn add_api_keys(&mut self, backend: &Backend) {
        let key = &backend.api.credentials().await.unwrap();
        self.add("key.owner", Caller::new(key.clone()));
        self.add("key.outsider", Caller::new(key.clone()));
        self.add("key.wrong", Caller::new(Credentials::ApiKey("da2-wrong".into())));
        self.owners.insert("key", Owner { api: backend.api.clone(), writer: None, reader: None });
    }

    fn add_token_callers(&mut self, backend: &Backend, mode: &'static str, issuer: &Arc<LocalIssuer>) {
        for user in USERS {
            self.add(format!("{mode}.{user}"), token_caller(issuer, PoolUser::named(user), json!({})));
        }
        if mode == "pool" {
            let groups = vec!["administrators".into()];
            let administrator = PoolUser { groups, ..PoolUser::named("administrator") };
            self.add("pool.administrator", token_caller(issuer, administrator, json!({})));
        }
        let issued = unix_seconds(SystemTime::now() - TWO_HOURS);
        let invalid_claims = [
            ("expired", json!({ "iat": issued, "auth_time": issued, "exp": issued + 60 })),
            ("audience", json!({ "aud": "another", "azp": "another", "client_id": "another" })),
            ("issuer", json!({ "iss": "https://issuer.example.com" })),
        ];
        for (name, claims) in invalid_claims {
            self.add(format!("{mode}.{name}"), token_caller(issuer, PoolUser::named("owner"), claims));
        }
        let claims = issuer.claims(&PoolUser::named("owner"), TokenUse::Access, SystemTime::now());
        let other_key = SigningKey::generate().unwrap().with_key_id(issuer.key().key_id());
        self.add(format!("{mode}.forged"), Caller::new(Credentials::Token(other_key.sign(&claims).unwrap())));
        let user_id = |name: &str| Some(format!("{}#{}", issuer.url(), PoolUser::named(name).subject()));
        let api = self.api_client(backend, &format!("{mode}.owner"));
        self.owners.insert(mode, Owner { api, writer: user_id("writer"), reader: user_id("reader") });
    }

    async fn add_iam_callers(&mut self, backend: &Backend) {
        let users: BTreeMap<&str, _> = USERS.map(|name| (name, backend.iam_user(name))).into();
        for (name, user) in &users {
            self.add(format!("iam.{name}"), Caller::new(user.api.credentials().await.unwrap()));
        }
        self.add("iam.administrator", Caller::new(backend.administrator.credentials().await.unwrap()));
        for (function_name, function) in functions() {
            let name = function_name.trim_start_matches("parlance-").to_lowercase();
            let credentials = role_session(backend, &function_name, &function.role);
            self.add(format!("iam.{name}"), Caller::new(credentials));
        }
        self.add("iam.identity", Caller::new(identity_pool_session(backend)));
        self.add("iam.unpermitted", Caller::new(session_without_permissions(backend)));

        let Credentials::Iam(keys) = users["owner"].api.credentials().await.unwrap() else {
            unreachable!("an IAM user has IAM keys")
        };
        let with_keys = |keys| Caller::new(Credentials::Iam(keys));
        self.add("iam.forged", with_keys(IamKeys { secret_key: "another".into(), ..keys.clone() }));
        self.add("iam.unknown", with_keys(IamKeys { access_key: "AKIANOBODY".into(), ..keys.clone() }));
        self.add("iam.expired", Caller { clock_delay: TWO_HOURS, ..with_keys(keys) });
        let user_id = |name: &str| Some(users[name].id.clone());
        let api = users["owner"].api.clone();
        self.owners.insert("iam", Owner { api, writer: user_id("writer"), reader: user_id("reader") });
    }

    fn api_client(&self, backend: &Backend, name: &str) -> AppSync {
        let credentials = self.get(name).credentials.clone().expect("an owner has credentials");
        AppSync::new(&backend.server.endpoint.url, credentials).unwrap()
    }
}

/// A caller with an access token of the issuer in which these claims are replaced.
fn token_caller(issuer: &LocalIssuer, user: PoolUser, replaced: Value) -> Caller {
    let mut claims = issuer.claims(&user, TokenUse::Access, SystemTime::now());
    let members = claims.as_object_mut().unwrap();
    members.extend(replaced.as_object().cloned().unwrap_or_default());
    Caller::new(Credentials::Token(issuer.key().sign(&claims).unwrap()))
}

fn identity_pool_session(backend: &Backend) -> Credentials {
    let identity = CognitoIdentity {
        pool_id: "us-east-1:pool".into(),
        identity_id: "us-east-1:somebody".into(),
        provider: Some("cognito-idp.us-east-1.amazonaws.com/us-east-1_a:CognitoSignIn:somebody".into()),
    };
    let keys = ["ASIAPOOLED", "pooled-secret", "pooled-token"].map(str::to_owned);
    let allow_all = json!({ "Effect": "Allow", "Action": "appsync:GraphQL", "Resource": "*" });
    let role = "arn:aws:iam::000000000000:role/Authenticated";
    let principal = Principal::identity_pool_user(identity, role, keys.clone(), &[allow_all]);
    backend.server.authenticator.add_principal(principal);
    iam_credentials(backend, keys)
}

/// The Lambda functions of the template, by name.
fn functions() -> BTreeMap<String, Function> {
    let deployment = Deployment::at("http://localhost", BTreeMap::new());
    template::load(Path::new(env!("CARGO_MANIFEST_DIR")), &deployment).unwrap().functions
}

fn role_session(backend: &Backend, session: &str, role: &Role) -> Credentials {
    let keys = ["key", "secret", "token"].map(|part| format!("{session}-{part}"));
    let principal = Principal::role_session(&role.arn, session, keys.clone(), &role.statements);
    backend.server.authenticator.add_principal(principal);
    iam_credentials(backend, keys)
}

fn session_without_permissions(backend: &Backend) -> Credentials {
    let role = Role { arn: "arn:aws:iam::000000000000:role/Unpermitted".into(), statements: Vec::new() };
    role_session(backend, "unpermitted", &role)
}

fn iam_credentials(backend: &Backend, [access_key, secret_key, token]: [String; 3]) -> Credentials {
    let region = backend.server.endpoint.region.clone();
    Credentials::Iam(IamKeys { access_key, secret_key, session_token: Some(token), region })
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
