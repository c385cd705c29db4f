//! A turn's effective status and the fencing condition, by the cases that the handler is tested with too.
use std::rc::Rc;

use local::dynamodb::DynamoDb;
use local::resolver::{Engine, EngineEnvironment, Handler, Outcome};
use local::stack::Code;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{fixture::read_repository_file, tables::table};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    status: String,
    lease_until: Option<u64>,
    claimable_until: u64,
    /// Only of a turn that is WAITING.
    pending_until: Option<u64>,
    now: i64,
    effective: String,
    /// The fencing condition accepts a publish of the turn's last attempt.
    fenced: bool,
}

#[test]
fn load_turn_returns_the_effective_status() {
    for case in effective_status_cases() {
        let turn = case.call("turns/loadTurn", Handler::Response, json!({ "result": case.stored_turn() }));
        assert_eq!(turn["status"], json!(case.effective), "{case:?}");
    }
}

#[test]
fn replay_returns_the_effective_status() {
    for case in effective_status_cases() {
        let message = json!({ "id": "t1", "content": [{ "text": "Hello!" }] });
        let items = json!([{ "id": "c1" }, case.stored_turn(), message]);
        let context = json!({
            "env": { "TABLE_NAME": "Main" }, "arguments": { "input": { "text": "Hello!" } },
            "result": { "data": { "Main": items }, "unprocessedKeys": { "Main": [] } },
        });
        let turn = case.call("messages/checkIdempotentReplay", Handler::Response, context);
        assert_eq!(turn["status"], json!(case.effective), "{case:?}");
    }
}

#[tokio::test]
async fn batch_passes_only_under_the_fencing_condition() {
    for case in effective_status_cases() {
        let context = json!({ "arguments": { "data": first_attempt_update() } });
        let request = case.call("publishing/renewTurn", Handler::Request, context);
        let answer = case.database().await.run("Main", &request).await;
        assert_eq!(answer.error.is_none(), case.fenced, "{case:?} {:?}", answer.error);
    }
}

#[tokio::test]
async fn event_passes_only_under_the_fencing_condition() {
    let mut data = first_attempt_update();
    data["event"] = json!({ "id": "t1-1-1", "position": 2, "content": [] });
    for case in effective_status_cases() {
        let context = json!({ "arguments": { "data": data }, "stash": {}, "env": { "TABLE_NAME": "Main" } });
        let request = case.call("publishing/putAgentEvent", Handler::Request, context);
        let answer = case.database().await.run("Main", &request).await;
        assert_eq!(answer.error.is_none(), case.fenced, "{case:?} {:?}", answer.error);
    }
}

fn effective_status_cases() -> Vec<Case> {
    let cases: Vec<Case> =
        serde_json::from_str(&read_repository_file("tests/effective-status.json")).expect("a table of cases");
    assert!(cases.iter().any(|case| case.fenced) && cases.iter().any(|case| !case.fenced));
    cases
}

/// An update that the first attempt of the turn publishes.
fn first_attempt_update() -> Value {
    json!({ "conversationId": "c1", "turnId": "t1", "run": 1, "attempt": 1, "sequence": 7, "status": "RUNNING" })
}

impl Case {
    /// Calls a resolver's handler at the time of the case and returns its result.
    fn call(&self, resolver: &str, handler: Handler, context: Value) -> Value {
        let now = jiff::Timestamp::from_millisecond(self.now).expect("a time");
        let engine =
            Engine::with_environment(EngineEnvironment { now: Rc::new(move || now), ..EngineEnvironment::default() });
        let path = format!("resolvers/{resolver}.js");
        let code = Code { text: read_repository_file(&path), path };
        match engine.expect("the engine starts").run(&code, handler, context).outcome {
            Outcome::Returned(value) => value,
            other => panic!("{self:?}: {other:?}"),
        }
    }

    /// The turn as loadTurn reads it from the table.
    fn stored_turn(&self) -> Value {
        json!({
            "id": "t1", "status": self.status, "leaseUntil": self.lease_until, "claimableUntil": self.claimable_until,
            "pendingUntil": self.pending_until,
        })
    }

    /// A database with the turn and its conversation.
    async fn database(&self) -> DynamoDb {
        let dynamodb = DynamoDb::open(None).expect("a database in memory");
        dynamodb.create_tables(&[("Main".into(), table("Main"))].into()).expect("a table");
        let mut turn = json!({
            "run": { "N": 1 }, "attempt": { "N": 1 }, "status": { "S": self.status },
            "claimableUntil": { "N": self.claimable_until },
        });
        if let Some(lease) = self.lease_until {
            turn["leaseUntil"] = json!({ "N": lease });
        }
        if let Some(pending) = self.pending_until {
            turn["pendingUntil"] = json!({ "N": pending });
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
