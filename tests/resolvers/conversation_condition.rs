//! The condition of writes that store an event of a turn: the conversation awaits the turn. The handler is
//! tested with the same cases.
use std::rc::Rc;

use local::{
    dynamodb::DynamoDb,
    resolver::{Engine, EngineEnvironment, Handler, Outcome},
    stack::Code,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{fixture::read_repository_file, tables::table};

const NOW: i64 = 1_795_000_000_000;
const LATER: i64 = NOW + 1_000;

/// Whether the conversation awaits event 8, the next one of turn t1.
#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    conversation: Option<Map<String, Value>>,
    awaits: bool,
}

#[tokio::test]
async fn event_is_stored_only_if_the_conversation_awaits_the_turn() {
    for status in ["RUNNING", "COMPLETED"] {
        let context = json!({
            "stash": {},
            "arguments": { "data": {
                "conversationId": "c1", "turnId": "t1", "run": 1, "attempt": 1, "sequence": 7, "status": status,
                "event": { "id": "t1-1-8", "position": 8, "content": [] },
            } },
        });
        let turn = json!({ "status": "RUNNING", "leaseUntil": LATER });
        check("publishing/putAgentEvent", context, turn).await;
    }
}

#[tokio::test]
async fn queued_turn_is_cancelled_only_if_the_conversation_awaits_it() {
    let turn =
        json!({ "id": "t1", "run": 1, "attempt": 1, "status": "QUEUED", "storedStatus": "QUEUED", "lastPosition": 7 });
    let closing = json!({ "isWhole": true, "event": { "id": "t1-closed-1", "position": 8 }, "turnChange": { "status": "CANCELLED" } });
    let context = json!({ "stash": { "conversation": { "id": "c1" }, "turn": turn, "closing": closing } });
    check("turns/cancelTurn", context, json!({ "status": "QUEUED" })).await;
}

#[tokio::test]
async fn waiting_turn_is_cancelled_only_if_the_conversation_awaits_it() {
    let stored = json!({ "status": "WAITING", "lastSequence": 3, "pendingUntil": LATER });
    let turn = json!({
        "id": "t1", "run": 1, "attempt": 1, "status": "WAITING", "storedStatus": "WAITING", "lastSequence": 3,
        "lastPosition": 7,
    });
    let closing = json!({ "isWhole": true, "event": { "id": "t1-closed-1", "position": 8 }, "turnChange": { "status": "CANCELLED" } });
    let context = json!({ "stash": { "conversation": { "id": "c1" }, "turn": turn, "closing": closing } });
    check("turns/cancelTurn", context, stored).await;
}

#[tokio::test]
async fn turn_fails_to_start_only_if_the_conversation_awaits_it() {
    let turn = json!({ "id": "t1", "run": 1, "attempt": 1, "lastPosition": 7 });
    let context = json!({ "stash": {
        "conversation": { "id": "c1" }, "agent": { "id": "a1" }, "invokeFailed": true, "queuedTurn": turn,
    } });
    check("turns/failIfInvokeFailed", context, json!({ "status": "QUEUED" })).await;
}

/// Runs the resolver's transaction against each case. `turn` has the attributes of turn t1 that the resolver
/// requires.
async fn check(resolver: &str, mut context: Value, turn: Value) {
    context["env"] = json!({ "TABLE_NAME": "Main" });
    let request = request(resolver, context);
    let items = request["transactItems"].as_array().expect("a transaction");
    let conversation_index =
        items.iter().position(|item| item["key"]["sk"]["S"] == "META").expect("a write to the conversation");
    let cases: Vec<Case> =
        serde_json::from_str(&read_repository_file("tests/conversation-awaits-turn.json")).expect("a table of cases");
    assert!(cases.iter().any(|case| case.awaits) && cases.iter().any(|case| !case.awaits));
    for case in cases {
        let response = database(&case, &turn).await.run("Main", &request).await;
        assert_eq!(response.error.is_none(), case.awaits, "{resolver}, {}: {:?}", case.name, response.error);
        if !case.awaits {
            let reasons = response.result["cancellationReasons"].as_array().expect("a reason for each item");
            let failed: Vec<_> = (0..reasons.len()).filter(|index| reasons[*index]["type"] != "None").collect();
            assert_eq!(failed, [conversation_index], "{resolver}, {}: {reasons:?}", case.name);
        }
    }
}

fn request(resolver: &str, context: Value) -> Value {
    let now = jiff::Timestamp::from_millisecond(NOW).expect("a time");
    let engine =
        Engine::with_environment(EngineEnvironment { now: Rc::new(move || now), ..EngineEnvironment::default() });
    let path = format!("resolvers/{resolver}.js");
    let code = Code { text: read_repository_file(&path), path };
    match engine.expect("the engine starts").run(&code, Handler::Request, context).outcome {
        Outcome::Returned(request) => request,
        other => panic!("{resolver}: {other:?}"),
    }
}

/// A database with turn t1 and the conversation of the case.
async fn database(case: &Case, turn: &Value) -> DynamoDb {
    let dynamodb = DynamoDb::open(None).expect("a database in memory");
    dynamodb.create_tables(&[("Main".into(), table("Main"))].into()).expect("a table");
    let mut stored_turn = Map::from_iter([
        ("run".to_owned(), json!(1)),
        ("attempt".to_owned(), json!(1)),
        ("claimableUntil".to_owned(), json!(LATER)),
    ]);
    stored_turn.extend(turn.as_object().expect("attributes").clone());
    let conversation = case.conversation.as_ref().map(|conversation| ("META", conversation));
    for (sk, attributes) in conversation.into_iter().chain([("TURN#t1", &stored_turn)]) {
        let key = json!({ "pk": { "S": "CONVERSATION#c1" }, "sk": { "S": sk } });
        let attributes: Map<_, _> =
            attributes.iter().map(|(name, value)| (name.clone(), to_attribute_value(value))).collect();
        let put = json!({ "operation": "PutItem", "key": key, "attributeValues": attributes });
        assert_eq!(dynamodb.run("Main", &put).await.error, None);
    }
    dynamodb
}

fn to_attribute_value(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Number(number) => json!({ "N": number }),
        Value::String(text) => json!({ "S": text }),
        other => panic!("{other} is not an attribute of a case"),
    }
}
