//! GetObject of S3 by presigned URLs, as browsers send it.
use std::{
    fs,
    time::{Duration, SystemTime},
};

use api::signing::PresignedGet;
use aws_credential_types::Credentials;
use local::{identity::Principal, server::AccessKey};
use reqwest::{Client, Method};
use serde_json::json;

use super::fixture::{DOCUMENTS, Fixture};

/// The status, code and message of an error.
type S3Error = (u16, String, String);

impl Fixture {
    fn s3_url(&self, path: &str) -> String {
        self.backend.server.endpoint.url.replace("/graphql", path)
    }

    /// A URL that the administrator has signed.
    fn presigned(&self, path: &str, at: SystemTime) -> String {
        let AccessKey { access_key_id, secret_access_key } = self.backend.server.endpoint.administrator.clone();
        presign(&self.s3_url(path), [access_key_id, secret_access_key, String::new()], at)
    }
}

/// An empty token is none.
fn presign(url: &str, [access_key_id, secret_access_key, token]: [String; 3], at: SystemTime) -> String {
    let session_token = (!token.is_empty()).then_some(token);
    let credentials = Credentials::new(access_key_id, secret_access_key, session_token, None, "test");
    let get = PresignedGet { url, region: "us-east-1", lifetime: Duration::from_secs(300) };
    get.sign(credentials, at).unwrap()
}

async fn error_of(method: Method, url: &str) -> S3Error {
    let response = Client::new().request(method, url).send().await.unwrap();
    let status = response.status().as_u16();
    assert!(response.headers().contains_key("x-amz-request-id"));
    assert_eq!(response.headers()["content-type"], "application/xml");
    let body = response.text().await.unwrap();
    let element = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{name} in {body}"));
        rest.split_once(&format!("</{name}>")).unwrap().0.to_owned()
    };
    (status, element("Code"), element("Message"))
}

fn error(status: u16, code: &str, message: &str) -> S3Error {
    (status, code.to_owned(), message.to_owned())
}

#[tokio::test]
async fn object_is_read_until_the_url_expires() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let path = "/local-knowledge/hr/travel.md";
    let signed_before = |seconds| fixture.presigned(path, SystemTime::now() - Duration::from_secs(seconds));
    let response = reqwest::get(signed_before(280)).await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (200, DOCUMENTS[1].1));
    let expired = error(403, "AccessDenied", "Request has expired");
    assert_eq!(error_of(Method::GET, &signed_before(301)).await, expired);
    let early = fixture.presigned(path, SystemTime::now() + Duration::from_secs(600));
    assert_eq!(error_of(Method::GET, &early).await, error(403, "AccessDenied", "Request is not valid yet"));
}

/// The bucket has the origin of the API.
#[tokio::test]
async fn scripts_of_documents_are_not_run() {
    let fixture = Fixture::new(&[("leave.html", "<p>25 days</p>"), ("leave.txt", "25 days")]).await;
    for (name, content_type, policy) in
        [("leave.html", "text/html", Some("sandbox")), ("leave.txt", "text/plain", None)]
    {
        let url = fixture.presigned(&format!("/local-knowledge/{name}"), SystemTime::now());
        let response = reqwest::get(url).await.unwrap();
        assert_eq!(response.headers()["content-type"], content_type);
        let found = response.headers().get("content-security-policy").map(|policy| policy.to_str().unwrap());
        assert_eq!(found, policy, "{name}");
    }
}

#[tokio::test]
async fn changed_url_is_refused() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let url = fixture.presigned("/local-knowledge/hr/travel.md", SystemTime::now());
    let message = "The request signature we calculated does not match the signature you provided. Check your key and \
                   signing method.";
    let mismatch = error(403, "SignatureDoesNotMatch", message);
    for (part, change) in [
        ("/hr/travel.md", "/leave.md"),
        ("Expires=300", "Expires=301"),
        ("X-Amz-Algorithm", "response-content-type=text%2Fhtml&X-Amz-Algorithm"),
    ] {
        assert_eq!(error_of(Method::GET, &url.replacen(part, change, 1)).await, mismatch, "{change}");
    }
    let unsigned = url.split_once('?').unwrap().0;
    assert_eq!(error_of(Method::GET, unsigned).await, error(403, "AccessDenied", "Access Denied"));
    let message = "The specified method is not allowed against this resource.";
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        assert_eq!(error_of(method, &url).await, error(405, "MethodNotAllowed", message));
    }
    let message = "The AWS Access Key Id you provided does not exist in our records.";
    let unknown = url.replacen("Credential=", "Credential=X", 1);
    assert_eq!(error_of(Method::GET, &unknown).await, error(403, "InvalidAccessKeyId", message));
}

#[tokio::test]
async fn no_path_leads_out_of_the_folder() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.md"), "secret").unwrap();
    let folder = fixture.folder.path();
    std::os::unix::fs::symlink(outside.path().join("secret.md"), folder.join("link.md")).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.join("up")).unwrap();
    let outside = outside.path().to_str().unwrap().replace('/', "%2F");
    let no_key = error(404, "NoSuchKey", "The specified key does not exist.");
    for path in [
        "none.md",
        "hr",
        "hr/",
        "link.md",
        "up/secret.md",
        "..%2Fsecret.md",
        "hr%2F..%2F..%2Fetc%2Fpasswd",
        "%2Fetc%2Fpasswd",
        "/etc/passwd",
        "a%00.md",
        &outside,
    ] {
        let url = fixture.presigned(&format!("/local-knowledge/{path}"), SystemTime::now());
        assert_eq!(error_of(Method::GET, &url).await, no_key, "{path}");
    }
    for path in ["a%", "%ff"] {
        let url = fixture.presigned(&format!("/local-knowledge/{path}"), SystemTime::now());
        let message = "Couldn't parse the specified URI.";
        assert_eq!(error_of(Method::GET, &url).await, error(400, "InvalidURI", message), "{path}");
    }
}

#[tokio::test]
async fn role_that_signs_needs_the_permission_for_the_object() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let statement =
        json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::local-knowledge/hr/*" });
    let keys = ["reader-key", "secret", "token"].map(str::to_owned);
    let role = "arn:aws:iam::000000000000:role/Reader";
    let principal = Principal::role_session(role, "test", keys.clone(), &[statement]);
    fixture.backend.server.authenticator.add_principal(principal);
    let presigned = |path: &str, keys: [&str; 3]| {
        presign(&fixture.s3_url(&format!("/local-knowledge/{path}")), keys.map(str::to_owned), SystemTime::now())
    };
    let own = ["reader-key", "secret", "token"];
    assert_eq!(reqwest::get(presigned("hr/travel.md", own)).await.unwrap().status(), 200);
    let denied = |action: &str, resource: &str| {
        let user = "arn:aws:sts::000000000000:assumed-role/Reader/test";
        let message = format!(
            "User: {user} is not authorized to perform: {action} on resource: &quot;arn:aws:s3:::{resource}&quot; because \
             no identity-based policy allows the {action} action"
        );
        error(403, "AccessDenied", &message)
    };
    let other = error_of(Method::GET, &presigned("leave.md", own)).await;
    assert_eq!(other, denied("s3:GetObject", "local-knowledge/leave.md"));
    // Who may not list the bucket does not learn which objects exist.
    let missing = error_of(Method::GET, &presigned("hr/none.md", own)).await;
    assert_eq!(missing, denied("s3:ListBucket", "local-knowledge"));
    let message = "The provided token is malformed or otherwise invalid.";
    for token in ["", "other"] {
        let url = presigned("hr/travel.md", ["reader-key", "secret", token]);
        assert_eq!(error_of(Method::GET, &url).await, error(400, "InvalidToken", message));
    }
}
