//! AWS Signature Version 4, read from a request and computed again.
use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use super::{Denial, Presented, Principal, same};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "appsync";
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// What an `Authorization` header of Signature Version 4 says.
pub struct Signature<'a> {
    pub access_key_id: &'a str,
    pub region: &'a str,
    date: &'a str,
    /// Each once: a header that is named again and again would be hashed as often.
    signed_headers: BTreeSet<&'a str>,
    signature: &'a str,
}

/// Whether an `Authorization` header is of Signature Version 4, good or not.
pub fn is_one(written: &HeaderValue) -> bool {
    written.as_bytes().trim_ascii_start().starts_with(ALGORITHM.as_bytes())
}

pub fn read(headers: &HeaderMap) -> Result<Signature<'_>, Denial> {
    let written = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    written.and_then(parse).ok_or(Denial::CredentialsMissing)
}

fn parse(written: &str) -> Option<Signature<'_>> {
    let parts = written.trim().strip_prefix(ALGORITHM)?;
    let part =
        |name: &str| parts.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('=')).map(str::trim);
    let mut scope = part("Credential")?.split('/');
    let (access_key_id, date, region) = (scope.next()?, scope.next()?, scope.next()?);
    let fits = scope.next() == Some(SERVICE) && scope.next() == Some("aws4_request") && scope.next().is_none();
    let signed_headers = part("SignedHeaders")?.split(';').collect();
    fits.then_some(Signature { access_key_id, region, date, signed_headers, signature: part("Signature")? })
}

impl Signature<'_> {
    pub fn verify(&self, presented: &Presented<'_>, principal: &Principal) -> Result<(), Denial> {
        let token = presented.headers.get("x-amz-security-token").map_or(&[][..], |token| token.as_bytes());
        if !same(principal.session_token.as_deref().unwrap_or_default().as_bytes(), token) {
            return Err(Denial::ClientUnknown);
        }
        let made = self.made_at(presented.headers).ok_or(Denial::SignatureMismatch)?;
        let age = presented.now.duration_since(made).unwrap_or_else(|ahead| ahead.duration());
        if age > CLOCK_SKEW {
            return Err(Denial::SignatureExpired);
        }
        let expected = self.computed(presented, principal, made).ok_or(Denial::SignatureMismatch)?;
        if same(expected.as_bytes(), self.signature.as_bytes()) { Ok(()) } else { Err(Denial::SignatureMismatch) }
    }

    fn made_at(&self, headers: &HeaderMap) -> Option<SystemTime> {
        let written = headers.get("x-amz-date")?.to_str().ok().filter(|written| written.starts_with(self.date))?;
        let moment = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", written).ok()?;
        Some(moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().into())
    }

    fn computed(&self, presented: &Presented<'_>, principal: &Principal, made: SystemTime) -> Option<String> {
        if !self.signed_headers.contains("host") {
            return None;
        }
        let headers = self.signed_headers.iter().flat_map(|name| {
            let values = presented.headers.get_all(*name).iter().filter_map(|value| value.to_str().ok());
            values.map(move |value| (*name, value))
        });
        let body = SignableBody::Bytes(presented.body);
        let request = SignableRequest::new(presented.method, presented.uri.to_string(), headers, body).ok()?;
        let secret = principal.secret_access_key.as_str();
        let identity = Credentials::new(self.access_key_id, secret, None, None, "directory").into();
        let mut settings = SigningSettings::default();
        settings.excluded_headers = None;
        let signing = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(SERVICE)
            .time(made)
            .settings(settings)
            .build()
            .ok()?;
        Some(sign(request, &signing.into()).ok()?.signature().to_owned())
    }
}
