//! Reasoning of models: it is stored whole and returned without what only the model may get back.
use serde_json::{Value, json};

use super::fixture::{Fixture, iam_user};

const SIGNATURE: &str = "c2lnbmF0dXJl";
const REDACTED: &str = "cmVkYWN0ZWQ=";

const EVENT: &str = "id text modelId guardrail { source policies } content { text reasoning { text milliseconds } \
    toolUse { id } }";

/// A conversation of ann's whose turn `m1` is answered with reasoning, a tool call and a text.
async fn answered() -> Fixture {
    let fixture = Fixture::with_parameters([]);
    let ann = iam_user("ann");
    fixture.create_conversation(&ann, "c1").await;
    fixture.send_message(&ann, "c1", "m1").await.expect("a turn");
    fixture.claim_turn().await;
    let batch = update(1, "RUNNING", json!({ "contentBlockIndex": 0, "agentPartialReasoning": "Let me" }));
    let document = "mutation ($data: AgentMetadataInput!) { result: agentPublishMetadata(data: $data) \
        { metadata { contentBlockIndex agentPartialMessage agentPartialReasoning } } }";
    let published = fixture.execute(&fixture.handler, document, json!({ "data": batch })).await.expect("a batch");
    let metadata = json!({ "contentBlockIndex": 0, "agentPartialMessage": null, "agentPartialReasoning": "Let me" });
    assert_eq!(published["metadata"], metadata);
    let reasoning = json!({ "text": "Let me see.", "milliseconds": 900, "signature": SIGNATURE });
    let step = json!([
        { "reasoning": reasoning },
        { "text": "I look." },
        { "toolUse": { "id": "u1", "name": "look", "input": "{}" } },
    ]);
    let published = publish(&fixture, 2, "RUNNING", "m1-1-1", 2, step).await;
    assert_eq!(published["text"], "I look.");
    let result = json!([{ "toolResult": { "toolUseId": "u1", "status": "SUCCEEDED", "text": "It is blue." } }]);
    publish(&fixture, 3, "RUNNING", "m1-1-2", 3, result).await;
    let answer = json!([{ "reasoning": { "text": "", "redacted": REDACTED } }, { "text": "Blue." }]);
    let published = publish(&fixture, 4, "COMPLETED", "m1-1-3", 4, answer).await;
    let expected = json!({
        "id": "m1-1-3", "text": "Blue.", "modelId": "m3", "guardrail": { "source": "OUTPUT", "policies": ["WORD"] },
        "content": [
            { "text": null, "reasoning": { "text": "", "milliseconds": null }, "toolUse": null },
            { "text": "Blue.", "reasoning": null, "toolUse": null },
        ],
    });
    assert_eq!(published, expected);
    fixture
}

/// Publishes an event, and returns it as its subscribers get it.
async fn publish(fixture: &Fixture, sequence: u32, status: &str, id: &str, position: u32, content: Value) -> Value {
    let event = json!({
        "id": id, "position": position, "sender": { "kind": "AGENT", "id": "default" }, "content": content,
        "modelId": "m3", "guardrail": { "source": "OUTPUT", "policies": ["WORD"] },
    });
    let document = format!(
        "mutation ($data: AgentEventInput!) {{ result: agentPublishEvent(data: $data) {{ event {{ {EVENT} }} }} }}"
    );
    let data = json!({ "data": update(sequence, status, json!({ "event": event })) });
    fixture.execute(&fixture.handler, &document, data).await.expect("an event")["event"].take()
}

/// An update of the turn's first attempt.
fn update(sequence: u32, status: &str, members: Value) -> Value {
    let mut data = json!({
        "conversationId": "c1", "turnId": "m1", "run": 1, "attempt": 1, "sequence": sequence, "status": status,
    });
    data.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    data
}

/// What ann reads of the conversation: its events, and the turn with its answer and its batches.
async fn read(fixture: &Fixture) -> (Value, Value) {
    let ann = iam_user("ann");
    let events =
        format!("{{ result: getConversation(id: \"c1\") {{ events {{ items {{ {EVENT} }} }} activeTurn {{ id }} }} }}");
    let turn = format!(
        "{{ result: getTurn(conversationId: \"c1\", id: \"m1\") {{ question {{ {EVENT} }} answer {{ {EVENT} }} \
         batches {{ metadata {{ contentBlockIndex agentPartialMessage agentPartialReasoning }} }} }} }}"
    );
    let events = fixture.execute(&ann, &events, json!({})).await.expect("a conversation");
    (events, fixture.execute(&ann, &turn, json!({})).await.expect("a turn"))
}

#[tokio::test]
async fn reasoning_is_read_with_its_event_and_is_not_part_of_the_text() {
    let fixture = answered().await;
    let (events, turn) = read(&fixture).await;
    let texts = |events: &Value| -> Vec<Value> {
        events.as_array().expect("a list").iter().map(|event| event["text"].clone()).collect()
    };
    assert_eq!(texts(&turn["answer"]), ["I look.", "", "Blue."]);
    assert_eq!(texts(&events["events"]["items"]), ["Hello", "I look.", "", "Blue."]);
    let step = &turn["answer"][0];
    assert_eq!(step["content"][0]["reasoning"], json!({ "text": "Let me see.", "milliseconds": 900 }));
    assert_eq!((&step["modelId"], &step["guardrail"]["policies"][0]), (&json!("m3"), &json!("WORD")));
    assert_eq!(turn["question"]["modelId"], Value::Null);
    let batch = json!({ "contentBlockIndex": 0, "agentPartialMessage": null, "agentPartialReasoning": "Let me" });
    assert_eq!(turn["batches"][0]["metadata"], batch);
}

/// Of the stored event, the table alone has them. The schema gives clients no member for them.
#[tokio::test]
async fn signature_and_redacted_reasoning_are_in_the_table_and_in_no_response_and_no_payload() {
    let fixture = answered().await;
    let stored = json!(fixture.scan().await).to_string();
    assert!(stored.contains(SIGNATURE) && stored.contains(REDACTED));
    let (events, turn) = read(&fixture).await;
    let ann = iam_user("ann");
    fixture.mutate_turn(&ann, "retryTurn").await.expect("a turn");
    fixture.mutate_turn(&ann, "cancelTurn").await.expect("a turn");
    let next = fixture.send_message(&ann, "c1", "m2").await.expect("a turn");
    let payload = fixture.payloads().pop().expect("an invocation");
    assert_eq!(payload["history"][1]["content"][0], json!({ "text": "I look." }));
    assert_eq!(payload["history"][3]["content"], json!([{ "text": "Blue." }]));
    let seen = json!([events, turn, next, fixture.payloads()]).to_string();
    assert!(!seen.contains(SIGNATURE) && !seen.contains(REDACTED), "{seen}");
    for member in ["signature", "redacted"] {
        let document = format!(
            "{{ result: getConversation(id: \"c1\") {{ events {{ items {{ content {{ reasoning {{ {member} }} }} }} }} }} }}"
        );
        let error = fixture.execute(&ann, &document, json!({})).await.expect_err("no such field");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(&format!("'{member}' in type 'Reasoning' is undefined")), "{message}");
    }
}

#[tokio::test]
async fn batch_has_a_text_or_reasoning() {
    let fixture = Fixture::with_parameters([]);
    let both = update(1, "RUNNING", json!({ "agentPartialMessage": "a", "agentPartialReasoning": "b" }));
    let document = "mutation ($data: AgentMetadataInput!) { result: agentPublishMetadata(data: $data) { sequence } }";
    let error = fixture.execute(&fixture.handler, document, json!({ "data": both })).await.expect_err("a refusal");
    assert_eq!(error["message"], "agentPartialReasoning must be left out where agentPartialMessage is given.");
    assert_eq!(error["errorType"], "InvalidInput");
}
