//! Sessions with Model Context Protocol servers, by the transport Streamable HTTP.
mod authorization;
mod session;
mod sessions;
#[cfg(test)]
pub mod test_server;
#[cfg(test)]
mod tests;
mod transport;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rmcp::model::Tool;
use tokio::time::timeout_at;
use turn::tool::McpServer;

use super::{
    http_client,
    json_protocol::CallFailure,
    secrets_manager::{SecretVersion, SecretsManager},
};
use crate::mcp_urls::{AllowedSecrets, McpUrls};
use authorization::Authorization;

pub use session::Session;
pub use sessions::McpSessions;

/// A server with more pages of tools is refused.
pub const MAX_PAGES: usize = 16;
/// A server with more tools is refused.
pub const MAX_LISTED_TOOLS: usize = 512;
/// How long the end of a session may take at most.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(2);

/// The servers that the deployment allows, and what is needed to reach them.
pub struct McpServers {
    http: reqwest::Client,
    /// `None` if no server gets a secret.
    secrets: Option<SecretsManager>,
    urls: McpUrls,
    allowed_secrets: AllowedSecrets,
}

/// Why a request to a server has no result. No variant has a secret or a part of a response, except the
/// message of a JSON-RPC error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum McpError {
    #[error("the URL is not allowed")]
    UrlNotAllowed,
    #[error("the secret is not allowed")]
    SecretNotAllowed,
    #[error("the secret cannot be read")]
    SecretNotReadable,
    /// Another try may read it.
    #[error("the secret cannot be read now")]
    SecretNotAvailable,
    #[error("the secret cannot be a header")]
    SecretNotHeader,
    /// Another authorization may be accepted, such as the latest version of the secret.
    #[error("the server does not accept the authorization")]
    Unauthorized,
    /// The server knows who asks, and refuses the request to them.
    #[error("the server does not allow the request")]
    Forbidden,
    /// The server has not received the request, or has refused it for now.
    #[error("the request did not reach the server")]
    NotStarted,
    #[error("the server failed")]
    ServerError,
    #[error("the connection broke")]
    ConnectionBroken,
    #[error("the server did not answer in time")]
    TimeOver,
    #[error("the response is larger than 1 MB")]
    TooLarge,
    /// The server has refused the request, and would refuse it again.
    #[error("the server refuses the request")]
    Refused,
    #[error("the session has expired")]
    SessionExpired,
    #[error("the response does not follow the protocol")]
    NotMcp,
    #[error("the server has too many tools")]
    TooManyTools,
    /// A JSON-RPC error with its message.
    #[error("the server answered with an error")]
    Rpc(String),
}

impl From<reqwest::Error> for McpError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_connect() { Self::NotStarted } else { Self::ConnectionBroken }
    }
}

impl McpServers {
    pub(super) fn new(
        http: reqwest::Client,
        secrets: SecretsManager,
        urls: McpUrls,
        allowed_secrets: AllowedSecrets,
    ) -> Self {
        Self { http, secrets: Some(secrets), urls, allowed_secrets }
    }

    /// Servers that get no secrets.
    pub fn without_secrets(urls: McpUrls) -> reqwest::Result<Self> {
        let http = http_client()?;
        let allowed_secrets = AllowedSecrets::default();
        Ok(Self { http, secrets: None, urls, allowed_secrets })
    }

    /// Adds all tools of a server, in its order. The session is ended after `until`, too.
    pub async fn list_tools(&self, server: &McpServer, until: Instant, add: impl FnMut(Tool)) -> Result<(), McpError> {
        let opening = timeout_at(until.into(), self.open_session(server, SecretVersion::Cached)).await;
        let session = opening.unwrap_or(Err(McpError::TimeOver))?;
        let listing = timeout_at(until.into(), session.list_tools(add)).await;
        session.close(until + CLOSING_TIMEOUT).await;
        listing.unwrap_or(Err(McpError::TimeOver))
    }

    /// Tries once, and once more with the latest version of the secret if the server refuses the first.
    async fn open_session(&self, server: &McpServer, version: SecretVersion) -> Result<Session, McpError> {
        // The deployment may have taken back what it allowed when the agent was stored.
        if !self.urls.allows(&server.url) {
            return Err(McpError::UrlNotAllowed);
        }
        let Some(arn) = &server.authorization_secret_arn else {
            return Session::open(&self.http, &server.url, None).await;
        };
        let open = async |version| {
            let authorization = Arc::new(self.authorization(arn, version).await?);
            Session::open(&self.http, &server.url, Some(authorization)).await
        };
        match open(version).await {
            Err(McpError::Unauthorized) if version == SecretVersion::Cached => open(SecretVersion::Latest).await,
            result => result,
        }
    }

    async fn authorization(&self, arn: &str, version: SecretVersion) -> Result<Authorization, McpError> {
        let secrets = self.secrets.as_ref().filter(|_| self.allowed_secrets.allows(arn));
        let secrets = secrets.ok_or(McpError::SecretNotAllowed)?;
        let secret = secrets.secret(arn, version).await.map_err(|error| match error {
            CallFailure::Refused => McpError::SecretNotReadable,
            CallFailure::Retryable => McpError::SecretNotAvailable,
        })?;
        Authorization::new(&secret).ok_or(McpError::SecretNotHeader)
    }
}
