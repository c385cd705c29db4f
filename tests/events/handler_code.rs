//! What the code of a channel namespace sees of callers, and the utilities that it uses.
use serde_json::{Value, json};

use crate::{
    fixture::{ADMINISTRATOR, POOLED, PUBLISHER, Server, body, subject},
    signer::Signer,
    socket::{Socket, subscribe_success},
};

/// The namespace whose events become what its code sees.
const CHANNEL: &str = "/observed/x";

/// What the code sees when a caller publishes a text.
async fn observe(server: &Server, socket: &mut Socket, headers: &Value, body: &str) -> Value {
    let reply = server.post(headers, body).await;
    assert_eq!((reply.status, reply.indexes("successful")), (200, vec![0]), "{}", reply.text);
    let frame = socket.receive().await;
    serde_json::from_str(frame["event"].as_str().unwrap()).unwrap()
}

async fn listen(server: &Server) -> Socket {
    let mut socket = Socket::connect(server).await;
    assert_eq!(socket.subscribe("s", CHANNEL).await, subscribe_success("s"));
    socket
}

#[tokio::test]
async fn code_sees_the_identity_of_a_signer() {
    let server = Server::start().await;
    let mut socket = listen(&server).await;
    let body = body(CHANNEL, &["\"a\""]);
    let guestless = |arn: &str, username: &str| {
        json!({
            "accountId": "000000000000", "cognitoIdentityPoolId": null, "cognitoIdentityId": null,
            "sourceIp": ["127.0.0.1"], "username": username, "userArn": arn, "cognitoIdentityAuthType": null,
            "cognitoIdentityAuthProvider": null
        })
    };
    let pooled = json!({
        "accountId": "000000000000", "cognitoIdentityPoolId": "us-east-1:pool",
        "cognitoIdentityId": "us-east-1:5f7dfbd1-b8ff-4c20-924e-23b42db467a0", "sourceIp": ["127.0.0.1"],
        "username": "AROAAUTHENTICATED:CognitoIdentityCredentials",
        "userArn": "arn:aws:sts::000000000000:assumed-role/Authenticated/CognitoIdentityCredentials",
        "cognitoIdentityAuthType": "authenticated",
        "cognitoIdentityAuthProvider": "cognito-idp.us-east-1.amazonaws.com/us-east-1_a:CognitoSignIn:somebody"
    });
    let publisher_arn = "arn:aws:sts::000000000000:assumed-role/parlance-PublisherRole/run";
    let cases: [(Signer, Value, bool); 3] = [
        (ADMINISTRATOR, guestless("arn:aws:iam::000000000000:user/root", "AIDAROOT"), false),
        (PUBLISHER, guestless(publisher_arn, "AROAPARLANCEPUBLISHER:run"), true),
        (POOLED, pooled, false),
    ];
    for (signer, identity, is_publisher) in cases {
        let headers = server.signed_headers(signer, &body);
        let seen = observe(&server, &mut socket, &headers, &body).await;
        assert_eq!((&seen["identity"], &seen["isPublisher"]), (&identity, &json!(is_publisher)));
        assert_eq!(seen["authType"], "IAM Authorization");
    }
}

#[tokio::test]
async fn code_sees_the_identity_of_a_token_or_of_a_key() {
    let server = Server::start().await;
    let mut socket = listen(&server).await;
    let body = body(CHANNEL, &["\"a\""]);

    let seen = observe(&server, &mut socket, &server.key_headers(), &body).await;
    assert_eq!((&seen["identity"], &seen["authType"]), (&Value::Null, &json!("API Key Authorization")));

    let user = observe(&server, &mut socket, &server.user_headers("ada"), &body).await;
    let identity = &user["identity"];
    let issuer = format!("http://{}/pool", server.host());
    let sub = json!(subject("ada"));
    assert_eq!((&identity["sub"], &identity["issuer"], &identity["username"]), (&sub, &json!(issuer), &json!("ada")));
    assert_eq!((&identity["groups"], &identity["defaultAuthStrategy"]), (&Value::Null, &json!("ALLOW")));
    assert_eq!((&identity["claims"]["sub"], &identity["claims"]["iss"]), (&sub, &json!(issuer)));
    assert_eq!((&identity["sourceIp"], &identity["userArn"]), (&json!(["127.0.0.1"]), &Value::Null));
    assert_eq!((&user["authType"], &user["isPublisher"]), (&json!("User Pool Authorization"), &json!(false)));

    let user = observe(&server, &mut socket, &server.oidc_headers("ada"), &body).await;
    let identity = user["identity"].as_object().unwrap();
    let mut names: Vec<&str> = identity.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["claims", "issuer", "sub"]);
    let issuer = format!("http://{}/oidc", server.host());
    assert_eq!((&identity["sub"], &identity["issuer"]), (&identity["claims"]["sub"], &json!(issuer)));
    assert_eq!(user["authType"], "Open ID Connect Authorization");
}

#[tokio::test]
async fn code_has_the_utilities_of_resolvers() {
    let server = Server::start().await;
    let mut socket = listen(&server).await;
    for (text, encoded, replaced, escaped, is_segment) in [
        ("plain", "plain", "pl--n", "plain", true),
        (
            "auth0|a b.c*d_e-f~é+%",
            "auth0%7Ca+b.c*d_e-f%7E%C3%A9%2B%25",
            "--th0|- b.c*d_--f~é+%",
            "auth0|a b%2Ec*d_e-f~é+%",
            false,
        ),
    ] {
        let body = body(CHANNEL, &[&json!(text).to_string()]);
        let seen = observe(&server, &mut socket, &server.key_headers(), &body).await;
        let expected = json!([encoded, replaced, escaped, is_segment]);
        let members = ["encoded", "replaced", "escaped", "isSegment"].map(|name| seen[name].clone());
        assert_eq!(json!(members), expected, "{text}");
    }
    assert_eq!(server.functions.taken_invocations(), [], "an early return skips the data source");
}
