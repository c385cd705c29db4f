//! A user's token, from the server that runs on this machine.
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use crate::{
    announced::{self, Announced},
    identity::Issuers,
};

/// Options of `parlance token`.
#[derive(Args, Clone, Debug)]
pub struct TokenOptions {
    /// Whose token: a name that was given with --user, or with --oidc any
    pub name: String,
    /// Ask the OpenID Connect provider instead of the user pool
    #[arg(long)]
    pub oidc: bool,
    /// Where the running server keeps endpoint.json
    #[arg(long, default_value = ".parlance")]
    pub state: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Place(#[from] announced::Fault),
    #[error("Nothing answers at {url}: start the server with `cargo run`.")]
    Unreachable { url: String },
    #[error("There is no issuer at {url}: start the server with --user, or with --oidc.")]
    NoIssuer { url: String },
    #[error("The server gives no token: {0}.")]
    Refused(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Given { access_token: String },
    Refused { error_description: String },
}

/// The user's access token.
pub async fn fetch(options: &TokenOptions) -> Result<String, Fault> {
    let server = Announced::read(&options.state)?;
    let url = if options.oidc { Issuers::oidc_url(server.server()) } else { Issuers::pool_url(server.server()) };
    let form = serde_urlencoded::to_string([("username", &options.name)]).unwrap_or_default();
    let response = ask(&format!("{url}/token"), form).await.map_err(|_| Fault::Unreachable { url: server.url })?;
    match response.json().await {
        Ok(Answer::Given { access_token }) => Ok(access_token),
        Ok(Answer::Refused { error_description }) => Err(Fault::Refused(error_description)),
        Err(_) => Err(Fault::NoIssuer { url }),
    }
}

/// Without a proxy, to which this machine is another.
async fn ask(url: &str, form: String) -> reqwest::Result<reqwest::Response> {
    reqwest::Client::builder().no_proxy().build()?.post(url).body(form).send().await
}
