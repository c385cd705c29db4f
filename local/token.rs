//! `parlance token`: fetches a user's access token from the server that runs in this folder.
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use crate::{
    endpoint_file::{EndpointFile, EndpointFileError},
    identity::LocalIssuers,
};

/// Options of `parlance token`.
#[derive(Args, Clone, Debug)]
pub struct TokenOptions {
    /// The user: a name given to the server with --user, or any name with --oidc
    pub name: String,
    /// Ask the server's OpenID Connect provider instead of its user pool
    #[arg(long)]
    pub oidc: bool,
    /// The server's state folder, which holds endpoint.json
    #[arg(long, default_value = ".parlance")]
    pub state: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(transparent)]
    EndpointFile(#[from] EndpointFileError),
    #[error("Nothing answers at {url}: start the server with `cargo run`.")]
    Unreachable { url: String },
    #[error("There is no issuer at {url}: start the server with --user, or with --oidc.")]
    NoIssuer { url: String },
    #[error("The server gives no token: {0}.")]
    Refused(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TokenResponse {
    Token { access_token: String },
    Error { error_description: String },
}

/// Returns the user's access token.
pub async fn fetch(options: &TokenOptions) -> Result<String, TokenError> {
    let endpoint = EndpointFile::read(&options.state)?;
    let issuer = if options.oidc {
        LocalIssuers::oidc_url(endpoint.origin())
    } else {
        LocalIssuers::pool_url(endpoint.origin())
    };
    let form = serde_urlencoded::to_string([("username", &options.name)]).unwrap_or_default();
    let response = post(&format!("{issuer}/token"), form).await;
    let response = response.map_err(|_| TokenError::Unreachable { url: endpoint.url })?;
    match response.json().await {
        Ok(TokenResponse::Token { access_token }) => Ok(access_token),
        Ok(TokenResponse::Error { error_description }) => Err(TokenError::Refused(error_description)),
        Err(_) => Err(TokenError::NoIssuer { url: issuer }),
    }
}

/// Ignores the proxy settings of the environment: through a proxy, localhost is another machine.
async fn post(url: &str, form: String) -> reqwest::Result<reqwest::Response> {
    reqwest::Client::builder().no_proxy().build()?.post(url).body(form).send().await
}
