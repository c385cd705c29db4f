//! S3's error responses, with its messages.
use std::time::SystemTime;

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;

use crate::identity::{AccessDenied, PresignedUrlError};

#[derive(Debug, PartialEq, Eq)]
pub struct S3Error {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Further elements, by name.
    details: Vec<(&'static str, String)>,
}

impl S3Error {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: Vec::new() }
    }

    pub fn no_such_key(key: &str) -> Self {
        let details = vec![("Key", key.to_owned())];
        Self { details, ..Self::new(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.") }
    }

    pub fn no_such_bucket() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchBucket", "The specified bucket does not exist")
    }

    pub fn access_denied(denied: &AccessDenied, resource: &str) -> Self {
        // Other services write the resource without quotation marks.
        let message =
            denied.to_string().replacen(&format!("resource: {resource}"), &format!("resource: \"{resource}\""), 1);
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    pub fn method_not_allowed() -> Self {
        let message = "The specified method is not allowed against this resource.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    pub fn invalid_uri() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidURI", "Couldn't parse the specified URI.")
    }

    pub fn internal_error() -> Self {
        let message = "We encountered an internal error. Please try again.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    pub fn into_response(self, request_id: &str) -> Response {
        let own = [("Code", self.code.to_owned()), ("Message", self.message)];
        let elements = own.into_iter().chain(self.details).chain([("RequestId", request_id.to_owned())]);
        let elements: String = elements.map(|(name, text)| format!("<{name}>{}</{name}>", escaped(&text))).collect();
        let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{elements}</Error>");
        (self.status, [(CONTENT_TYPE, "application/xml")], body).into_response()
    }
}

impl From<PresignedUrlError> for S3Error {
    fn from(error: PresignedUrlError) -> Self {
        let forbidden = |code, message: &str| Self::new(StatusCode::FORBIDDEN, code, message);
        let bad_parameters =
            |message: &str| Self::new(StatusCode::BAD_REQUEST, "AuthorizationQueryParametersError", message);
        match error {
            PresignedUrlError::Unsigned => forbidden("AccessDenied", "Access Denied"),
            PresignedUrlError::Malformed => bad_parameters(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                 X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
            ),
            PresignedUrlError::LifetimeTooLong => bad_parameters(
                "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less \
                 than 604800 seconds",
            ),
            PresignedUrlError::UnknownAccessKey => {
                forbidden("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
            }
            PresignedUrlError::InvalidToken => {
                let message = "The provided token is malformed or otherwise invalid.";
                Self::new(StatusCode::BAD_REQUEST, "InvalidToken", message)
            }
            PresignedUrlError::NotYetValid => forbidden("AccessDenied", "Request is not valid yet"),
            PresignedUrlError::Expired { lifetime, expired_at, now } => Self {
                details: vec![
                    ("X-Amz-Expires", lifetime.as_secs().to_string()),
                    ("Expires", iso_8601(expired_at)),
                    ("ServerTime", iso_8601(now)),
                ],
                ..forbidden("AccessDenied", "Request has expired")
            },
            PresignedUrlError::SignatureMismatch => forbidden(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and \
                 signing method.",
            ),
        }
    }
}

fn iso_8601(time: SystemTime) -> String {
    Timestamp::try_from(time).map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::to_bytes;

    use super::*;

    async fn body(error: S3Error) -> String {
        let body = to_bytes(error.into_response("R1").into_body(), 4096).await.unwrap();
        String::from_utf8(body.into()).unwrap().replace("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "")
    }

    #[tokio::test]
    async fn expired_url_is_told_when_it_ended() {
        let expired_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_300);
        let now = expired_at + Duration::from_millis(1_500);
        let error = PresignedUrlError::Expired { lifetime: Duration::from_secs(300), expired_at, now };
        let expected = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message>\
                        <X-Amz-Expires>300</X-Amz-Expires><Expires>2026-11-18T11:11:40Z</Expires>\
                        <ServerTime>2026-11-18T11:11:41Z</ServerTime><RequestId>R1</RequestId></Error>";
        assert_eq!(body(error.into()).await, expected);
    }

    #[tokio::test]
    async fn key_is_escaped() {
        let expected = "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>\
                        <Key>a&lt;b&gt;&amp;&quot;c</Key><RequestId>R1</RequestId></Error>";
        assert_eq!(body(S3Error::no_such_key("a<b>&\"c")).await, expected);
    }
}
