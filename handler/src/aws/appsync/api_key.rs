//! Renews the API key by AppSync's operation UpdateApiKey.
//!
//! The id of a key is the key itself, so neither the id nor the URL is logged or part of an error.
use std::time::{Duration, SystemTime};

use reqwest::{Response, StatusCode};
use serde_json::json;

use super::{SendError, SignedHttp, post};

/// AppSync allows 365 days from the update. A day less makes up for clocks that differ.
const VALIDITY: Duration = Duration::from_secs(364 * 24 * 60 * 60);
const ERROR_TYPE_HEADER: &str = "x-amzn-errortype";

/// The API key that a schedule renews.
pub struct ApiKey {
    http: SignedHttp,
    /// `https://appsync.<region>.amazonaws.com/v1/apis/<API id>/apikeys/<key id>`
    url: String,
}

#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    #[error(transparent)]
    Send(#[from] SendError),
    /// NotFoundException: AppSync has deleted the key.
    #[error("AppSync answered {status}, {error_type}")]
    Refused { status: StatusCode, error_type: String },
}

impl ApiKey {
    pub fn new(http: SignedHttp, url: &str) -> Self {
        Self { http, url: url.to_owned() }
    }

    /// Makes the key expire in 364 days. AppSync rounds the time down to the hour.
    pub async fn renew(&self, now: SystemTime) -> Result<(), RenewalError> {
        let expires = (now + VALIDITY).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let result = self.update(expires).await;
        match &result {
            Ok(()) => tracing::info!(expires, "api key renewed"),
            Err(error) => tracing::error!(%error, "api key not renewed"),
        }
        result
    }

    async fn update(&self, expires: u64) -> Result<(), RenewalError> {
        let body = json!({ "expires": expires }).to_string();
        let response = post(&self.http, &self.url, body.as_bytes()).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        Err(RenewalError::Refused { status, error_type: error_type(&response) })
    }
}

fn error_type(response: &Response) -> String {
    let header = response.headers().get(ERROR_TYPE_HEADER).and_then(|value| value.to_str().ok());
    header.unwrap_or("without an error type").to_owned()
}

#[cfg(test)]
mod tests {
    use aws_config::{Region, SdkConfig};
    use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
    use serde_json::Value;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::JoinHandle,
    };

    use crate::{aws::signed_http, errors::HandlerError, test_support::TestInvocation};

    use super::*;

    const KEY_ID: &str = "da2-secret";
    const NOW: u64 = 1_795_000_000;

    fn api_key(address: &str) -> ApiKey {
        let credentials = Credentials::new("AKIAEXAMPLE", "secret", Some("token".into()), None, "test");
        let config = SdkConfig::builder()
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        ApiKey::new(
            signed_http::from_config(reqwest::Client::new(), &config).unwrap(),
            &format!("http://{address}/v1/apis/a1/apikeys/{KEY_ID}"),
        )
    }

    /// Answers one request with this status line and headers. Returns the address and the request.
    async fn serve_once(answer: &'static str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let request = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            // The body is the last that arrives, and it ends with a brace.
            while !request.ends_with(b"}") {
                assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0, "the request is whole");
            }
            let response = format!("HTTP/1.1 {answer}\r\ncontent-length: 2\r\n\r\n{{}}");
            connection.write_all(response.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        (address, request)
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
    }

    #[tokio::test]
    async fn renewal_is_a_signed_post_with_an_expiry_in_364_days() {
        let (address, request) = serve_once("200 OK").await;
        api_key(&address).renew(now()).await.unwrap();
        let request = request.await.unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /v1/apis/a1/apikeys/da2-secret HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
        assert!(head.contains("\r\nx-amz-security-token: token\r\n"), "{head}");
        let scope = "/eu-west-1/appsync/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token";
        assert!(head.contains("\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/"), "{head}");
        assert!(head.contains(scope), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body, json!({ "expires": NOW + 364 * 86_400 }));
    }

    #[tokio::test]
    async fn refusal_of_appsync_is_an_error_without_the_key() {
        for answer in ["404 Not Found\r\nx-amzn-errortype: NotFoundException", "500 Internal Server Error"] {
            let (address, _) = serve_once(answer).await;
            let error = api_key(&address).renew(now()).await.unwrap_err().to_string();
            assert!(error.contains(&answer[..3]) && !error.contains(KEY_ID), "{error}");
            assert_eq!(error.contains("NotFoundException"), answer.starts_with("404"), "{error}");
        }
    }

    #[tokio::test]
    async fn unreachable_appsync_is_an_error_without_the_key() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = api_key(&address).renew(now()).await.unwrap_err();
        assert!(matches!(error, RenewalError::Send(SendError::Transport(_))), "{error}");
        assert!(!error.to_string().contains(KEY_ID) && !format!("{error:?}").contains(KEY_ID), "{error:?}");
    }

    #[tokio::test]
    async fn invocation_of_the_schedule_fails_if_the_key_is_not_renewed() {
        let order = json!({ "type": "renewApiKey" });
        let mut invocation = TestInvocation::with_items([]).await;
        assert!(matches!(invocation.serve(order.clone()).await, Err(HandlerError::NoApiKey)));
        let (address, _) = serve_once("403 Forbidden\r\nx-amzn-errortype: AccessDeniedException").await;
        let (other_address, other_request) = serve_once("200 OK").await;
        invocation.api_keys = vec![api_key(&address), api_key(&other_address)];
        assert!(matches!(invocation.serve(order.clone()).await, Err(HandlerError::ApiKeyNotRenewed(_))));
        other_request.await.unwrap();
        let (address, request) = serve_once("200 OK").await;
        let (other_address, other_request) = serve_once("200 OK").await;
        invocation.api_keys = vec![api_key(&address), api_key(&other_address)];
        invocation.serve(order).await.unwrap();
        request.await.unwrap();
        other_request.await.unwrap();
        let other = json!({ "type": "renewApiKey", "id": "da2-other" });
        assert!(matches!(invocation.serve(other).await, Err(HandlerError::Payload)));
    }
}
