//! Signed POSTs to services of AWS.
use std::time::SystemTime;

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use reqwest::{Request, RequestBuilder, Response};

use crate::signing::{PostRequest, SigningError};

#[derive(Clone)]
pub struct SignedHttp {
    http: reqwest::Client,
    region: String,
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
    pub fn new(http: reqwest::Client, region: &str, credentials: SharedCredentialsProvider) -> Self {
        Self { http, region: region.to_owned(), credentials }
    }

    /// The function's own region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The credentials of the function's role.
    pub async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        self.credentials.provide_credentials().await
    }

    /// Tries once. `configure` adds what is not signed, such as a time limit.
    pub async fn send(
        &self,
        post: PostRequest<'_>,
        configure: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, SendError> {
        let credentials = self.credentials().await?;
        let request = self.signed_request(post, credentials, configure)?;
        self.http.execute(request).await.map_err(|error| SendError::Transport(error.without_url()))
    }

    fn signed_request(
        &self,
        post: PostRequest<'_>,
        credentials: Credentials,
        configure: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Request, SendError> {
        let authorization = post.sign(credentials, SystemTime::now())?;
        let mut request = configure(self.http.post(post.url));
        for (name, value) in post.headers {
            request = request.header(*name, *value);
        }
        for (name, value) in authorization {
            request = request.header(name, value);
        }
        request.body(post.body.to_vec()).build().map_err(|error| SendError::Request(error.without_url()))
    }
}

/// The URL of a service in a region, such as `https://kms.eu-west-1.amazonaws.com`.
pub fn default_endpoint(service: &str, region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_is_in_the_domain_of_its_region() {
        for (region, expected) in [
            ("eu-west-1", "https://lambda.eu-west-1.amazonaws.com"),
            ("us-gov-west-1", "https://lambda.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "https://lambda.cn-north-1.amazonaws.com.cn"),
        ] {
            assert_eq!(default_endpoint("lambda", region), expected);
        }
    }
}
