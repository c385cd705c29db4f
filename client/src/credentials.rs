//! Credentials of the caller, and the headers that carry them over HTTP and in the realtime protocol.
use std::{fmt, future::Future, time::SystemTime};

use api::signing::{PostRequest, SigningError};
use aws_credential_types::Credentials as AwsCredentials;
use futures::{FutureExt, future::BoxFuture};
use reqwest::Url;
use serde_json::{Map, Value};

use crate::{endpoint::Endpoint, errors::Error};

/// Credentials for one of the API's authorization modes. `Debug` shows no secret.
#[derive(Clone)]
pub enum Credentials {
    ApiKey(String),
    /// Token of a user pool, an OpenID Connect provider or a Lambda authorizer.
    Token(String),
    Iam(IamKeys),
}

/// Gives the credentials for each request, each connection and each subscription, so that a client outlives
/// its tokens. [`Credentials`] that never change are their own provider, and so is a closure that returns a
/// future of credentials. A provider that has to ask somebody keeps the answer until it is about to expire.
pub trait CredentialsProvider: Send + Sync {
    /// After an error that [`Error::is_transient`], a follower asks again later.
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, Error>>;
}

impl CredentialsProvider for Credentials {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, Error>> {
        std::future::ready(Ok(self.clone())).boxed()
    }
}

impl<F, T> CredentialsProvider for F
where
    F: Fn() -> T + Send + Sync,
    T: Future<Output = Result<Credentials, Error>> + Send + 'static,
{
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, Error>> {
        self().boxed()
    }
}

/// Keys of an IAM user or, with a session token, of an assumed role.
#[derive(Clone)]
pub struct IamKeys {
    pub access_key: String,
    pub secret_key: String,
    pub session_token: Option<String>,
    pub region: String,
}

/// The headers besides the host that IAM callers sign in the realtime protocol, as AppSync documents it.
const REALTIME_SIGNED_HEADERS: [(&str, &str); 3] = [
    ("accept", "application/json, text/javascript"),
    ("content-encoding", "amz-1.0"),
    ("content-type", "application/json; charset=UTF-8"),
];

type Headers = Vec<(String, String)>;

impl Credentials {
    /// The headers that authorize one POST of this body. `content-type: application/json` is part of the
    /// signature.
    pub fn http_headers(&self, url: &Url, body: &str, at: SystemTime) -> Result<Headers, Error> {
        self.authorization(url, body, &[("content-type", "application/json")], at)
    }

    /// The header object of the WebSocket handshake.
    pub fn connection_header(&self, endpoint: &Endpoint, at: SystemTime) -> Result<Value, Error> {
        self.realtime_header(endpoint, &endpoint.connect_url(), "{}", at)
    }

    /// The header object that starts one subscription. `operation` is the JSON text exactly as it is sent.
    pub fn subscription_header(&self, endpoint: &Endpoint, operation: &str, at: SystemTime) -> Result<Value, Error> {
        self.realtime_header(endpoint, endpoint.graphql(), operation, at)
    }

    fn realtime_header(&self, endpoint: &Endpoint, url: &Url, body: &str, at: SystemTime) -> Result<Value, Error> {
        let signed_headers: &[(&str, &str)] = match self {
            Self::Iam(_) => &REALTIME_SIGNED_HEADERS,
            Self::ApiKey(_) | Self::Token(_) => &[],
        };
        let mut header = Map::new();
        header.insert("host".to_owned(), endpoint.host().into());
        for (name, value) in signed_headers {
            header.insert((*name).to_owned(), (*value).into());
        }
        for (name, value) in self.authorization(url, body, signed_headers, at)? {
            header.insert(name, value.into());
        }
        Ok(Value::Object(header))
    }

    fn authorization(
        &self,
        url: &Url,
        body: &str,
        signed_headers: &[(&str, &str)],
        at: SystemTime,
    ) -> Result<Headers, Error> {
        match self {
            Self::ApiKey(key) => Ok(vec![("x-api-key".to_owned(), key.clone())]),
            Self::Token(token) => Ok(vec![("Authorization".to_owned(), token.clone())]),
            Self::Iam(keys) => {
                keys.sign(url, body, signed_headers, at).map_err(|error| Error::Credentials(error.to_string()))
            }
        }
    }
}

impl IamKeys {
    fn sign(
        &self,
        url: &Url,
        body: &str,
        signed_headers: &[(&str, &str)],
        at: SystemTime,
    ) -> Result<Headers, SigningError> {
        let session_token = self.session_token.clone();
        let credentials = AwsCredentials::new(&self.access_key, &self.secret_key, session_token, None, "client");
        let region = &self.region;
        let request = PostRequest {
            service: "appsync",
            url: url.as_str(),
            region,
            headers: signed_headers,
            body: body.as_bytes(),
        };
        request.sign(credentials, at)
    }
}

/// Shows the mode and no secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "ApiKey",
            Self::Token(_) => "Token",
            Self::Iam(_) => "Iam",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::parse("http://localhost:4000/graphql").unwrap()
    }

    fn iam(session_token: Option<&str>) -> Credentials {
        Credentials::Iam(IamKeys {
            access_key: "AKIAEXAMPLE".to_owned(),
            secret_key: "secret".to_owned(),
            session_token: session_token.map(str::to_owned),
            region: "eu-west-1".to_owned(),
        })
    }

    fn at() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    #[test]
    fn api_key_is_sent_unchanged() {
        let credentials = Credentials::ApiKey("da2-x".to_owned());
        let header = credentials.connection_header(&endpoint(), at()).unwrap();
        assert_eq!(header, json!({"host": "localhost:4000", "x-api-key": "da2-x"}));
        assert_eq!(credentials.subscription_header(&endpoint(), "{}", at()).unwrap(), header);
    }

    #[test]
    fn token_is_sent_in_authorization() {
        let header = Credentials::Token("jwt".to_owned()).connection_header(&endpoint(), at()).unwrap();
        assert_eq!(header, json!({"host": "localhost:4000", "Authorization": "jwt"}));
    }

    #[test]
    fn iam_signs_connection_and_subscription_separately() {
        let connect = iam(Some("token")).connection_header(&endpoint(), at()).unwrap();
        let start = iam(Some("token")).subscription_header(&endpoint(), "{\"query\":\"q\"}", at()).unwrap();
        assert_eq!(connect["x-amz-date"], "20231114T221320Z");
        assert_eq!(connect["x-amz-security-token"], "token");
        assert_eq!(connect["content-encoding"], "amz-1.0");
        let scope = "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20231114/eu-west-1/appsync/aws4_request, \
                     SignedHeaders=accept;content-encoding;content-type;host;x-amz-date;x-amz-security-token, Signature=";
        assert!(connect["authorization"].as_str().unwrap().starts_with(scope));
        assert_ne!(connect["authorization"], start["authorization"]);
    }

    #[test]
    fn iam_signature_depends_on_the_body() {
        let graphql = endpoint().graphql().clone();
        let one = iam(None).http_headers(&graphql, "{\"query\":\"a\"}", at()).unwrap();
        let other = iam(None).http_headers(&graphql, "{\"query\":\"b\"}", at()).unwrap();
        assert_eq!(one.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x-amz-date", "authorization"]);
        assert_ne!(one, other);
    }

    #[test]
    fn debug_output_contains_no_secret() {
        let printed = format!("{:?} {:?}", iam(Some("token")), Credentials::ApiKey("da2-x".to_owned()));
        assert_eq!(printed, "Iam ApiKey");
    }
}
