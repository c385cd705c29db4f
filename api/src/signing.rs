//! SigV4 signing of requests to AWS services.
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};

/// One POST to a service.
#[derive(Clone, Copy, Debug)]
pub struct PostRequest<'a> {
    /// The service's name in signatures, such as `appsync`.
    pub service: &'a str,
    pub url: &'a str,
    pub region: &'a str,
    /// The headers to sign, besides `host`.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// One request to a service, of any method.
#[derive(Clone, Copy, Debug)]
pub struct ServiceRequest<'a> {
    /// Such as `PUT`.
    pub method: &'a str,
    /// The service's name in signatures, such as `bedrock`.
    pub service: &'a str,
    pub url: &'a str,
    pub region: &'a str,
    /// The headers to sign, besides `host`.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error(transparent)]
    Parameters(#[from] v4::signing_params::BuildError),
    #[error(transparent)]
    Signature(#[from] aws_sigv4::http_request::SigningError),
}

impl PostRequest<'_> {
    /// The headers that authorize the request, to be sent with those that were signed.
    pub fn sign(&self, credentials: Credentials, at: SystemTime) -> Result<Vec<(String, String)>, SigningError> {
        let Self { service, url, region, headers, body } = *self;
        ServiceRequest { method: "POST", service, url, region, headers, body }.sign(credentials, at)
    }
}

impl ServiceRequest<'_> {
    /// The headers that authorize the request, to be sent with those that were signed.
    pub fn sign(&self, credentials: Credentials, at: SystemTime) -> Result<Vec<(String, String)>, SigningError> {
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(at)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = self.headers.iter().copied();
        let request = SignableRequest::new(self.method, self.url, headers, SignableBody::Bytes(self.body))?;
        let (instructions, _) = sign(request, &parameters)?.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CONTENT_TYPE: (&str, &str) = ("content-type", "application/json");

    fn signed(session_token: Option<&str>, body: &str) -> Vec<(String, String)> {
        let credentials = Credentials::new("AKIAEXAMPLE", "secret", session_token.map(str::to_owned), None, "test");
        let request = PostRequest {
            service: "appsync",
            url: "http://localhost:4000/graphql",
            region: "eu-west-1",
            headers: &[CONTENT_TYPE],
            body: body.as_bytes(),
        };
        request.sign(credentials, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap()
    }

    fn names(headers: &[(String, String)]) -> Vec<&str> {
        headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn signature_covers_host_date_and_given_headers() {
        let headers = signed(None, "{}");
        assert_eq!(names(&headers), ["x-amz-date", "authorization"]);
        assert_eq!(headers[0].1, "20231114T221320Z");
        let scope = "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20231114/eu-west-1/appsync/aws4_request, \
                     SignedHeaders=content-type;host;x-amz-date, Signature=";
        assert!(headers[1].1.starts_with(scope), "{}", headers[1].1);
    }

    #[test]
    fn signature_covers_the_body() {
        assert_ne!(signed(None, "{\"query\":\"a\"}"), signed(None, "{\"query\":\"b\"}"));
    }

    #[test]
    fn signature_covers_the_method() {
        let authorization = |method: &str| {
            let (service, region, url) = ("bedrock", "eu-west-1", "https://bedrock-agent.eu-west-1.amazonaws.com/a/");
            let request = ServiceRequest { method, service, url, region, headers: &[CONTENT_TYPE], body: b"{}" };
            let credentials = Credentials::new("AKIAEXAMPLE", "secret", None, None, "test");
            request.sign(credentials, SystemTime::UNIX_EPOCH).unwrap()
        };
        assert_ne!(authorization("PUT"), authorization("GET"));
    }

    #[test]
    fn session_token_is_sent_along() {
        let headers = signed(Some("token"), "{}");
        assert!(headers.contains(&("x-amz-security-token".to_owned(), "token".to_owned())));
    }
}
