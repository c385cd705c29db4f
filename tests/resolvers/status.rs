//! What a turn counts as, and who may still write to it: the cases that the handler is held to as well.
use std::path::Path;
use std::rc::Rc;

use local::dynamodb::DynamoDb;
use local::resolver::{Ambient, Engine, Handler, Outcome};
use local::stack::Code;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{read, tables::table};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    status: String,
    lease_until: Option<u64>,
    claimable_until: u64,
    now: i64,
    effective: String,
    fenced: bool,
}

#[test]
fn a_turn_is_told_with_its_effective_status() {
    for case in cases() {
        let Case { status, lease_until, claimable_until, .. } = &case;
        let turn =
            json!({ "id": "t1", "status": status, "leaseUntil": lease_until, "claimableUntil": claimable_until });
        let told = case.call("turns/loadTurn", Handler::Response, json!({ "result": turn }));
        assert_eq!(told["status"], json!(case.effective), "{case:?}");
    }
}

#[test]
fn a_message_sent_again_is_told_with_the_same_status() {
    for case in cases() {
        let Case { status, lease_until, claimable_until, .. } = &case;
        let turn =
            json!({ "id": "t1", "status": status, "leaseUntil": lease_until, "claimableUntil": claimable_until });
        let asked = json!({ "id": "t1", "content": [{ "text": "Hello!" }] });
        let context = json!({
            "env": { "TABLE_NAME": "Main" }, "arguments": { "input": { "text": "Hello!" } },
            "result": { "data": { "Main": [{ "id": "c1" }, turn, asked] }, "unprocessedKeys": { "Main": [] } },
        });
        let told = case.call("messages/checkIdempotentReplay", Handler::Response, context);
        assert_eq!(told["status"], json!(case.effective), "{case:?}");
    }
}

#[tokio::test]
async fn a_publish_passes_the_fence_or_is_refused() {
    for case in cases() {
        let request = case.call("publishing/renewTurn", Handler::Request, json!({ "arguments": { "data": data() } }));
        let answer = case.table().await.run("Main", &request).await;
        assert_eq!(answer.error.is_none(), case.fenced, "{case:?} {:?}", answer.error);
    }
}

#[tokio::test]
async fn an_agents_event_passes_the_same_fence() {
    let mut data = data();
    data["event"] = json!({ "id": "t1-1-1", "position": 2, "content": [] });
    for case in cases() {
        let context = json!({ "arguments": { "data": data }, "stash": {}, "env": { "TABLE_NAME": "Main" } });
        let request = case.call("publishing/putAgentEvent", Handler::Request, context);
        let answer = case.table().await.run("Main", &request).await;
        assert_eq!(answer.error.is_none(), case.fenced, "{case:?} {:?}", answer.error);
    }
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = serde_json::from_str(&file("tests/effective-status.json")).expect("a table of cases");
    assert!(cases.iter().any(|case| case.fenced) && cases.iter().any(|case| !case.fenced));
    cases
}

/// What the first attempt of the turn publishes.
fn data() -> Value {
    json!({ "conversationId": "c1", "turnId": "t1", "run": 1, "attempt": 1, "sequence": 7, "status": "RUNNING" })
}

impl Case {
    /// What a resolver's handler returns at the moment of the case.
    fn call(&self, resolver: &str, handler: Handler, context: Value) -> Value {
        let now = jiff::Timestamp::from_millisecond(self.now).expect("a time");
        let engine = Engine::with_ambient(Ambient { now: Rc::new(move || now), ..Ambient::default() });
        let path = format!("resolvers/{resolver}.js");
        let code = Code { text: file(&path), path };
        match engine.expect("the engine starts").run(&code, handler, context).outcome {
            Outcome::Returned(value) => value,
            other => panic!("{self:?}: {other:?}"),
        }
    }

    /// A table with the turn in its conversation.
    async fn table(&self) -> DynamoDb {
        let dynamodb = DynamoDb::open(None).expect("a database in memory");
        dynamodb.create_tables(&[("Main".into(), table("Main"))].into()).expect("a table");
        let mut turn = json!({
            "run": { "N": 1 }, "attempt": { "N": 1 }, "status": { "S": self.status },
            "claimableUntil": { "N": self.claimable_until },
        });
        if let Some(lease) = self.lease_until {
            turn["leaseUntil"] = json!({ "N": lease });
        }
        let conversation = json!({ "eventCount": { "N": 1 }, "activeTurnId": { "S": "t1" } });
        for (sk, item) in [("TURN#t1", turn), ("META", conversation)] {
            let key = json!({ "pk": { "S": "CONVERSATION#c1" }, "sk": { "S": sk } });
            let put = json!({ "operation": "PutItem", "key": key, "attributeValues": item });
            assert_eq!(dynamodb.run("Main", &put).await.error, None);
        }
        dynamodb
    }
}

fn file(path: &str) -> String {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
}
