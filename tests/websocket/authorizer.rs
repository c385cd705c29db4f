//! The REQUEST authorizer of `$connect`.
use serde_json::{Value, json};

use crate::{
    fixture::Server,
    socket::{PATH, Socket},
};

fn policy(effect: &str, resource: &str) -> Value {
    let statement = json!({ "Action": "execute-api:Invoke", "Effect": effect, "Resource": resource });
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

/// The status and the message of a refused handshake, whose members are those of an error frame.
async fn refusal(server: &Server, path: &str) -> (u16, String) {
    let headers = json!({
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    });
    let reply = server.send("GET", path, headers.as_object().unwrap(), b"").await;
    let body = reply.json();
    assert!(body["connectionId"].is_string() && body["requestId"].is_string(), "{body}");
    (reply.status, body["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn missing_identity_source_is_refused_without_invocation() {
    let server = Server::start().await;
    for path in ["/ws/prod", "/ws/prod?token=", "/ws/prod?Token=t"] {
        assert_eq!(refusal(&server, path).await, (401, "Unauthorized".into()));
        assert!(server.functions.remove_event("Authorize").is_none());
    }
}

#[tokio::test]
async fn policy_decides_about_the_connection() {
    let server = Server::start().await;
    let arn = "arn:aws:execute-api:us-east-1:000000000000:local-websocket/prod/$connect";
    for (answer, status, message) in [
        (
            json!({ "principalId": "a", "policyDocument": policy("Deny", arn) }),
            403,
            "User is not authorized to access this resource with an explicit deny in an identity-based policy",
        ),
        (
            json!({ "principalId": "a", "policyDocument": policy("Allow", &format!("{arn}/x")) }),
            403,
            "User is not authorized to access this resource because no identity-based policy allows the \
             execute-api:Invoke action",
        ),
        (json!({ "isAuthorized": true }), 500, "Internal server error"),
        (json!(null), 500, "Internal server error"),
    ] {
        server.functions.answer("Authorize", answer);
        assert_eq!(refusal(&server, PATH).await, (status, message.into()));
    }
    assert!(server.functions.remove_event("Connect").is_none(), "a refused client does not reach $connect");
    server.functions.answer("Authorize", json!({ "principalId": "a", "policyDocument": policy("Allow", arn) }));
    assert!(Socket::open(&server, PATH, &[]).await.is_ok());
}

#[tokio::test]
async fn thrown_unauthorized_is_401_and_other_errors_are_500() {
    let server = Server::start().await;
    server.functions.throw("Authorize", "Unauthorized");
    assert_eq!(refusal(&server, PATH).await, (401, "Unauthorized".into()));
    server.functions.throw("Authorize", "the key set cannot be read");
    assert_eq!(refusal(&server, PATH).await, (500, "Internal server error".into()));
}

#[tokio::test]
async fn authorizer_has_29_seconds() {
    let server = Server::start_scaled(0.01).await;
    server.functions.hang("Authorize");
    assert_eq!(refusal(&server, PATH).await, (500, "Internal server error".into()));
}

#[tokio::test]
async fn authorizer_event_has_the_upgrade_headers_and_the_method_arn() {
    let server = Server::start().await;
    let _socket = Socket::open(&server, PATH, &[]).await.unwrap();
    let event = server.functions.next_event("Authorize").await;
    assert_eq!((&event["type"], &event["headers"]["Upgrade"]), (&json!("REQUEST"), &json!("websocket")));
    let arn = "arn:aws:execute-api:us-east-1:000000000000:local-websocket/prod/$connect";
    assert_eq!((&event["methodArn"], &event["stageVariables"]), (&json!(arn), &json!({ "kind": "test" })));
    assert_eq!(event["queryStringParameters"], json!({ "token": "t" }));
    let connected = server.functions.next_event("Connect").await;
    assert_eq!(event["requestContext"]["connectionId"], connected["requestContext"]["connectionId"]);
    assert_eq!(event["requestContext"].get("authorizer"), None);
}

#[tokio::test]
async fn context_is_repeated_as_texts() {
    let server = Server::start().await;
    let context = json!({ "sub": "ada", "exp": 1_700_000_000, "share": 0.5, "admin": false });
    let answer = json!({ "principalId": "p", "policyDocument": policy("Allow", "*"), "context": context });
    server.functions.answer("Authorize", answer);
    let mut socket = Socket::open(&server, PATH, &[]).await.unwrap();
    socket.send_text("hello").await;
    let message = server.functions.next_event("Default").await;
    socket.close(None).await;
    let events =
        [server.functions.next_event("Connect").await, message, server.functions.next_event("Disconnect").await];
    for event in events {
        let mut authorizer = event["requestContext"]["authorizer"].clone();
        let latency = authorizer.as_object_mut().unwrap().remove("integrationLatency");
        assert!(latency.unwrap().is_u64());
        let expected =
            json!({ "principalId": "p", "sub": "ada", "exp": "1700000000", "share": "0.5", "admin": "false" });
        assert_eq!(authorizer, expected);
    }
    assert!(server.functions.remove_event("Authorize").is_some());
    assert!(server.functions.remove_event("Authorize").is_none(), "the authorizer is invoked once");
}
