//! The limits of AppSync.
use std::time::Duration;

use local::graphql::ApiSettings;
use serde_json::json;

use crate::{
    fixture::{Server, body, error},
    socket::{Socket, data_frame, error_frame, subscribe_success},
};

const EVENT_BYTES: usize = 240 * 1024;

/// A JSON text of a length.
fn event(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

#[tokio::test]
async fn event_of_more_than_240_kilobytes_fails_alone() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    socket.subscribe("s", "/default/x").await;
    let (largest, too_large) = (event(EVENT_BYTES), event(EVENT_BYTES + 1));
    let reply = server.publish("default/x", &[&too_large, &largest]).await;
    assert_eq!((reply.status, reply.indexes("successful")), (200, vec![1]));
    let failed = &reply.json()["failed"][0];
    let identifier = &failed["identifier"];
    let message = "Transformed event is larger than 240KB";
    let expected =
        json!({ "code": "EventTooLargeException", "identifier": identifier, "index": 0, "message": message });
    assert_eq!(failed, &expected);
    assert_eq!(socket.receive().await, data_frame("s", &largest));
    let raw = "x".repeat(1024 * 1024);
    assert_eq!(server.publish("default/x", &[&raw]).await.json()["failed"][0]["code"], "EventTooLargeException");
}

#[tokio::test]
async fn publish_has_at_most_five_times_240_kilobytes() {
    let server = Server::start().await;
    let event = event(EVENT_BYTES);
    let reply = server.publish("default/x", &[event.as_str(); 5]).await;
    assert_eq!(reply.indexes("successful"), [0, 1, 2, 3, 4]);
    let longer = format!("{event} ");
    let reply = server.publish("default/x", &[&event, &event, &event, &event, &longer]).await;
    let message = "The events of a publish have at most 1228800 bytes.";
    let too_large = |kind| error(kind, message);
    let expected = (413, "RequestEntityTooLargeException", too_large("RequestEntityTooLargeException"));
    assert_eq!(reply.error(), expected);
    let reply = server.post(&server.key_headers(), &body("default/x", &[&"x".repeat(4 * 1024 * 1024)])).await;
    assert_eq!(reply.error(), (413, "RequestEntityTooLargeException", too_large("RequestEntityTooLargeException")));
    let mut socket = Socket::connect(&server).await;
    let frame = socket.publish("p", "default/x", &[&event, &event, &event, &event, &longer]).await;
    assert_eq!(frame, error_frame("publish_error", "p", "LimitExceededError", message));
}

#[tokio::test]
async fn subscribe_frame_has_at_most_240_kilobytes() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    socket.authorization["padding"] = json!("x".repeat(EVENT_BYTES));
    let frame = socket.subscribe("s", "/default/x").await;
    let message = "A subscribe message has at most 240 KB.";
    assert_eq!(frame, error_frame("subscribe_error", "s", "LimitExceededError", message));
}

#[tokio::test]
async fn message_that_no_publish_can_have_closes_the_connection() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    socket.send_text(&"x".repeat(3 * 1024 * 1024 + 1)).await;
    assert_eq!(socket.close_code().await, Some(1009));
}

#[tokio::test]
async fn connection_ends_at_its_longest_duration() {
    let settings = ApiSettings { max_connection_age: Duration::from_millis(300), ..ApiSettings::default() };
    let server = Server::start_with(settings).await;
    let mut socket = Socket::connect(&server).await;
    assert_eq!(socket.close_code().await, Some(1001));
    assert_eq!(ApiSettings::default().max_connection_age, Duration::from_secs(24 * 60 * 60));
}

#[tokio::test]
async fn connection_has_at_most_200_subscriptions() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    for number in 0..200 {
        let id = format!("s{number}");
        assert_eq!(socket.subscribe(&id, "/default/x").await, subscribe_success(&id));
    }
    let message = "Max number of 200 subscriptions reached";
    let refused = error_frame("subscribe_error", "one-more", "MaxSubscriptionsReachedError", message);
    assert_eq!(socket.subscribe("one-more", "/default/x").await, refused);
    socket.unsubscribe("s0").await;
    assert_eq!(socket.subscribe("one-more", "/default/x").await, subscribe_success("one-more"));
}

#[tokio::test]
async fn connection_publishes_at_most_25_times_a_second() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    for number in 0..26 {
        socket.begin_publish(&format!("p{number}"), "default/x", &["1"]).await;
    }
    let mut frames = Vec::new();
    for _ in 0..26 {
        frames.push(socket.receive().await);
    }
    let message = "A connection may publish 25 times a second.";
    let refused = error_frame("publish_error", "p25", "LimitExceededError", message);
    assert!(frames.contains(&refused), "{frames:?}");
    assert_eq!(frames.iter().filter(|frame| frame["type"] == "publish_success").count(), 25);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(socket.publish("p26", "default/x", &["1"]).await["type"], "publish_success");
}

#[tokio::test]
async fn client_that_does_not_read_is_disconnected_alone() {
    let settings = ApiSettings { send_timeout: Duration::from_secs(1), ..ApiSettings::default() };
    let server = Server::start_with(settings).await;
    let mut slow = Socket::connect_with_small_buffer(&server).await;
    let mut healthy = Socket::connect(&server).await;
    for socket in [&mut slow, &mut healthy] {
        assert_eq!(socket.subscribe("s", "/default/x").await, subscribe_success("s"));
    }
    // More than the system buffers for a connection.
    const PUBLISHES: usize = 10;
    let event = event(EVENT_BYTES);
    for _ in 0..PUBLISHES {
        assert_eq!(server.publish("default/x", &[event.as_str(); 5]).await.status, 200);
        for _ in 0..5 {
            assert_eq!(healthy.receive().await, data_frame("s", &event));
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut received = 0;
    while slow.receive_text().await.is_some() {
        received += 1;
    }
    assert!(received < PUBLISHES * 5, "{received}");
}
