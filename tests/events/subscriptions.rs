//! Connections and subscriptions over WebSockets.
use std::time::Duration;

use local::{
    fault_injection::{Fault, FaultPlan, UpdatePosition},
    graphql::ApiSettings,
};
use serde_json::json;

use crate::{
    fixture::{KEY, Server},
    socket::{Socket, data_frame, error_frame, protocols, subscribe_success},
};

#[tokio::test]
async fn credentials_are_accepted_in_every_place_of_the_handshake() {
    let server = Server::start().await;
    let in_protocol = protocols(&server.key_headers());
    let (protocol, header) = in_protocol.split_once(", ").unwrap();
    let header_first = format!("{header},{protocol}");
    let key_header = [("x-api-key", KEY)];
    for (protocols, headers) in
        [(in_protocol.as_str(), &[][..]), (&header_first, &[]), ("aws-appsync-event-ws", &key_header)]
    {
        let mut socket = Socket::open(&server, Some(protocols), headers).await;
        assert_eq!(socket.protocol.as_deref(), Some("aws-appsync-event-ws"));
        socket.initialize().await;
        assert_eq!(socket.subscribe("s", "/default/x").await, subscribe_success("s"));
    }
}

#[tokio::test]
async fn connection_init_is_optional() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server, Some(&protocols(&server.key_headers())), &[]).await;
    assert_eq!(socket.subscribe("s", "/default/x").await, subscribe_success("s"));
}

#[tokio::test]
async fn refused_connection_is_opened_and_closed_after_the_error() {
    let server = Server::start().await;
    let expected = r#"{"type":"connection_error","errors":[{"errorType":"UnauthorizedException","errorCode":401,"message":"You are not authorized to make this call."}]}"#;
    let host = server.host();
    for headers in [json!({ "host": host, "x-api-key": "da2-wrong" }), json!({ "host": host }), json!({})] {
        let mut socket = Socket::open(&server, Some(&protocols(&headers)), &[]).await;
        socket.send(&json!({ "type": "connection_init" })).await;
        assert_eq!(socket.receive_text().await.as_deref(), Some(expected), "{headers}");
        assert_eq!(socket.close_code().await, Some(1000));
    }
    let mut socket = Socket::open(&server, None, &[("x-api-key", KEY)]).await;
    socket.send(&json!({ "type": "connection_init" })).await;
    let entry = json!({ "errorType": "NoProtocolError", "errorCode": 400, "message": "NoProtocolError" });
    assert_eq!(socket.receive().await, json!({ "type": "connection_error", "errors": [entry] }));
}

#[tokio::test]
async fn wildcard_receives_channels_at_any_depth_as_texts_in_order() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    assert_eq!(socket.subscribe("s1", "/default/*").await, subscribe_success("s1"));
    server.publish("default/x/y", &["{\"a\":1}", "{\"b\":2}"]).await;
    for event in [r#"{\"a\":1}"#, r#"{\"b\":2}"#] {
        let expected = format!(r#"{{"id":"s1","type":"data","event":"{event}"}}"#);
        assert_eq!(socket.receive_text().await, Some(expected));
    }
    server.publish("/default", &["\"above\""]).await;
    server.publish("/default/z", &["\"txt\"", "7"]).await;
    assert_eq!(socket.receive().await, data_frame("s1", "\"txt\""), "a channel is not below itself");
    assert_eq!(socket.receive().await, data_frame("s1", "7"));
}

#[tokio::test]
async fn slashes_at_the_ends_do_not_make_another_channel() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    for (id, channel) in [("a", "/default/x"), ("b", "default/x/")] {
        assert_eq!(socket.subscribe(id, channel).await, subscribe_success(id));
    }
    assert_eq!(socket.publish("p", "default/x", &["1"]).await["type"], "publish_success");
    for id in ["a", "b"] {
        assert_eq!(socket.receive().await, data_frame(id, "1"));
    }
}

#[tokio::test]
async fn ended_subscription_receives_nothing() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    let unknown = error_frame("unsubscribe_error", "zz", "UnknownOperationError", "Unknown operation id zz");
    assert_eq!(socket.unsubscribe("zz").await, unknown);
    socket.subscribe("s", "/default/x").await;
    assert_eq!(socket.unsubscribe("s").await, json!({ "id": "s", "type": "unsubscribe_success" }));
    server.publish("/default/x", &["1"]).await;
    assert_eq!(socket.subscribe("s", "/default/x").await, subscribe_success("s"), "the id is free again");
    server.publish("/default/x", &["2"]).await;
    assert_eq!(socket.receive().await, data_frame("s", "2"));
}

#[tokio::test]
async fn invalid_frames_are_reported_and_the_connection_goes_on() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    socket.subscribe("s", "/default/x").await;
    let subscribe_error = |id, error_type, message| error_frame("subscribe_error", id, error_type, message);
    let duplicate = subscribe_error("s", "DuplicatedOperationError", "Duplicated operation with id s");
    assert_eq!(socket.subscribe("s", "/default/y").await, duplicate);
    for channel in ["/*", "/**", "default/*/x", "default/a_b", "", "*"] {
        let invalid = subscribe_error("t", "BadRequestException", "Invalid Channel Format");
        assert_eq!(socket.subscribe("t", channel).await, invalid, "{channel}");
    }
    let unknown = subscribe_error("t", "ResourceNotFound", "Namespace not found");
    assert_eq!(socket.subscribe("t", "/unknown/x").await, unknown);
    for text in ["{", "[]", "7", r#"{"type":"start","id":"a"}"#] {
        socket.send_text(text).await;
        let message = "unknown not supported through the realtime channel";
        let entry = json!({ "errorType": "UnsupportedOperation", "message": message });
        assert_eq!(socket.receive().await, json!({ "type": "error", "errors": [entry] }), "{text}");
    }
    let invalid_id = "An id has 1 to 128 letters, digits, -, _ and +.";
    assert_eq!(socket.unsubscribe("a b").await, error_frame("error", "a b", "BadRequestException", invalid_id));
    server.publish("/default/x", &["1"]).await;
    assert_eq!(socket.receive().await, data_frame("s", "1"));
}

#[tokio::test]
async fn frames_of_amplify_are_understood() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    let authorization = server.key_headers();
    let payload = json!({ "channel": "/default/x", "extensions": { "authorization": authorization } });
    let subscribe = json!({
        "id": "s", "channel": "/default/x", "authorization": authorization, "payload": payload, "type": "subscribe"
    });
    socket.send(&subscribe).await;
    assert_eq!(socket.receive().await, subscribe_success("s"));
}

#[tokio::test]
async fn idle_connection_is_kept_alive() {
    let settings = ApiSettings { keep_alive: Duration::from_millis(100), ..ApiSettings::default() };
    let server = Server::start_with(settings).await;
    let mut socket = Socket::connect(&server).await;
    for _ in 0..2 {
        assert_eq!(socket.receive_text().await.as_deref(), Some(r#"{"type":"ka"}"#));
    }
}

#[tokio::test]
async fn injected_fault_loses_an_event_of_one_subscription() {
    let on_updates = [(Fault::EventsLost, 1, UpdatePosition::Nth(2))].into();
    let server = Server::start_with_faults(&FaultPlan { on_updates, ..FaultPlan::default() }).await;
    let mut socket = Socket::connect(&server).await;
    socket.subscribe("s", "/default/x").await;
    server.publish("/default/x", &["1", "2", "3"]).await;
    assert_eq!(socket.receive().await, data_frame("s", "1"));
    assert_eq!(socket.receive().await, data_frame("s", "3"));
}

#[tokio::test]
async fn injected_fault_fails_an_event_of_one_subscription() {
    let on_updates = [(Fault::EventsFailed, 1, UpdatePosition::Nth(1))].into();
    let server = Server::start_with_faults(&FaultPlan { on_updates, ..FaultPlan::default() }).await;
    let mut socket = Socket::connect(&server).await;
    for id in ["first", "second"] {
        socket.subscribe(id, "/default/x").await;
    }
    server.publish("/default/x", &["1", "2"]).await;
    let message = "There was an error processing the message";
    assert_eq!(socket.receive().await, error_frame("broadcast_error", "first", "MessageProcessingError", message));
    for (id, event) in [("second", "1"), ("first", "2"), ("second", "2")] {
        assert_eq!(socket.receive().await, data_frame(id, event));
    }
}

#[tokio::test]
async fn injected_fault_delays_the_first_delivery() {
    let on_hits = [(Fault::EventsLate, 1)].into();
    let server = Server::start_with_faults(&FaultPlan { on_hits, ..FaultPlan::default() }).await;
    let mut socket = Socket::connect(&server).await;
    assert_eq!(socket.subscribe("late", "/default/x").await, subscribe_success("late"));
    assert_eq!(socket.subscribe("soon", "/default/x").await, subscribe_success("soon"));
    server.publish("/default/x", &["1"]).await;
    assert_eq!(socket.receive().await, data_frame("soon", "1"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.publish("/default/x", &["2"]).await;
    assert_eq!(socket.receive().await, data_frame("late", "2"));
    assert_eq!(socket.receive().await, data_frame("soon", "2"));
}
