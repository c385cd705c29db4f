//! Links to documents in S3: presigned GETs of objects.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::signing::{PresignedGet, SigningError, encoded_path};
use aws_credential_types::{Credentials, provider::error::CredentialsError};

use super::signed_http::{SignedHttp, default_endpoint};

/// How long a link is valid.
const LIFETIME: Duration = Duration::from_secs(300);

/// Makes links to the objects of one bucket.
pub struct DocumentLinks {
    http: SignedHttp,
    /// `None` if no document can have a link.
    bucket: Option<DocumentsBucket>,
}

pub struct DocumentsBucket {
    pub name: String,
    pub region: String,
    /// In place of that of the region.
    pub endpoint: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct DocumentLink {
    pub url: String,
    pub expires_at: SystemTime,
}

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("there are no credentials: {0}")]
    Credentials(#[from] CredentialsError),
    #[error("it cannot be signed: {0}")]
    Signing(#[from] SigningError),
}

impl DocumentLinks {
    pub fn new(http: SignedHttp, bucket: Option<DocumentsBucket>) -> Self {
        Self { http, bucket }
    }

    /// `None` unless the source is an object of the bucket. Whether the object exists is not known. The link
    /// is a credential: it must not be logged.
    pub async fn link(&self, source: &str, now: SystemTime) -> Result<Option<DocumentLink>, LinkError> {
        let Some(bucket) = &self.bucket else { return Ok(None) };
        let Some(url) = bucket.object_url(source) else { return Ok(None) };
        let link = presign(&url, &bucket.region, self.http.credentials().await?, now)?;
        Ok(Some(link))
    }
}

impl DocumentsBucket {
    /// The URL of the object that `s3://bucket/key` names. `None` if it is in another bucket. A key with a
    /// part `.` or `..` has none, because browsers would resolve the part.
    fn object_url(&self, source: &str) -> Option<String> {
        let key = source.strip_prefix("s3://")?.strip_prefix(&self.name)?.strip_prefix('/')?;
        let has_dot_segment = key.split('/').any(|part| part == "." || part == "..");
        if key.is_empty() || has_dot_segment {
            return None;
        }
        Some(format!("{}/{}", self.url(), encoded_path(key)))
    }

    /// With the bucket in the path where it cannot be in the host: the certificate of S3 is for names without
    /// further dots.
    fn url(&self) -> String {
        let Self { name, region, endpoint } = self;
        match endpoint {
            Some(endpoint) => format!("{}/{name}", endpoint.trim_end_matches('/')),
            None if name.contains('.') => format!("{}/{name}", default_endpoint("s3", region)),
            None => default_endpoint(&format!("{name}.s3"), region),
        }
    }
}

/// The link ends with the credentials, if these say when they end.
fn presign(url: &str, region: &str, credentials: Credentials, now: SystemTime) -> Result<DocumentLink, SigningError> {
    // A signature has the time in seconds.
    let signed_at = UNIX_EPOCH + Duration::from_secs(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    let expires_at = signed_at + LIFETIME;
    let expires_at = credentials.expiry().map_or(expires_at, |end| end.min(expires_at));
    let url = PresignedGet { url, region, lifetime: LIFETIME }.sign(credentials, signed_at)?;
    Ok(DocumentLink { url, expires_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(name: &str, endpoint: Option<&str>) -> DocumentsBucket {
        let endpoint = endpoint.map(str::to_owned);
        DocumentsBucket { name: name.to_owned(), region: "eu-west-1".to_owned(), endpoint }
    }

    #[test]
    fn object_has_the_url_of_its_bucket() {
        let local = bucket("local-knowledge", Some("http://127.0.0.1:4004/"));
        for (bucket, source, expected) in [
            (&bucket("docs", None), "s3://docs/a/b.pdf", "https://docs.s3.eu-west-1.amazonaws.com/a/b.pdf"),
            (&bucket("docs.example", None), "s3://docs.example/a", "https://s3.eu-west-1.amazonaws.com/docs.example/a"),
            (&local, "s3://local-knowledge/hr/a.md", "http://127.0.0.1:4004/local-knowledge/hr/a.md"),
            (&local, "s3://local-knowledge//a", "http://127.0.0.1:4004/local-knowledge//a"),
        ] {
            assert_eq!(bucket.object_url(source).as_deref(), Some(expected));
        }
    }

    #[test]
    fn key_is_encoded_once() {
        let url = bucket("docs", None).object_url("s3://docs/a b/ü+%20?#..c").unwrap();
        assert_eq!(url, "https://docs.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC%2B%2520%3F%23..c");
    }

    #[test]
    fn other_sources_have_no_url() {
        for source in [
            "",
            "s3://",
            "s3://docs",
            "s3://docs/",
            "s3://docs2/a",
            "s3://doc/a",
            "S3://docs/a",
            "https://docs/a",
            "docs/a",
            "s3://docs/a/../../other/b",
            "s3://docs/./a",
            "s3://docs/..",
        ] {
            assert_eq!(bucket("docs", None).object_url(source), None, "{source}");
        }
    }

    #[test]
    fn link_ends_after_five_minutes_or_with_its_credentials() {
        let signed_at = UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let now = signed_at + Duration::from_millis(900);
        for (expiry, expected) in [(None, 300), (Some(299), 299), (Some(301), 300)] {
            let expiry = expiry.map(|seconds| signed_at + Duration::from_secs(seconds));
            let credentials = Credentials::new("ASIAEXAMPLE", "secret", Some("token".into()), expiry, "test");
            let link = presign("https://docs.s3.eu-west-1.amazonaws.com/a", "eu-west-1", credentials, now).unwrap();
            assert_eq!(link.expires_at, signed_at + Duration::from_secs(expected));
            assert!(link.url.contains("&X-Amz-Date=20261118T110640Z&X-Amz-Expires=300&"), "{}", link.url);
        }
    }
}
