//! The right to write is held by the transaction that writes: whatever happens between the read and it.
use std::path::Path;

use local::dynamodb::{DataSourceResponse, DynamoDb};
use local::resolver::{Engine, Handler, Outcome};
use local::stack::Code;
use serde_json::{Value, json};

use super::{read, tables::table};

const ANN: &str = "https://id.example.com#ann";
const BOB: &str = "https://id.example.com#bob";

#[tokio::test]
async fn a_participant_who_still_writes_sends_and_is_listed_anew() {
    let send = Pipeline::send().await;
    assert_eq!(send.write("messages/putUserMessage", message()).await.error, None);
    assert_eq!(send.item("TURN#t2").await["status"], "QUEUED");
    assert_ne!(send.item(&part(BOB)).await["listSort"], "long ago");
}

#[tokio::test]
async fn whoever_is_shut_out_inside_a_send_sends_nothing() {
    let send = Pipeline::send().await;
    send.run(json!({ "operation": "DeleteItem", "key": key(&part(BOB)) })).await;
    send.loses_race("messages/putUserMessage", message()).await;
}

#[tokio::test]
async fn whoever_may_only_read_inside_a_send_sends_nothing() {
    let send = Pipeline::send().await;
    send.change(&part(BOB), "access", "READ").await;
    send.loses_race("messages/putUserMessage", message()).await;
}

#[tokio::test]
async fn nobody_sends_to_what_is_deleted_inside_a_send() {
    let send = Pipeline::send().await;
    send.change("META", "deletedAt", "2026-01-01T00:00:00.000Z").await;
    send.loses_race("messages/putUserMessage", message()).await;
}

#[tokio::test]
async fn whoever_is_shut_out_inside_a_retry_opens_no_turn() {
    let retry = Pipeline::retry().await;
    retry.run(json!({ "operation": "DeleteItem", "key": key(&part(BOB)) })).await;
    retry.loses_race("turns/requeueTurn", order()).await;
    assert_eq!(retry.item("TURN#t1").await["run"], 1);
}

#[tokio::test]
async fn a_participant_who_still_writes_opens_a_turn() {
    let retry = Pipeline::retry().await;
    assert_eq!(retry.write("turns/requeueTurn", order()).await.error, None);
    assert_eq!(retry.item("TURN#t1").await["run"], 2);
}

#[tokio::test]
async fn of_two_that_join_at_once_none_is_left_uncounted() {
    let pipeline = Pipeline::stored(ANN).await;
    for (user, is_first) in [("https://id.example.com#cat", true), ("https://id.example.com#dan", false)] {
        let arguments = json!({ "input": { "conversationId": "c1", "userId": user, "access": "READ" } });
        let conversation = json!({ "id": "c1", "owner": ANN, "participantCount": 1 });
        let share = Pipeline { arguments, stash: json!({ "participant": null }), ..pipeline.clone() };
        let answer = share.write("sharing/putParticipant", json!({ "conversation": conversation })).await;
        assert_eq!(answer.error.is_none(), is_first, "{user}");
    }
    assert_eq!(pipeline.item("META").await["participantCount"], 2);
}

/// A request that is under way: what its functions have left for the next, and the table they share.
#[derive(Clone)]
struct Pipeline {
    table: DynamoDb,
    arguments: Value,
    stash: Value,
}

impl Pipeline {
    /// Of a participant, who may write and has been found to.
    async fn send() -> Self {
        let arguments = json!({ "input": { "conversationId": "c1", "id": "t2", "text": "Hello!" } });
        Self { arguments, ..Self::stored(BOB).await }.having_read("messages/authorizeSend").await
    }

    async fn retry() -> Self {
        let arguments = json!({ "conversationId": "c1", "id": "t1" });
        Self { arguments, ..Self::stored(BOB).await }.having_read("conversations/authorizeConversation").await
    }

    async fn stored(caller: &str) -> Self {
        let dynamodb = DynamoDb::open(None).expect("a database in memory");
        dynamodb.create_tables(&[("Main".into(), table("Main"))].into()).expect("a table");
        let stash = json!({ "userId": caller, "turnId": "t2" });
        let pipeline = Self { table: dynamodb, arguments: Value::Null, stash };
        let meta = json!({
            "id": { "S": "c1" }, "owner": { "S": ANN }, "eventCount": { "N": 2 }, "participantCount": { "N": 1 },
        });
        let part = json!({
            "userId": { "S": BOB }, "access": { "S": "WRITE" }, "listKey": { "S": "bob's" }, "listSort": { "S": "long ago" },
        });
        let turn =
            json!({ "id": { "S": "t1" }, "run": { "N": 1 }, "attempt": { "N": 1 }, "status": { "S": "COMPLETED" } });
        for (sk, item) in [("META", meta), (&self::part(BOB), part), ("TURN#t1", turn)] {
            pipeline.run(json!({ "operation": "PutItem", "key": key(sk), "attributeValues": item })).await;
        }
        pipeline
    }

    async fn having_read(mut self, function: &str) -> Self {
        let (request, stash) = self.call(function, Handler::Request, &self.stash, Value::Null);
        let answer = self.run(returned(request)).await;
        let (found, stash) = self.call(function, Handler::Response, &stash, json!({ "result": answer.result }));
        assert_eq!(returned(found)["id"], "c1");
        self.stash = stash;
        self
    }

    /// The table's answer to a function, given members of the stash from functions before it.
    async fn write(&self, function: &str, members: Value) -> DataSourceResponse {
        self.write_and_stash(function, members).await.0
    }

    /// The answer, and the stash as the function's request handler left it.
    async fn write_and_stash(&self, function: &str, members: Value) -> (DataSourceResponse, Value) {
        let stash = merged(&self.stash, &members);
        let (request, stash) = self.call(function, Handler::Request, &stash, Value::Null);
        (self.table.run("Main", &returned(request)).await, stash)
    }

    /// The function writes nothing, and raises TryAgain.
    async fn loses_race(&self, function: &str, members: Value) {
        let before = self.everything().await;
        let (DataSourceResponse { result, error }, stash) = self.write_and_stash(function, members).await;
        let error = error.expect("the transaction is cancelled");
        assert_eq!(error.error_type, "DynamoDB:TransactionCanceledException");
        let answer = json!({ "result": result, "error": { "type": error.error_type } });
        match self.call(function, Handler::Response, &stash, answer).0 {
            Outcome::Raised(raised) => assert_eq!(raised.error_type.as_deref(), Some("TryAgain")),
            other => panic!("a refusal was due, not {other:?}"),
        }
        assert_eq!(self.everything().await, before);
    }

    /// A handler's outcome, and the stash as it leaves it.
    fn call(&self, function: &str, handler: Handler, stash: &Value, answer: Value) -> (Outcome, Value) {
        let path = format!("resolvers/{function}.js");
        let code = Code { text: read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(&path)), path };
        let context = json!({
            "arguments": self.arguments, "stash": stash, "info": { "fieldName": "retryTurn" },
            "env": { "TABLE_NAME": "Main" },
        });
        let run = Engine::new().expect("the engine starts").run(&code, handler, merged(&context, &answer));
        (run.outcome, run.stash)
    }

    async fn change(&self, sk: &str, attribute: &str, to: &str) {
        let update = json!({
            "expression": "SET #name = :value", "expressionNames": { "#name": attribute },
            "expressionValues": { ":value": { "S": to } },
        });
        self.run(json!({ "operation": "UpdateItem", "key": key(sk), "update": update })).await;
    }

    async fn item(&self, sk: &str) -> Value {
        self.run(json!({ "operation": "GetItem", "key": key(sk) })).await.result
    }

    async fn everything(&self) -> Value {
        self.run(json!({ "operation": "Scan" })).await.result
    }

    async fn run(&self, request: Value) -> DataSourceResponse {
        let answer = self.table.run("Main", &request).await;
        assert_eq!(answer.error, None, "{request}");
        answer
    }
}

/// What stands before putUserMessage in its pipeline leaves this.
fn message() -> Value {
    json!({ "userName": null })
}

/// What stands before reopenTurn in its pipeline leaves this.
fn order() -> Value {
    json!({ "turn": {
        "id": "t1", "run": 1, "attempt": 1, "status": "COMPLETED", "storedStatus": "COMPLETED",
        "lastPosition": 2, "answerPosition": 2, "runPosition": 2,
    } })
}

fn part(user: &str) -> String {
    format!("PARTICIPANT#{user}")
}

fn key(sk: &str) -> Value {
    json!({ "pk": { "S": "CONVERSATION#c1" }, "sk": { "S": sk } })
}

fn merged(one: &Value, other: &Value) -> Value {
    let members = [one, other].into_iter().filter_map(Value::as_object).flatten();
    members.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn returned(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Returned(value) => value,
        other => panic!("a value was due, not {other:?}"),
    }
}
