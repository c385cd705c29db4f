//! Verification of presigned URLs of S3: Signature Version 4 in the parameters of a GET.
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use api::signing::PresignedGet;
use aws_credential_types::Credentials;
use http::Uri;
use tokens::constant_time;

use super::{auth_error::MAX_SIGNATURE_SKEW, principal::Principal, signature::parse_time};

/// A week.
const MAX_LIFETIME: Duration = Duration::from_secs(604_800);
const SIGNATURE: &str = "X-Amz-Signature";

/// The parameters of a presigned URL.
pub struct PresignedUrl {
    pub access_key_id: String,
    region: String,
    signed_at: SystemTime,
    lifetime: Duration,
    parameters: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresignedUrlError {
    /// The query has no signature.
    Unsigned,
    /// A parameter is missing, repeated or not understood.
    Malformed,
    LifetimeTooLong,
    UnknownAccessKey,
    /// The session token is missing, or is not that of the access key.
    InvalidToken,
    NotYetValid,
    Expired {
        lifetime: Duration,
        expired_at: SystemTime,
        now: SystemTime,
    },
    SignatureMismatch,
}

impl PresignedUrl {
    pub fn parse(uri: &Uri) -> Result<Self, PresignedUrlError> {
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_str(uri.query().unwrap_or_default()).map_err(|_| PresignedUrlError::Malformed)?;
        let count = pairs.len();
        let parameters: BTreeMap<String, String> = pairs.into_iter().collect();
        if !parameters.contains_key(SIGNATURE) {
            return Err(PresignedUrlError::Unsigned);
        }
        let url = (parameters.len() == count).then(|| Self::from_parameters(parameters)).flatten();
        let url = url.ok_or(PresignedUrlError::Malformed)?;
        if url.lifetime > MAX_LIFETIME { Err(PresignedUrlError::LifetimeTooLong) } else { Ok(url) }
    }

    fn from_parameters(parameters: BTreeMap<String, String>) -> Option<Self> {
        let mut scope = parameters.get("X-Amz-Credential")?.split('/').map(str::to_owned);
        let (access_key_id, _date, region) = (scope.next()?, scope.next()?, scope.next()?);
        let signed_at = parse_time(parameters.get("X-Amz-Date")?)?;
        let lifetime = Duration::from_secs(parameters.get("X-Amz-Expires")?.parse().ok()?);
        Some(Self { access_key_id, region, signed_at, lifetime, parameters })
    }

    /// Verifies the session token, the time and the signature.
    pub fn verify(
        &self,
        host: &str,
        path: &str,
        principal: &Principal,
        now: SystemTime,
    ) -> Result<(), PresignedUrlError> {
        let token = self.parameters.get("X-Amz-Security-Token").map(String::as_str).unwrap_or_default();
        let expected_token = principal.session_token.as_deref().unwrap_or_default();
        if !constant_time::equal(expected_token.as_bytes(), token.as_bytes()) {
            return Err(PresignedUrlError::InvalidToken);
        }
        if self.signed_at > now + MAX_SIGNATURE_SKEW {
            return Err(PresignedUrlError::NotYetValid);
        }
        let expired_at = self.signed_at + self.lifetime;
        if now >= expired_at {
            return Err(PresignedUrlError::Expired { lifetime: self.lifetime, expired_at, now });
        }
        let expected = self.expected_parameters(host, path, principal).ok_or(PresignedUrlError::SignatureMismatch)?;
        let signature = |parameters: &mut BTreeMap<String, String>| parameters.remove(SIGNATURE).unwrap_or_default();
        let (mut given, mut expected) = (self.parameters.clone(), expected);
        let is_signed = constant_time::equal(signature(&mut given).as_bytes(), signature(&mut expected).as_bytes());
        if is_signed && given == expected { Ok(()) } else { Err(PresignedUrlError::SignatureMismatch) }
    }

    /// What the principal would have signed. It has no parameters beside those of the signature.
    fn expected_parameters(&self, host: &str, path: &str, principal: &Principal) -> Option<BTreeMap<String, String>> {
        let Principal { secret_access_key, session_token, .. } = principal;
        let secret = secret_access_key.as_str();
        let credentials = Credentials::new(&*self.access_key_id, secret, session_token.clone(), None, "authenticator");
        let url = format!("http://{host}{path}");
        let get = PresignedGet { url: &url, region: &self.region, lifetime: self.lifetime };
        let parameters = get.parameters(credentials, self.signed_at).ok()?;
        Some(parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::{AccessRequest, Authenticator};

    const HOST: &str = "localhost:4000";
    const PATH: &str = "/local-knowledge/a%20b.md";
    const ACCESS: AccessRequest<'static> =
        AccessRequest { action: "s3:GetObject", resource: "arn:aws:s3:::local-knowledge/a b.md", leading_keys: &[] };

    fn authenticator() -> Authenticator {
        let authenticator = Authenticator::new(Vec::new(), Vec::new());
        let statement =
            json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::local-knowledge/*" });
        let keys = ["ASIAROLE", "secret", "token+/="].map(str::to_owned);
        let role = "arn:aws:iam::000000000000:role/Handler";
        authenticator.add_principal(Principal::role_session(role, "run", keys, &[statement]));
        authenticator
    }

    fn signed_at() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
    }

    fn signed_url(secret: &str, token: Option<&str>, lifetime: u64) -> String {
        let credentials = Credentials::new("ASIAROLE", secret, token.map(str::to_owned), None, "test");
        let url = format!("http://{HOST}{PATH}");
        let get = PresignedGet { url: &url, region: "us-east-1", lifetime: Duration::from_secs(lifetime) };
        get.sign(credentials, signed_at()).unwrap()
    }

    fn authenticate(url: &str, after_seconds: i64) -> Result<(), PresignedUrlError> {
        let now = signed_at() - Duration::from_secs(1_000) + Duration::from_secs((1_000 + after_seconds) as u64);
        let uri: Uri = url.replace("http://localhost:4000", "").parse().unwrap();
        let role = authenticator().authenticate_presigned_url(HOST, &uri, now)?;
        assert_eq!(role.authorize(&ACCESS), Ok(()));
        Ok(())
    }

    #[test]
    fn url_is_valid_until_its_lifetime_ends() {
        let url = signed_url("secret", Some("token+/="), 300);
        for seconds in [-299, 0, 299] {
            assert_eq!(authenticate(&url, seconds), Ok(()));
        }
        assert_eq!(authenticate(&url, -301), Err(PresignedUrlError::NotYetValid));
        let (lifetime, now) = (Duration::from_secs(300), signed_at() + Duration::from_secs(300));
        assert_eq!(authenticate(&url, 300), Err(PresignedUrlError::Expired { lifetime, expired_at: now, now }));
    }

    #[test]
    fn every_change_of_the_url_is_refused() {
        let url = signed_url("secret", Some("token+/="), 300);
        for (part, change) in [
            ("a%20b.md", "b.md"),
            ("a%20b.md", "a%20b.md/"),
            ("a%20b.md", "a%2520b.md"),
            ("Expires=300", "Expires=3000"),
            ("Date=20261118T110640Z", "Date=20261118T110641Z"),
            ("%2Fus-east-1%2F", "%2Feu-west-1%2F"),
            ("%2F20261118%2F", "%2F20261119%2F"),
            ("%2Fs3%2F", "%2Fsts%2F"),
            ("SignedHeaders=host", "SignedHeaders=host%3Brange"),
            ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
            ("&X-Amz-Signature=", "&X-Amz-Signature=0"),
            ("X-Amz-Algorithm", "response-content-type=text%2Fhtml&X-Amz-Algorithm"),
        ] {
            assert!(url.contains(part), "{part}");
            let changed = url.replacen(part, change, 1);
            assert_eq!(authenticate(&changed, 0), Err(PresignedUrlError::SignatureMismatch), "{changed}");
        }
        let other_host = signed_url("secret", Some("token+/="), 300).parse::<Uri>().unwrap();
        let role = authenticator().authenticate_presigned_url("127.0.0.1:4000", &other_host, signed_at());
        assert_eq!(role.err(), Some(PresignedUrlError::SignatureMismatch));
    }

    #[test]
    fn url_of_other_credentials_is_refused() {
        let mismatch = Err(PresignedUrlError::SignatureMismatch);
        assert_eq!(authenticate(&signed_url("other", Some("token+/="), 300), 0), mismatch);
        for token in [None, Some("other")] {
            let error = Err(PresignedUrlError::InvalidToken);
            assert_eq!(authenticate(&signed_url("secret", token, 300), 0), error, "{token:?}");
        }
        let unknown = signed_url("secret", Some("token+/="), 300).replace("ASIAROLE", "ASIAOTHER");
        assert_eq!(authenticate(&unknown, 0), Err(PresignedUrlError::UnknownAccessKey));
    }

    #[test]
    fn incomplete_url_is_refused() {
        let url = signed_url("secret", Some("token+/="), 300);
        assert_eq!(authenticate(PATH, 0), Err(PresignedUrlError::Unsigned));
        assert_eq!(authenticate(&url.replace("X-Amz-Signature", "Signature"), 0), Err(PresignedUrlError::Unsigned));
        for (part, change) in [
            ("X-Amz-Date", "Date"),
            ("X-Amz-Expires", "Expires"),
            ("Expires=300", "Expires=-1"),
            ("X-Amz-Credential", "Credential"),
            ("T110640Z", "T110660Z"),
            ("X-Amz-Date=", "X-Amz-Date=20261118T110640Z&X-Amz-Date="),
        ] {
            let changed = url.replacen(part, change, 1);
            assert_eq!(authenticate(&changed, 0), Err(PresignedUrlError::Malformed), "{changed}");
        }
        let too_long = signed_url("secret", Some("token+/="), 604_801);
        assert_eq!(authenticate(&too_long, 0), Err(PresignedUrlError::LifetimeTooLong));
    }
}
