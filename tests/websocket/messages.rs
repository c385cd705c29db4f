//! Messages: their events, the selection of routes, errors, and answers of two-way routes.
use serde_json::json;

use crate::{
    fixture::Server,
    socket::{PATH, Socket},
};

fn error_frame(message: &str, connection_id: &str, request_id: &str) -> String {
    format!(r#"{{"message": "{message}", "connectionId":"{connection_id}", "requestId":"{request_id}"}}"#)
}

#[tokio::test]
async fn message_event_has_the_members_of_api_gateway() {
    let server = Server::start().await;
    let socket = Socket::open(&server, PATH, &[("user-agent", "test")]).await;
    let connected = server.functions.next_event("Connect").await["requestContext"].clone();
    let mut socket = socket.unwrap();
    socket.send_text("hello").await;
    let event = server.functions.next_event("Default").await;
    let mut names: Vec<_> = event.as_object().unwrap().keys().collect();
    names.sort_unstable();
    assert_eq!(names, ["body", "isBase64Encoded", "requestContext", "stageVariables"]);
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("hello"), &json!(false)));
    let context = &event["requestContext"];
    for (member, expected) in [
        ("routeKey", "$default"),
        ("eventType", "MESSAGE"),
        ("messageDirection", "IN"),
        ("stage", "prod"),
        ("apiId", "local-websocket"),
    ] {
        assert_eq!(context[member], expected);
    }
    for constant in ["connectionId", "connectedAt", "identity", "domainName"] {
        assert_eq!(context[constant], connected[constant], "{constant}");
    }
    assert!(context["messageId"].is_string() && context["requestId"] != connected["requestId"]);
}

#[tokio::test]
async fn body_selects_the_route() {
    let server = Server::start().await;
    let (mut socket, _) = Socket::connect(&server).await;
    for (body, function) in [
        (r#"{"action":"ping"}"#, "Ping"),
        (r#"{"action":"zz"}"#, "Default"),
        (r#"{"action":"$connect"}"#, "Default"),
        (r#"{"action":"$disconnect"}"#, "Default"),
        ("not JSON", "Default"),
        ("", "Default"),
    ] {
        socket.send_text(body).await;
        assert_eq!(server.functions.next_event(function).await["body"], body);
    }
}

#[tokio::test]
async fn message_without_route_is_forbidden_and_the_connection_stays() {
    let server = Server::start_with(Default::default(), |api| drop(api.routes.remove("$default"))).await;
    server.functions.answer("Ping", json!({ "statusCode": 200, "body": "pong" }));
    let (mut socket, id) = Socket::connect(&server).await;
    socket.send_text(r#"{"action":"zz"}"#).await;
    let text = socket.receive_text().await;
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(text, error_frame("Forbidden", &id, parsed["requestId"].as_str().unwrap()));
    socket.send_text(r#"{"action":"ping"}"#).await;
    assert_eq!(socket.receive_text().await, "pong");
}

#[tokio::test]
async fn client_hears_of_thrown_errors_and_not_of_statuses() {
    let server = Server::start().await;
    server.functions.answer("Ping", json!({ "statusCode": 200, "body": "pong" }));
    let (mut socket, id) = Socket::connect(&server).await;
    server.functions.throw("Default", "a secret");
    socket.send_text("1").await;
    let text = socket.receive_text().await;
    let context = server.functions.next_event("Default").await["requestContext"].clone();
    assert_eq!(text, error_frame("Internal server error", &id, context["requestId"].as_str().unwrap()));
    for answer in [json!({ "statusCode": 500 }), json!({ "statusCode": 200, "body": "x" }), json!(null)] {
        server.functions.answer("Default", answer);
        socket.send_text("2").await;
        server.functions.next_event("Default").await;
        // The answer of another route is the next message.
        socket.send_text(r#"{"action":"ping"}"#).await;
        assert_eq!(socket.receive_text().await, "pong");
    }
}

#[tokio::test]
async fn function_has_29_seconds_and_goes_on() {
    let server = Server::start_scaled(0.01).await;
    server.functions.hang("Default");
    server.functions.answer("Ping", json!({ "statusCode": 200, "body": "pong" }));
    let (mut socket, id) = Socket::connect(&server).await;
    socket.send_text("slow").await;
    socket.send_text(r#"{"action":"ping"}"#).await;
    assert_eq!(socket.receive_text().await, "pong", "messages are handled concurrently");
    let request_id = server.functions.next_event("Default").await["requestContext"]["requestId"].clone();
    let expected = error_frame("Endpoint request timed out", &id, request_id.as_str().unwrap());
    assert_eq!(socket.receive_text().await, expected);
}

#[tokio::test]
async fn two_way_route_sends_the_body_alone() {
    let server = Server::start().await;
    let (mut socket, id) = Socket::connect(&server).await;
    for silent in [json!({ "statusCode": 200 }), json!({ "statusCode": 200, "body": { "a": 1 } }), json!("text")] {
        server.functions.answer("Ping", silent);
        socket.send_text(r#"{"action":"ping"}"#).await;
        server.functions.next_event("Ping").await;
        assert_eq!(server.post(&id, "next").await.status, 200);
        assert_eq!(socket.receive_text().await, "next");
    }
    server.functions.answer("Ping", json!({ "statusCode": 200, "body": "x".repeat(128 * 1024 + 1) }));
    socket.send_text(r#"{"action":"ping"}"#).await;
    assert_eq!(socket.receive_json().await["message"], "Internal server error");
}

#[tokio::test]
async fn message_before_a_close_is_handled() {
    let server = Server::start().await;
    let (mut socket, _) = Socket::connect(&server).await;
    socket.send_text("last").await;
    socket.close(None).await;
    assert_eq!(server.functions.next_event("Default").await["body"], "last");
    server.functions.next_event("Disconnect").await;
}
