use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use http::Request;
use serde_json::{Value, json};

use super::*;

const ACCESS_KEY: &str = "ASIAEXAMPLE";
const BODY: &str = r#"{"query":"{ f }"}"#;

fn directory() -> Directory {
    let directory = Directory::new(vec![AuthMode::ApiKey, AuthMode::Iam], vec!["da2-right".into()]);
    let credentials = [ACCESS_KEY.into(), "secret".into(), "token".into()];
    let statements = [json!({ "Effect": "Allow", "Action": "appsync:GraphQL",
        "Resource": "arn:aws:appsync:eu-west-1:123456789012:apis/abc/types/Mutation/fields/publish" })];
    directory.admit(Principal::role_session("arn:aws:iam::123456789012:role/Handler", "run", credentials, &statements));
    directory
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

async fn admitted(request: &Request<String>) -> Result<Caller, Denial> {
    let directory = directory();
    let presented = Presented {
        method: request.method().as_str(),
        uri: request.uri(),
        headers: request.headers(),
        body: request.body().as_bytes(),
        peer: Some([127, 0, 0, 1].into()),
        now: now(),
    };
    directory.caller(&presented).await
}

fn keyed(key: &str) -> Request<String> {
    Request::post("/graphql").header("x-api-key", key).body(BODY.into()).unwrap()
}

fn signed(token: &str, made: SystemTime) -> Request<String> {
    let identity = Credentials::new(ACCESS_KEY, "secret", Some(token.into()), None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name("appsync")
        .time(made)
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let mut request = Request::post("/graphql").header("host", "localhost:4000").body(BODY.to_owned()).unwrap();
    let headers = [("host", "localhost:4000")].into_iter();
    let signable = SignableRequest::new("POST", "/graphql", headers, SignableBody::Bytes(BODY.as_bytes())).unwrap();
    let (instructions, _) = sign(signable, &params.into()).unwrap().into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request
}

#[tokio::test]
async fn a_known_key_is_admitted_and_no_other() {
    let caller = admitted(&keyed("da2-right")).await.ok().unwrap();
    assert_eq!((caller.mode(), caller.identity()), (AuthMode::ApiKey, &Value::Null));
    assert!(caller.may("abc", "Mutation", "anything"));
    for wrong in ["da2-wrong", "da2-righ", "da2-rightt", ""] {
        assert_eq!(admitted(&keyed(wrong)).await.err(), Some(Denial::NotAuthorized), "{wrong}");
    }
}

#[tokio::test]
async fn a_request_without_usable_credentials_is_denied() {
    let bare = Request::post("/graphql").body(BODY.to_owned()).unwrap();
    assert_eq!(admitted(&bare).await.err(), Some(Denial::CredentialsMissing));
    let basic = Request::post("/graphql").header("authorization", "Basic eDp5").body(BODY.to_owned()).unwrap();
    assert_eq!(admitted(&basic).await.err(), Some(Denial::CredentialsMissing));
}

#[tokio::test]
async fn a_signature_identifies_a_role_session() {
    let caller = admitted(&signed("token", now())).await.ok().unwrap();
    assert_eq!(caller.mode(), AuthMode::Iam);
    assert_eq!(caller.identity()["userArn"], "arn:aws:sts::123456789012:assumed-role/Handler/run");
    assert_eq!(caller.identity()["username"], "AROAHANDLER:run");
    assert_eq!(caller.identity()["sourceIp"], json!(["127.0.0.1"]));
    assert!(caller.may("abc", "Mutation", "publish"));
    assert!(!caller.may("abc", "Mutation", "sendMessage") && !caller.may("other", "Mutation", "publish"));
}

#[tokio::test]
async fn a_signature_covers_body_path_and_host() {
    let mut changed = signed("token", now());
    changed.body_mut().push(' ');
    assert_eq!(admitted(&changed).await.err(), Some(Denial::SignatureMismatch));
    let mut moved = signed("token", now());
    *moved.uri_mut() = "/graphql/connect".parse().unwrap();
    assert_eq!(admitted(&moved).await.err(), Some(Denial::SignatureMismatch));
    let mut rehosted = signed("token", now());
    rehosted.headers_mut().insert("host", "localhost".parse().unwrap());
    assert_eq!(admitted(&rehosted).await.err(), Some(Denial::SignatureMismatch));
}

#[tokio::test]
async fn a_signature_ages() {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    assert!(admitted(&signed("token", now() - minutes(4))).await.is_ok());
    assert_eq!(admitted(&signed("token", now() - minutes(6))).await.err(), Some(Denial::SignatureExpired));
    assert_eq!(admitted(&signed("token", now() + minutes(6))).await.err(), Some(Denial::SignatureExpired));
}

#[tokio::test]
async fn temporary_credentials_are_no_good_without_their_token() {
    assert_eq!(admitted(&signed("another", now())).await.err(), Some(Denial::ClientUnknown));
    let mut stripped = signed("token", now());
    stripped.headers_mut().remove("x-amz-security-token");
    assert_eq!(admitted(&stripped).await.err(), Some(Denial::ClientUnknown));
}

#[tokio::test]
async fn a_mode_the_api_does_not_have_admits_nobody() {
    let keys_only = Directory::new(vec![AuthMode::Iam], vec!["da2-right".into()]);
    let request = keyed("da2-right");
    let presented = Presented {
        method: "POST",
        uri: request.uri(),
        headers: request.headers(),
        body: BODY.as_bytes(),
        peer: None,
        now: now(),
    };
    assert_eq!(keys_only.caller(&presented).await.err(), Some(Denial::CredentialsMissing));
}

#[test]
fn an_identity_pool_says_who_uses_its_role() {
    let user = PooledIdentity {
        pool_id: "us-east-1:pool".into(),
        identity_id: "us-east-1:ada".into(),
        provider: Some("cognito-idp.us-east-1.amazonaws.com/us-east-1_a:CognitoSignIn:s".into()),
    };
    let guest = PooledIdentity { identity_id: "us-east-1:guest".into(), provider: None, ..user.clone() };
    let seen = |identity: PooledIdentity| {
        let credentials = ["ASIAPOOLED".into(), "secret".into(), "token".into()];
        let role = "arn:aws:iam::123456789012:role/Users";
        let principal = Principal::identity_pool_user(identity, role, credentials, &[]);
        Caller::signing(Arc::new(principal), "us-east-1", Vec::new()).identity().clone()
    };
    let ada = seen(user.clone());
    assert_eq!(ada["userArn"], "arn:aws:sts::123456789012:assumed-role/Users/CognitoIdentityCredentials");
    assert_eq!(
        (&ada["cognitoIdentityId"], &ada["cognitoIdentityPoolId"]),
        (&json!("us-east-1:ada"), &json!("us-east-1:pool"))
    );
    assert_eq!(
        (&ada["cognitoIdentityAuthType"], &ada["cognitoIdentityAuthProvider"]),
        (&json!("authenticated"), &json!(user.provider))
    );
    let guest = seen(guest);
    assert_eq!(
        (&guest["cognitoIdentityAuthType"], &guest["cognitoIdentityAuthProvider"]),
        (&json!("unauthenticated"), &Value::Null)
    );
}
