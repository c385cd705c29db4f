//! The HTTP routes of the local issuers: discovery document, keys, tokens.
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

use super::local_issuer::{LocalIssuer, LocalIssuers, TokenError};

const MAX_FORM_BYTES: usize = 4096;

/// The form of a token request. It has no password, because every client that reaches the port is trusted.
#[derive(Deserialize)]
struct TokenRequest {
    username: String,
}

/// Serves the user pool at `/pool` and the OpenID Connect provider at `/oidc`.
pub fn router(issuers: &LocalIssuers) -> Router {
    let mut router = Router::new();
    if let Some(pool) = &issuers.pool {
        router = router.nest("/pool", issuer_routes(pool.clone()));
    }
    if let Some(oidc) = &issuers.oidc {
        router = router.nest("/oidc", issuer_routes(oidc.clone()));
    }
    router
}

fn issuer_routes(issuer: Arc<LocalIssuer>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/.well-known/jwks.json", get(jwks))
        .route("/token", post(issue_tokens).layer(DefaultBodyLimit::max(MAX_FORM_BYTES)))
        .with_state(issuer)
}

async fn discovery(State(issuer): State<Arc<LocalIssuer>>) -> Json<Value> {
    Json(issuer.discovery_document())
}

async fn jwks(State(issuer): State<Arc<LocalIssuer>>) -> Json<Value> {
    Json(issuer.jwks())
}

async fn issue_tokens(State(issuer): State<Arc<LocalIssuer>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if !is_addressed_to(issuer.url(), &uri, &headers) {
        return error_response("invalid_request", "tokens are issued at localhost only");
    }
    let Ok(TokenRequest { username }) = serde_urlencoded::from_bytes(&body) else {
        return error_response("invalid_request", "a form with a username is required");
    };
    match issuer.issue_tokens(&username, SystemTime::now()) {
        Ok(tokens) => ([(CACHE_CONTROL, "no-store")], Json(tokens)).into_response(),
        Err(error @ TokenError::UnknownUser(_)) => error_response("invalid_grant", &error.to_string()),
        Err(error @ TokenError::SigningKey(_)) => error_response("server_error", &error.to_string()),
    }
}

/// Whether the request names localhost and the issuer's port. Rejects DNS rebinding: a web page whose own
/// name resolves to this machine could otherwise read the response.
fn is_addressed_to(issuer: &str, uri: &Uri, headers: &HeaderMap) -> bool {
    let port = |authority: &Authority| authority.port_u16().unwrap_or(80);
    let issuer_port = issuer.parse::<Uri>().ok().and_then(|issuer| issuer.authority().map(port));
    let is_issuer = |authority: Option<Authority>| {
        authority.is_some_and(|authority| {
            matches!(authority.host(), "localhost" | "127.0.0.1") && Some(port(&authority)) == issuer_port
        })
    };
    let of_uri = uri.authority().cloned().map(Some);
    let of_headers = headers.get_all(HOST).iter().map(|host| Authority::try_from(host.as_bytes()).ok());
    let mut authorities = of_uri.into_iter().chain(of_headers).peekable();
    authorities.peek().is_some() && authorities.all(is_issuer)
}

/// An OAuth 2.0 error.
fn error_response(error: &str, description: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error, "error_description": description }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_host_names_are_rejected() {
        let is_accepted = |uri: &str, hosts: &[&str]| {
            let headers = hosts.iter().map(|host| (HOST, host.parse().unwrap())).collect();
            is_addressed_to("http://localhost:4000/pool", &uri.parse().unwrap(), &headers)
        };
        for host in ["localhost:4000", "127.0.0.1:4000"] {
            assert!(is_accepted("/token", &[host]) && is_accepted(&format!("http://{host}/token"), &[]), "{host}");
        }
        let others =
            ["", "localhost", "localhost:4001", "evil.example:4000", "localhost.evil.example:4000", "::1", "/"];
        for other in others {
            assert!(!is_accepted("/token", &[other]), "{other}");
            assert!(!is_accepted("http://localhost:4000/token", &[other]), "{other}");
        }
        assert!(!is_accepted("/token", &[]));
        assert!(!is_accepted("/token", &["localhost:4000", "evil.example:4000"]));
        assert!(!is_accepted("http://evil.example:4000/token", &["localhost:4000"]));
    }
}
