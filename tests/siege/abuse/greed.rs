use client::{AppSync, requests::SendMessage};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::serves_meanwhile;
use crate::{
    besieged::{Besieged, Endpoint},
    fuzz::documents::Documents,
    wire::{Socket, exchange},
};

const MEGABYTES: u64 = 300;

async fn sentence(user: &AppSync, document: &str, variables: Value) -> String {
    let answer = user.execute(document, variables).await.unwrap();
    answer.errors.first().map(|error| error.message.clone()).unwrap_or_default()
}

fn aliased(count: usize, field: &str) -> String {
    (0..count).map(|number| format!("a{number}: {field} ")).collect()
}

#[tokio::test]
async fn documents_that_ask_for_far_too_much_keep_nobody_waiting() {
    let mut besieged = Besieged::start().await;
    let user = besieged.user();
    let documents = Documents::new().hostile();
    let abuse = async move {
        // Whoever is refused for good reasons is refused: no answer at all would be the fault.
        join_all(documents.iter().map(async |document| user.execute(document, json!({})).await.unwrap())).await;
    };
    serves_meanwhile(&mut besieged, MEGABYTES, abuse).await;
}

#[tokio::test]
async fn what_is_too_much_is_refused_in_one_sentence() {
    let mut besieged = Besieged::start().await;
    let user = besieged.user();
    let sentence = async |document: &str, variables: Value| sentence(&user, document, variables).await;
    let spread =
        format!("{{ {} }} fragment F on Agent {{ {} }}", aliased(200, "getAgent(id: 1) { ...F }"), aliased(200, "id"));
    let introspection = format!("{{ __schema {{ types {{ {} }} }} }}", aliased(600, "name"));
    let path = format!("{{ {}: getAgent(id: 1) {{ {} }} }}", "x".repeat(10_000), aliased(1_000, "id"));
    let variables = format!("query($v: ID!) {{ {} }}", aliased(100, "getAgent(id: $v) { id }"));
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
        (path, json!({}), "An operation asks for at most 5242880 bytes of paths to its fields; this one for 10015891."),
        (
            variables,
            json!({ "v": "v".repeat(100_000) }),
            "An operation asks for at most 5242880 bytes of variables, each counted as often as it is used; this one for 10000200.",
        ),
    ];
    for (document, variables, told) in cases {
        assert_eq!(sentence(&document, variables).await, told);
    }
    let operations: String = (0..1_000).map(|number| format!("query Q{number} {{ __typename }} ")).collect();
    assert_eq!(
        sentence(&operations, json!({})).await,
        "Must provide operation name if query contains multiple operations."
    );
    besieged.holds(MEGABYTES).unwrap();
}

#[tokio::test]
async fn as_much_as_appsync_takes_is_answered() {
    let besieged = Besieged::start_with(&["--parameter", "ResolverCount=10000"]).await;
    let user = besieged.user();
    let selections = format!("{{ __typename {} }}", "__typename ".repeat(10_000));
    assert_eq!(user.execute(&selections, json!({})).await.unwrap().data, json!({ "__typename": "Query" }));
    let agents = format!("{{ {} }}", aliased(1_000, "getAgent(id: \"default\") { id }"));
    let answer = user.execute(&agents, json!({})).await.unwrap();
    assert_eq!((answer.data.as_object().map(|agents| agents.len()), answer.errors), (Some(1_000), Vec::new()));
}

#[tokio::test]
async fn a_response_that_grows_too_large_is_no_response() {
    let mut besieged = Besieged::start().await;
    let user = besieged.user();
    let message =
        SendMessage { conversation_id: None, id: Some("a-large-message-of-mine".into()), text: "x".repeat(100_000) };
    let conversation_id = user.call(&message).await.unwrap().conversation_id;
    let texts = aliased(1_000, "text");
    let document = format!(
        "{{ getTurn(conversationId: \"{conversation_id}\", id: \"a-large-message-of-mine\") {{ question {{ {texts} }} }} }}"
    );
    let answer = user.execute(&document, json!({})).await.unwrap();
    assert_eq!(answer.data, Value::Null);
    assert_eq!(answer.errors[0].message, "A response has at most 16777216 bytes; this one would have more.");
    besieged.holds(MEGABYTES).unwrap();
}

/// A body without an end.
async fn pour(endpoint: Endpoint) {
    let head =
        format!("POST /graphql HTTP/1.1\r\nx-api-key: {}\r\ncontent-length: 99999999999\r\n\r\n", endpoint.api_key);
    let bytes = [head.as_bytes(), &[b' '; 8 << 20]].concat();
    let heard = exchange(endpoint.address(), &bytes).await.expect("the connection ends");
    // Whoever still writes may find the connection reset before it has read.
    assert!(heard.is_empty() || heard.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&heard));
}

#[tokio::test]
async fn bodies_without_an_end_are_cut_off() {
    let mut besieged = Besieged::start().await;
    let endpoint = besieged.endpoint.clone();
    let all = (0..20).map(move |_| pour(endpoint.clone()));
    serves_meanwhile(&mut besieged, 100, async { drop(join_all(all).await) }).await;
}

/// Says bytes after a handshake; the server is to close the connection.
async fn is_dropped(endpoint: Endpoint, bytes: Vec<u8>) {
    let mut socket = Socket::ready(&endpoint).await;
    socket.stream.get_mut().write_all(&bytes).await.ok();
    assert_eq!(socket.hear().await, None);
}

#[tokio::test]
async fn giant_frames_are_cut_off() {
    let mut besieged = Besieged::start().await;
    let endpoint = besieged.endpoint.clone();
    let masked = |head: &[u8], content: usize| [head, &[0; 4], &vec![b' '; content]].concat();
    let declared = masked(b"\x81\xff\0\0\0\0\x40\0\0\0", 1 << 16);
    let whole = masked(b"\x81\xff\0\0\0\0\0\x80\0\0", 8 << 20);
    let pieces = masked(b"\x01\xff\0\0\0\0\0\x0f\0\0", 0xf_0000);
    let more = masked(b"\x00\xff\0\0\0\0\0\x0f\0\0", 0xf_0000);
    let frames = [declared, whole, [pieces, more].concat()];
    let all = (0..30).map(move |number: usize| is_dropped(endpoint.clone(), frames[number % 3].clone()));
    serves_meanwhile(&mut besieged, 150, async { drop(join_all(all).await) }).await;
}

/// Starts and stops the same subscription without waiting for either.
async fn churn(endpoint: Endpoint) {
    let mut socket = Socket::ready(&endpoint).await;
    let mut start = socket.start_frame("s", "nothing");
    let data = json!({ "query": "{ a }", "variables": { "id": "x".repeat(200_000) } });
    start["payload"]["data"] = json!(data.to_string());
    for _ in 0..200 {
        socket.say(&start).await;
        socket.say(&json!({ "id": "s", "type": "stop" })).await;
    }
    let mut completed = 0;
    while completed < 200 {
        completed += usize::from(socket.hear().await.expect("it goes on")["type"] == "complete");
    }
}

#[tokio::test]
async fn starts_and_stops_without_an_end_keep_nobody_waiting() {
    let mut besieged = Besieged::start().await;
    let endpoint = besieged.endpoint.clone();
    let all = (0..5).map(move |_| churn(endpoint.clone()));
    serves_meanwhile(&mut besieged, MEGABYTES, async { drop(join_all(all).await) }).await;
}
