//! How users sign in to a local issuer in a browser: OpenID Connect's authorization code flow with PKCE, as
//! Cognito's managed login and other providers have it, without passwords.
mod authorization_request;
mod expiring_store;
mod grants;
mod logout_request;
mod oauth_error;
mod pages;
mod parameters;
mod routes;
mod token_request;

pub(super) use grants::{Grants, SignIn};
pub(super) use oauth_error::{OAuthError, OAuthErrorCode};
pub(super) use parameters::Parameters;
pub(super) use routes::{SignInService, routes};
pub(super) use token_request::TokenRequest;
