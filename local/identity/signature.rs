//! Verification of AWS Signature Version 4.
use std::{collections::BTreeSet, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use tokens::constant_time;

use super::{
    auth_error::{AuthError, MAX_SIGNATURE_SKEW, TIME_FORMAT},
    auth_request::AuthRequest,
    principal::Principal,
};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// AppSync in credential scopes.
pub const APPSYNC: &str = "appsync";

/// A parsed `Authorization` header of Signature Version 4.
pub struct Signature<'a> {
    pub access_key_id: &'a str,
    pub region: &'a str,
    service: &'a str,
    date: &'a str,
    /// A set, because a name that occurs repeatedly would be hashed repeatedly.
    signed_headers: BTreeSet<&'a str>,
    signature: &'a str,
}

/// Whether an `Authorization` header has the scheme of Signature Version 4.
pub fn is_signature(authorization: &HeaderValue) -> bool {
    authorization.as_bytes().trim_ascii_start().starts_with(ALGORITHM.as_bytes())
}

/// Parses the signature of a request to a service.
pub fn parse<'a>(headers: &'a HeaderMap, service: &str) -> Result<Signature<'a>, AuthError> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let signature = authorization.and_then(parse_authorization).filter(|signature| signature.service == service);
    signature.ok_or(AuthError::CredentialsMissing)
}

fn parse_authorization(authorization: &str) -> Option<Signature<'_>> {
    let parts = authorization.trim().strip_prefix(ALGORITHM)?;
    let part =
        |name: &str| parts.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('=')).map(str::trim);
    let mut scope = part("Credential")?.split('/');
    let (access_key_id, date, region, service) = (scope.next()?, scope.next()?, scope.next()?, scope.next()?);
    let is_complete = scope.next() == Some("aws4_request") && scope.next().is_none();
    let signed_headers = part("SignedHeaders")?.split(';').collect();
    let signature = part("Signature")?;
    is_complete.then_some(Signature { access_key_id, region, service, date, signed_headers, signature })
}

/// A time such as `20261118T110640Z`.
pub fn parse_time(text: &str) -> Option<SystemTime> {
    let date_time = jiff::civil::DateTime::strptime(TIME_FORMAT, text).ok()?;
    // jiff reads the second 60 as 59; Java, which AppSync is written in, refuses it.
    if date_time.strftime(TIME_FORMAT).to_string() != text {
        return None;
    }
    Some(date_time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().into())
}

impl Signature<'_> {
    /// Verifies the session token, the age and the signature of a request.
    pub fn verify(&self, request: &AuthRequest<'_>, principal: &Principal) -> Result<(), AuthError> {
        let token = request.headers.get("x-amz-security-token").map_or(&[][..], |token| token.as_bytes());
        let expected_token = principal.session_token.as_deref().unwrap_or_default();
        if !constant_time::equal(expected_token.as_bytes(), token) {
            return Err(AuthError::ClientUnknown);
        }
        let signed_at = self.signed_at(request.headers).ok_or(AuthError::SignatureMismatch)?;
        let now = request.now;
        if signed_at < now - MAX_SIGNATURE_SKEW {
            return Err(AuthError::SignatureExpired { signed_at, now });
        }
        if signed_at > now + MAX_SIGNATURE_SKEW {
            return Err(AuthError::SignatureNotYetCurrent { signed_at, now });
        }
        let expected = self.compute(request, principal, signed_at).ok_or(AuthError::SignatureMismatch)?;
        let is_equal = constant_time::equal(expected.as_bytes(), self.signature.as_bytes());
        if is_equal { Ok(()) } else { Err(AuthError::SignatureMismatch) }
    }

    /// The time of `x-amz-date`, which must be on the date of the credential scope.
    fn signed_at(&self, headers: &HeaderMap) -> Option<SystemTime> {
        let date_header = headers.get("x-amz-date")?.to_str().ok()?;
        if !date_header.starts_with(self.date) {
            return None;
        }
        parse_time(date_header)
    }

    /// Computes the signature of the request. Returns `None` if the request cannot be signed or `host` is not
    /// signed.
    fn compute(&self, request: &AuthRequest<'_>, principal: &Principal, signed_at: SystemTime) -> Option<String> {
        if !self.signed_headers.contains("host") {
            return None;
        }
        let headers = self.signed_headers.iter().flat_map(|name| {
            let values = request.headers.get_all(*name).iter().filter_map(|value| value.to_str().ok());
            values.map(move |value| (*name, value))
        });
        let body = SignableBody::Bytes(request.body);
        let signable = SignableRequest::new(request.method, request.uri.to_string(), headers, body).ok()?;
        let secret = principal.secret_access_key.as_str();
        let identity = Credentials::new(self.access_key_id, secret, None, None, "authenticator").into();
        let mut settings = SigningSettings::default();
        settings.excluded_headers = None;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(signed_at)
            .settings(settings)
            .build()
            .ok()?;
        Some(sign(signable, &parameters.into()).ok()?.signature().to_owned())
    }
}
