//! SigV4 signing of requests to AWS services.
use std::{
    fmt::Display,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What Signature Version 4 encodes in the value of a query parameter: all but `A-Z a-z 0-9 - . _ ~`.
const ENCODED_IN_VALUES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ENCODED_IN_PATHS: &AsciiSet = &ENCODED_IN_VALUES.remove(b'/');

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

/// A GET of an object of S3 that whoever has its URL may send until it expires.
#[derive(Clone, Copy, Debug)]
pub struct PresignedGet<'a> {
    /// The URL of the object. Its path is percent-encoded once, as S3 requires, and it has no query.
    pub url: &'a str,
    pub region: &'a str,
    /// At most a week.
    pub lifetime: Duration,
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

impl PresignedGet<'_> {
    /// The parameters that authorize the request, in the order of its query.
    pub fn parameters(
        &self,
        credentials: Credentials,
        at: SystemTime,
    ) -> Result<Vec<(&'static str, String)>, SigningError> {
        let identity = credentials.into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(self.lifetime);
        // S3 signs the path as it is sent.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name("s3")
            .time(at)
            .settings(settings)
            .build()?
            .into();
        let request = SignableRequest::new("GET", self.url, std::iter::empty(), SignableBody::UnsignedPayload)?;
        let (instructions, _) = sign(request, &parameters)?.into_parts();
        let (_, parameters) = instructions.into_parts();
        Ok(parameters.into_iter().map(|(name, value)| (name, value.into_owned())).collect())
    }

    /// The URL with the parameters that authorize the request.
    pub fn sign(&self, credentials: Credentials, at: SystemTime) -> Result<String, SigningError> {
        let parameters = self.parameters(credentials, at)?;
        let query: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", encoded_value(value))).collect();
        Ok(format!("{}?{}", self.url, query.join("&")))
    }
}

/// The key of an object as S3 expects it in the path of a URL.
pub fn encoded_path(key: &str) -> impl Display + '_ {
    utf8_percent_encode(key, ENCODED_IN_PATHS)
}

/// A value in the query of a URL, or one segment of its path.
pub fn encoded_value(value: &str) -> impl Display + '_ {
    utf8_percent_encode(value, ENCODED_IN_VALUES)
}

#[cfg(test)]
mod tests {
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

    /// The example of AWS's page "Authenticating requests: using query parameters (AWS Signature Version 4)".
    #[test]
    fn presigned_url_is_that_of_awss_example() {
        let credentials =
            Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, None, "test");
        let url = "https://examplebucket.s3.amazonaws.com/test.txt";
        let get = PresignedGet { url, region: "us-east-1", lifetime: Duration::from_secs(86_400) };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        assert_eq!(
            get.sign(credentials, at).unwrap(),
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&\
             X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&\
             X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&\
             X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    #[test]
    fn presigned_url_has_the_session_token() {
        let credentials = Credentials::new("ASIAEXAMPLE", "secret", Some("a+b/c==".to_owned()), None, "test");
        let url = "https://docs.s3.eu-west-1.amazonaws.com/a%20b.pdf";
        let get = PresignedGet { url, region: "eu-west-1", lifetime: Duration::from_secs(300) };
        let signed = get.sign(credentials, SystemTime::UNIX_EPOCH).unwrap();
        assert!(signed.starts_with("https://docs.s3.eu-west-1.amazonaws.com/a%20b.pdf?X-Amz-"), "{signed}");
        assert!(signed.ends_with("&X-Amz-Security-Token=a%2Bb%2Fc%3D%3D"), "{signed}");
    }

    #[test]
    fn percent_encoding_is_that_of_signature_version_4() {
        assert_eq!(encoded_path("a/b c+ü~-._%2F").to_string(), "a/b%20c%2B%C3%BC~-._%252F");
        assert_eq!(encoded_value("a/b").to_string(), "a%2Fb");
    }
}
