//! Limits of messages, of frames and on time.
use std::time::{Duration, Instant};

use futures::SinkExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::{fixture::Server, socket::Socket};

/// Waits for the event of `$disconnect` and returns its code and reason.
async fn disconnect_status(server: &Server) -> (u64, String) {
    let event = server.functions.next_event("Disconnect").await;
    let context = &event["requestContext"];
    let reason = context["disconnectReason"].as_str().unwrap().to_owned();
    (context["disconnectStatusCode"].as_u64().unwrap(), reason)
}

#[tokio::test]
async fn binary_message_closes_the_connection() {
    let server = Server::start().await;
    let (mut socket, _) = Socket::connect(&server).await;
    socket.send(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(socket.close_frame().await.0, 1003);
    assert_eq!(disconnect_status(&server).await.0, 1003);
}

#[tokio::test]
async fn frame_has_at_most_32_kilobytes() {
    let server = Server::start().await;
    let (mut socket, _) = Socket::connect(&server).await;
    let longest = "x".repeat(32 * 1024);
    socket.send_text(&longest).await;
    assert_eq!(server.functions.next_event("Default").await["body"], longest);
    socket.send_text(&format!("{longest}x")).await;
    assert_eq!(socket.close_frame().await.0, 1009);
    assert_eq!(disconnect_status(&server).await.0, 1009);
}

#[tokio::test]
async fn message_has_at_most_128_kilobytes_in_several_frames() {
    let server = Server::start().await;
    let (mut socket, _) = Socket::connect(&server).await;
    let longest = "x".repeat(128 * 1024);
    socket.send_in_frames(&longest).await;
    assert_eq!(server.functions.next_event("Default").await["body"], longest);
    socket.send_in_frames(&format!("{longest}{}", "x".repeat(1024))).await;
    assert_eq!(socket.close_frame().await.0, 1009);
    assert_eq!(disconnect_status(&server).await.0, 1009);
}

#[tokio::test]
async fn text_that_is_not_utf8_closes_the_connection() {
    let server = Server::start().await;
    let (mut socket, _) = Socket::connect(&server).await;
    socket.send_bytes(b"\x81\x82\0\0\0\0\xc3\x28").await;
    assert_eq!(socket.close_frame().await.0, 1007);
}

#[tokio::test]
async fn idle_connection_is_closed_after_ten_minutes() {
    // Ten minutes are 1.2 seconds, and pings every 0.3 seconds do not extend them.
    let server = Server::start_scaled(0.002).await;
    let (mut socket, _) = Socket::connect(&server).await;
    let start = Instant::now();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        socket.send(Message::Ping(Default::default())).await;
    }
    assert_eq!(socket.close_frame().await, (1001, "Going away".into()));
    assert!(start.elapsed() < Duration::from_millis(1_900), "{:?}", start.elapsed());
    assert_eq!(disconnect_status(&server).await, (1001, "Going away".into()));
}

#[tokio::test]
async fn connection_lives_two_hours() {
    // Ten minutes are 0.3 seconds, two hours 3.6 seconds.
    let server = Server::start_scaled(0.0005).await;
    server.functions.answer("Ping", json!({ "statusCode": 200, "body": "pong" }));
    let (mut socket, _) = Socket::connect(&server).await;
    let start = Instant::now();
    let mut end = None;
    while end.is_none() && start.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        socket.send_text(r#"{"action":"ping"}"#).await;
        let message = socket.receive().await;
        end = message.is_close().then_some(message);
    }
    let Some(Message::Close(Some(frame))) = end else { panic!("the connection stays open: {end:?}") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1001, "Going away"));
    assert!(start.elapsed() > Duration::from_millis(3_000), "messages keep it open until then");
}

#[tokio::test]
async fn ping_is_answered() {
    let server = Server::start().await;
    let (mut socket, _) = Socket::connect(&server).await;
    socket.stream.send(Message::Ping("a".into())).await.unwrap();
    assert_eq!(socket.receive_pong().await, "a");
}
