//! `@connections`: posting, reading and deleting connections, and who may do so.
use local::{
    fault_injection::{Fault, FaultInjector, FaultPlan},
    websocket_api::WebSocketSettings,
};
use serde_json::{Map, Value, json};

use crate::{
    fixture::{ADMINISTRATOR, Reply, SENDER, Server, connection_path},
    signer::Signer,
    socket::Socket,
};

/// A well-formed id that no connection has.
const UNKNOWN_ID: &str = "Qyi07eCbtjMCJKw=";

fn outcome(reply: &Reply) -> (u16, Option<&str>) {
    (reply.status, reply.error_type())
}

#[tokio::test]
async fn posted_body_is_a_text_message() {
    let server = Server::start().await;
    let (mut socket, id) = Socket::connect(&server).await;
    let reply = server.post(&id, "{\"a\":1}").await;
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    assert_eq!(socket.receive_text().await, "{\"a\":1}");
    let broken = server.send_signed(SENDER, "POST", &connection_path(&id), b"a\xff").await;
    assert_eq!(broken.status, 200);
    assert_eq!(socket.receive_text().await, "a\u{fffd}");
    for path in [
        format!("/prod/%40connections/{}", id.replace('=', "%3D")),
        format!("/prod/@connections/{id}"),
        format!("/ws/prod/@connections/{}", id.replace('=', "%3D")),
    ] {
        let reply = server.send_signed(SENDER, "POST", &path, b"again").await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        assert_eq!(socket.receive_text().await, "again");
    }
}

#[tokio::test]
async fn many_messages_arrive_in_order() {
    let server = Server::start().await;
    let (mut socket, id) = Socket::connect(&server).await;
    for number in 0..200 {
        assert_eq!(server.post(&id, &number.to_string()).await.status, 200);
    }
    for number in 0..200 {
        assert_eq!(socket.receive_text().await, number.to_string());
    }
}

#[tokio::test]
async fn posted_body_has_at_most_128_kilobytes() {
    let server = Server::start().await;
    let (mut socket, id) = Socket::connect(&server).await;
    let longest = "x".repeat(131_072);
    assert_eq!(server.post(&id, &longest).await.status, 200);
    assert_eq!(socket.receive_text().await, longest);
    let refused = server.post(&id, &format!("{longest}x")).await;
    assert_eq!(outcome(&refused), (413, Some("PayloadTooLargeException")));
    assert!(refused.json()["message"].is_string());
}

#[tokio::test]
async fn closed_connection_is_gone() {
    let server = Server::start().await;
    let (socket, id) = Socket::connect(&server).await;
    socket.close(None).await;
    server.functions.next_event("Disconnect").await;
    for method in ["POST", "GET", "DELETE"] {
        let reply = server.send_signed(ADMINISTRATOR, method, &connection_path(&id), b"").await;
        assert_eq!(outcome(&reply), (410, Some("GoneException")), "{method}");
    }
    assert_eq!(outcome(&server.post(UNKNOWN_ID, "x").await), (410, Some("GoneException")));
}

#[tokio::test]
async fn malformed_id_is_refused() {
    let server = Server::start().await;
    let reply = server.post("x", "x").await;
    assert_eq!(outcome(&reply), (400, Some("BadRequestException")));
    assert_eq!(reply.json(), json!({ "message": "Invalid connectionId: x" }));
}

#[tokio::test]
async fn connection_is_described() {
    let server = Server::start().await;
    let (_socket, id) = Socket::connect(&server).await;
    let reply = server.send_signed(ADMINISTRATOR, "GET", &connection_path(&id), b"").await;
    let body = reply.json();
    assert_eq!((reply.status, &body["identity"]), (200, &json!({ "sourceIp": "127.0.0.1" })));
    for time in ["connectedAt", "lastActiveAt"] {
        let time = body[time].as_str().unwrap();
        assert!(time.len() == "2024-02-09T18:11:43Z".len() && time.ends_with('Z'), "{time}");
    }
    assert_eq!(body.as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn deleted_connection_is_closed() {
    let server = Server::start().await;
    let (mut socket, id) = Socket::connect(&server).await;
    assert_eq!(server.post(&id, "last").await.status, 200);
    let deleted = server.send_signed(ADMINISTRATOR, "DELETE", &connection_path(&id), b"").await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(server.post(&id, "late").await.status, 410);
    assert_eq!(socket.receive_text().await, "last");
    assert_eq!(socket.close_frame().await, (1000, "Connection Closed Normally".into()));
    let context = &server.functions.next_event("Disconnect").await["requestContext"];
    assert_eq!(
        (&context["disconnectStatusCode"], &context["disconnectReason"]),
        (&json!(1000), &json!("Connection Closed Normally"))
    );
}

#[tokio::test]
async fn injected_fault_answers_that_an_open_connection_is_gone() {
    let on_hits = [(Fault::ConnectionsGone, 2)].into();
    let faults = FaultInjector::new(&FaultPlan { on_hits, ..FaultPlan::default() });
    let settings = WebSocketSettings { faults, ..WebSocketSettings::default() };
    let server = Server::start_with(settings, |_| {}).await;
    let (mut socket, id) = Socket::connect(&server).await;
    assert_eq!(server.post(&id, "1").await.status, 200);
    assert_eq!(outcome(&server.post(&id, "2").await), (410, Some("GoneException")));
    assert_eq!(server.post(&id, "3").await.status, 200);
    assert_eq!((socket.receive_text().await.as_str(), socket.receive_text().await.as_str()), ("1", "3"));
}

#[tokio::test]
async fn request_is_signed_for_the_service() {
    let server = Server::start().await;
    let (_socket, id) = Socket::connect(&server).await;
    let path = connection_path(&id);
    let unsigned = server.send("POST", &path, &Map::new(), b"x").await;
    assert_eq!(outcome(&unsigned), (403, Some("MissingAuthenticationTokenException")));
    assert_eq!(unsigned.json(), json!({ "message": "Missing Authentication Token" }));

    let signed_for = |service: &str, body: &[u8]| ADMINISTRATOR.headers(service, "POST", &server.host(), &path, body);
    let other_service = server.send("POST", &path, &signed_for("appsync", b"x"), b"x").await;
    assert_eq!(outcome(&other_service), (403, Some("MissingAuthenticationTokenException")));
    let other_body = server.send("POST", &path, &signed_for("execute-api", b"y"), b"x").await;
    assert_eq!(outcome(&other_body), (403, Some("InvalidSignatureException")));
    let stranger = Signer { access_key: "AKIASTRANGER", ..ADMINISTRATOR };
    let stranger = server.send_signed(stranger, "POST", &path, b"x").await;
    assert_eq!(outcome(&stranger), (403, Some("UnrecognizedClientException")));
}

#[tokio::test]
async fn policies_of_a_role_are_evaluated() {
    let server = Server::start().await;
    let (_socket, id) = Socket::connect(&server).await;
    for method in ["GET", "DELETE"] {
        let reply = server.send_signed(SENDER, method, &connection_path(&id), b"").await;
        assert_eq!(outcome(&reply), (403, Some("ForbiddenException")));
        let message: Value = reply.json()["message"].clone();
        let action = "is not authorized to perform: execute-api:ManageConnections on resource: \
                      arn:aws:execute-api:us-east-1:000000000000:local-websocket/prod/";
        assert!(message.as_str().unwrap().contains(&format!("{action}{method}/@connections/{id}")), "{message}");
    }
    assert_eq!(server.post(&id, "x").await.status, 200);
}

#[tokio::test]
async fn path_needs_the_stage() {
    let server = Server::start().await;
    let (_socket, id) = Socket::connect(&server).await;
    for path in [format!("/@connections/{id}"), format!("/%40connections/{id}"), format!("/test/@connections/{id}")] {
        let reply = server.send_signed(ADMINISTRATOR, "POST", &path, b"x").await;
        assert_eq!(outcome(&reply), (403, Some("ForbiddenException")), "{path}");
        assert_eq!(reply.json(), json!({ "message": "Forbidden" }));
    }
    let put = server.send_signed(ADMINISTRATOR, "PUT", &connection_path(&id), b"x").await;
    assert_eq!(outcome(&put), (403, Some("MissingAuthenticationTokenException")));
}

#[tokio::test]
async fn client_that_does_not_read_is_disconnected() {
    let settings =
        WebSocketSettings { send_timeout: std::time::Duration::from_millis(500), ..WebSocketSettings::default() };
    let server = Server::start_with(settings, |_| {}).await;
    let (_slow, id) = Socket::connect(&server).await;
    let text = "x".repeat(131_072);
    let mut refused = None;
    // More than the queue and the system buffer for a connection.
    for _ in 0..1_000 {
        let reply = server.post(&id, &text).await;
        if reply.status != 200 {
            refused = Some(reply.status);
            break;
        }
    }
    assert!(matches!(refused, Some(410 | 429)), "{refused:?}");
    let event = server.functions.next_event("Disconnect").await;
    assert_eq!(event["requestContext"]["disconnectStatusCode"], 1006);
}
