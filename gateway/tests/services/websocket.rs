use std::time::Duration;

use gateway::websocket::WebSocketGateway;
use serde_json::{Value, json};

use crate::fake_services::{FakeServices, FakeTable, graphql_error, in_20_seconds};

const CONNECTION: &str = "Sy1hsd8/IAMCLAQ=";
const NOW: Duration = Duration::from_secs(1_795_000_000);
const USER: &str = "https://id.example.com#ann";

struct Fixture {
    services: FakeServices,
    table: FakeTable,
    gateway: WebSocketGateway,
}

impl Fixture {
    async fn start() -> Self {
        let (services, table) = (FakeServices::start().await, FakeTable::start().await);
        let gateway = WebSocketGateway::new(services.api(), services.connections(), table.client());
        Self { services, table, gateway }
    }

    async fn serve(&self, event: Value) -> Value {
        self.gateway.serve(event, NOW, in_20_seconds()).await
    }

    /// Sends a message, and returns the calls of the API and the messages to the connection.
    async fn send(&self, body: &str) -> (Vec<Value>, Vec<Value>) {
        assert_eq!(self.serve(message(body)).await, json!({ "statusCode": 200 }));
        self.services.take_calls_and_messages()
    }
}

fn event(event_type: &str) -> Value {
    let caller = json!({ "issuer": "https://id.example.com", "sub": "ann" }).to_string();
    json!({
        "requestContext": {
            "eventType": event_type,
            "connectionId": CONNECTION,
            "connectedAt": 1_795_000_000_000_u64,
            "authorizer": { "principalId": "ann", "caller": caller, "expiresAt": "1795000001" },
        },
        "isBase64Encoded": false,
    })
}

fn message(body: &str) -> Value {
    let mut event = event("MESSAGE");
    event["requestContext"]["messageId"] = json!("Kf2dGd9+ywMCEng=");
    event["body"] = json!(body);
    event
}

fn item(user: &str, connection: &str, expires_at: u64) -> Value {
    json!({ "pk": { "S": format!("CONNECTIONS#{user}") }, "sk": { "S": connection },
        "expiresAt": { "N": expires_at.to_string() } })
}

#[tokio::test]
async fn connection_has_an_item_from_its_begin_to_its_end() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.serve(event("CONNECT")).await, json!({ "statusCode": 200 }));
    let expected = json!({
        "pk": { "S": "CONNECTIONS#https://id.example.com#ann" }, "sk": { "S": CONNECTION },
        "connectedAt": { "N": "1795000000" }, "expiresAt": { "N": "1795007800" },
    });
    assert_eq!(fixture.table.items().await, [expected]);
    assert_eq!(fixture.serve(event("DISCONNECT")).await, json!({ "statusCode": 200 }));
    assert_eq!(fixture.table.items().await.len(), 0);
    assert_eq!(fixture.serve(event("DISCONNECT")).await, json!({ "statusCode": 200 }), "a second time");
}

#[tokio::test]
async fn offered_subprotocol_is_chosen() {
    let fixture = Fixture::start().await;
    for (name, offered, is_chosen) in [
        ("Sec-WebSocket-Protocol", "parlance, a.b.c", true),
        ("sec-websocket-protocol", "parlance", true),
        ("Sec-WebSocket-Protocol", "a.b.c", false),
    ] {
        let mut connect = event("CONNECT");
        connect["headers"] = json!({ name: offered });
        connect["multiValueHeaders"] = json!({ name: [offered] });
        let chosen = json!({ "statusCode": 200, "headers": { "Sec-WebSocket-Protocol": "parlance" } });
        let expected = if is_chosen { chosen } else { json!({ "statusCode": 200 }) };
        assert_eq!(fixture.serve(connect).await, expected, "{offered}");
    }
}

#[tokio::test]
async fn user_has_at_most_50_connections() {
    let fixture = Fixture::start().await;
    for number in 0..49 {
        fixture.table.put(item(USER, &format!("c{number}"), NOW.as_secs() + 1)).await;
        fixture.table.put(item("API_KEY", &format!("c{number}"), NOW.as_secs() + 1)).await;
    }
    fixture.table.put(item(USER, "expired", NOW.as_secs())).await;
    fixture.table.put(item("API_KEY", "c49", NOW.as_secs() + 1)).await;
    assert_eq!(fixture.serve(event("CONNECT")).await, json!({ "statusCode": 200 }));
    let mut other = event("CONNECT");
    other["requestContext"]["connectionId"] = json!("other");
    assert_eq!(fixture.serve(other.clone()).await, json!({ "statusCode": 429 }));
    other["requestContext"]["authorizer"]["caller"] = json!(r#"{"apiKey":true}"#);
    assert_eq!(fixture.serve(other).await, json!({ "statusCode": 200 }), "the API key's callers are many");
}

#[tokio::test]
async fn messages_of_the_page_continue_the_conversation_of_their_connection() {
    let fixture = Fixture::start().await;
    fixture.serve(event("CONNECT")).await;
    let (calls, messages) = fixture.send(r#"{"data":"What is Alpha?"}"#).await;
    let reply_to = json!({ "websocket": { "connectionId": CONNECTION }, "stream": false });
    let expected = json!({
        "input": { "id": "Sy1hsd8_IAMCLAQKf2dGd9-ywMCEng", "text": "What is Alpha?" },
        "onBehalfOf": { "issuer": "https://id.example.com", "sub": "ann" },
        "replyTo": reply_to,
    });
    assert_eq!((calls, messages), (vec![expected], vec![]));
    let (calls, _) = fixture.send("{}").await;
    assert_eq!((&calls[0]["input"]["conversationId"], &calls[0]["input"]["text"]), (&json!("new"), &json!("Hello")));
    assert_eq!(fixture.table.items().await[0]["conversationId"], json!({ "S": "new" }));
}

#[tokio::test]
async fn deleted_conversation_of_a_connection_is_begun_again() {
    let fixture = Fixture::start().await;
    let mut old = item(USER, CONNECTION, NOW.as_secs() + 60);
    old["conversationId"] = json!({ "S": "old" });
    fixture.table.put(old).await;
    fixture.services.graphql_responses([graphql_error("NotFound", "There is no conversation old.", json!(null))]);
    let (calls, messages) = fixture.send(r#"{"data":"Hi"}"#).await;
    assert_eq!((calls.len(), messages.len()), (2, 0));
    assert_eq!((&calls[0]["input"]["conversationId"], calls[1]["input"].get("conversationId")), (&json!("old"), None));
    assert_eq!(fixture.table.items().await[0]["conversationId"], json!({ "S": "new" }));
    fixture.services.graphql_responses([graphql_error("ConversationBusy", "Busy.", json!({ "turnId": "t" }))]);
    let (calls, messages) = fixture.send(r#"{"data":"Hi"}"#).await;
    let expected =
        json!({ "type": "error", "code": "ConversationBusy", "message": "Busy.", "info": { "turnId": "t" } });
    assert_eq!((calls.len(), messages), (1, vec![expected]));
}

#[tokio::test]
async fn message_without_an_item_begins_a_conversation_and_leaves_none() {
    let fixture = Fixture::start().await;
    let (calls, messages) = fixture.send(r#"{"data":"Hi"}"#).await;
    assert_eq!((calls.len(), messages.len()), (1, 0));
    assert_eq!(fixture.table.items().await.len(), 0, "an item without an expiry would stay");
}

#[tokio::test]
async fn actions_are_answered_at_their_connection() {
    let fixture = Fixture::start().await;
    let send = r#"{"action":"send","id":"m1","conversationId":"c1","text":"Hi","stream":true}"#;
    let (calls, messages) = fixture.send(send).await;
    assert_eq!(calls[0]["replyTo"]["stream"], json!(true));
    let accepted = json!({ "type": "accepted", "id": "m1", "conversationId": "c1", "turnId": "m1" });
    assert_eq!(messages, [accepted]);
    let (_, messages) = fixture.send(r#"{"action":"cancel","conversationId":"c1","turnId":"t1"}"#).await;
    let turn = json!({ "id": "t1", "conversationId": "c1", "status": "CANCELLING" });
    assert_eq!(messages, [json!({ "type": "turn", "turn": turn })]);
    fixture.send(r#"{"action":"ping"}"#).await;
    fixture.serve(message(r#"{"action":"ping"}"#)).await;
    let [post] = fixture.services.take_requests().try_into().unwrap();
    assert_eq!(
        (post.path.as_str(), post.body.as_str()),
        ("/prod/@connections/Sy1hsd8%2FIAMCLAQ%3D", r#"{"type":"pong"}"#)
    );
    assert!(post.authorization.contains("/eu-west-1/execute-api/aws4_request"), "{}", post.authorization);
}

#[tokio::test]
async fn bad_message_is_answered_with_one_sentence() {
    let fixture = Fixture::start().await;
    let sentence = r#"A message must be a JSON object, such as {"action":"send","text":"Hello"}."#;
    for (body, id, expected, info) in [
        ("Hi", json!(null), sentence, json!(null)),
        (r#"{"id":"a","data":7}"#, json!("a"), "data must be a text.", json!({ "field": "data" })),
    ] {
        let (calls, messages) = fixture.send(body).await;
        let mut reply = json!({ "type": "error", "code": "InvalidInput", "message": expected });
        for (name, value) in [("id", id), ("info", info)] {
            if !value.is_null() {
                reply[name] = value;
            }
        }
        assert_eq!((calls.len(), messages), (0, vec![reply]));
    }
}

#[tokio::test]
async fn message_after_the_end_of_the_credential_is_refused() {
    let fixture = Fixture::start().await;
    let sentence = "The credential has expired. Connect again with a new one.";
    for expires_at in [json!("1795000000"), json!(1_795_000_000), json!("soon")] {
        let mut expired = message(r#"{"action":"send","id":"m1","text":"Hi"}"#);
        expired["requestContext"]["authorizer"]["expiresAt"] = expires_at.clone();
        assert_eq!(fixture.serve(expired).await, json!({ "statusCode": 200 }));
        let (calls, messages) = fixture.services.take_calls_and_messages();
        let expected = json!({ "type": "error", "id": "m1", "code": "Unauthorized", "message": sentence });
        assert_eq!((calls.len(), messages), (0, vec![expected]), "{expires_at}");
    }
    let mut unlimited = message(r#"{"action":"send","text":"Hi"}"#);
    unlimited["requestContext"]["authorizer"].as_object_mut().unwrap().remove("expiresAt");
    fixture.serve(unlimited).await;
    assert_eq!(fixture.services.take_calls_and_messages().0.len(), 1);
}

#[tokio::test]
async fn nothing_more_is_sent_to_a_connection_that_has_gone() {
    let fixture = Fixture::start().await;
    fixture.serve(event("CONNECT")).await;
    let turn = json!({ "id": "t1", "text": "x".repeat(100_000) });
    fixture.services.graphql_responses([(200, json!({ "data": { "getTurn": turn } }))]);
    fixture.services.delivery_responses([(200, json!({})), (410, json!({ "message": "Gone" }))]);
    let history = r#"{"action":"history","conversationId":"c1","turnId":"t1"}"#;
    let (_, messages) = fixture.send(history).await;
    assert_eq!(messages.len(), 2, "of four parts");
    assert_eq!(fixture.table.items().await.len(), 0);
}

#[tokio::test]
async fn long_reply_comes_in_parts_below_32_kb() {
    let fixture = Fixture::start().await;
    let turn = json!({ "id": "t1", "text": "🙂\"".repeat(20_000) });
    fixture.services.graphql_responses([(200, json!({ "data": { "getTurn": turn } }))]);
    fixture.serve(message(r#"{"action":"history","conversationId":"c1","turnId":"t1"}"#)).await;
    let posts = fixture.services.take_requests().split_off(1);
    assert!(posts.len() > 3 && posts.iter().all(|post| post.body.len() <= 32_000), "{} posts", posts.len());
    let joined: String = posts.iter().map(|post| post.json()["data"].as_str().unwrap().to_owned()).collect();
    assert_eq!(serde_json::from_str::<Value>(&joined).unwrap(), json!({ "type": "turn", "turn": turn }));
}

#[tokio::test]
async fn other_events_are_refused() {
    let fixture = Fixture::start().await;
    for event in [json!(null), json!({}), json!({ "requestContext": { "eventType": "OTHER", "connectionId": "c" } })] {
        assert_eq!(fixture.serve(event).await, json!({ "statusCode": 400 }));
    }
    for event_type in ["CONNECT", "MESSAGE", "DISCONNECT"] {
        let mut without = event(event_type);
        without["requestContext"].as_object_mut().unwrap().remove("authorizer");
        assert_eq!(fixture.serve(without).await, json!({ "statusCode": 401 }));
        let mut broken = event(event_type);
        broken["requestContext"]["authorizer"]["caller"] = json!("{}");
        assert_eq!(fixture.serve(broken).await, json!({ "statusCode": 401 }));
    }
    assert_eq!(fixture.table.items().await.len(), 0);
}
