//! Requests that try to exhaust the server's memory or processor.
use client::{AppSync, requests::SendMessage};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::{
    open_initialized, serves_during,
    support::{
        hostile_documents::hostile_documents,
        server_under_test::{Endpoint, ServerUnderTest},
        tcp::exchange,
    },
};

const MAX_GROWTH_MEGABYTES: u64 = 300;

/// `count` selections of the same field under different aliases.
fn aliases(count: usize, field: &str) -> String {
    (0..count).map(|number| format!("a{number}: {field} ")).collect()
}

async fn first_error(user: &AppSync, document: &str, variables: Value) -> String {
    let response = user.execute(document, variables).await.unwrap();
    response.errors.first().map(|error| error.message.clone()).unwrap_or_default()
}

#[tokio::test]
async fn hostile_documents_do_not_delay_others() {
    let mut server = ServerUnderTest::start().await;
    let user = server.user();
    let documents = hostile_documents();
    let abuse = async move {
        // A document may be refused, but every request has a response.
        join_all(documents.iter().map(async |document| user.execute(document, json!({})).await.unwrap())).await;
    };
    serves_during(&mut server, MAX_GROWTH_MEGABYTES, abuse).await;
}

#[tokio::test]
async fn each_exceeded_limit_has_its_error_message() {
    let mut server = ServerUnderTest::start().await;
    let user = server.user();
    let spread =
        format!("{{ {} }} fragment F on Agent {{ {} }}", aliases(200, "getAgent(id: 1) { ...F }"), aliases(200, "id"));
    let introspection = format!("{{ __schema {{ types {{ {} }} }} }}", aliases(600, "name"));
    let long_paths = format!("{{ {}: getAgent(id: 1) {{ {} }} }}", "x".repeat(10_000), aliases(1_000, "id"));
    let repeated_variable = format!("query($v: ID!) {{ {} }}", aliases(100, "getAgent(id: $v) { id }"));
    let operations: String = (0..1_000).map(|number| format!("query Q{number} {{ __typename }} ")).collect();
    let cases = [
        ("x ".repeat(15_001), json!({}), "A document has at most 15000 tokens; this one has more."),
        (
            spread,
            json!({}),
            "An operation asks for at most 15000 fields, with its fragments spread out; this one for 40200.",
        ),
        (
            introspection,
            json!({}),
            "An operation asks for at most 500 fields of the schema's own description; this one for 602.",
        ),
        (
            long_paths,
            json!({}),
            "An operation asks for at most 5242880 bytes of paths to its fields; this one for 10015891.",
        ),
        (
            repeated_variable,
            json!({ "v": "v".repeat(100_000) }),
            "An operation asks for at most 5242880 bytes of variables, each counted as often as it is used; this one for 10000200.",
        ),
        (operations, json!({}), "Must provide operation name if query contains multiple operations."),
    ];
    for (document, variables, message) in cases {
        assert_eq!(first_error(&user, &document, variables).await, message);
    }
    server.check_health(MAX_GROWTH_MEGABYTES).unwrap();
}

#[tokio::test]
async fn documents_within_the_limits_are_answered() {
    let server = ServerUnderTest::start_with(&["--parameter", "ResolverCount=10000"]).await;
    let user = server.user();
    let selections = format!("{{ __typename {} }}", "__typename ".repeat(10_000));
    assert_eq!(user.execute(&selections, json!({})).await.unwrap().data, json!({ "__typename": "Query" }));
    let agents = format!("{{ {} }}", aliases(1_000, "getAgent(id: \"default\") { id }"));
    let response = user.execute(&agents, json!({})).await.unwrap();
    assert_eq!(response.errors, Vec::new());
    assert_eq!(response.data.as_object().map(|agents| agents.len()), Some(1_000));
}

#[tokio::test]
async fn too_large_response_is_replaced_by_an_error() {
    let mut server = ServerUnderTest::start().await;
    let user = server.user();
    let message = SendMessage {
        id: Some("message-of-100-kilobytes".into()),
        text: "x".repeat(100_000),
        ..SendMessage::default()
    };
    let conversation_id = user.call(&message).await.unwrap().conversation_id;
    let texts = aliases(1_000, "text");
    let document = format!(
        "{{ getTurn(conversationId: \"{conversation_id}\", id: \"message-of-100-kilobytes\") {{ question {{ {texts} }} }} }}"
    );
    let response = user.execute(&document, json!({})).await.unwrap();
    assert_eq!(response.data, Value::Null);
    assert_eq!(response.errors[0].message, "A response has at most 16777216 bytes; this one would have more.");
    server.check_health(MAX_GROWTH_MEGABYTES).unwrap();
}

async fn send_endless_body(endpoint: Endpoint) {
    let head =
        format!("POST /graphql HTTP/1.1\r\nx-api-key: {}\r\ncontent-length: 99999999999\r\n\r\n", endpoint.api_key);
    let bytes = [head.as_bytes(), &[b' '; 8 << 20]].concat();
    let response = exchange(endpoint.address(), &bytes).await.expect("the server closes the connection");
    // The connection may be reset before the response is read.
    let is_refused = response.is_empty() || response.starts_with(b"HTTP/1.1 413 ");
    assert!(is_refused, "{}", String::from_utf8_lossy(&response));
}

#[tokio::test]
async fn endless_bodies_are_cut_off() {
    let mut server = ServerUnderTest::start().await;
    let clients: Vec<_> = (0..20).map(|_| send_endless_body(server.endpoint.clone())).collect();
    serves_during(&mut server, 100, async { drop(join_all(clients).await) }).await;
}

/// Sends bytes over an open WebSocket. The server must close the connection.
async fn expect_close_after(endpoint: Endpoint, bytes: Vec<u8>) {
    let mut socket = open_initialized(&endpoint).await;
    socket.stream.get_mut().write_all(&bytes).await.ok();
    assert_eq!(socket.receive().await, None);
}

#[tokio::test]
async fn giant_frames_are_cut_off() {
    let mut server = ServerUnderTest::start().await;
    let masked_frame = |head: &[u8], payload_bytes: usize| [head, &[0; 4], &vec![b' '; payload_bytes]].concat();
    let giant_length = masked_frame(b"\x81\xff\0\0\0\0\x40\0\0\0", 1 << 16);
    let giant_payload = masked_frame(b"\x81\xff\0\0\0\0\0\x80\0\0", 8 << 20);
    let first_fragment = masked_frame(b"\x01\xff\0\0\0\0\0\x0f\0\0", 0xf_0000);
    let second_fragment = masked_frame(b"\x00\xff\0\0\0\0\0\x0f\0\0", 0xf_0000);
    let cases = [giant_length, giant_payload, [first_fragment, second_fragment].concat()];
    let clients: Vec<_> =
        cases.iter().cycle().take(30).map(|bytes| expect_close_after(server.endpoint.clone(), bytes.clone())).collect();
    serves_during(&mut server, 150, async { drop(join_all(clients).await) }).await;
}

/// Starts and stops the same subscription without waiting for responses.
async fn start_and_stop_repeatedly(endpoint: Endpoint) {
    const REPETITIONS: usize = 200;
    let mut socket = open_initialized(&endpoint).await;
    let mut start = socket.start_frame("s", "nothing");
    let data = json!({ "query": "{ a }", "variables": { "id": "x".repeat(200_000) } });
    start["payload"]["data"] = json!(data.to_string());
    for _ in 0..REPETITIONS {
        socket.send(&start).await;
        socket.send(&json!({ "id": "s", "type": "stop" })).await;
    }
    let mut completed = 0;
    while completed < REPETITIONS {
        let frame = socket.receive().await.expect("the connection stays open");
        completed += usize::from(frame["type"] == "complete");
    }
}

#[tokio::test]
async fn repeated_starts_and_stops_do_not_delay_others() {
    let mut server = ServerUnderTest::start().await;
    let clients: Vec<_> = (0..5).map(|_| start_and_stop_repeatedly(server.endpoint.clone())).collect();
    serves_during(&mut server, MAX_GROWTH_MEGABYTES, async { drop(join_all(clients).await) }).await;
}
