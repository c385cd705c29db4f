//! Who may connect, publish and subscribe: modes of namespaces, IAM policies, handlers that compare users.
use serde_json::{Value, json};

use crate::{
    fixture::{ADMINISTRATOR, PUBLISHER, Server, body, error, subject},
    signer::Signer,
    socket::{Socket, data_frame, error_frame, protocols, subscribe_success},
};

const NOT_AUTHORIZED: &str = "You are not authorized to make this call.";

async fn post_signed(server: &Server, signer: Signer, channel: &str) -> u16 {
    let body = body(channel, &["{}"]);
    server.post(&server.signed_headers(signer, &body), &body).await.status
}

#[tokio::test]
async fn neighbours_hear_nothing_of_each_other() {
    let server = Server::start().await;
    let (ada, bob) = (subject("ada"), subject("bob"));
    let mut socket = Socket::connect_as(&server, server.user_headers("ada")).await;
    let own = format!("/responses/{ada}");
    for channel in [
        format!("/responses/{bob}"),
        "/responses/*".into(),
        "/responses".into(),
        format!("/responses/{bob}/*"),
        format!("/responses/{ada}/*"),
        format!("/responses/{ada}/deeper"),
        format!("/responses/x/{ada}"),
    ] {
        let refused = error_frame("subscribe_error", "s", "Unauthorized", NOT_AUTHORIZED);
        assert_eq!(socket.subscribe("s", &channel).await, refused, "{channel}");
    }
    assert_eq!(socket.subscribe("s", &own).await, subscribe_success("s"));
    assert_eq!(post_signed(&server, PUBLISHER, &format!("/responses/{bob}")).await, 200);
    assert_eq!(post_signed(&server, PUBLISHER, &own).await, 200);
    assert_eq!(socket.receive().await, data_frame("s", "{}"));
    socket.authorization = server.user_headers("bob");
    let of_bob = socket.subscribe("b", &own).await;
    assert_eq!(of_bob["type"], "subscribe_error", "each frame has its own authorization");
}

#[tokio::test]
async fn only_roles_publish_answers() {
    let server = Server::start().await;
    let channel = format!("/responses/{}", subject("ada"));
    for headers in [server.user_headers("ada"), server.key_headers()] {
        let reply = server.post(&headers, &body(&channel, &["{}"])).await;
        assert_eq!((reply.status, reply.json()["errors"][0].get("message")), (401, None));
    }
}

#[tokio::test]
async fn policies_of_a_role_are_evaluated() {
    let server = Server::start().await;
    assert_eq!(post_signed(&server, ADMINISTRATOR, "/default/x").await, 200);
    let denied_body = body("/default/x", &["{}"]);
    let denied = server.post(&server.signed_headers(PUBLISHER, &denied_body), &denied_body).await;
    assert_eq!(denied.error(), (401, "UnauthorizedException", error("UnauthorizedException", "Permission denied")));
    let mut socket = Socket::connect(&server).await;
    for (signer, expected) in [
        (ADMINISTRATOR, subscribe_success("s")),
        (PUBLISHER, error_frame("subscribe_error", "s", "UnauthorizedException", "Permission denied")),
    ] {
        socket.authorization = server.signed_headers(signer, r#"{"channel":"/default/x"}"#);
        assert_eq!(socket.subscribe("s", "/default/x").await, expected);
        socket.unsubscribe("s").await;
    }
    let headers = server.signed_headers(PUBLISHER, "{}");
    let mut socket = Socket::open(&server, Some(&protocols(&headers)), &[]).await;
    socket.send(&json!({ "type": "connection_init" })).await;
    let entry = &socket.receive().await["errors"][0];
    assert_eq!((&entry["errorType"], &entry["errorCode"]), (&json!("UnauthorizedException"), &json!(401)));
}

#[tokio::test]
async fn each_frame_is_signed() {
    let server = Server::start().await;
    let mut socket = Socket::connect_as(&server, server.signed_headers(ADMINISTRATOR, "{}")).await;
    let signed = |body: Value| server.signed_headers(ADMINISTRATOR, &body.to_string());
    socket.authorization = signed(json!({ "channel": "/default/x" }));
    assert_eq!(socket.subscribe("s", "/default/x").await, subscribe_success("s"));
    let other = socket.subscribe("t", "/default/y").await;
    assert_eq!(other["errors"][0]["errorType"], "BadRequestException", "the signature is of another channel");
    let events = ["{\"a\":1}"];
    socket.authorization = signed(json!({ "channel": "/default/x", "events": events }));
    assert_eq!(socket.publish("p", "/default/x", &events).await["type"], "publish_success");
    assert_eq!(socket.receive().await, data_frame("s", "{\"a\":1}"));
    let events = ["\"<b>\""];
    socket.authorization = signed(json!({ "channel": "/default/x", "events": events }));
    let escaped = socket.publish("p", "/default/x", &events).await;
    assert_eq!(escaped["errors"][0]["errorType"], "BadRequestException", "AWS escapes angle brackets");
}

#[tokio::test]
async fn broken_tokens_are_refused() {
    let server = Server::start().await;
    let good = server.user_headers("ada")["Authorization"].as_str().unwrap().to_owned();
    let (head, _) = good.rsplit_once('.').unwrap();
    let channel = format!("/chat/request/{}", subject("ada"));
    let body = body(&channel, &["{\"content\":\"Hello\"}"]);
    let with_token = |token: &str| json!({ "Authorization": token });
    for token in ["", "x", "a.b.c", &format!("{head}."), &format!("{head}.AAAA"), &good[1..]] {
        let reply = server.post(&with_token(token), &body).await;
        assert_eq!(
            (reply.status, &reply.json()["errors"][0]["errorType"]),
            (401, &json!("UnauthorizedException")),
            "{token}"
        );
    }
    for token in [good.clone(), format!("Bearer {good}")] {
        assert_eq!(server.post(&with_token(&token), &body).await.status, 200);
    }
}
