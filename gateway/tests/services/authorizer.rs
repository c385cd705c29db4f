use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_lc_rs::hmac;
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use gateway::{
    authorizer::{Authorizer, AuthorizerError},
    settings::{AcceptedApiKey, AuthorizerSettings},
};
use serde_json::{Value, json};
use tokens::{IssuerKind, SigningKey, TokenIssuer, parse_client_pattern};
use tokio::net::TcpListener;

const NOW: u64 = 1_795_000_000;
const ARN: &str = "arn:aws:execute-api:eu-west-1:123456789012:abc/prod/$connect";
const API_KEY: &str = "da2-0123456789abcdefghijklmnop";

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());

/// A user pool and an OpenID Connect provider with the same key.
#[derive(Clone)]
struct Issuers {
    url: String,
    is_down: Arc<AtomicBool>,
    fetches: Arc<AtomicUsize>,
}

impl Issuers {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let issuers = Self { url, is_down: Arc::default(), fetches: Arc::default() };
        let router = Router::new()
            .route("/pool/.well-known/jwks.json", get(keys))
            .route("/oidc/.well-known/openid-configuration", get(discovery))
            .route("/oidc/keys", get(keys))
            .with_state(issuers.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        issuers
    }

    fn pool(&self) -> String {
        format!("{}/pool", self.url)
    }

    fn oidc(&self) -> String {
        format!("{}/oidc", self.url)
    }

    fn authorizer(&self) -> Authorizer {
        self.authorizer_with_key(Some(AcceptedApiKey { text: API_KEY.into(), expires: None }))
    }

    fn authorizer_with_key(&self, api_key: Option<AcceptedApiKey>) -> Authorizer {
        let clients = || Some(parse_client_pattern("^(web|app)$").unwrap());
        let oidc = IssuerKind::OpenId { iat_ttl: None, auth_ttl: None };
        let issuers = vec![
            TokenIssuer { url: self.pool(), clients: clients(), kind: IssuerKind::UserPool },
            TokenIssuer { url: self.oidc(), clients: clients(), kind: oidc },
        ];
        Authorizer::new(AuthorizerSettings { issuers, api_key })
    }

    /// The claims of a valid access token of the pool, with some changed. Null removes a claim.
    fn claims(&self, changed: Value) -> Value {
        let mut claims = json!({ "iss": self.pool(), "sub": "ann", "iat": NOW - 60, "exp": NOW + 3_600,
            "token_use": "access", "client_id": "web", "username": "ann", "cognito:groups": ["staff"] });
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }

    fn token(&self, changed: Value) -> String {
        KEY.sign(&self.claims(changed)).unwrap()
    }
}

async fn keys(State(issuers): State<Issuers>) -> (StatusCode, Json<Value>) {
    issuers.fetches.fetch_add(1, Ordering::SeqCst);
    match issuers.is_down.load(Ordering::SeqCst) {
        true => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({}))),
        false => (StatusCode::OK, Json(json!({ "keys": [KEY.to_jwk()] }))),
    }
}

async fn discovery(State(issuers): State<Issuers>) -> Json<Value> {
    Json(json!({ "issuer": issuers.oidc(), "jwks_uri": format!("{}/keys", issuers.oidc()) }))
}

fn event(headers: &[(&str, &str)], query: &[(&str, &str)]) -> Value {
    let mut event = json!({
        "type": "REQUEST",
        "methodArn": ARN,
        "requestContext": { "routeKey": "$connect", "eventType": "CONNECT", "connectionId": "Sy1hsd8_IAMCLAQ=" },
    });
    for (member, pairs) in [("eaders", headers), ("ueryStringParameters", query)] {
        let (first, upper) = if member == "eaders" { ("h", "H") } else { ("q", "Q") };
        for (name, value) in pairs {
            event[format!("{first}{member}")][*name] = json!(value);
            let all = &mut event[format!("multiValue{upper}{member}")][*name];
            if all.is_null() {
                *all = json!([]);
            }
            all.as_array_mut().unwrap().push(json!(value));
        }
    }
    event
}

async fn decide(authorizer: &Authorizer, event: Value) -> Result<Value, AuthorizerError> {
    authorizer.serve(event, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)).await
}

fn policy(effect: &str) -> Value {
    let statement = json!({ "Action": "execute-api:Invoke", "Effect": effect, "Resource": ARN });
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

fn denied() -> Value {
    json!({ "principalId": "unknown", "policyDocument": policy("Deny") })
}

async fn is_allowed(authorizer: &Authorizer, token: &str) -> bool {
    let result = decide(authorizer, event(&[], &[("token", token)])).await.unwrap();
    assert!(result == denied() || result["policyDocument"] == policy("Allow"), "{result}");
    result != denied()
}

#[tokio::test]
async fn user_of_a_pool_connects_with_an_access_token_or_an_id_token() {
    let issuers = Issuers::start().await;
    let authorizer = issuers.authorizer();
    let id_token =
        json!({ "token_use": "id", "client_id": null, "aud": "app", "cognito:username": "ann", "username": null });
    for changed in [json!({}), id_token] {
        let caller = json!({ "issuer": issuers.pool(), "sub": "ann", "name": "ann", "groups": ["staff"] });
        let result = decide(&authorizer, event(&[], &[("token", &issuers.token(changed))])).await.unwrap();
        assert_eq!(result["principalId"], json!(format!("{}#ann", issuers.pool())));
        assert_eq!(
            (&result["policyDocument"], &result["context"]["expiresAt"]),
            (&policy("Allow"), &json!(NOW + 3_600))
        );
        let given: Value = serde_json::from_str(result["context"]["caller"].as_str().unwrap()).unwrap();
        assert_eq!(given, caller);
    }
    assert_eq!(issuers.fetches.load(Ordering::SeqCst), 1, "the keys are kept");
}

#[tokio::test]
async fn user_of_a_provider_connects() {
    let issuers = Issuers::start().await;
    let authorizer = issuers.authorizer();
    let provider = |changed: Value| {
        let mut claims = json!({ "iss": issuers.oidc(), "token_use": null, "client_id": null, "aud": ["api", "web"],
            "cognito:groups": null, "groups": ["staff"], "name": "Ann" });
        claims.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        issuers.token(claims)
    };
    let result = decide(&authorizer, event(&[("Authorization", &provider(json!({})))], &[])).await.unwrap();
    let given: Value = serde_json::from_str(result["context"]["caller"].as_str().unwrap()).unwrap();
    assert_eq!(given, json!({ "issuer": issuers.oidc(), "sub": "ann", "name": "Ann", "groups": ["staff"] }));
    for (changed, expected) in [
        (json!({ "aud": "web" }), true),
        (json!({ "aud": "api", "azp": "app" }), true),
        (json!({ "aud": "api" }), false),
        (json!({ "aud": "webbed" }), false),
        (json!({ "aud": null }), false),
    ] {
        assert_eq!(is_allowed(&authorizer, &provider(changed.clone())).await, expected, "{changed}");
    }
}

#[tokio::test]
async fn broken_tokens_are_refused() {
    let issuers = Issuers::start().await;
    let authorizer = issuers.authorizer();
    assert!(is_allowed(&authorizer, &issuers.token(json!({}))).await);
    for changed in [
        json!({ "exp": NOW }),
        json!({ "exp": NOW - 1 }),
        json!({ "exp": null }),
        json!({ "nbf": NOW + 61 }),
        json!({ "iat": NOW + 61 }),
        json!({ "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Other" }),
        json!({ "iss": null }),
        json!({ "client_id": "other" }),
        json!({ "client_id": "webbed" }),
        json!({ "client_id": null }),
        json!({ "token_use": "refresh" }),
        json!({ "token_use": null }),
        json!({ "token_use": "id", "aud": "other" }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": "ä" }),
        json!({ "sub": "s".repeat(256) }),
    ] {
        assert!(!is_allowed(&authorizer, &issuers.token(changed.clone())).await, "{changed}");
    }
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let issuers = Issuers::start().await;
    let authorizer = issuers.authorizer();
    let valid = issuers.token(json!({}));
    let (message, signature) = valid.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let encode = |part: Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let with_header = |header: Value, signature: &str| format!("{}.{payload}.{signature}", encode(header));
    // The public key, as everybody can read it, in the place of a secret.
    let modulus = KEY.to_jwk()["n"].as_str().unwrap().to_owned();
    let symmetric = format!("{}.{payload}", encode(json!({ "alg": "HS256", "typ": "JWT", "kid": KEY.key_id() })));
    let hmac_with = |secret: &[u8]| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), symmetric.as_bytes());
        format!("{symmetric}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
    };
    let other = SigningKey::generate().unwrap().with_key_id(KEY.key_id());
    let huge = issuers.token(json!({ "padding": "x".repeat(100_000) }));
    for (name, forged) in [
        ("other claims", format!("{header}.{}.{signature}", encode(issuers.claims(json!({ "sub": "bob" }))))),
        ("other key", other.sign(&issuers.claims(json!({}))).unwrap()),
        ("no signature", format!("{message}.")),
        ("alg none", with_header(json!({ "alg": "none", "kid": KEY.key_id() }), "")),
        ("alg None", with_header(json!({ "alg": "None", "kid": KEY.key_id() }), signature)),
        ("HS256 with the modulus", hmac_with(&BASE64_URL_SAFE_NO_PAD.decode(&modulus).unwrap())),
        ("HS256 with its text", hmac_with(modulus.as_bytes())),
        ("HS256 with the whole key", hmac_with(KEY.to_jwk().to_string().as_bytes())),
        ("no kid", with_header(json!({ "alg": "RS256" }), signature)),
        ("unknown kid", with_header(json!({ "alg": "RS256", "kid": "other" }), signature)),
        ("key of its own", with_header(json!({ "alg": "RS256", "jwk": other.to_jwk(), "kid": "other" }), signature)),
        ("two parts", message.to_owned()),
        ("four parts", format!("{valid}.{signature}")),
        ("no token", "ann".to_owned()),
        ("huge", huge),
    ] {
        assert!(!is_allowed(&authorizer, &forged).await, "{name}");
    }
}

#[tokio::test]
async fn api_key_connects_until_it_expires() {
    let issuers = Issuers::start().await;
    let expires = |seconds: u64| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    let result = |expires: Option<SystemTime>, key: &'static str| {
        let authorizer = issuers.authorizer_with_key(Some(AcceptedApiKey { text: API_KEY.into(), expires }));
        async move { decide(&authorizer, event(&[("x-api-key", key)], &[])).await.unwrap() }
    };
    let allowed =
        |context: Value| json!({ "principalId": "API_KEY", "policyDocument": policy("Allow"), "context": context });
    let caller = r#"{"apiKey":true}"#;
    assert_eq!(result(None, API_KEY).await, allowed(json!({ "caller": caller })));
    let until = allowed(json!({ "caller": caller, "expiresAt": NOW + 1 }));
    assert_eq!(result(expires(NOW + 1), API_KEY).await, until);
    assert_eq!(result(expires(NOW), API_KEY).await, denied());
    for wrong in ["da2-0123456789abcdefghijklmnoq", "da2-0123456789abcdefghijklmno", "da2", "."] {
        assert_eq!(result(None, wrong).await, denied(), "{wrong}");
    }
    let without = issuers.authorizer_with_key(None);
    assert_eq!(decide(&without, event(&[("x-api-key", API_KEY)], &[])).await.unwrap(), denied());
}

#[tokio::test]
async fn credential_is_in_the_query_a_subprotocol_or_a_header() {
    let issuers = Issuers::start().await;
    let authorizer = issuers.authorizer();
    let token = issuers.token(json!({}));
    let bearer = format!("Bearer {token}");
    let (with_token, with_key) = (format!("parlance, {token}"), format!("{API_KEY},parlance"));
    let (without, two) = (format!("chat, {token}"), format!("parlance, {token}, {API_KEY}"));
    let no_pairs: &[(&str, &str)] = &[];
    for (headers, query, expected) in [
        (no_pairs, &[("token", token.as_str())][..], true),
        (&[], &[("apiKey", API_KEY)], true),
        (&[("authorization", &token)], &[], true),
        (&[("Authorization", &bearer)], &[], true),
        (&[("X-Api-Key", API_KEY)], &[], true),
        (&[("Sec-WebSocket-Protocol", &with_token)], &[], true),
        (&[("sec-websocket-protocol", &with_key)], &[], true),
        (&[("Sec-WebSocket-Protocol", "parlance")], &[("token", &token)], true),
        (&[("x-api-key", "")], &[("token", &token)], true),
        (&[], &[], false),
        (&[], &[("token", "")], false),
        (&[], &[("Token", &token)], false),
        (&[("Sec-WebSocket-Protocol", &without)], &[], false),
        (&[("Authorization", API_KEY)], &[], false),
        (&[("x-api-key", &token)], &[], false),
        (&[("Sec-WebSocket-Protocol", &two)], &[], false),
        (&[("Authorization", &token)], &[("token", &token)], false),
        (&[("x-api-key", API_KEY)], &[("token", &token)], false),
        (&[("Sec-WebSocket-Protocol", &with_token)], &[("apiKey", API_KEY)], false),
        (&[], &[("token", &token), ("token", &token)], false),
        (&[("Authorization", &token), ("Authorization", &token)], &[], false),
    ] {
        let result = decide(&authorizer, event(headers, query)).await.unwrap();
        assert_eq!(result != denied(), expected, "{headers:?} {query:?}");
    }
}

#[tokio::test]
async fn issuer_that_is_down_fails_the_function() {
    let issuers = Issuers::start().await;
    let authorizer = issuers.authorizer();
    issuers.is_down.store(true, Ordering::SeqCst);
    let connect = event(&[], &[("token", &issuers.token(json!({})))]);
    assert_eq!(decide(&authorizer, connect.clone()).await, Err(AuthorizerError::KeysUnavailable));
    issuers.is_down.store(false, Ordering::SeqCst);
    assert_eq!(decide(&authorizer, connect.clone()).await, Err(AuthorizerError::KeysUnavailable), "not at once");
    assert_eq!(issuers.fetches.load(Ordering::SeqCst), 1);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(decide(&authorizer, connect).await.is_ok());
}

#[tokio::test]
async fn unknown_keys_are_fetched_once_a_minute() {
    let issuers = Issuers::start().await;
    let authorizer = issuers.authorizer();
    let unknown = SigningKey::generate().unwrap();
    for _ in 0..20 {
        assert!(!is_allowed(&authorizer, &unknown.sign(&issuers.claims(json!({}))).unwrap()).await);
    }
    assert_eq!(issuers.fetches.load(Ordering::SeqCst), 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::resume();
    assert!(!is_allowed(&authorizer, &unknown.sign(&issuers.claims(json!({}))).unwrap()).await);
    assert_eq!(issuers.fetches.load(Ordering::SeqCst), 2);
    assert!(is_allowed(&authorizer, &issuers.token(json!({}))).await, "known keys need no fetch");
}

#[tokio::test]
async fn caller_that_is_too_large_for_api_gateway_is_refused() {
    let issuers = Issuers::start().await;
    let authorizer = issuers.authorizer();
    let with_groups = |count: usize| {
        let groups: Vec<String> = (0..count).map(|number| format!("group-{number:02}{}", "x".repeat(60))).collect();
        issuers.token(json!({ "cognito:groups": groups, "name": "\"".repeat(500) }))
    };
    assert!(is_allowed(&authorizer, &with_groups(10)).await);
    assert!(!is_allowed(&authorizer, &with_groups(80)).await);
}

#[tokio::test]
async fn other_events_fail_the_function() {
    let authorizer = Issuers::start().await.authorizer();
    let mut without_arn = event(&[], &[("apiKey", API_KEY)]);
    without_arn.as_object_mut().unwrap().remove("methodArn");
    for event in [without_arn, json!(null), json!([]), json!({ "methodArn": ARN })] {
        assert_eq!(decide(&authorizer, event).await, Err(AuthorizerError::Event));
    }
}
