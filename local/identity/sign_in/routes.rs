//! The HTTP routes for browsers: authorization, sign-in and logout.
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, Uri, header::CACHE_CONTROL};
use reqwest::Url;

use super::{
    Grants, OAuthError, OAuthErrorCode, Parameters,
    authorization_request::{AuthorizationError, AuthorizationRequest, MAX_REQUEST_BYTES},
    logout_request,
    pages::{error_page, sign_in_page, signed_out_page},
};
use crate::{identity::LocalIssuer, localhost::is_addressed_to};

/// An issuer with the codes and refresh tokens that it has issued.
pub struct SignInService {
    pub issuer: Arc<LocalIssuer>,
    grants: Mutex<Grants>,
}

impl SignInService {
    pub fn new(issuer: Arc<LocalIssuer>) -> Self {
        Self { issuer, grants: Mutex::default() }
    }

    pub fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the request is meant for this server.
    pub fn is_addressed(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        is_addressed_to(self.issuer.url(), uri, headers)
    }
}

pub fn routes() -> Router<Arc<SignInService>> {
    Router::new()
        .route("/authorize", get(authorize).post(authorize_by_form))
        .route("/sign-in", post(sign_in))
        .route("/logout", get(log_out))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
}

async fn authorize(State(service): State<Arc<SignInService>>, uri: Uri, headers: HeaderMap) -> Response {
    show_sign_in(&service, &uri, &headers, uri.query().unwrap_or_default())
}

/// OpenID Connect Core, section 3.1.2.1, demands both methods.
async fn authorize_by_form(
    State(service): State<Arc<SignInService>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    show_sign_in(&service, &uri, &headers, &String::from_utf8_lossy(&body))
}

fn show_sign_in(service: &SignInService, uri: &Uri, headers: &HeaderMap, query: &str) -> Response {
    if !service.is_addressed(uri, headers) {
        return other_host();
    }
    match AuthorizationRequest::parse(query) {
        Ok(_) => sign_in_page(&service.issuer, query).into_response(),
        Err(error) => error.into_response(),
    }
}

/// Takes the form of the sign-in page.
async fn sign_in(State(service): State<Arc<SignInService>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if !service.is_addressed(&uri, &headers) {
        return other_host();
    }
    let request = match AuthorizationRequest::parse(uri.query().unwrap_or_default()) {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    let form = Parameters::parse(&body);
    if form.get("cancel").is_ok_and(|value| value.is_some()) {
        let error = OAuthError::new(OAuthErrorCode::AccessDenied, "the user has cancelled the sign-in");
        return redirect(&request.callback.error_url(&error));
    }
    let name = form.get("username").ok().flatten().unwrap_or_default().trim();
    if !service.issuer.has_user(name) {
        return error_page("There is no such user.").into_response();
    }
    let code = service.grants().issue_code(&request, name, SystemTime::now());
    redirect(&request.callback.code_url(&code))
}

/// Ends nothing here: the issuer keeps no session of a browser, and clients revoke their refresh tokens.
async fn log_out(State(service): State<Arc<SignInService>>, uri: Uri, headers: HeaderMap) -> Response {
    if !service.is_addressed(&uri, &headers) {
        return other_host();
    }
    match logout_request::parse(uri.query().unwrap_or_default()) {
        Ok(Some(url)) => redirect(&url),
        Ok(None) => signed_out_page().into_response(),
        Err(sentence) => error_page(sentence).into_response(),
    }
}

impl IntoResponse for AuthorizationError {
    fn into_response(self) -> Response {
        match self {
            Self::Untrusted(sentence) => error_page(sentence).into_response(),
            Self::Refused(url) => redirect(&url),
        }
    }
}

fn redirect(url: &Url) -> Response {
    let mut response = Redirect::to(url.as_str()).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn other_host() -> Response {
    error_page("Users sign in at localhost only.").into_response()
}
