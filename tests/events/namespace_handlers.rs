//! Handlers of channel namespaces: code, data sources and functions.
use std::time::Duration;

use local::{
    graphql::ApiSettings,
    lambda::{FunctionError, InvocationType, InvokeError},
};
use serde_json::{Value, json};

use crate::{
    fixture::{Server, body, error, subject},
    socket::{Socket, data_frame, error_frame, subscribe_success},
};

const NOT_AUTHORIZED: &str = "You are not authorized to make this call.";
const REFUSED: &str = "The handler of the channel namespace refused the request.";

fn thrown() -> InvokeError {
    let payload = json!({ "errorType": "Error", "errorMessage": "secret" });
    InvokeError::Unhandled(FunctionError { kind: "Error".into(), message: "secret".into(), payload })
}

#[tokio::test]
async fn code_filters_and_refuses_publishes() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    assert_eq!(socket.subscribe("s", "/filtered/*").await, subscribe_success("s"));
    let reply = server.publish("filtered/x", &["\"keep\"", "\"drop\"", "{\"b\":[1]}"]).await;
    assert_eq!((reply.indexes("successful"), reply.indexes("failed")), (vec![0, 2], vec![]));
    assert_eq!(socket.receive().await, data_frame("s", "\"keep\""));
    assert_eq!(socket.receive().await, data_frame("s", "{\"b\":[1]}"));
    for (event, status, error_type, message) in [
        ("\"refuse\"", 401, "UnauthorizedException", NOT_AUTHORIZED),
        ("\"raise\"", 403, "BadRequestException", "Operation not allowed"),
        ("\"break\"", 403, "UnauthorizedException", REFUSED),
    ] {
        let reply = server.publish("filtered/x", &[event]).await;
        assert_eq!(reply.error(), (status, error_type, error(error_type, message)), "{event}");
        let frame = socket.publish("p", "filtered/x", &[event]).await;
        assert_eq!(frame, error_frame("publish_error", "p", error_type, message), "{event}");
    }
}

#[tokio::test]
async fn code_refuses_subscriptions() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    let closed = error_frame("subscribe_error", "s", "Closed", "This channel is closed.");
    assert_eq!(socket.subscribe("s", "/filtered/closed").await, closed);
    assert_eq!(socket.subscribe("s", "/filtered/open").await, subscribe_success("s"), "the id is free again");
}

#[tokio::test]
async fn code_checks_messages_and_queues_them_for_a_function() {
    let server = Server::start().await;
    let (ada, sub) = (server.user_headers("ada"), subject("ada"));
    let channel = format!("/chat/request/{sub}");
    let message = json!({ "id": 1, "content": "Hello" });
    let reply = server.post(&ada, &body(&channel, &[&message.to_string(), "{\"text\":1}"])).await;
    assert_eq!((reply.status, reply.indexes("successful")), (200, vec![0]));
    assert_eq!(reply.json()["failed"][0]["message"], "The message has no content.");
    let expected = json!({ "sub": sub, "messages": [message] });
    assert_eq!(server.functions.taken_invocations(), [(InvocationType::Event, expected)]);

    let nothing_valid = server.post(&ada, &body(&channel, &["{}"])).await;
    assert_eq!((nothing_valid.status, nothing_valid.indexes("failed")), (200, vec![0]));
    let other = server.post(&ada, &body(&format!("/chat/request/{}", subject("bob")), &["{}"])).await;
    assert_eq!(other.error(), (401, "UnauthorizedException", error("UnauthorizedException", NOT_AUTHORIZED)));
    assert_eq!(server.functions.taken_invocations(), []);
}

#[tokio::test]
async fn function_decides_about_each_event() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    assert_eq!(socket.subscribe("s", "decided/foo").await, subscribe_success("s"));
    server.functions.taken_invocations();
    server.functions.respond(|event| {
        let id = |index: usize| event["events"][index]["id"].clone();
        Ok(json!({ "events": [{ "id": id(0), "error": "bad" }, { "id": id(1), "payload": { "c": 3 } }] }))
    });
    let reply = server.publish("decided/foo", &["{\"event\":\"data_1\"}", "{\"b\":2}"]).await;
    assert_eq!((reply.indexes("failed"), reply.indexes("successful")), (vec![0], vec![1]));
    assert_eq!(reply.json()["failed"][0]["message"], "bad");
    assert_eq!(socket.receive().await, data_frame("s", "{\"c\":3}"));

    let [(kind, event)] = server.functions.taken_invocations().try_into().unwrap();
    assert_eq!(kind, InvocationType::RequestResponse);
    let names: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected_names =
        ["identity", "result", "request", "info", "error", "prev", "stash", "outErrors", "events"].to_vec();
    for name in &names {
        expected_names.retain(|expected| expected != name);
    }
    assert_eq!((names.len(), expected_names), (9, vec![]));
    let info = json!({
        "channel": { "path": "/decided/foo", "segments": ["decided", "foo"] },
        "channelNamespace": { "name": "decided" }, "operation": "PUBLISH"
    });
    assert_eq!((&event["info"], &event["identity"]), (&info, &Value::Null));
    assert_eq!(event["events"][0]["payload"], json!({ "event": "data_1" }));
    assert_eq!(event["request"]["headers"]["x-api-key"], "da2-events");
    assert_eq!(event["request"]["domainName"], Value::Null);
}

#[tokio::test]
async fn failed_function_refuses_the_operation_without_its_reason() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    let results: [fn() -> Result<Value, InvokeError>; 2] = [|| Err(thrown()), || Ok(json!({ "error": "no" }))];
    for result in results {
        server.functions.respond(move |_| result());
        let reply = server.publish("decided/foo", &["1"]).await;
        assert_eq!(reply.error(), (403, "UnauthorizedException", error("UnauthorizedException", REFUSED)));
        let frame = socket.subscribe("s", "/decided/foo").await;
        assert_eq!(frame, error_frame("subscribe_error", "s", "Unauthorized", REFUSED));
    }
    let unable = server.publish("forbidden/foo", &["1"]).await;
    assert_eq!(unable.status, 403, "the role of the data source may not invoke the function");
}

#[tokio::test]
async fn operation_is_refused_at_the_end_of_its_time() {
    let settings = ApiSettings { request_timeout: Duration::from_millis(300), ..ApiSettings::default() };
    let server = Server::start_with(settings).await;
    server.functions.hang();
    let reply = server.publish("decided/foo", &["1"]).await;
    assert_eq!(reply.error(), (403, "UnauthorizedException", error("UnauthorizedException", REFUSED)));
    let frame = Socket::connect(&server).await.subscribe("s", "/decided/foo").await;
    assert_eq!(frame, error_frame("subscribe_error", "s", "Unauthorized", REFUSED));
    assert_eq!(server.publish("queued/foo", &["1"]).await.status, 200, "an asynchronous invocation is not waited for");
}

#[tokio::test]
async fn unsubscribe_before_the_acknowledgement_is_ignored() {
    let settings = ApiSettings { request_timeout: Duration::from_secs(1), ..ApiSettings::default() };
    let server = Server::start_with(settings).await;
    server.functions.hang();
    let mut socket = Socket::connect(&server).await;
    let frame = json!({
        "type": "subscribe", "id": "s", "channel": "/decided/foo", "authorization": server.key_headers()
    });
    socket.send(&frame).await;
    let refused = error_frame("subscribe_error", "s", "Unauthorized", REFUSED);
    assert_eq!(socket.unsubscribe("s").await, refused, "there is no answer to the unsubscribe");
}

#[tokio::test]
async fn asynchronous_function_can_refuse_nothing() {
    let server = Server::start().await;
    server.functions.respond(|_| Ok(json!({ "error": "no" })));
    let mut socket = Socket::connect(&server).await;
    assert_eq!(socket.subscribe("s", "/queued/*").await, subscribe_success("s"));
    let reply = server.publish("queued/foo", &["{ \"a\": 1 }"]).await;
    assert_eq!(reply.indexes("successful"), [0]);
    assert_eq!(socket.receive().await, data_frame("s", "{ \"a\": 1 }"), "the event is broadcast as published");
    let invocations = server.functions.taken_invocations();
    let operations: Vec<_> =
        invocations.iter().map(|(kind, event)| (*kind, event["info"]["operation"].as_str().unwrap())).collect();
    assert_eq!(operations, [(InvocationType::Event, "SUBSCRIBE"), (InvocationType::Event, "PUBLISH")]);
    assert_eq!(
        (&invocations[0].1["events"], &invocations[0].1["info"]["channel"]["segments"][1]),
        (&Value::Null, &json!("*"))
    );
}
