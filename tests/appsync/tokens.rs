//! Authentication by tokens of a user pool and an OpenID Connect provider.
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
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
    fixture::{Server, api},
    http::{HttpResponse, post},
    signing::ADMINISTRATOR,
    socket::{Handshake, Socket, data_frame, start_ack},
};

const WHOAMI: &str = r#"{"query":"{ whoami }"}"#;

/// An API that trusts local issuers.
struct Fixture {
    server: Server,
    issuers: LocalIssuers,
    /// The number of requests for the issuers' keys.
    jwks_requests: Arc<AtomicUsize>,
}

impl Fixture {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer_server = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let clients = Some(Regex::new(&format!("^{LOCAL_CLIENT_ID}$")).unwrap());
        let oidc_kind = IssuerKind::OpenId { iat_ttl: None, auth_ttl: None };
        let mut api = api();
        api.modes.extend([AuthMode::UserPool, AuthMode::OpenId]);
        api.issuers = vec![
            TokenIssuer {
                url: LocalIssuers::pool_url(&issuer_server),
                clients: clients.clone(),
                kind: IssuerKind::UserPool,
            },
            TokenIssuer { url: LocalIssuers::oidc_url(&issuer_server), clients, kind: oidc_kind },
        ];
        let issuers =
            LocalIssuers::load(&api.issuers, &issuer_server, vec![grouped_user(), PoolUser::named("bob")], None)
                .unwrap();
        let jwks_requests = Arc::new(AtomicUsize::new(0));
        let service = count_jwks_requests(router(&issuers), jwks_requests.clone())
            .into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { server: Server::start_with(api, ApiSettings::default()).await, issuers, jwks_requests }
    }

    fn pool(&self) -> &LocalIssuer {
        self.issuers.pool.as_ref().unwrap()
    }

    fn oidc(&self) -> &LocalIssuer {
        self.issuers.oidc.as_ref().unwrap()
    }

    /// An access token of the user `arthur` with some claims changed.
    fn token(&self, changed: Value) -> String {
        self.pool().key().sign(&claims(self.pool(), TokenUse::Access, changed)).unwrap()
    }

    async fn post(&self, authorization: &str, body: &str) -> HttpResponse {
        post(&self.server, &[("authorization", authorization)], body).await
    }

    async fn open_socket(&self, token: &str) -> Socket {
        let headers = json!({ "host": self.server.address.to_string(), "Authorization": token });
        Socket::open(&self.server, "/graphql/realtime", Handshake::SubProtocol(&headers)).await
    }
}

/// Counts the requests for keys.
fn count_jwks_requests(router: Router, count: Arc<AtomicUsize>) -> Router {
    router.layer(from_fn(move |request: Request, next: axum::middleware::Next| {
        if request.uri().path().ends_with("jwks.json") {
            count.fetch_add(1, Ordering::Relaxed);
        }
        next.run(request)
    }))
}

fn grouped_user() -> PoolUser {
    PoolUser { name: "arthur".into(), groups: vec!["editors".into()] }
}

fn claims(issuer: &LocalIssuer, token_use: TokenUse, changed: Value) -> Value {
    let mut claims = issuer.claims(&grouped_user(), token_use, SystemTime::now());
    for (name, value) in changed.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// The result of the `whoami` field.
fn whoami(response: &HttpResponse) -> Value {
    let text = response.body["data"]["whoami"].as_str();
    serde_json::from_str(text.unwrap_or_else(|| panic!("{}", response.body))).unwrap()
}

#[tokio::test]
async fn identity_of_a_pool_token_has_username_and_groups() {
    let fixture = Fixture::start().await;
    for token_use in [TokenUse::Id, TokenUse::Access] {
        let claims_json = claims(fixture.pool(), token_use, json!({}));
        let token = fixture.pool().key().sign(&claims_json).unwrap();
        for authorization in
            [token.clone(), format!("Bearer {token}"), format!("bearer {token}"), format!("BEARER  {token}")]
        {
            let expected = json!({ "sub": grouped_user().subject(), "issuer": fixture.pool().url(), "username": "arthur",
                "sourceIp": ["127.0.0.1"], "groups": ["editors"], "defaultAuthStrategy": "ALLOW", "claims": claims_json });
            let caller = whoami(&fixture.post(&authorization, WHOAMI).await);
            assert_eq!((&caller["identity"], &caller["mode"]), (&expected, &json!("User Pool Authorization")));
        }
    }
}

#[tokio::test]
async fn identity_of_an_oidc_token_has_claims() {
    let fixture = Fixture::start().await;
    let claims_json = claims(fixture.oidc(), TokenUse::Id, json!({}));
    let caller = whoami(&fixture.post(&fixture.oidc().key().sign(&claims_json).unwrap(), WHOAMI).await);
    let expected = json!({ "sub": grouped_user().subject(), "issuer": fixture.oidc().url(), "claims": claims_json });
    assert_eq!((&caller["identity"], &caller["mode"]), (&expected, &json!("Open ID Connect Authorization")));
}

#[tokio::test]
async fn invalid_tokens_have_appsyncs_errors() {
    let fixture = Fixture::start().await;
    let impostor = SigningKey::generate().unwrap().with_key_id(fixture.pool().key().key_id());
    let unknown_key = SigningKey::generate().unwrap();
    let claims_json = claims(fixture.pool(), TokenUse::Access, json!({}));
    let claims_of_other_issuer = claims(fixture.pool(), TokenUse::Access, json!({ "iss": fixture.oidc().url() }));
    let (expired, not_authorized) = ("Token has expired.", "You are not authorized to make this call.");
    let cases = [
        ("meow".to_owned(), "Unable to parse JWT token."),
        ("Basic eDp5".to_owned(), "Unable to parse JWT token."),
        (fixture.token(json!({ "exp": 1_000_000_000 })), expired),
        (fixture.token(json!({ "client_id": "other" })), not_authorized),
        (fixture.token(json!({ "token_use": "refresh" })), not_authorized),
        (fixture.token(json!({ "iss": "https://other.example.com" })), not_authorized),
        (fixture.token(json!({ "iss": fixture.oidc().url() })), not_authorized),
        (fixture.pool().key().sign(&claims_of_other_issuer).unwrap(), not_authorized),
        (impostor.sign(&claims_json).unwrap(), not_authorized),
        (unknown_key.sign(&claims_json).unwrap(), not_authorized),
        ("AWS4-HMAC-SHA256 meow".to_owned(), "Valid authorization header not provided."),
    ];
    for (authorization, message) in cases {
        let response = fixture.post(&authorization, WHOAMI).await;
        assert_eq!((response.status, response.error_type.as_str()), (401, "UnauthorizedException"), "{authorization}");
        let entry = json!({ "errorType": "UnauthorizedException", "message": message });
        assert_eq!(response.body, json!({ "errors": [entry] }), "{authorization}");
    }
}

#[tokio::test]
async fn field_with_groups_requires_membership() {
    let fixture = Fixture::start().await;
    let query = r#"{"query":"{ restricted whoami }"}"#;
    let response = fixture.post(&fixture.token(json!({})), query).await;
    assert_eq!(response.body["data"]["restricted"], json!("Members only."));
    let bob = fixture.pool().issue_tokens("bob", SystemTime::now()).unwrap();
    let oidc_tokens = fixture.oidc().issue_tokens("arthur", SystemTime::now()).unwrap();
    for token in [bob.access_token, bob.id_token, oidc_tokens.id_token] {
        let response = fixture.post(&token, query).await;
        assert_eq!(response.body["data"]["restricted"], Value::Null);
        assert_eq!(response.body["errors"][0]["message"], "Not Authorized to access restricted on type Query");
        whoami(&response);
    }
}

#[tokio::test]
async fn signatures_and_api_keys_are_accepted_beside_tokens() {
    let fixture = Fixture::start().await;
    let signed =
        ADMINISTRATOR.headers("appsync", "POST", &fixture.server.address.to_string(), "/graphql", WHOAMI.as_bytes());
    let signed: Vec<_> = signed.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    assert_eq!(whoami(&post(&fixture.server, &signed, WHOAMI).await)["mode"], "IAM Authorization");
    let with_key = post(&fixture.server, &[("x-api-key", crate::fixture::KEY)], WHOAMI).await;
    assert_eq!(whoami(&with_key), json!({ "identity": null, "mode": "API Key Authorization" }));
}

#[tokio::test]
async fn api_key_wins_over_a_token_on_http_handshake_and_start() {
    let fixture = Fixture::start().await;
    let token = fixture.token(json!({}));
    for authorization in [token.as_str(), "meow", ""] {
        let headers = [("x-api-key", crate::fixture::KEY), ("authorization", authorization)];
        let response = post(&fixture.server, &headers, WHOAMI).await;
        assert_eq!(whoami(&response)["mode"], "API Key Authorization", "{authorization}");
        let host = fixture.server.address.to_string();
        let both = json!({ "host": host, "x-api-key": crate::fixture::KEY, "Authorization": authorization });
        let mut socket = Socket::open(&fixture.server, "/graphql/realtime", Handshake::SubProtocol(&both)).await;
        socket.initialize().await;
        let pooled = json!({ "query": "subscription { onPooled { id } }" }).to_string();
        let refused = socket.start_with_headers("s", &pooled, both).await.unwrap();
        assert_eq!(refused["payload"]["errors"][0]["errorType"], "Unauthorized", "{authorization}");
    }
    let headers = [("x-api-key", "da2-wrong"), ("authorization", token.as_str())];
    assert_eq!(post(&fixture.server, &headers, WHOAMI).await.status, 401);
}

#[tokio::test]
async fn keys_are_fetched_once_and_again_for_an_unknown_key_id() {
    let fixture = Fixture::start().await;
    let request_count = || fixture.jwks_requests.load(Ordering::Relaxed);
    assert_eq!(request_count(), 0);
    let claims_json = claims(fixture.pool(), TokenUse::Access, json!({}));
    let unknown = SigningKey::generate().unwrap().sign(&claims_json).unwrap();
    for _ in 0..3 {
        whoami(&fixture.post(&fixture.token(json!({})), WHOAMI).await);
    }
    assert_eq!(request_count(), 1);
    for count in 2..=4 {
        assert_eq!(fixture.post(&unknown, WHOAMI).await.status, 401);
        assert_eq!(request_count(), count);
    }
}

#[tokio::test]
async fn token_authenticates_a_subscription() {
    let fixture = Fixture::start().await;
    let token = fixture.token(json!({}));
    let mut socket = fixture.open_socket(&token).await;
    socket.initialize().await;
    let authorization =
        json!({ "host": fixture.server.address.to_string(), "Authorization": format!("Bearer {token}") });
    let start = json!({ "query": "subscription { onPooled { id text } }" }).to_string();
    assert_eq!(socket.start_with_headers("s", &start, authorization).await, start_ack("s"));
    let published = fixture.server.execute("mutation { publish(id: 7, text: \"t\") { id text } }", json!({})).await;
    assert_eq!(published.get("errors"), None);
    assert_eq!(socket.receive().await, data_frame("s", json!({ "onPooled": { "id": "7", "text": "t" } })));
}

#[tokio::test]
async fn handshake_accepts_tokens_in_every_place() {
    let fixture = Fixture::start().await;
    let token = fixture.oidc().issue_tokens("anybody", SystemTime::now()).unwrap().access_token;
    let host = fixture.server.address.to_string();
    let headers = json!({ "host": host, "authorization": token });
    let bearer = format!("Bearer {token}");
    let http_headers = [("authorization", bearer.as_str())];
    for handshake in [Handshake::SubProtocol(&headers), Handshake::Query(&headers), Handshake::Headers(&http_headers)] {
        Socket::open(&fixture.server, "/graphql/realtime", handshake).await.initialize().await;
    }
}

#[tokio::test]
async fn invalid_token_is_rejected_in_handshake_and_start() {
    let fixture = Fixture::start().await;
    let expired = fixture.token(json!({ "exp": 1_000_000_000 }));
    let entry = |message: &str| json!({ "errorType": "UnauthorizedException", "message": message, "errorCode": 401 });
    for (token, message) in [(expired.as_str(), "Token has expired."), ("meow", "Unable to parse JWT token.")] {
        let mut socket = fixture.open_socket(token).await;
        let error_frame = json!({ "type": "connection_error", "payload": { "errors": [entry(message)] } });
        assert_eq!(socket.receive().await, Some(error_frame));
        assert_eq!(socket.receive().await, None);
    }
    let mut socket = fixture.open_socket(&fixture.token(json!({}))).await;
    socket.initialize().await;
    let start = json!({ "query": "subscription { onPooled { id } }" }).to_string();
    let authorization = json!({ "host": fixture.server.address.to_string(), "Authorization": expired });
    let error_frame = json!({ "id": "s", "type": "error", "payload": { "errors": [entry("Token has expired.")] } });
    assert_eq!(socket.start_with_headers("s", &start, authorization).await, Some(error_frame));
}

#[tokio::test]
async fn local_issuers_issue_tokens_and_publish_keys() {
    let fixture = Fixture::start().await;
    let (pool, oidc) = (fixture.pool().url().to_owned(), fixture.oidc().url().to_owned());
    let request_tokens = |url: String, form: &'static str| async move {
        let response = Client::new().post(format!("{url}/token")).body(form).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    for (url, form) in [(&pool, "username=bob"), (&oidc, "grant_type=password&username=any%20body")] {
        let (status, tokens) = request_tokens(url.clone(), form).await;
        assert_eq!((status, &tokens["token_type"], &tokens["expires_in"]), (200, &json!("Bearer"), &json!(3600)));
        for token in ["id_token", "access_token"] {
            whoami(&fixture.post(tokens[token].as_str().unwrap(), WHOAMI).await);
        }
    }
    let unknown = json!({ "error": "invalid_grant", "error_description": "there is no user 'mallory'" });
    assert_eq!(request_tokens(pool.clone(), "username=mallory").await, (400, unknown));
    let empty = json!({ "error": "invalid_request", "error_description": "a form with a username is required" });
    assert_eq!(request_tokens(pool.clone(), "user=bob").await, (400, empty));

    let with_other_host =
        Client::new().post(format!("{pool}/token")).header("host", "evil.example").body("username=bob");
    assert_eq!(with_other_host.send().await.unwrap().status(), 400);

    for (issuer, url) in [(fixture.pool(), pool), (fixture.oidc(), oidc)] {
        let get = |url: String| async move { reqwest::get(url).await.unwrap().json::<Value>().await.unwrap() };
        let document = get(format!("{url}/.well-known/openid-configuration")).await;
        assert_eq!(document["issuer"], json!(url));
        assert_eq!(get(document["jwks_uri"].as_str().unwrap().to_owned()).await, issuer.jwks());
    }
}
