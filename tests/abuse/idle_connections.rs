//! Connections that never read, never initialize, or hold as many subscriptions as they can.
use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::{
    SHORT_MODEL,
    healthy_client::HealthyClient,
    open_initialized, send_start,
    support::{server_under_test::ServerUnderTest, websocket::WebSocket},
};

/// AppSync's limit of subscriptions per connection.
const MAX_SUBSCRIPTIONS: usize = 200;

#[tokio::test]
async fn subscribers_that_never_read_do_not_delay_others() {
    let mut server = ServerUnderTest::start().await;
    let healthy_client = HealthyClient::new(&server, "parlance.long").await;
    let mut idle_sockets = Vec::new();
    for _ in 0..15 {
        let mut socket = open_initialized(&server.endpoint).await;
        send_start(&mut socket, "s", healthy_client.conversation_id()).await;
        assert_eq!(socket.receive().await.unwrap()["type"], "start_ack");
        idle_sockets.push(socket);
    }
    for _ in 0..3 {
        healthy_client.converse().await;
    }
    server.check_health(250).unwrap();
}

#[tokio::test]
async fn connection_has_at_most_200_subscriptions() {
    let mut server = ServerUnderTest::start().await;
    let healthy_client = HealthyClient::new(&server, SHORT_MODEL).await;
    let mut socket = open_initialized(&server.endpoint).await;
    let requested = 300;
    for number in 0..requested {
        send_start(&mut socket, &number.to_string(), healthy_client.conversation_id()).await;
    }
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..requested {
        let frame = socket.receive().await.unwrap();
        match frame["payload"]["errors"][0]["errorType"].as_str() {
            None if frame["type"] == "start_ack" => accepted += 1,
            Some("MaxSubscriptionsReachedError") => refused += 1,
            _ => {}
        }
    }
    assert_eq!((accepted, refused), (MAX_SUBSCRIPTIONS, requested - MAX_SUBSCRIPTIONS));
    healthy_client.converse().await;
    server.check_health(150).unwrap();
}

#[tokio::test]
async fn each_frame_before_connection_init_has_one_answer() {
    let mut server = ServerUnderTest::start().await;
    let healthy_client = HealthyClient::new(&server, SHORT_MODEL).await;
    let mut socket = WebSocket::open(&server.endpoint).await;
    let requested = 500;
    for number in 0..requested {
        send_start(&mut socket, &number.to_string(), healthy_client.conversation_id()).await;
        socket.send_text("nonsense".into()).await;
    }
    socket.send(&json!({ "type": "connection_init" })).await;
    socket.send(&json!({ "type": "stop", "id": "last" })).await;
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    while answers.values().sum::<usize>() < 2 * requested + 2 {
        let frame = socket.receive().await.expect("the connection stays open");
        let error_type = frame["payload"]["errors"][0]["errorType"].as_str();
        let answer = error_type.or(frame["type"].as_str()).expect("a frame has a type");
        if answer != "ka" {
            *answers.entry(answer.to_owned()).or_default() += 1;
        }
    }
    let expected = [
        ("MaxSubscriptionsReachedError", requested - MAX_SUBSCRIPTIONS),
        ("UnsupportedOperation", requested),
        ("complete", 1),
        ("connection_ack", 1),
        ("start_ack", MAX_SUBSCRIPTIONS),
    ];
    assert_eq!(answers, expected.map(|(answer, count)| (answer.to_owned(), count)).into());
    healthy_client.converse().await;
    server.check_health(100).unwrap();
}

#[tokio::test]
async fn half_open_connections_are_closed() {
    let mut server = ServerUnderTest::start().await;
    let healthy_client = HealthyClient::new(&server, SHORT_MODEL).await;
    let half_open = (0..200).map(async |number: usize| {
        let mut socket = open_initialized(&server.endpoint).await;
        if number.is_multiple_of(2) {
            send_start(&mut socket, "s", healthy_client.conversation_id()).await;
        }
        socket.stream.get_mut().shutdown().await.unwrap();
        while socket.receive().await.is_some() {}
    });
    join_all(half_open).await;
    healthy_client.converse().await;
    server.check_health(100).unwrap();
}
