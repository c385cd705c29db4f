//! Where the issuers of a laptop are asked: for what they publish, and for tokens.
use std::{sync::Arc, time::SystemTime};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{StatusCode, header::CACHE_CONTROL};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Issuer, Issuers};

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

async fn tokens(State(issuer): State<Arc<Issuer>>, body: Bytes) -> Response {
    let Ok(Form { username }) = serde_urlencoded::from_bytes(&body) else {
        return refused("invalid_request", "a form with a username is asked for");
    };
    match issuer.tokens(&username, SystemTime::now()) {
        Some(Ok(tokens)) => ([(CACHE_CONTROL, "no-store")], Json(tokens)).into_response(),
        Some(Err(fault)) => refused("server_error", &fault.to_string()),
        None => refused("invalid_grant", &format!("there is no user '{username}'")),
    }
}

/// In the words of OAuth 2.0.
fn refused(error: &str, sentence: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error, "error_description": sentence }))).into_response()
}
