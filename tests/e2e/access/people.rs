//! Everybody in the matrix, with their credentials.
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

use super::asking::Caller;
use crate::backend::Backend;

/// Callers by their names in the matrix, and whose conversations they ask about.
pub struct People {
    callers: BTreeMap<String, Caller>,
    owners: BTreeMap<&'static str, Owner>,
}

/// Who has the conversations of a mode, and with whom they are shared.
pub struct Owner {
    pub api: AppSync,
    pub writer: Option<String>,
    pub reader: Option<String>,
}

const LONG_AGO: Duration = Duration::from_secs(2 * 60 * 60);

impl People {
    pub fn of(backend: &Backend) -> Self {
        let mut people = Self { callers: BTreeMap::new(), owners: BTreeMap::new() };
        people.add("nobody", Caller::NOBODY);
        people.add_keys(backend);
        let issuers = &backend.server.issuers;
        people.add_tokens(backend, "pool", issuers.pool.as_ref().expect("the stack has a user pool"));
        people.add_tokens(backend, "oidc", issuers.oidc.as_ref().expect("the stack trusts a provider"));
        people.add_signers(backend);
        people
    }

    pub fn named(&self, name: &str) -> &Caller {
        self.callers.get(name).unwrap_or_else(|| panic!("{name} is nobody"))
    }

    /// Whose conversations a caller asks about: a stranger with the API key a user's, everybody else those of their own mode.
    pub fn mode_of(&self, caller: &str) -> &'static str {
        let named = match caller {
            "key.stranger" => "pool",
            "nobody" => "key",
            other => other.split('.').next().unwrap_or_default(),
        };
        self.owners.keys().find(|mode| **mode == named).unwrap_or_else(|| panic!("{caller} has no mode"))
    }

    pub fn owner_of(&self, mode: &str) -> &Owner {
        &self.owners[mode]
    }

    fn add(&mut self, name: impl Into<String>, caller: Caller) {
        self.callers.insert(name.into(), caller);
    }

    fn add_keys(&mut self, backend: &Backend) {
        let key = backend.api.credentials();
        for (who, credentials) in
            [("owner", key.clone()), ("stranger", key.clone()), ("wrong", Credentials::ApiKey("da2-wrong".into()))]
        {
            self.add(format!("key.{who}"), Caller::with(credentials));
        }
        self.owners.insert("key", Owner { api: backend.api.clone(), writer: None, reader: None });
    }

    fn add_tokens(&mut self, backend: &Backend, mode: &'static str, issuer: &Arc<LocalIssuer>) {
        for who in ["owner", "writer", "reader", "stranger"] {
            self.add(format!("{mode}.{who}"), bearer(issuer, PoolUser::named(who), json!({})));
        }
        let administrator = PoolUser { groups: vec!["administrators".into()], ..PoolUser::named("administrator") };
        if mode == "pool" {
            self.add("pool.administrator", bearer(issuer, administrator, json!({})));
        }
        let past = seconds(SystemTime::now() - LONG_AGO);
        let spoilt = [
            ("expired", json!({ "iat": past, "auth_time": past, "exp": past + 60 })),
            ("audience", json!({ "aud": "another", "azp": "another", "client_id": "another" })),
            ("issuer", json!({ "iss": "https://issuer.example.com" })),
        ];
        for (who, claims) in spoilt {
            self.add(format!("{mode}.{who}"), bearer(issuer, PoolUser::named("owner"), claims));
        }
        let claims = issuer.claims(&PoolUser::named("owner"), TokenUse::Access, SystemTime::now());
        let forger = SigningKey::generate().unwrap().with_key_id(issuer.key().key_id());
        self.add(format!("{mode}.forged"), Caller::with(Credentials::Token(forger.sign(&claims).unwrap())));
        let id = |who: &str| Some(format!("{}#{}", issuer.url(), PoolUser::named(who).subject()));
        let owner =
            Owner { api: self.api(backend, &format!("{mode}.owner")), writer: id("writer"), reader: id("reader") };
        self.owners.insert(mode, owner);
    }

    fn add_signers(&mut self, backend: &Backend) {
        let mut users = BTreeMap::new();
        for who in ["owner", "writer", "reader", "stranger"] {
            let user = backend.user(who);
            self.add(format!("iam.{who}"), Caller::with(user.api.credentials().clone()));
            users.insert(who, user);
        }
        self.add("iam.administrator", Caller::with(backend.administrator.credentials().clone()));
        for (name, function) in functions() {
            let who = name.trim_start_matches("parlance-").to_lowercase();
            self.add(format!("iam.{who}"), Caller::with(admitted(backend, &name, &function.role)));
        }
        self.add("iam.identity", Caller::with(pooled(backend)));
        self.add("iam.unpermitted", Caller::with(unpermitted(backend)));
        let Credentials::Iam(keys) = users["owner"].api.credentials().clone() else { unreachable!("a user signs") };
        let spoilt = |keys| Caller::with(Credentials::Iam(keys));
        self.add("iam.forged", spoilt(IamKeys { secret_key: "another".into(), ..keys.clone() }));
        self.add("iam.unknown", spoilt(IamKeys { access_key: "AKIANOBODY".into(), ..keys.clone() }));
        self.add("iam.expired", Caller { ago: LONG_AGO, ..spoilt(keys) });
        let id = |who: &str| Some(users[who].id.clone());
        let owner = Owner { api: users["owner"].api.clone(), writer: id("writer"), reader: id("reader") };
        self.owners.insert("iam", owner);
    }

    fn api(&self, backend: &Backend, name: &str) -> AppSync {
        let credentials = self.named(name).credentials.clone().expect("an owner has credentials");
        AppSync::new(&backend.server.endpoint.url, credentials).unwrap()
    }
}

/// Somebody with a token of the issuer that says these things otherwise.
fn bearer(issuer: &LocalIssuer, user: PoolUser, otherwise: Value) -> Caller {
    let mut claims = issuer.claims(&user, TokenUse::Access, SystemTime::now());
    let claimed = claims.as_object_mut().unwrap();
    claimed.extend(otherwise.as_object().cloned().unwrap_or_default());
    Caller::with(Credentials::Token(issuer.key().sign(&claims).unwrap()))
}

fn pooled(backend: &Backend) -> Credentials {
    let identity = CognitoIdentity {
        pool_id: "us-east-1:pool".into(),
        identity_id: "us-east-1:somebody".into(),
        provider: Some("cognito-idp.us-east-1.amazonaws.com/us-east-1_a:CognitoSignIn:somebody".into()),
    };
    let [key, secret, token] = ["ASIAPOOLED", "pooled-secret", "pooled-token"].map(str::to_owned);
    let everything = json!({ "Effect": "Allow", "Action": "appsync:GraphQL", "Resource": "*" });
    let credentials = [key.clone(), secret.clone(), token.clone()];
    let role = "arn:aws:iam::000000000000:role/Authenticated";
    backend.server.authenticator.add_principal(Principal::identity_pool_user(
        identity,
        role,
        credentials,
        &[everything],
    ));
    signing(backend, [key, secret, token])
}

/// The stack's own, which have the rights of their roles and no others.
fn functions() -> BTreeMap<String, Function> {
    let deployment = Deployment::at("http://localhost", BTreeMap::new());
    template::load(Path::new(env!("CARGO_MANIFEST_DIR")), &deployment).unwrap().functions
}

fn admitted(backend: &Backend, session: &str, role: &Role) -> Credentials {
    let keys = ["key", "secret", "token"].map(|part| format!("{session}-{part}"));
    backend.server.authenticator.add_principal(Principal::role_session(
        &role.arn,
        session,
        keys.clone(),
        &role.statements,
    ));
    signing(backend, keys)
}

fn unpermitted(backend: &Backend) -> Credentials {
    let role = Role { arn: "arn:aws:iam::000000000000:role/Unpermitted".into(), statements: Vec::new() };
    admitted(backend, "unpermitted", &role)
}

fn signing(backend: &Backend, [access_key, secret_key, token]: [String; 3]) -> Credentials {
    let region = backend.server.endpoint.region.clone();
    Credentials::Iam(IamKeys { access_key, secret_key, session_token: Some(token), region })
}

fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
