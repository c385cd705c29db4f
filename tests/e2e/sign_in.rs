//! Users who sign in to a local issuer in a browser: OpenID Connect's code flow with PKCE.
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::{Client, Response, StatusCode, Url, redirect::Policy};
use serde_json::{Value, json};

use crate::backend::{Backend, execute};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Of a page that another server serves.
const REDIRECT_URI: &str = "http://localhost:5173/?view=chat";
const ORIGIN: &str = "http://localhost:5173";

/// A page with one issuer, as it sees it by the discovery document.
struct Page {
    http: Client,
    issuer: String,
    discovery: Value,
}

impl Page {
    async fn of(issuer: &str) -> Self {
        let http = Client::builder().redirect(Policy::none()).build().unwrap();
        let url = format!("{issuer}/.well-known/openid-configuration");
        let response = http.get(url).header("origin", ORIGIN).send().await.unwrap();
        assert_eq!(allowed_origin(&response), Some(ORIGIN));
        Self { discovery: response.json().await.unwrap(), http, issuer: issuer.to_owned() }
    }

    fn endpoint(&self, name: &str) -> &str {
        self.discovery[name].as_str().unwrap()
    }

    /// The address to which the page sends the browser.
    fn authorization_url(&self, changes: &[(&str, &str)]) -> Url {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let parameters = [
            ("client_id", "local"),
            ("redirect_uri", REDIRECT_URI),
            ("response_type", "code"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("scope", "openid"),
            ("state", "s&1"),
            ("nonce", "n-1"),
        ];
        let unchanged = parameters.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        Url::parse_with_params(self.endpoint("authorization_endpoint"), unchanged.chain(changes)).unwrap()
    }

    /// Opens the sign-in page and sends its form with this field. Returns where the browser is sent.
    async fn sign_in(&self, field: (&str, &str)) -> Response {
        let page = self.http.get(self.authorization_url(&[])).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::OK);
        let html = page.text().await.unwrap();
        let (_, rest) = html.split_once("action=\"").expect("the page has a form");
        let action = rest.split('"').next().unwrap().replace("&amp;", "&");
        let form = serde_urlencoded::to_string([field]).unwrap();
        self.http.post(action).body(form).send().await.unwrap()
    }

    async fn code_of(&self, name: &str) -> String {
        let callback = location(&self.sign_in(("username", name)).await);
        assert!(callback.as_str().starts_with(&format!("{REDIRECT_URI}&code=")), "{callback}");
        assert_eq!(parameter(&callback, "state").as_deref(), Some("s&1"));
        parameter(&callback, "code").unwrap()
    }

    async fn post(&self, endpoint: &str, form: &[(&str, &str)]) -> Response {
        let form = serde_urlencoded::to_string(form).unwrap();
        let request = self.http.post(self.endpoint(endpoint)).header("origin", ORIGIN);
        request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap()
    }

    async fn redeem(&self, code: &str, verifier: &str) -> (StatusCode, Value) {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", "local"),
            ("code", code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", verifier),
        ];
        let response = self.post("token_endpoint", &form).await;
        assert_eq!(allowed_origin(&response), Some(ORIGIN));
        assert_eq!(response.headers()["cache-control"], "no-store");
        (response.status(), response.json().await.unwrap())
    }

    async fn refresh(&self, refresh_token: &str) -> (StatusCode, Value) {
        let form = [("grant_type", "refresh_token"), ("client_id", "local"), ("refresh_token", refresh_token)];
        let response = self.post("token_endpoint", &form).await;
        (response.status(), response.json().await.unwrap())
    }
}

fn allowed_origin(response: &Response) -> Option<&str> {
    response.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap())
}

fn location(response: &Response) -> Url {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    response.headers()["location"].to_str().unwrap().parse().unwrap()
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn backend() -> Backend {
    Backend::with_users(&["ada:administrators", "bob"], []).await
}

fn pool(backend: &Backend) -> &str {
    backend.server.issuers.pool.as_ref().unwrap().url()
}

fn oidc(backend: &Backend) -> &str {
    backend.server.issuers.oidc.as_ref().unwrap().url()
}

#[tokio::test]
async fn users_of_the_pool_and_any_name_of_the_provider_sign_in() {
    let backend = backend().await;
    for (issuer, name, token) in [(pool(&backend), "ada", "access_token"), (oidc(&backend), "Zoë of “<x>&", "id_token")]
    {
        let page = Page::of(issuer).await;
        let code = page.code_of(name).await;
        let (status, tokens) = page.redeem(&code, VERIFIER).await;
        assert_eq!(
            (status, &tokens["token_type"], &tokens["expires_in"]),
            (StatusCode::OK, &json!("Bearer"), &json!(3600))
        );
        let id_claims = claims(&tokens["id_token"]);
        assert_eq!(
            (&id_claims["iss"], &id_claims["aud"], &id_claims["nonce"]),
            (&json!(issuer), &json!("local"), &json!("n-1"))
        );
        assert_eq!(claims(&tokens["access_token"]).get("nonce"), None);

        let (status, refreshed) = page.refresh(tokens["refresh_token"].as_str().unwrap()).await;
        assert_eq!((status, refreshed.get("refresh_token")), (StatusCode::OK, None));
        let new_claims = claims(&refreshed["id_token"]);
        assert_eq!((&new_claims["sub"], &new_claims["auth_time"]), (&id_claims["sub"], &id_claims["auth_time"]));
        assert_eq!(new_claims.get("nonce"), None);
        for tokens in [&tokens, &refreshed] {
            let api = backend.client_with_token(tokens[token].as_str().unwrap().to_owned());
            let caller = execute(&api, "{ getCaller { id isAdministrator } }", json!({})).await;
            let id = format!("{issuer}#{}", id_claims["sub"].as_str().unwrap());
            assert_eq!(caller["data"]["getCaller"], json!({ "id": id, "isAdministrator": name == "ada" }));
        }
    }
}

#[tokio::test]
async fn sign_in_page_is_plain_html_for_the_users_alone() {
    let backend = backend().await;
    for (issuer, has_name_field) in [(pool(&backend), false), (oidc(&backend), true)] {
        let page = Page::of(issuer).await;
        let response = page.http.get(page.authorization_url(&[])).send().await.unwrap();
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.contains("form-action 'self' http://localhost:*") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(
            (allowed_origin(&response), &response.headers()["cache-control"]),
            (None, &"no-store".parse().unwrap())
        );
        let html = response.text().await.unwrap();
        assert!(
            html.contains("value=\"ada\"") && html.contains("value=\"bob\"") && !html.contains("<script"),
            "{html}"
        );
        assert_eq!(html.contains("<input"), has_name_field, "{html}");
        // The same by a form, which OpenID Connect demands.
        let url = page.authorization_url(&[]);
        let posted = page.http.post(page.endpoint("authorization_endpoint")).body(url.query().unwrap().to_owned());
        assert!(posted.send().await.unwrap().text().await.unwrap().contains("value=\"ada\""));
    }
    let page = Page::of(pool(&backend)).await;
    let unknown = page.sign_in(("username", "mallory")).await;
    assert_eq!(unknown.status(), StatusCode::BAD_REQUEST);
    assert!(unknown.text().await.unwrap().contains("There is no such user."));
    let cancelled = location(&page.sign_in(("cancel", "true")).await);
    assert_eq!(parameter(&cancelled, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&cancelled, "state").as_deref(), Some("s&1"));
}

#[tokio::test]
async fn code_is_valid_once_and_with_its_verifier() {
    let backend = backend().await;
    let page = Page::of(pool(&backend)).await;
    let code = page.code_of("bob").await;
    let (status, error) = page.redeem(&code, &VERIFIER.replace('d', "e")).await;
    assert_eq!((status, &error["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")));
    assert_eq!(page.redeem(&code, VERIFIER).await.0, StatusCode::BAD_REQUEST, "the failed attempt has spent the code");
    let code = page.code_of("bob").await;
    assert_eq!(page.redeem(&code, VERIFIER).await.0, StatusCode::OK);
    assert_eq!(page.redeem(&code, VERIFIER).await.1["error"], "invalid_grant");
    // A code of the pool is none of the provider.
    let code = page.code_of("bob").await;
    assert_eq!(Page::of(oidc(&backend)).await.redeem(&code, VERIFIER).await.1["error"], "invalid_grant");
}

#[tokio::test]
async fn revoked_refresh_token_is_refused() {
    let backend = backend().await;
    let page = Page::of(pool(&backend)).await;
    let (_, tokens) = page.redeem(&page.code_of("bob").await, VERIFIER).await;
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(page.refresh(refresh_token).await.0, StatusCode::OK);
    for _ in 0..2 {
        let revoked = page.post("revocation_endpoint", &[("token", refresh_token), ("client_id", "local")]).await;
        assert_eq!((revoked.status(), allowed_origin(&revoked)), (StatusCode::OK, Some(ORIGIN)));
    }
    assert_eq!(page.refresh(refresh_token).await.1["error"], "invalid_grant");
}

#[tokio::test]
async fn errors_go_to_known_addresses_alone() {
    let backend = backend().await;
    let page = Page::of(oidc(&backend)).await;
    let open = |changes: &[(&str, &str)]| page.http.get(page.authorization_url(changes)).send();
    for changes in [[("redirect_uri", "https://evil.example/")], [("client_id", "other")]] {
        let response = open(&changes).await.unwrap();
        assert_eq!((response.status(), response.headers().get("location")), (StatusCode::BAD_REQUEST, None));
        assert!(response.text().await.unwrap().contains("Sign-in is not possible"));
    }
    for (changes, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("scope", "email"), "invalid_scope"),
        (("prompt", "none"), "login_required"),
    ] {
        let callback = location(&open(&[changes]).await.unwrap());
        assert!(callback.as_str().starts_with(REDIRECT_URI), "{callback}");
        assert_eq!(parameter(&callback, "error").as_deref(), Some(error));
        assert_eq!(parameter(&callback, "state").as_deref(), Some("s&1"));
    }
}

#[tokio::test]
async fn only_pages_of_this_machine_may_read_tokens() {
    let backend = backend().await;
    let page = Page::of(pool(&backend)).await;
    for (origin, is_allowed) in [
        ("http://127.0.0.1:8080", true),
        ("https://localhost", true),
        ("https://evil.example", false),
        ("http://localhost.evil.example", false),
        ("null", false),
    ] {
        let token = page.http.post(page.endpoint("token_endpoint")).header("origin", origin).body("username=bob");
        let response = token.send().await.unwrap();
        assert_eq!(allowed_origin(&response), is_allowed.then_some(origin));
        assert_eq!(response.headers()["vary"], "origin");
        let preflight = page.http.request(reqwest::Method::OPTIONS, page.endpoint("token_endpoint"));
        let preflight = preflight.header("origin", origin).header("access-control-request-headers", "dpop");
        let response = preflight.send().await.unwrap();
        assert_eq!(allowed_origin(&response), is_allowed.then_some(origin));
        let headers = response.headers().get("access-control-allow-headers");
        assert_eq!(headers.map(|headers| headers.to_str().unwrap()), is_allowed.then_some("dpop"));
    }
}

#[tokio::test]
async fn other_host_names_are_refused() {
    let backend = backend().await;
    let page = Page::of(pool(&backend)).await;
    let query = page.authorization_url(&[]).query().unwrap().to_owned();
    let requests = [
        page.http.get(page.authorization_url(&[])),
        page.http.post(page.endpoint("authorization_endpoint")).body(query.clone()),
        page.http.post(format!("{}/sign-in?{query}", page.issuer)).body("username=ada"),
        page.http.post(page.endpoint("token_endpoint")).body("username=ada"),
        page.http.post(page.endpoint("revocation_endpoint")).body("token=x"),
        page.http.get(page.endpoint("end_session_endpoint")),
    ];
    for request in requests {
        let response = request.header("host", "evil.example").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{}", response.url());
        assert!(response.text().await.unwrap().contains("at localhost only"));
    }
}

#[tokio::test]
async fn logout_returns_to_the_page() {
    let backend = backend().await;
    let page = Page::of(pool(&backend)).await;
    let open = async |query: &str| {
        let url = format!("{}?{query}", page.endpoint("end_session_endpoint"));
        page.http.get(url).send().await.unwrap()
    };
    for name in ["logout_uri", "post_logout_redirect_uri"] {
        let response = open(&format!("client_id=local&{name}={REDIRECT_URI}")).await;
        assert_eq!(location(&response).as_str(), REDIRECT_URI);
    }
    assert!(open("client_id=local").await.text().await.unwrap().contains("You are signed out."));
    assert_eq!(open("logout_uri=https://evil.example/").await.status(), StatusCode::BAD_REQUEST);
}
