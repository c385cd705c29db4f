//! A participant's write access is checked in the transaction that writes, because it may end after the read.
use std::path::Path;

use local::dynamodb::{DataSourceResponse, DynamoDb};
use local::resolver::{Engine, Handler, Outcome};
use local::stack::Code;
use serde_json::{Value, json};

use super::{read, tables::table};

const ANN: &str = "https://id.example.com#ann";
const BOB: &str = "https://id.example.com#bob";

#[tokio::test]
async fn send_by_write_participant_queues_turn_and_updates_list_sort() {
    let send = Pipeline::send().await;
    assert_eq!(send.write("messages/putUserMessage", put_user_message_stash()).await.error, None);
    assert_eq!(send.get_item("TURN#t2").await["status"], "QUEUED");
    assert_ne!(send.get_item(&participant_key(BOB)).await["listSort"], "long ago");
}

#[tokio::test]
async fn send_raises_try_again_after_unshare() {
    let send = Pipeline::send().await;
    send.execute(json!({ "operation": "DeleteItem", "key": key(&participant_key(BOB)) })).await;
    send.assert_raises_try_again("messages/putUserMessage", put_user_message_stash()).await;
}

#[tokio::test]
async fn send_raises_try_again_after_access_is_reduced_to_read() {
    let send = Pipeline::send().await;
    send.set_attribute(&participant_key(BOB), "access", "READ").await;
    send.assert_raises_try_again("messages/putUserMessage", put_user_message_stash()).await;
}

#[tokio::test]
async fn send_raises_try_again_after_conversation_is_deleted() {
    let send = Pipeline::send().await;
    send.set_attribute("META", "deletedAt", "2026-01-01T00:00:00.000Z").await;
    send.assert_raises_try_again("messages/putUserMessage", put_user_message_stash()).await;
}

#[tokio::test]
async fn retry_raises_try_again_after_unshare() {
    let retry = Pipeline::retry().await;
    retry.execute(json!({ "operation": "DeleteItem", "key": key(&participant_key(BOB)) })).await;
    retry.assert_raises_try_again("turns/requeueTurn", requeue_turn_stash()).await;
    assert_eq!(retry.get_item("TURN#t1").await["run"], 1);
}

#[tokio::test]
async fn retry_by_write_participant_queues_a_run() {
    let retry = Pipeline::retry().await;
    assert_eq!(retry.write("turns/requeueTurn", requeue_turn_stash()).await.error, None);
    assert_eq!(retry.get_item("TURN#t1").await["run"], 2);
}

#[tokio::test]
async fn second_of_two_concurrent_shares_fails() {
    let pipeline = Pipeline::new(ANN).await;
    for (user, is_first) in [("https://id.example.com#cat", true), ("https://id.example.com#dan", false)] {
        let arguments = json!({ "input": { "conversationId": "c1", "userId": user, "access": "READ" } });
        let conversation = json!({ "id": "c1", "owner": ANN, "participantCount": 1 });
        let share = Pipeline { arguments, stash: json!({ "participant": null }), ..pipeline.clone() };
        let answer = share.write("sharing/putParticipant", json!({ "conversation": conversation })).await;
        assert_eq!(answer.error.is_none(), is_first, "{user}");
    }
    assert_eq!(pipeline.get_item("META").await["participantCount"], 2);
}

/// A request in progress: its arguments, its stash and the database.
#[derive(Clone)]
struct Pipeline {
    database: DynamoDb,
    arguments: Value,
    stash: Value,
}

impl Pipeline {
    /// A sendMessage of a WRITE participant, after authorizeSend.
    async fn send() -> Self {
        let arguments = json!({ "input": { "conversationId": "c1", "id": "t2", "text": "Hello!" } });
        Self { arguments, ..Self::new(BOB).await }.run_read("messages/authorizeSend").await
    }

    /// A retryTurn of a WRITE participant, after authorizeConversation.
    async fn retry() -> Self {
        let arguments = json!({ "conversationId": "c1", "id": "t1" });
        Self { arguments, ..Self::new(BOB).await }.run_read("conversations/authorizeConversation").await
    }

    /// A request before its first function, with a conversation of ANN that BOB may write to.
    async fn new(caller: &str) -> Self {
        let database = DynamoDb::open(None).expect("a database in memory");
        database.create_tables(&[("Main".into(), table("Main"))].into()).expect("a table");
        let stash = json!({ "userId": caller, "turnId": "t2", "conversationId": "c1" });
        let pipeline = Self { database, arguments: Value::Null, stash };
        let meta = json!({
            "id": { "S": "c1" }, "owner": { "S": ANN }, "eventCount": { "N": 2 }, "participantCount": { "N": 1 },
        });
        let participant = json!({
            "userId": { "S": BOB }, "access": { "S": "WRITE" }, "listKey": { "S": "bob's" }, "listSort": { "S": "long ago" },
        });
        let turn =
            json!({ "id": { "S": "t1" }, "run": { "N": 1 }, "attempt": { "N": 1 }, "status": { "S": "COMPLETED" } });
        let question = json!({ "id": { "S": "t1" }, "turnId": { "S": "t1" }, "position": { "N": 1 } });
        for (sk, item) in
            [("META", meta), (&participant_key(BOB), participant), ("TURN#t1", turn), ("EVENT#00000001", question)]
        {
            pipeline.execute(json!({ "operation": "PutItem", "key": key(sk), "attributeValues": item })).await;
        }
        pipeline
    }

    /// Runs a function that reads the conversation, and keeps its stash.
    async fn run_read(mut self, function: &str) -> Self {
        let (request, stash) = self.call(function, Handler::Request, &self.stash, Value::Null);
        let answer = self.execute(expect_value(request)).await;
        let (outcome, stash) = self.call(function, Handler::Response, &stash, json!({ "result": answer.result }));
        assert_eq!(expect_value(outcome)["id"], "c1");
        self.stash = stash;
        self
    }

    /// Runs a function's request handler and its transaction. `stash` is added to the stash of the pipeline.
    async fn write(&self, function: &str, stash: Value) -> DataSourceResponse {
        self.write_and_stash(function, stash).await.0
    }

    /// Like `write`; also returns the stash after the request handler.
    async fn write_and_stash(&self, function: &str, stash: Value) -> (DataSourceResponse, Value) {
        let stash = merge(&self.stash, &stash);
        let (request, stash) = self.call(function, Handler::Request, &stash, Value::Null);
        (self.database.run("Main", &expect_value(request)).await, stash)
    }

    /// Asserts that the function writes nothing and raises TryAgain.
    async fn assert_raises_try_again(&self, function: &str, stash: Value) {
        let before = self.scan().await;
        let (DataSourceResponse { result, error }, stash) = self.write_and_stash(function, stash).await;
        let error = error.expect("the transaction is cancelled");
        assert_eq!(error.error_type, "DynamoDB:TransactionCanceledException");
        let answer = json!({ "result": result, "error": { "type": error.error_type } });
        match self.call(function, Handler::Response, &stash, answer).0 {
            Outcome::Raised(raised) => assert_eq!(raised.error_type.as_deref(), Some("TryAgain")),
            other => panic!("expected an error, got {other:?}"),
        }
        assert_eq!(self.scan().await, before);
    }

    /// Calls a handler; returns its outcome and its stash. `extra` is added to the context.
    fn call(&self, function: &str, handler: Handler, stash: &Value, extra: Value) -> (Outcome, Value) {
        let path = format!("resolvers/{function}.js");
        let code = Code { text: read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(&path)), path };
        let context = json!({
            "arguments": self.arguments, "stash": stash, "info": { "fieldName": "retryTurn" },
            "env": { "TABLE_NAME": "Main" },
        });
        let run = Engine::new().expect("the engine starts").run(&code, handler, merge(&context, &extra));
        (run.outcome, run.stash)
    }

    async fn set_attribute(&self, sk: &str, attribute: &str, value: &str) {
        let update = json!({
            "expression": "SET #name = :value", "expressionNames": { "#name": attribute },
            "expressionValues": { ":value": { "S": value } },
        });
        self.execute(json!({ "operation": "UpdateItem", "key": key(sk), "update": update })).await;
    }

    async fn get_item(&self, sk: &str) -> Value {
        self.execute(json!({ "operation": "GetItem", "key": key(sk) })).await.result
    }

    async fn scan(&self) -> Value {
        self.execute(json!({ "operation": "Scan" })).await.result
    }

    /// Sends a request to the database, which must succeed.
    async fn execute(&self, request: Value) -> DataSourceResponse {
        let answer = self.database.run("Main", &request).await;
        assert_eq!(answer.error, None, "{request}");
        answer
    }
}

/// The stash that putUserMessage needs of earlier functions.
fn put_user_message_stash() -> Value {
    json!({ "userName": null })
}

/// The stash that requeueTurn needs of earlier functions.
fn requeue_turn_stash() -> Value {
    json!({ "turn": {
        "id": "t1", "run": 1, "attempt": 1, "status": "COMPLETED", "storedStatus": "COMPLETED",
        "questionPosition": 1, "lastPosition": 2, "answerPosition": 1, "runPosition": 1,
    } })
}

fn participant_key(user: &str) -> String {
    format!("PARTICIPANT#{user}")
}

fn key(sk: &str) -> Value {
    json!({ "pk": { "S": "CONVERSATION#c1" }, "sk": { "S": sk } })
}

fn merge(one: &Value, other: &Value) -> Value {
    let members = [one, other].into_iter().filter_map(Value::as_object).flatten();
    members.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn expect_value(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Returned(value) => value,
        other => panic!("expected a value, got {other:?}"),
    }
}
