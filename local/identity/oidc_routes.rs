//! The HTTP routes of the local issuers: discovery document, keys, tokens, and the sign-in of users.
use std::{sync::Arc, time::SystemTime};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_REQUEST_HEADERS, CACHE_CONTROL, ORIGIN, VARY,
    },
};
use reqwest::Url;
use serde_json::Value;

use super::{
    local_issuer::{LocalIssuer, LocalIssuers, TokenError, TokenResponse},
    sign_in::{self, OAuthError, OAuthErrorCode, Parameters, SignInService, TokenRequest},
};
use crate::localhost::is_local_url;

const MAX_FORM_BYTES: usize = 4096;

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
    let preflight = async || StatusCode::NO_CONTENT;
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery).options(preflight))
        .route("/.well-known/jwks.json", get(jwks).options(preflight))
        .route("/token", post(issue_tokens).options(preflight))
        .route("/revoke", post(revoke).options(preflight))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(middleware::from_fn(allow_local_origins))
        .merge(sign_in::routes())
        .with_state(Arc::new(SignInService::new(issuer)))
}

async fn discovery(State(service): State<Arc<SignInService>>) -> Json<Value> {
    Json(service.issuer.discovery_document())
}

async fn jwks(State(service): State<Arc<SignInService>>) -> Json<Value> {
    Json(service.issuer.jwks())
}

async fn issue_tokens(
    State(service): State<Arc<SignInService>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    if !service.is_addressed(&uri, &headers) {
        return Err(OAuthError::invalid_request("tokens are issued at localhost only"));
    }
    let (issuer, now) = (&service.issuer, SystemTime::now());
    let tokens = match TokenRequest::parse(&body)? {
        TokenRequest::User { name } => issuer.issue_tokens(&name, now)?,
        TokenRequest::Code { code, redirect_uri, code_verifier } => {
            let sign_in = service.grants().redeem_code(&code, &redirect_uri, &code_verifier, now)?;
            let tokens = issuer.issue_tokens_of(&sign_in, now)?;
            TokenResponse { refresh_token: Some(service.grants().issue_refresh_token(sign_in, now)), ..tokens }
        }
        TokenRequest::Refresh { refresh_token } => {
            let sign_in = service.grants().refresh(&refresh_token, now)?;
            issuer.issue_tokens_of(&sign_in, now)?
        }
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(tokens)).into_response())
}

/// Revokes a refresh token (RFC 7009). One that does not exist is revoked, too.
async fn revoke(
    State(service): State<Arc<SignInService>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, OAuthError> {
    if !service.is_addressed(&uri, &headers) {
        return Err(OAuthError::invalid_request("tokens are revoked at localhost only"));
    }
    service.grants().revoke(Parameters::parse(&body).require("token")?, SystemTime::now());
    Ok(StatusCode::OK)
}

/// Lets pages of this machine read the response, whatever port serves them.
async fn allow_local_origins(request: Request, next: Next) -> Response {
    let is_preflight = request.method() == Method::OPTIONS;
    let origin = request.headers().get(ORIGIN).filter(|origin| is_local_origin(origin)).cloned();
    let requested_headers = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if let Some(requested) = requested_headers.filter(|_| is_preflight) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, requested);
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        }
    }
    response
}

fn is_local_origin(origin: &HeaderValue) -> bool {
    origin.to_str().ok().and_then(|origin| Url::parse(origin).ok()).is_some_and(|origin| is_local_url(&origin))
}

impl From<TokenError> for OAuthError {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::UnknownUser(_) => OAuthErrorCode::InvalidGrant,
            TokenError::SigningKey(_) => OAuthErrorCode::ServerError,
        };
        Self::new(code, error.to_string())
    }
}
