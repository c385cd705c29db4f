//! Publishing over HTTP and over WebSockets.
use serde_json::json;
use uuid::Uuid;

use crate::{
    fixture::{KEY, Server, body, error, error_without_message},
    socket::{Socket, error_frame},
};

const NOT_AUTHORIZED: &str = "You are not authorized to make this call.";

#[tokio::test]
async fn response_lists_the_events_that_were_published() {
    let server = Server::start().await;
    let reply = server.publish("/default/x", &["{\"a\":1}", "\"txt\""]).await;
    let json = reply.json();
    let ids = [0, 1].map(|index| json["successful"][index]["identifier"].as_str().unwrap().to_owned());
    assert!(ids.iter().all(|id| Uuid::parse_str(id).is_ok()) && ids[0] != ids[1], "{ids:?}");
    let [first, second] = ids;
    let successful = format!(r#"[{{"identifier":"{first}","index":0}},{{"identifier":"{second}","index":1}}]"#);
    assert_eq!((reply.status, reply.text), (200, format!(r#"{{"failed":[],"successful":{successful}}}"#)));
    let header = |name: &str| reply.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!((header("x-amzn-appsync-tokensconsumed"), header("access-control-allow-origin")), ("1", "*"));
    assert!(Uuid::parse_str(header("x-amzn-requestid")).is_ok());
}

#[tokio::test]
async fn wrong_key_is_refused() {
    let server = Server::start().await;
    let reply = server.post(&json!({ "x-api-key": "da2-wrong" }), &body("default/x", &["1"])).await;
    let expected = error("UnauthorizedException", NOT_AUTHORIZED);
    assert_eq!(reply.error(), (401, "UnauthorizedException", expected));
    let header = |name: &str| reply.headers[name].to_str().unwrap();
    assert_eq!((header("content-type"), header("x-amzn-appsync-tokensconsumed")), ("application/json", "1"));
    assert!(Uuid::parse_str(header("x-amzn-requestid")).is_ok());
}

#[tokio::test]
async fn missing_credentials_and_unknown_namespaces_are_refused_without_message() {
    let server = Server::start().await;
    let expected = || (401, "UnauthorizedException", error_without_message("UnauthorizedException"));
    assert_eq!(server.post(&json!({}), &body("default/x", &["1"])).await.error(), expected());
    assert_eq!(server.publish("unknown/x", &["1"]).await.error(), expected());
    assert_eq!(server.publish("chat/request/x", &["1"]).await.error(), expected(), "the mode is not allowed");
    let frame = Socket::connect(&server).await.publish("p", "unknown/x", &["1"]).await;
    assert_eq!(
        frame,
        json!({ "id": "p", "type": "publish_error", "errors": [{ "errorType": "UnauthorizedException" }] })
    );
}

#[tokio::test]
async fn invalid_requests_have_the_errors_of_appsync() {
    let server = Server::start().await;
    for (body, error_type, message) in [
        (body("default/x", &["1"; 6]), "BadRequestException", "Input exceeded 5 event limit"),
        ("{".into(), "SerializationException", "Unable to parse request body"),
        (json!({ "channel": "a", "events": {} }).to_string(), "SerializationException", "Expected list or null"),
        (json!({ "events": ["1"] }).to_string(), "BadRequestException", "Missing channel"),
        (json!({ "channel": "default/x" }).to_string(), "BadRequestException", "Missing events"),
        (body("default/*", &["1"]), "BadRequestException", "Invalid Channel Format"),
        (body("default/a_b", &["1"]), "BadRequestException", "Invalid Channel Format"),
    ] {
        let reply = server.post(&server.key_headers(), &body).await;
        assert_eq!(reply.error(), (400, error_type, error(error_type, message)), "{body}");
    }
    let mut socket = Socket::connect(&server).await;
    let refused = |error_type, message| error_frame("publish_error", "p", error_type, message);
    let too_many = socket.publish("p", "default/x", &["1"; 6]).await;
    assert_eq!(too_many, refused("InvalidInputError", "input exceeded 5 event limit"));
    let invalid = socket.publish("p", "default/*", &["1"]).await;
    assert_eq!(invalid, refused("BadRequestException", "Invalid Channel Format"));
}

#[tokio::test]
async fn socket_acknowledges_a_publish() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    let frame = socket.publish("p1", "default/x", &["{}", "2"]).await;
    assert_eq!((&frame["type"], &frame["id"], &frame["failed"]), (&json!("publish_success"), &json!("p1"), &json!([])));
    let indexes: Vec<_> = frame["successful"].as_array().unwrap().iter().map(|event| &event["index"]).collect();
    assert_eq!(indexes, [0, 1]);
}

#[tokio::test]
async fn other_methods_are_unknown_operations() {
    let server = Server::start().await;
    let client = &server.client;
    for request in [client.get(server.url()), client.put(server.url()), client.delete(server.url())] {
        let response = request.header("x-api-key", KEY).send().await.unwrap();
        assert_eq!(response.status(), 404);
        let expected = error("UnknownOperationException", "Unknown Operation Request.");
        assert_eq!(response.json::<serde_json::Value>().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn browsers_may_publish_from_other_origins() {
    let server = Server::start().await;
    let requested = "authorization,content-type,x-amz-content-sha256,x-amz-date,x-amz-security-token,x-api-key";
    let preflight = server.client.request(http::Method::OPTIONS, server.url());
    let preflight = preflight.header("origin", "http://localhost:3000").header("access-control-request-method", "POST");
    let response = preflight.header("access-control-request-headers", requested).send().await.unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap();
    assert_eq!((response.status().as_u16(), header("access-control-allow-origin")), (200, "*"));
    assert_eq!(header("access-control-allow-headers"), requested);
    assert!(header("access-control-allow-methods").contains("POST"));
}
