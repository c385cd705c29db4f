//! Callers with tokens of a user pool and of an OpenID Connect provider.
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{Router, extract::Request, middleware::from_fn};
use fancy_regex::Regex;
use local::{
    graphql::ApiSettings,
    identity::{LOCAL_CLIENT_ID, LocalIssuer, LocalIssuers, PoolUser, SigningKey, TokenUse, router},
    stack::{AuthMode, IssuerKind, TokenIssuer},
};
use reqwest::Client;
use serde_json::{Value, json};

use crate::{
    api::{Server, api},
    http::{Told, post},
    signing::ADMINISTRATOR,
    socket::{Handshake, Socket, acknowledged, data},
};

const WHO: &str = r#"{"query":"{ whoami }"}"#;

/// An API that trusts issuers of its own.
struct Realm {
    server: Server,
    issuers: LocalIssuers,
    /// How often keys were asked for.
    asked: Arc<AtomicUsize>,
}

impl Realm {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let home = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let clients = Some(Regex::new(&format!("^{LOCAL_CLIENT_ID}$")).unwrap());
        let of_provider = IssuerKind::OpenId { iat_ttl: None, auth_ttl: None };
        let mut api = api();
        api.modes.extend([AuthMode::UserPool, AuthMode::OpenId]);
        api.issuers = vec![
            TokenIssuer { url: LocalIssuers::pool_url(&home), clients: clients.clone(), kind: IssuerKind::UserPool },
            TokenIssuer { url: LocalIssuers::oidc_url(&home), clients, kind: of_provider },
        ];
        let issuers = LocalIssuers::load(&api.issuers, &home, vec![king(), PoolUser::named("bob")], None).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let service = counted(router(&issuers), asked.clone()).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { server: Server::start_with(api, ApiSettings::default()).await, issuers, asked }
    }

    fn pool(&self) -> &LocalIssuer {
        self.issuers.pool.as_ref().unwrap()
    }

    fn oidc(&self) -> &LocalIssuer {
        self.issuers.oidc.as_ref().unwrap()
    }

    /// A token of the king's, with some claims changed.
    fn token(&self, changed: Value) -> String {
        self.pool().key().sign(&claims(self.pool(), TokenUse::Access, changed)).unwrap()
    }

    async fn ask(&self, authorization: &str, body: &str) -> Told {
        post(&self.server, &[("authorization", authorization)], body).await
    }

    async fn open(&self, token: &str) -> Socket {
        let headers = json!({ "host": self.server.address.to_string(), "Authorization": token });
        Socket::open(&self.server, "/graphql/realtime", Handshake::SubProtocol(&headers)).await
    }
}

fn counted(router: Router, asked: Arc<AtomicUsize>) -> Router {
    router.layer(from_fn(move |request: Request, next: axum::middleware::Next| {
        if request.uri().path().ends_with("jwks.json") {
            asked.fetch_add(1, Ordering::Relaxed);
        }
        next.run(request)
    }))
}

fn king() -> PoolUser {
    PoolUser { name: "arthur".into(), groups: vec!["kings".into()] }
}

fn claims(issuer: &LocalIssuer, token_use: TokenUse, changed: Value) -> Value {
    let mut claims = issuer.claims(&king(), token_use, SystemTime::now());
    for (name, value) in changed.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn seen(told: &Told) -> Value {
    serde_json::from_str(told.body["data"]["whoami"].as_str().unwrap_or_else(|| panic!("{}", told.body))).unwrap()
}

#[tokio::test]
async fn resolvers_see_the_users_of_a_pool() {
    let realm = Realm::start().await;
    for token_use in [TokenUse::Id, TokenUse::Access] {
        let said = claims(realm.pool(), token_use, json!({}));
        let token = realm.pool().key().sign(&said).unwrap();
        for authorization in [token.clone(), format!("Bearer {token}")] {
            let expected = json!({ "sub": king().subject(), "issuer": realm.pool().url(), "username": "arthur",
                "sourceIp": ["127.0.0.1"], "groups": ["kings"], "defaultAuthStrategy": "ALLOW", "claims": said });
            let who = seen(&realm.ask(&authorization, WHO).await);
            assert_eq!((&who["identity"], &who["mode"]), (&expected, &json!("User Pool Authorization")));
        }
    }
}

#[tokio::test]
async fn resolvers_see_the_users_of_a_provider() {
    let realm = Realm::start().await;
    let said = claims(realm.oidc(), TokenUse::Id, json!({}));
    let who = seen(&realm.ask(&realm.oidc().key().sign(&said).unwrap(), WHO).await);
    let expected = json!({ "sub": king().subject(), "issuer": realm.oidc().url(), "claims": said });
    assert_eq!((&who["identity"], &who["mode"]), (&expected, &json!("Open ID Connect Authorization")));
}

#[tokio::test]
async fn who_has_no_good_token_is_refused_in_appsyncs_words() {
    let realm = Realm::start().await;
    let impostor = SigningKey::generate().unwrap().with_key_id(realm.pool().key().key_id());
    let stranger = SigningKey::generate().unwrap();
    let said = claims(realm.pool(), TokenUse::Access, json!({}));
    let of_provider = claims(realm.pool(), TokenUse::Access, json!({ "iss": realm.oidc().url() }));
    let (expired, refused) = ("Token has expired.", "You are not authorized to make this call.");
    let cases = [
        ("meow".to_owned(), "Unable to parse JWT token."),
        ("Basic eDp5".to_owned(), "Unable to parse JWT token."),
        (realm.token(json!({ "exp": 1_000_000_000 })), expired),
        (realm.token(json!({ "client_id": "other" })), refused),
        (realm.token(json!({ "token_use": "refresh" })), refused),
        (realm.token(json!({ "iss": "https://other.example.com" })), refused),
        (realm.token(json!({ "iss": realm.oidc().url() })), refused),
        (realm.pool().key().sign(&of_provider).unwrap(), refused),
        (impostor.sign(&said).unwrap(), refused),
        (stranger.sign(&said).unwrap(), refused),
        ("AWS4-HMAC-SHA256 meow".to_owned(), "Valid authorization header not provided."),
    ];
    for (authorization, message) in cases {
        let told = realm.ask(&authorization, WHO).await;
        assert_eq!((told.status, told.error_type.as_str()), (401, "UnauthorizedException"), "{authorization}");
        let entry = json!({ "errorType": "UnauthorizedException", "message": message });
        assert_eq!(told.body, json!({ "errors": [entry] }), "{authorization}");
    }
}

#[tokio::test]
async fn a_field_that_names_groups_is_for_their_members() {
    let realm = Realm::start().await;
    let throne = r#"{"query":"{ throne whoami }"}"#;
    let told = realm.ask(&realm.token(json!({})), throne).await;
    assert_eq!(told.body["data"]["throne"], json!("Sit down."));
    let bob = realm.pool().issue_tokens("bob", SystemTime::now()).unwrap();
    let provided = realm.oidc().issue_tokens("arthur", SystemTime::now()).unwrap();
    for token in [bob.access_token, bob.id_token, provided.id_token] {
        let told = realm.ask(&token, throne).await;
        assert_eq!(told.body["data"]["throne"], Value::Null);
        assert_eq!(told.body["errors"][0]["message"], "Not Authorized to access throne on type Query");
        seen(&told);
    }
}

#[tokio::test]
async fn signatures_and_keys_are_good_beside_tokens() {
    let realm = Realm::start().await;
    let signed = ADMINISTRATOR.headers(&realm.server.address.to_string(), "/graphql", WHO);
    let signed: Vec<_> = signed.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    assert_eq!(seen(&post(&realm.server, &signed, WHO).await)["mode"], "IAM Authorization");
    let keyed = post(&realm.server, &[("x-api-key", crate::api::KEY)], WHO).await;
    assert_eq!(seen(&keyed), json!({ "identity": null, "mode": "API Key Authorization" }));
}

#[tokio::test]
async fn an_issuers_keys_are_asked_for_once_and_again_for_a_key_nobody_knows() {
    let realm = Realm::start().await;
    let asked = || realm.asked.load(Ordering::Relaxed);
    assert_eq!(asked(), 0);
    let said = claims(realm.pool(), TokenUse::Access, json!({}));
    let unknown = SigningKey::generate().unwrap().sign(&said).unwrap();
    for _ in 0..3 {
        seen(&realm.ask(&realm.token(json!({})), WHO).await);
        assert_eq!(realm.ask(&unknown, WHO).await.status, 401);
    }
    assert_eq!(asked(), 1, "not at once again");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    for _ in 0..3 {
        assert_eq!(realm.ask(&unknown, WHO).await.status, 401);
        seen(&realm.ask(&realm.token(json!({})), WHO).await);
    }
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn a_token_subscribes() {
    let realm = Realm::start().await;
    let token = realm.token(json!({}));
    let mut socket = realm.open(&token).await;
    socket.initialize().await;
    let authorization = json!({ "host": realm.server.address.to_string(), "Authorization": format!("Bearer {token}") });
    let start = json!({ "query": "subscription { onPooled { id text } }" }).to_string();
    assert_eq!(socket.start_as("s", &start, authorization).await, acknowledged("s"));
    let published = realm.server.ask("mutation { publish(id: 7, text: \"t\") { id text } }", json!({})).await;
    assert_eq!(published.get("errors"), None);
    assert_eq!(socket.hear().await, data("s", json!({ "onPooled": { "id": "7", "text": "t" } })));
}

#[tokio::test]
async fn a_handshake_brings_its_token_as_any_client_does() {
    let realm = Realm::start().await;
    let token = realm.oidc().issue_tokens("anybody", SystemTime::now()).unwrap().access_token;
    let host = realm.server.address.to_string();
    let headers = json!({ "host": host, "authorization": token });
    let bearer = format!("Bearer {token}");
    let own = [("authorization", bearer.as_str())];
    for handshake in [Handshake::SubProtocol(&headers), Handshake::Query(&headers), Handshake::Headers(&own)] {
        Socket::open(&realm.server, "/graphql/realtime", handshake).await.initialize().await;
    }
}

#[tokio::test]
async fn a_bad_token_is_refused_where_it_is_shown() {
    let realm = Realm::start().await;
    let expired = realm.token(json!({ "exp": 1_000_000_000 }));
    let entry = |message: &str| json!({ "errorType": "UnauthorizedException", "message": message, "errorCode": 401 });
    for (token, message) in [(expired.as_str(), "Token has expired."), ("meow", "Unable to parse JWT token.")] {
        let mut socket = realm.open(token).await;
        let refused = json!({ "type": "connection_error", "payload": { "errors": [entry(message)] } });
        assert_eq!(socket.hear().await, Some(refused));
        assert_eq!(socket.hear().await, None);
    }
    let mut socket = realm.open(&realm.token(json!({}))).await;
    socket.initialize().await;
    let start = json!({ "query": "subscription { onPooled { id } }" }).to_string();
    let authorization = json!({ "host": realm.server.address.to_string(), "Authorization": expired });
    let refused = json!({ "id": "s", "type": "error", "payload": { "errors": [entry("Token has expired.")] } });
    assert_eq!(socket.start_as("s", &start, authorization).await, Some(refused));
}

#[tokio::test]
async fn an_issuer_gives_out_tokens_and_says_where_its_keys_are() {
    let realm = Realm::start().await;
    let (pool, oidc) = (realm.pool().url().to_owned(), realm.oidc().url().to_owned());
    let ask = |url: String, form: &'static str| async move {
        let answer = Client::new().post(format!("{url}/token")).body(form).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    for (url, form) in [(&pool, "username=bob"), (&oidc, "grant_type=password&username=any%20body")] {
        let (status, tokens) = ask(url.clone(), form).await;
        assert_eq!((status, &tokens["token_type"], &tokens["expires_in"]), (200, &json!("Bearer"), &json!(3600)));
        for token in ["id_token", "access_token"] {
            seen(&realm.ask(tokens[token].as_str().unwrap(), WHO).await);
        }
    }
    let unknown = json!({ "error": "invalid_grant", "error_description": "there is no user 'mallory'" });
    assert_eq!(ask(pool.clone(), "username=mallory").await, (400, unknown));
    let empty = json!({ "error": "invalid_request", "error_description": "a form with a username is required" });
    assert_eq!(ask(pool.clone(), "user=bob").await, (400, empty));

    let rebound = Client::new().post(format!("{pool}/token")).header("host", "evil.example").body("username=bob");
    assert_eq!(rebound.send().await.unwrap().status(), 400);

    for (issuer, url) in [(realm.pool(), pool), (realm.oidc(), oidc)] {
        let get = |place: String| async move { reqwest::get(place).await.unwrap().json::<Value>().await.unwrap() };
        let discovered = get(format!("{url}/.well-known/openid-configuration")).await;
        assert_eq!(discovered["issuer"], json!(url));
        assert_eq!(get(discovered["jwks_uri"].as_str().unwrap().to_owned()).await, issuer.jwks());
    }
}
