//! Authentication by API keys and signatures.
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use http::Request;
use serde_json::{Value, json};

use super::*;
use crate::stack::AuthMode;

const ACCESS_KEY: &str = "ASIAEXAMPLE";
const BODY: &str = r#"{"query":"{ f }"}"#;

fn authenticator() -> Authenticator {
    authenticator_with_modes(vec![AuthMode::ApiKey, AuthMode::Iam])
}

fn authenticator_with_modes(modes: Vec<AuthMode>) -> Authenticator {
    let authenticator = Authenticator::new(modes, vec!["da2-right".into()]);
    let credentials = [ACCESS_KEY.into(), "secret".into(), "token".into()];
    let statements = [json!({ "Effect": "Allow", "Action": "appsync:GraphQL",
        "Resource": "arn:aws:appsync:eu-west-1:123456789012:apis/abc/types/Mutation/fields/publish" })];
    let role = "arn:aws:iam::123456789012:role/Handler";
    authenticator.add_principal(Principal::role_session(role, "run", credentials, &statements));
    authenticator
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

async fn authenticate(request: &Request<String>) -> Result<Caller, AuthError> {
    authenticate_with(&authenticator(), request).await
}

async fn authenticate_with(authenticator: &Authenticator, request: &Request<String>) -> Result<Caller, AuthError> {
    let auth_request = AuthRequest {
        method: request.method().as_str(),
        uri: request.uri(),
        headers: request.headers(),
        body: request.body().as_bytes(),
        peer: Some([127, 0, 0, 1].into()),
        now: now(),
    };
    authenticator.authenticate(&auth_request).await
}

fn request_with_key(key: &str) -> Request<String> {
    Request::post("/graphql").header("x-api-key", key).body(BODY.into()).unwrap()
}

fn signed_request(token: &str, signed_at: SystemTime) -> Request<String> {
    let identity = Credentials::new(ACCESS_KEY, "secret", Some(token.into()), None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name("appsync")
        .time(signed_at)
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
async fn only_known_api_keys_are_accepted() {
    let caller = authenticate(&request_with_key("da2-right")).await.ok().unwrap();
    assert_eq!((caller.mode(), caller.identity()), (AuthMode::ApiKey, &Value::Null));
    assert!(caller.may_access_field("abc", "Mutation", "anything"));
    for unknown in ["da2-wrong", "da2-righ", "da2-rightt", ""] {
        assert_eq!(authenticate(&request_with_key(unknown)).await.err(), Some(AuthError::NotAuthorized), "{unknown}");
    }
}

#[tokio::test]
async fn request_without_credentials_is_rejected() {
    let bare = Request::post("/graphql").body(BODY.to_owned()).unwrap();
    assert_eq!(authenticate(&bare).await.err(), Some(AuthError::CredentialsMissing));
    let basic = Request::post("/graphql").header("authorization", "Basic eDp5").body(BODY.to_owned()).unwrap();
    assert_eq!(authenticate(&basic).await.err(), Some(AuthError::CredentialsMissing));
}

#[tokio::test]
async fn api_key_wins_over_authorization() {
    for authorization in ["meow", "Basic eDp5", "", "AWS4-HMAC-SHA256 meow", "a.b.c"] {
        let mut request = request_with_key("da2-right");
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
        let mode = authenticate(&request).await.map(|caller| caller.mode());
        assert_eq!(mode, Ok(AuthMode::ApiKey), "{authorization}");
    }
    let mut signed = signed_request("token", now());
    signed.headers_mut().insert("x-api-key", "da2-wrong".parse().unwrap());
    assert_eq!(authenticate(&signed).await.err(), Some(AuthError::NotAuthorized));
}

#[tokio::test]
async fn api_key_beside_a_signature_is_ignored_without_the_api_key_mode() {
    let iam_only = authenticator_with_modes(vec![AuthMode::Iam]);
    let mut signed = signed_request("token", now());
    signed.headers_mut().insert("x-api-key", "da2-right".parse().unwrap());
    let caller = authenticate_with(&iam_only, &signed).await.ok().unwrap();
    assert_eq!(caller.mode(), AuthMode::Iam);
}

#[tokio::test]
async fn signature_identifies_a_role_session() {
    let caller = authenticate(&signed_request("token", now())).await.ok().unwrap();
    assert_eq!(caller.mode(), AuthMode::Iam);
    assert_eq!(caller.identity()["userArn"], "arn:aws:sts::123456789012:assumed-role/Handler/run");
    assert_eq!(caller.identity()["username"], "AROAHANDLER:run");
    assert_eq!(caller.identity()["sourceIp"], json!(["127.0.0.1"]));
    assert!(caller.may_access_field("abc", "Mutation", "publish"));
    assert!(
        !caller.may_access_field("abc", "Mutation", "sendMessage")
            && !caller.may_access_field("other", "Mutation", "publish")
    );
}

#[tokio::test]
async fn signature_covers_body_path_and_host() {
    let mut changed = signed_request("token", now());
    changed.body_mut().push(' ');
    assert_eq!(authenticate(&changed).await.err(), Some(AuthError::SignatureMismatch));
    let mut moved = signed_request("token", now());
    *moved.uri_mut() = "/graphql/connect".parse().unwrap();
    assert_eq!(authenticate(&moved).await.err(), Some(AuthError::SignatureMismatch));
    let mut rehosted = signed_request("token", now());
    rehosted.headers_mut().insert("host", "localhost".parse().unwrap());
    assert_eq!(authenticate(&rehosted).await.err(), Some(AuthError::SignatureMismatch));
}

#[tokio::test]
async fn signature_too_old_or_too_new_is_rejected_with_the_times() {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    assert!(authenticate(&signed_request("token", now() - minutes(4))).await.is_ok());
    let message = async |signed_at| {
        let error = authenticate(&signed_request("token", signed_at)).await.err().unwrap();
        assert_eq!((error.status().as_u16(), error.error_type()), (403, "InvalidSignatureException"));
        error.message().to_string()
    };
    assert_eq!(
        message(now() - minutes(6)).await,
        "Signature expired: 20261118T110040Z is now earlier than 20261118T110140Z (20261118T110640Z - 5 min.)"
    );
    assert_eq!(
        message(now() + minutes(6)).await,
        "Signature not yet current: 20261118T111240Z is still later than 20261118T111140Z (20261118T110640Z + 5 min.)"
    );
}

#[tokio::test]
async fn temporary_credentials_require_their_session_token() {
    assert_eq!(authenticate(&signed_request("another", now())).await.err(), Some(AuthError::ClientUnknown));
    let mut stripped = signed_request("token", now());
    stripped.headers_mut().remove("x-amz-security-token");
    assert_eq!(authenticate(&stripped).await.err(), Some(AuthError::ClientUnknown));
}

#[tokio::test]
async fn api_key_is_rejected_without_the_api_key_mode() {
    let iam_only = Authenticator::new(vec![AuthMode::Iam], vec!["da2-right".into()]);
    let result = authenticate_with(&iam_only, &request_with_key("da2-right")).await;
    assert_eq!(result.err(), Some(AuthError::CredentialsMissing));
}

#[test]
fn identity_pool_user_has_cognito_members() {
    let user = CognitoIdentity {
        pool_id: "us-east-1:pool".into(),
        identity_id: "us-east-1:ada".into(),
        provider: Some("cognito-idp.us-east-1.amazonaws.com/us-east-1_a:CognitoSignIn:s".into()),
    };
    let guest = CognitoIdentity { identity_id: "us-east-1:guest".into(), provider: None, ..user.clone() };
    let identity_json = |identity: CognitoIdentity| {
        let credentials = ["ASIAPOOLED".into(), "secret".into(), "token".into()];
        let role = "arn:aws:iam::123456789012:role/Users";
        let principal = Principal::identity_pool_user(identity, role, credentials, &[]);
        Caller::from_signature(Arc::new(principal), "us-east-1", Vec::new()).identity().clone()
    };
    let ada = identity_json(user.clone());
    assert_eq!(ada["userArn"], "arn:aws:sts::123456789012:assumed-role/Users/CognitoIdentityCredentials");
    assert_eq!(
        (&ada["cognitoIdentityId"], &ada["cognitoIdentityPoolId"]),
        (&json!("us-east-1:ada"), &json!("us-east-1:pool"))
    );
    assert_eq!(
        (&ada["cognitoIdentityAuthType"], &ada["cognitoIdentityAuthProvider"]),
        (&json!("authenticated"), &json!(user.provider))
    );
    let guest = identity_json(guest);
    assert_eq!(
        (&guest["cognitoIdentityAuthType"], &guest["cognitoIdentityAuthProvider"]),
        (&json!("unauthenticated"), &Value::Null)
    );
}
