use std::time::Duration;

use gateway::{events::EventsGateway, graphql::Operation, reply::ErrorReply};
use serde_json::{Value, json};

use crate::fake_services::{FakeServices, graphql_error, in_20_seconds};

const EVENT_ID: &str = "5f7dfbd1-b8ff-4c20-924e-23b42db467a0";
const CHANNEL: &str = "/chat/responses/ann";

fn caller() -> Value {
    json!({ "issuer": "https://id.example.com", "sub": "ann", "name": "Ann", "groups": ["staff"] })
}

fn event(caller: Value, payloads: &[Value]) -> Value {
    let messages: Vec<_> = payloads.iter().map(|payload| json!({ "eventId": EVENT_ID, "payload": payload })).collect();
    json!({ "caller": caller, "channel": CHANNEL, "messages": messages })
}

async fn serve(services: &FakeServices, event: Value) -> (Vec<Value>, Vec<Value>) {
    EventsGateway::new(services.api(), services.events_api(), true).serve(event, in_20_seconds()).await;
    services.take_calls_and_messages()
}

#[tokio::test]
async fn question_of_the_page_becomes_a_message_of_its_user() {
    let services = FakeServices::start().await;
    let payload = json!({ "id": 1732659999999_u64, "sender": "user", "content": "Hi", "sessionId": "c1" });
    let gateway = EventsGateway::new(services.api(), services.events_api(), true);
    gateway.serve(event(caller(), &[payload]), in_20_seconds()).await;
    let [request] = services.take_requests().try_into().unwrap();
    assert_eq!(
        request.json()["variables"],
        json!({
            "input": { "conversationId": "c1", "id": "1732659999999", "text": "Hi" },
            "onBehalfOf": caller(),
            "replyTo": { "events": CHANNEL, "stream": true, "requestId": "1732659999999" },
        })
    );
    assert!(request.authorization.contains("/eu-west-1/appsync/aws4_request"), "{}", request.authorization);
}

#[tokio::test]
async fn messages_of_a_publish_are_served_in_order() {
    let services = FakeServices::start().await;
    let payloads = [json!({ "action": "send", "text": "Hi" }), json!({ "action": "ping", "id": "p" }), json!(7)];
    let (calls, messages) = serve(&services, event(json!({ "apiKey": true }), &payloads)).await;
    assert_eq!(calls.len(), 1);
    assert_eq!((&calls[0]["input"]["id"], &calls[0]["onBehalfOf"]), (&json!(EVENT_ID), &json!({ "apiKey": true })));
    let sentence = r#"A message must be a JSON object, such as {"action":"send","text":"Hello"}."#;
    let expected = [
        json!({ "type": "accepted", "conversationId": "new", "turnId": EVENT_ID }),
        json!({ "type": "pong", "id": "p" }),
        json!({ "type": "error", "code": "InvalidInput", "message": sentence, "result": { "text": sentence },
            "error": sentence }),
    ];
    assert_eq!(messages, expected);
}

fn stored_turn(status: &str, failure: &Value) -> (u16, Value) {
    let turn = json!({ "id": "7", "conversationId": "c1", "status": status, "run": 1, "attempt": 1, "answer": [],
        "pending": null, "failure": failure });
    (200, json!({ "data": { "getTurn": turn } }))
}

#[tokio::test]
async fn message_whose_turn_has_ended_is_answered() {
    let services = FakeServices::start().await;
    let sent = |status: &str| {
        (200, json!({ "data": { "sendMessage": { "id": "7", "conversationId": "c1", "status": status } } }))
    };
    let failure = json!({ "code": "NOT_STARTED", "message": "Try again.", "retryable": true });
    services.graphql_responses([sent("FAILED"), stored_turn("FAILED", &failure)]);
    let (calls, messages) = serve(&services, event(caller(), &[json!({ "id": 7, "content": "Hi" })])).await;
    let expected = json!({ "type": "answer", "id": "7", "sessionId": "c1", "result": { "text": "Try again." },
        "turnId": "7", "attempt": 1, "status": "FAILED", "failure": failure });
    assert_eq!(messages, [expected]);
    let variables = json!({ "conversationId": "c1", "id": "7", "afterSequence": 999_998, "onBehalfOf": caller() });
    assert_eq!(calls[1..], [variables]);
    for status in ["QUEUED", "RUNNING", "CANCELLING"] {
        services.graphql_responses([sent(status)]);
        let (calls, messages) = serve(&services, event(caller(), &[json!({ "id": 7, "content": "Hi" })])).await;
        assert_eq!((calls.len(), messages.len()), (1, 0), "{status}: the handler answers");
    }
    // Where the answer cannot be read, the client hears it and sends the message again.
    services.graphql_responses([sent("COMPLETED"), (400, json!({}))]);
    let (_, messages) = serve(&services, event(caller(), &[json!({ "id": 7, "content": "Hi" })])).await;
    assert_eq!((messages.len(), &messages[0]["code"]), (1, &json!("Unavailable")));
}

#[tokio::test]
async fn refusal_of_the_api_reaches_the_page() {
    let services = FakeServices::start().await;
    let info = json!({ "retryAt": "2026-11-27T00:00:00Z" });
    services.graphql_responses([graphql_error("QuotaExceeded", "Too many messages.", info.clone())]);
    let (_, messages) =
        serve(&services, event(caller(), &[json!({ "id": 7, "content": "Hi", "sessionId": "c1" })])).await;
    let expected = json!({ "type": "error", "id": "7", "code": "QuotaExceeded", "message": "Too many messages.",
        "info": info, "result": { "text": "Too many messages." }, "error": "Too many messages.", "sessionId": "c1" });
    assert_eq!(messages, [expected]);
}

#[tokio::test]
async fn call_is_repeated_until_the_api_answers() {
    let services = FakeServices::start().await;
    services.graphql_responses([
        (503, json!({})),
        (429, json!({})),
        graphql_error("TryAgain", "The table did not answer. Try again.", json!(null)),
    ]);
    let (calls, messages) = serve(&services, event(caller(), &[json!({ "content": "Hi" })])).await;
    assert_eq!((calls.len(), messages.len()), (4, 0));
    assert!(calls.iter().all(|call| *call == calls[0]), "the same message again has the same id");
}

#[tokio::test(start_paused = true)]
async fn call_is_given_up_after_15_seconds() {
    let services = FakeServices::start().await;
    services.graphql_responses(vec![(503, json!({})); 1_000]);
    let start = tokio::time::Instant::now();
    let deadline = start.into_std() + Duration::from_secs(60);
    let result = services.api().call(Operation::GetTurn, &json!({}), "key", deadline).await;
    assert_eq!(result, Err(ErrorReply::unavailable()));
    let elapsed = start.elapsed();
    assert!((Duration::from_secs(10)..=Duration::from_secs(15)).contains(&elapsed), "{elapsed:?}");
}

#[tokio::test]
async fn client_hears_that_the_service_is_unavailable() {
    let services = FakeServices::start().await;
    services.graphql_responses(vec![(503, json!({})); 100]);
    let gateway = EventsGateway::new(services.api(), services.events_api(), true);
    let deadline = in_20_seconds() - Duration::from_secs(16);
    gateway.serve(event(caller(), &[json!({ "content": "Hi" })]), deadline).await;
    let (calls, messages) = services.take_calls_and_messages();
    assert!(calls.len() > 1, "{} calls", calls.len());
    let [message] = messages.try_into().unwrap();
    assert_eq!((&message["type"], &message["code"]), (&json!("error"), &json!("Unavailable")));
}

#[tokio::test]
async fn failures_of_the_deployment_are_not_told() {
    let services = FakeServices::start().await;
    for response in [
        (401, json!({ "errors": [{ "errorType": "UnauthorizedException", "message": "Permission denied" }] })),
        (403, json!({ "errors": [{ "errorType": "BadRequestException", "message": "The request signature" }] })),
        (200, json!({ "data": null, "errors": [{ "message": "Validation error of type FieldUndefined" }] })),
    ] {
        services.graphql_responses([response]);
        let (calls, messages) = serve(&services, event(caller(), &[json!({ "content": "Hi" })])).await;
        assert_eq!((calls.len(), &messages[0]["code"]), (1, &json!("Unavailable")));
        let text = messages[0].to_string();
        assert!(!text.contains("Permission") && !text.contains("signature") && !text.contains("Field"), "{text}");
    }
}

#[tokio::test]
async fn reply_is_published_again_where_the_service_fails() {
    let services = FakeServices::start().await;
    services.delivery_responses([(500, json!({})), (429, json!({}))]);
    let (_, messages) = serve(&services, event(caller(), &[json!({ "action": "ping" })])).await;
    assert_eq!(messages, vec![json!({ "type": "pong" }); 3]);
    services.delivery_responses([(401, json!({}))]);
    let (_, messages) = serve(&services, event(caller(), &[json!({ "action": "ping" })])).await;
    assert_eq!(messages.len(), 1, "a refused publish is not repeated");
}

#[tokio::test]
async fn long_history_comes_in_parts() {
    let services = FakeServices::start().await;
    let items = json!([{ "id": "e1", "text": "é\"".repeat(150_000) }]);
    let conversation = json!({ "id": "c1", "events": { "items": items, "hasMore": true } });
    services.graphql_responses([(200, json!({ "data": { "getConversation": conversation } }))]);
    let payload = json!({ "action": "history", "id": "h", "conversationId": "c1", "limit": 1 });
    let (calls, messages) = serve(&services, event(caller(), &[payload])).await;
    assert_eq!((&calls[0]["limit"], calls[0].get("replyTo")), (&json!(1), None));
    assert!(messages.len() > 2 && messages.iter().all(|message| message["type"] == "part" && message["id"] == "h"));
    let joined: String = messages.iter().map(|message| message["data"].as_str().unwrap()).collect();
    let reply: Value = serde_json::from_str(&joined).unwrap();
    let expected = json!({ "type": "history", "id": "h", "conversationId": "c1", "events": items, "hasMore": true });
    assert_eq!(reply, expected);
}

#[tokio::test]
async fn other_events_are_ignored() {
    let services = FakeServices::start().await;
    let one = event(caller(), &[json!({ "action": "ping" })]);
    for (name, value) in [("caller", json!({ "apiKey": false })), ("channel", json!(null)), ("messages", json!({}))] {
        let mut broken = one.clone();
        broken[name] = value;
        assert_eq!(serve(&services, broken).await, (vec![], vec![]), "{name}");
    }
    let (_, messages) = serve(&services, event(caller(), &vec![json!({ "action": "ping" }); 7])).await;
    assert_eq!(messages.len(), 5);
}
