//! Upgrades: statuses, the event of `$connect`, subprotocols, and the event of `$disconnect`.
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::{
    fixture::Server,
    socket::{PATH, Socket},
};

fn member_names(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn answer_of_connect_decides_about_the_upgrade() {
    let server = Server::start().await;
    for status in [301, 401, 501] {
        server.functions.answer("Connect", json!({ "statusCode": status }));
        assert_eq!(Socket::open(&server, PATH, &[]).await.unwrap_err(), status);
    }
    server.functions.throw("Connect", "no");
    assert_eq!(Socket::open(&server, PATH, &[]).await.unwrap_err(), 502);
    server.functions.answer("Connect", json!(null));
    assert_eq!(Socket::open(&server, PATH, &[]).await.unwrap_err(), 502);
    server.functions.answer("Connect", json!({ "statusCode": 204 }));
    assert!(Socket::open(&server, PATH, &[]).await.is_ok());
    assert!(server.functions.remove_event("Disconnect").is_none(), "a refused connection is not disconnected");
}

#[tokio::test]
async fn function_of_connect_has_29_seconds() {
    let server = Server::start_scaled(0.01).await;
    server.functions.hang("Connect");
    assert_eq!(Socket::open(&server, PATH, &[]).await.unwrap_err(), 504);
}

#[tokio::test]
async fn unknown_stage_is_forbidden() {
    let server = Server::start().await;
    assert_eq!(Socket::open(&server, "/ws/test?token=t", &[]).await.unwrap_err(), 403);
    let long = format!("{PATH}&x={}", "x".repeat(4096));
    assert_eq!(Socket::open(&server, &long, &[]).await.unwrap_err(), 414);
}

#[tokio::test]
async fn api_without_connect_route_accepts_everyone() {
    let server = Server::start_with(Default::default(), |api| {
        api.routes.remove("$connect");
        api.authorizer = None;
    })
    .await;
    let mut socket = Socket::open(&server, "/ws/prod", &[]).await.unwrap();
    socket.send_text(r#"{"action":"ping"}"#).await;
    assert_eq!(server.functions.next_event("Ping").await["requestContext"]["routeKey"], "ping");
}

#[tokio::test]
async fn api_without_disconnect_route_invokes_nothing() {
    let server = Server::start_with(Default::default(), |api| drop(api.routes.remove("$disconnect"))).await;
    let (socket, id) = Socket::connect(&server).await;
    socket.close(None).await;
    while server.post(&id, "late").await.status != 410 {}
    assert!(server.functions.remove_event("Disconnect").is_none());
    Socket::connect(&server).await;
}

#[tokio::test]
async fn connect_event_has_the_members_of_api_gateway() {
    let server = Server::start().await;
    let headers = [("user-agent", "test"), ("origin", "https://example.com")];
    let _socket = Socket::open(&server, "/ws/prod?token=a&token=b", &headers).await.unwrap();
    let event = server.functions.next_event("Connect").await;
    let expected = [
        "headers",
        "isBase64Encoded",
        "multiValueHeaders",
        "multiValueQueryStringParameters",
        "queryStringParameters",
        "requestContext",
        "stageVariables",
    ];
    assert_eq!(member_names(&event), expected);
    let expected = [
        "Host",
        "Origin",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "User-Agent",
        "X-Amzn-Trace-Id",
        "X-Forwarded-For",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
    ];
    assert_eq!(member_names(&event["headers"]), expected);
    assert_eq!(event["headers"]["Host"], server.host());
    assert_eq!(event["queryStringParameters"], json!({ "token": "b" }));
    assert_eq!(event["multiValueQueryStringParameters"], json!({ "token": ["a", "b"] }));
    assert_eq!(event["stageVariables"], json!({ "kind": "test" }));
    let context = &event["requestContext"];
    let expected = [
        "apiId",
        "authorizer",
        "connectedAt",
        "connectionId",
        "domainName",
        "eventType",
        "extendedRequestId",
        "identity",
        "messageDirection",
        "requestId",
        "requestTime",
        "requestTimeEpoch",
        "routeKey",
        "stage",
    ];
    assert_eq!(member_names(context), expected);
    assert_eq!(context["identity"], json!({ "sourceIp": "127.0.0.1", "userAgent": "test" }));
    assert_eq!(context["requestId"], context["extendedRequestId"]);
    assert_eq!((&context["stage"], &context["domainName"]), (&json!("prod"), &json!(server.host())));
}

#[tokio::test]
async fn subprotocol_is_that_of_the_answer() {
    let server = Server::start().await;
    let answer = json!({ "statusCode": 200, "headers": { "Sec-WebSocket-Protocol": "chat" } });
    server.functions.answer("Connect", answer);
    let socket = Socket::open(&server, PATH, &[("sec-websocket-protocol", "other, chat")]).await.unwrap();
    assert_eq!(socket.protocol.as_deref(), Some("chat"));
    let event = server.functions.next_event("Connect").await;
    assert_eq!(event["headers"]["Sec-WebSocket-Protocol"], "other, chat");
}

#[tokio::test]
async fn disconnect_is_invoked_once_with_code_and_reason() {
    let server = Server::start().await;
    let bye = CloseFrame { code: 3001.into(), reason: "bye".into() };
    for (frame, code, reason) in [(None, 1005, "Client-side close frame status not set"), (Some(bye), 3001, "bye")] {
        let (socket, id) = Socket::connect(&server).await;
        socket.close(frame).await;
        let event = server.functions.next_event("Disconnect").await;
        assert_eq!(
            member_names(&event),
            ["headers", "isBase64Encoded", "multiValueHeaders", "requestContext", "stageVariables"]
        );
        let context = &event["requestContext"];
        assert_eq!(context["connectionId"], id);
        assert_eq!((&context["disconnectStatusCode"], &context["disconnectReason"]), (&json!(code), &json!(reason)));
        assert_eq!(context["authorizer"]["principalId"], "ada");
        assert!(server.functions.remove_event("Disconnect").is_none());
    }
}

#[tokio::test]
async fn lost_connection_is_disconnected() {
    let server = Server::start().await;
    let (socket, _) = Socket::connect(&server).await;
    drop(socket);
    let event = server.functions.next_event("Disconnect").await;
    assert_eq!(event["requestContext"]["disconnectStatusCode"], 1006);
}

#[tokio::test]
async fn stopping_server_disconnects_its_clients() {
    let server = Server::start().await;
    let (mut socket, _) = Socket::connect(&server).await;
    let client = async { socket.close_frame().await };
    let ((), frame) = tokio::join!(server.api.stop(), client);
    assert_eq!(frame, (1001, "Going away".into()));
    assert!(server.functions.remove_event("Disconnect").is_some());
}

#[tokio::test]
async fn connection_opens_when_connect_has_returned() {
    let server = Server::start().await;
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let released = std::sync::Mutex::new(Some(released));
    server.functions.respond("Connect", move |_| -> BoxFuture<'static, _> {
        let released = released.lock().unwrap().take();
        Box::pin(async move {
            released.unwrap().await.unwrap();
            Ok(json!({ "statusCode": 200 }))
        })
    });
    let opening = Socket::open(&server, PATH, &[]);
    let during = async {
        let event = server.functions.next_event("Connect").await;
        let id = event["requestContext"]["connectionId"].as_str().unwrap().to_owned();
        let reply = server.post(&id, "too early").await;
        release.send(()).unwrap();
        (id, reply)
    };
    let (socket, (id, early)) = tokio::join!(opening, during);
    assert_eq!((early.status, early.error_type()), (410, Some("GoneException")));
    assert_eq!(server.post(&id, "in time").await.status, 200);
    assert_eq!(socket.unwrap().receive_text().await, "in time");
}
