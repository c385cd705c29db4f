//! Signed POSTs to AppSync.
use std::time::{Duration, SystemTime};

use api::signing::{PostRequest, SigningError};
use aws_config::{Region, SdkConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};

use super::ConnectError;

/// AppSync gives up after 30 s. A publish without a response in this time is sent again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const CONTENT_TYPE: (&str, &str) = ("content-type", "application/json");

#[derive(Clone)]
pub struct SignedHttp {
    http: reqwest::Client,
    region: Region,
    credentials: SharedCredentialsProvider,
}

/// Why a request has no response. No message has the URL, because that of the API key contains the key.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("there are no credentials: {0}")]
    Credentials(#[from] CredentialsError),
    #[error("the request cannot be signed: {0}")]
    Signing(#[from] SigningError),
    #[error("the request cannot be built: {0}")]
    Request(reqwest::Error),
    /// The request may or may not have arrived.
    #[error("the request has no response: {0}")]
    Transport(reqwest::Error),
}

impl SignedHttp {
    pub fn new(config: &SdkConfig) -> Result<Self, ConnectError> {
        Ok(Self {
            http: reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build()?,
            region: config.region().cloned().ok_or(ConnectError::NoRegion)?,
            credentials: config.credentials_provider().ok_or(ConnectError::NoCredentials)?,
        })
    }

    pub async fn post(&self, url: &str, body: Vec<u8>) -> Result<reqwest::Response, SendError> {
        let credentials = self.credentials.provide_credentials().await?;
        let request = self.signed_request(url, body, credentials)?;
        self.http.execute(request).await.map_err(|error| SendError::Transport(error.without_url()))
    }

    fn signed_request(
        &self,
        url: &str,
        body: Vec<u8>,
        credentials: Credentials,
    ) -> Result<reqwest::Request, SendError> {
        let post = PostRequest { url, region: self.region.as_ref(), headers: &[CONTENT_TYPE], body: &body };
        let authorization = post.sign(credentials, SystemTime::now())?;
        let mut request = self.http.post(url).header(CONTENT_TYPE.0, CONTENT_TYPE.1);
        for (name, value) in authorization {
            request = request.header(name, value);
        }
        request.body(body).build().map_err(|error| SendError::Request(error.without_url()))
    }
}
