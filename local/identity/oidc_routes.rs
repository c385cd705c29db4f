//! Where the issuers of a laptop are asked: for what they publish, and for tokens.
use std::{sync::Arc, time::SystemTime};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{
    HeaderMap, StatusCode, Uri,
    header::{CACHE_CONTROL, HOST},
    uri::Authority,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Issuer, Issuers, local_issuer::NoTokens};

const FORM_BYTES: usize = 4096;

/// What a form asks for. There is no password: whoever reaches the port is trusted.
#[derive(Deserialize)]
struct Form {
    username: String,
}

pub fn router(issuers: &Issuers) -> Router {
    let doors = [("/pool", &issuers.pool), ("/oidc", &issuers.oidc)];
    doors.into_iter().fold(Router::new(), |router, (path, issuer)| match issuer {
        Some(issuer) => router.nest(path, door(issuer.clone())),
        None => router,
    })
}

fn door(issuer: Arc<Issuer>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/.well-known/jwks.json", get(published_keys))
        .route("/token", post(tokens).layer(DefaultBodyLimit::max(FORM_BYTES)))
        .with_state(issuer)
}

async fn discovery(State(issuer): State<Arc<Issuer>>) -> Json<Value> {
    Json(issuer.discovery())
}

async fn published_keys(State(issuer): State<Arc<Issuer>>) -> Json<Value> {
    Json(issuer.published_keys())
}

async fn tokens(State(issuer): State<Arc<Issuer>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if !is_asked_by_name(issuer.url(), &uri, &headers) {
        return refused("invalid_request", "tokens are given out at localhost alone");
    }
    let Ok(Form { username }) = serde_urlencoded::from_bytes(&body) else {
        return refused("invalid_request", "a form with a username is asked for");
    };
    match issuer.tokens(&username, SystemTime::now()) {
        Ok(tokens) => ([(CACHE_CONTROL, "no-store")], Json(tokens)).into_response(),
        Err(none @ NoTokens::UserUnknown(_)) => refused("invalid_grant", &none.to_string()),
        Err(none @ NoTokens::Unsigned(_)) => refused("server_error", &none.to_string()),
    }
}

/// A web page may have its own name lead to this machine, and would then read what is answered here.
fn is_asked_by_name(issuer: &str, uri: &Uri, headers: &HeaderMap) -> bool {
    let port = |authority: &Authority| authority.port_u16().unwrap_or(80);
    let own = issuer.parse::<Uri>().ok().and_then(|issuer| issuer.authority().map(port));
    let is_own = |asked: Option<Authority>| {
        asked.is_some_and(|asked| matches!(asked.host(), "localhost" | "127.0.0.1") && Some(port(&asked)) == own)
    };
    let of_headers = headers.get_all(HOST).iter().map(|host| Authority::try_from(host.as_bytes()).ok());
    let mut asked = uri.authority().cloned().map(Some).into_iter().chain(of_headers).peekable();
    asked.peek().is_some() && asked.all(is_own)
}

/// In the words of OAuth 2.0.
fn refused(error: &str, sentence: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error, "error_description": sentence }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_here_is_not_the_servers_own() {
        let asked = |uri: &str, hosts: &[&str]| {
            let headers = hosts.iter().map(|host| (HOST, host.parse().unwrap())).collect();
            is_asked_by_name("http://localhost:4000/pool", &uri.parse().unwrap(), &headers)
        };
        for own in ["localhost:4000", "127.0.0.1:4000"] {
            assert!(asked("/token", &[own]) && asked(&format!("http://{own}/token"), &[]), "{own}");
        }
        let others =
            ["", "localhost", "localhost:4001", "evil.example:4000", "localhost.evil.example:4000", "::1", "/"];
        for other in others {
            assert!(!asked("/token", &[other]), "{other}");
            assert!(!asked("http://localhost:4000/token", &[other]), "{other}");
        }
        assert!(!asked("/token", &[]) && !asked("/token", &["localhost:4000", "evil.example:4000"]));
        assert!(!asked("http://evil.example:4000/token", &["localhost:4000"]));
    }
}
