//! Turns whose tool calls wait for the answers of users and clients.
use futures::future::join_all;
use jiff::Timestamp;
use local::identity::Caller;
use serde_json::{Value, json};

use super::fixture::{Fixture, START, error_type_and_info, iam_user};

const CONVERSATION_BUSY: &str = "ConversationBusy";
const NOT_PENDING: &str = "NotPending";
const TOOL_CALL_ANSWERED: &str = "ToolCallAnswered";

/// A conversation of ann's whose turn `m1` waits for the approval of `ship` and the result of `pick`.
struct Waiting {
    fixture: Fixture,
    ann: Caller,
}

impl Waiting {
    async fn new() -> Self {
        let waiting = Self::before_wait().await;
        waiting.publish_wait().await.expect("the turn waits");
        waiting
    }

    /// The first attempt has stored its calls and waits for nothing yet.
    async fn before_wait() -> Self {
        Self::before_wait_with([]).await
    }

    async fn before_wait_with<const N: usize>(parameters: [(&str, &str); N]) -> Self {
        let fixture = Fixture::with_parameters(parameters);
        let ann = iam_user("ann");
        fixture.create_conversation(&ann, "c1").await;
        fixture.send_message(&ann, "c1", "m1").await.expect("a turn");
        fixture.claim_turn().await;
        let call = |id: &str, name: &str| json!({ "toolUse": { "id": id, "name": name, "input": "{}" } });
        let event = json!({
            "id": "m1-1-1", "position": 2, "sender": { "kind": "AGENT", "id": "default" },
            "content": [call("ship", "ship"), call("pick", "pick")],
        });
        let waiting = Self { fixture, ann };
        waiting.publish_event(update(1, "RUNNING", json!({ "event": event }))).await;
        waiting
    }

    async fn publish_event(&self, data: Value) {
        let document = "mutation ($data: AgentEventInput!) { result: agentPublishEvent(data: $data) { sequence } }";
        self.fixture.execute(&self.fixture.handler, document, json!({ "data": data })).await.expect("an event");
    }

    /// Another user who may write to the conversation.
    async fn writer(&self) -> Caller {
        let bob = iam_user("bob");
        self.fixture.share_conversation(&self.ann, "c1", &bob, "WRITE").await.expect("a participant");
        bob
    }

    async fn publish_wait(&self) -> Result<Value, Value> {
        let pending = json!([
            { "id": "ship", "name": "ship", "title": "Ship", "status": "APPROVAL_NEEDED" },
            { "id": "pick", "name": "pick", "status": "CLIENT_NEEDED" },
        ]);
        let ann = self.fixture.get_caller(&self.ann).await;
        let wait = json!({
            "pending": pending, "pendingPosition": 2, "agentId": "default", "agentVersion": 0, "askedBy": ann["id"],
        });
        self.publish(update(2, "WAITING", wait)).await
    }

    async fn publish(&self, data: Value) -> Result<Value, Value> {
        let document = "mutation ($data: AgentMetadataInput!) { result: agentPublishMetadata(data: $data) \
            { sequence metadata { status toolCall { id status note } pending { id title status } } } }";
        let published = self.fixture.execute(&self.fixture.handler, document, json!({ "data": data })).await;
        published.map_err(error_type)
    }

    async fn answer(&self, caller: &Caller, id: &str, answer: Value) -> Result<Value, Value> {
        let document = "mutation ($input: AnswerToolCallInput!) { result: answerToolCall(input: $input) \
            { status run attempt pending { id status note } } }";
        let mut input = json!({ "conversationId": "c1", "turnId": "m1", "toolUseId": id });
        input.as_object_mut().expect("an object").extend(answer.as_object().expect("an object").clone());
        self.fixture.execute(caller, document, json!({ "input": input })).await.map_err(error_type)
    }

    async fn approve(&self, caller: &Caller) -> Result<Value, Value> {
        self.answer(caller, "ship", json!({ "approved": true })).await
    }

    async fn pick(&self, caller: &Caller) -> Result<Value, Value> {
        self.answer(caller, "pick", json!({ "result": "{\"box\":1.0}" })).await
    }

    async fn turn(&self) -> Value {
        let document = "{ result: getTurn(conversationId: \"c1\", id: \"m1\") { status run attempt \
            failure { code retryable } pending { id status } batches { sequence metadata { status toolCall { id status } pending { id } } } } }";
        self.fixture.execute(&self.ann, document, json!({})).await.expect("a turn")
    }

    async fn is_active(&self) -> bool {
        let document = "{ result: getConversation(id: \"c1\") { activeTurn { id } } }";
        let conversation = self.fixture.execute(&self.ann, document, json!({})).await.expect("a conversation");
        conversation["activeTurn"]["id"] == "m1"
    }

    /// The event that has closed the turn, after its question and its calls.
    async fn closing_event(&self) -> Value {
        let document = "{ result: getConversation(id: \"c1\") { events(after: 2, limit: 1) { items \
            { position turnId sender { kind id } stopReason failure { code } superseded \
            content { toolResult { toolUseId status text json } } } } } }";
        let conversation = self.fixture.execute(&self.ann, document, json!({})).await.expect("a conversation");
        conversation["events"]["items"][0].clone()
    }

    async fn stored_answers(&self) -> usize {
        let is_answer = |item: &Value| item["sk"].as_str().is_some_and(|key| key.starts_with("ANSWER#"));
        self.fixture.scan().await.into_iter().filter(is_answer).count()
    }

    fn payloads(&self, kind: &str) -> Vec<Value> {
        self.fixture.payloads().into_iter().filter(|payload| payload["type"] == kind).collect()
    }

    /// After the time in which the calls may be answered.
    fn expire(&self) {
        self.fixture.set_time("2026-11-22T12:00:06Z");
    }
}

/// An update of the turn's first attempt.
fn update(sequence: u32, status: &str, members: Value) -> Value {
    let mut data = json!({
        "conversationId": "c1", "turnId": "m1", "run": 1, "attempt": 1, "sequence": sequence, "status": status,
    });
    data.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    data
}

fn error_type(error: Value) -> Value {
    error_type_and_info(error)["errorType"].take()
}

fn results(statuses: [(&str, &str, &str); 2]) -> Value {
    let result =
        |(id, status, text)| json!({ "toolResult": { "toolUseId": id, "status": status, "text": text, "json": null } });
    json!(statuses.map(result))
}

#[tokio::test]
async fn turn_waits_with_its_pending_calls_and_without_a_lease() {
    let waiting = Waiting::new().await;
    let pending = json!([{ "id": "ship", "status": "APPROVAL_NEEDED" }, { "id": "pick", "status": "CLIENT_NEEDED" }]);
    let turn = waiting.turn().await;
    assert_eq!((&turn["status"], &turn["pending"]), (&json!("WAITING"), &pending));
    assert!(waiting.is_active().await);
    let stored = waiting.fixture.scan().await.into_iter().find(|item| item["sk"] == "TURN#m1").expect("the turn");
    assert_eq!((&stored["leaseUntil"], &stored["holder"]), (&Value::Null, &Value::Null));
    assert_eq!(waiting.publish_wait().await.expect("the same update again")["sequence"], 2);
}

#[tokio::test]
async fn wait_that_arrives_after_a_later_update_does_not_begin() {
    let waiting = Waiting::before_wait().await;
    let note = json!({ "note": "The attempt has gone on." });
    waiting.publish(update(3, "RUNNING", note)).await.expect("an update");
    assert_eq!(waiting.publish_wait().await, Err(json!("StaleAttempt")));
    assert_eq!(waiting.turn().await["status"], "RUNNING");
}

#[tokio::test]
async fn last_of_two_answers_starts_the_next_run() {
    let waiting = Waiting::new().await;
    let turn = waiting.approve(&waiting.ann).await.expect("an answer");
    let pending = json!([
        { "id": "ship", "status": "RUNNING", "note": null }, { "id": "pick", "status": "CLIENT_NEEDED", "note": null },
    ]);
    assert_eq!(turn, json!({ "status": "WAITING", "run": 1, "attempt": 1, "pending": pending }));
    let [mut order] = waiting.payloads("publishToolCall").try_into().expect("one order to publish");
    let batches = waiting.turn().await["batches"].clone();
    let answered = json!({ "status": "WAITING", "toolCall": { "id": "ship", "status": "RUNNING" }, "pending": null });
    assert_eq!(batches[1], json!({ "sequence": 3, "metadata": answered }));
    // The handler adds the status.
    order.as_object_mut().expect("an object").remove("type");
    order["status"] = json!("WAITING");
    let published = waiting.publish(order.clone()).await.expect("the update");
    let call = json!({ "id": "ship", "status": "RUNNING", "note": null });
    assert_eq!(published["metadata"], json!({ "status": "WAITING", "toolCall": call, "pending": null }));
    assert_eq!(waiting.turn().await["batches"], batches, "publishing stores nothing else");
    assert_eq!(waiting.publish_wait().await, Err(json!("StaleAttempt")), "a call has been answered");

    let turn = waiting.pick(&waiting.ann).await.expect("an answer");
    assert_eq!(turn, json!({ "status": "QUEUED", "run": 2, "attempt": 2, "pending": null }));
    assert_eq!(waiting.publish(order).await, Err(json!("StaleAttempt")), "the turn goes on");
    let payload = waiting.payloads("turn").pop().expect("a start");
    let ann = waiting.fixture.get_caller(&waiting.ann).await["id"].clone();
    assert_eq!((&payload["run"], &payload["continues"], &payload["askedBy"]), (&json!(2), &json!(true), &ann));
    assert_eq!((waiting.payloads("turn").len(), waiting.stored_answers().await), (2, 2));
}

#[tokio::test]
async fn run_after_the_denial_of_another_user_is_that_of_the_user_who_asked() {
    let waiting = Waiting::new().await;
    let bob = waiting.writer().await;
    waiting.approve(&waiting.ann).await.expect("an answer");
    waiting.answer(&bob, "pick", json!({ "approved": false })).await.expect("an answer");
    let ann = waiting.fixture.get_caller(&waiting.ann).await["id"].clone();
    assert_eq!(waiting.payloads("turn").pop().expect("a start")["askedBy"], ann);
}

#[tokio::test]
async fn only_the_user_who_asked_can_approve_a_call_or_give_its_result() {
    let waiting = Waiting::new().await;
    let bob = waiting.writer().await;
    let before = waiting.fixture.scan().await;
    assert_eq!(waiting.approve(&bob).await, Err(json!("Unauthorized")));
    assert_eq!(waiting.pick(&bob).await, Err(json!("Unauthorized")));
    assert_eq!(waiting.fixture.scan().await, before, "a refused answer writes nothing");
    waiting.approve(&waiting.ann).await.expect("an answer");
    waiting.pick(&waiting.ann).await.expect("an answer");
}

#[tokio::test]
async fn last_answer_over_the_day_quota_leaves_the_turn_waiting() {
    let waiting = Waiting::before_wait_with([("TokensPerDay", "100"), ("MessagesPerMinute", "2")]).await;
    waiting.publish_wait().await.expect("the turn waits");
    let bob = waiting.writer().await;
    waiting.fixture.put_token_usage(&waiting.ann, "2026-11-21", 100).await;
    waiting.approve(&waiting.ann).await.expect("an answer that starts no run");
    let before = waiting.fixture.scan().await;
    assert_eq!(waiting.pick(&waiting.ann).await, Err(json!("QuotaExceeded")));
    let denied = waiting.answer(&bob, "pick", json!({ "approved": false })).await;
    assert_eq!(denied, Err(json!("QuotaExceeded")), "the run would be ann's");
    assert_eq!(waiting.fixture.scan().await, before, "a refused answer writes nothing");
    assert_eq!(waiting.turn().await["status"], "WAITING");
    assert_eq!(waiting.approve(&waiting.ann).await.expect("the same answer again")["status"], "WAITING");
    waiting.fixture.set_time("2026-11-22T00:00:00Z");
    assert_eq!(waiting.pick(&waiting.ann).await.expect("an answer")["status"], "QUEUED");
    assert_eq!(waiting.fixture.get_caller(&waiting.ann).await["messagesThisMinute"], 0, "answers count as no message");
}

#[tokio::test]
async fn same_answer_again_changes_nothing() {
    let waiting = Waiting::new().await;
    let first = waiting.approve(&waiting.ann).await.expect("an answer");
    for again in join_all((0..10).map(|_| waiting.approve(&waiting.ann))).await {
        assert_eq!(again.expect("the turn"), first);
    }
    waiting.pick(&waiting.ann).await.expect("an answer");
    for again in join_all((0..10).map(|_| waiting.approve(&waiting.ann))).await {
        assert_eq!(again.expect("the turn")["run"], 2, "the turn has gone on");
    }
    assert_eq!((waiting.payloads("publishToolCall").len(), waiting.payloads("turn").len()), (1, 2));
}

#[tokio::test]
async fn same_answer_is_success_while_the_turn_waits_for_another_call() {
    let waiting = Waiting::new().await;
    waiting.approve(&waiting.ann).await.expect("an answer");
    waiting.pick(&waiting.ann).await.expect("an answer");
    waiting.fixture.claim_turn().await;
    let call = json!({ "toolUse": { "id": "send", "name": "send", "input": "{}" } });
    let sender = json!({ "kind": "AGENT", "id": "default" });
    let event = json!({ "id": "m1-1-2", "position": 3, "sender": sender, "content": [call] });
    waiting.publish_event(update(4, "RUNNING", json!({ "run": 2, "event": event }))).await;
    let pending = json!([{ "id": "send", "name": "send", "status": "APPROVAL_NEEDED" }]);
    let wait = json!({
        "run": 2, "pending": pending, "pendingPosition": 3, "agentId": "default", "agentVersion": 0,
    });
    waiting.publish(update(5, "WAITING", wait)).await.expect("the turn waits again");

    for again in [waiting.approve(&waiting.ann).await, waiting.pick(&waiting.ann).await] {
        let turn = again.expect("the turn");
        assert_eq!((&turn["status"], &turn["run"]), (&json!("WAITING"), &json!(2)));
    }
    let denied = waiting.answer(&waiting.ann, "ship", json!({ "approved": false })).await;
    assert_eq!(denied, Err(json!(TOOL_CALL_ANSWERED)));
    let unknown = waiting.answer(&waiting.ann, "shi", json!({ "approved": true })).await;
    assert_eq!(unknown, Err(json!(NOT_PENDING)));
    assert_eq!((waiting.payloads("turn").len(), waiting.stored_answers().await), (2, 2));
}

#[tokio::test]
async fn same_answer_at_once_is_stored_once() {
    let waiting = Waiting::new().await;
    waiting.pick(&waiting.ann).await.expect("an answer");
    for answered in join_all((0..10).map(|_| waiting.approve(&waiting.ann))).await {
        assert_eq!(answered.expect("the turn")["run"], 2);
    }
    assert_eq!((waiting.payloads("turn").len(), waiting.stored_answers().await), (2, 2));
}

#[tokio::test]
async fn other_answer_is_refused_once_there_is_one() {
    let waiting = Waiting::new().await;
    let bob = waiting.writer().await;
    waiting.approve(&waiting.ann).await.expect("an answer");
    for later in [false, true] {
        if later {
            waiting.pick(&waiting.ann).await.expect("an answer");
        }
        let denied = waiting.answer(&waiting.ann, "ship", json!({ "approved": false })).await;
        assert_eq!(denied, Err(json!(TOOL_CALL_ANSWERED)));
        assert_eq!(waiting.approve(&bob).await, Err(json!(TOOL_CALL_ANSWERED)), "another user");
    }
    assert_eq!(waiting.stored_answers().await, 2);
}

/// One of two answers at once may have to be sent again, because it depends on the state of the other call.
#[tokio::test]
async fn answers_at_once_to_different_calls_start_one_run() {
    let waiting = Waiting::new().await;
    let (approved, picked) = futures::join!(waiting.approve(&waiting.ann), waiting.pick(&waiting.ann));
    if approved.is_err() {
        assert_eq!(approved, Err(json!("TryAgain")));
        waiting.approve(&waiting.ann).await.expect("an answer");
    }
    if picked.is_err() {
        assert_eq!(picked, Err(json!("TryAgain")));
        waiting.pick(&waiting.ann).await.expect("an answer");
    }
    assert_eq!((waiting.turn().await["run"].clone(), waiting.payloads("turn").len()), (json!(2), 2));
}

#[tokio::test]
async fn only_users_who_may_write_can_answer() {
    let waiting = Waiting::new().await;
    let (bob, eve) = (iam_user("bob"), iam_user("eve"));
    waiting.fixture.share_conversation(&waiting.ann, "c1", &bob, "READ").await.expect("a participant");
    assert_eq!(waiting.approve(&bob).await, Err(json!("Unauthorized")));
    assert_eq!(waiting.approve(&eve).await, Err(json!("NotFound")));
    assert_eq!(waiting.stored_answers().await, 0);
}

#[tokio::test]
async fn call_that_does_not_wait_takes_no_answer() {
    let waiting = Waiting::before_wait().await;
    assert_eq!(waiting.approve(&waiting.ann).await, Err(json!(NOT_PENDING)), "the turn is RUNNING");
    waiting.publish_wait().await.expect("the turn waits");
    let unknown = waiting.answer(&waiting.ann, "other", json!({ "approved": true })).await;
    assert_eq!(unknown, Err(json!(NOT_PENDING)));
}

#[tokio::test]
async fn message_closes_the_wait_and_denies_its_calls() {
    let waiting = Waiting::new().await;
    waiting.approve(&waiting.ann).await.expect("an answer");
    waiting.fixture.send_message(&waiting.ann, "c1", "m2").await.expect("a turn");
    let turn = waiting.turn().await;
    assert_eq!((&turn["status"], &turn["pending"]), (&json!("CANCELLED"), &Value::Null));
    let event = waiting.closing_event().await;
    let expected = results([
        ("ship", "CANCELLED", "The answer was ended before the call was run."),
        ("pick", "DENIED", "The user sent a new message instead of answering."),
    ]);
    assert_eq!((&event["content"], &event["sender"]), (&expected, &json!({ "kind": "TOOL", "id": "default" })));
    assert_eq!((&event["turnId"], &event["stopReason"]), (&json!("m1"), &json!("CANCELLED")));
    assert_eq!(waiting.pick(&waiting.ann).await, Err(json!(NOT_PENDING)));
    assert_eq!(waiting.approve(&waiting.ann).await.expect("the same answer again")["status"], "CANCELLED");
    let payload = waiting.payloads("turn").pop().expect("a start");
    assert_eq!(payload["turnId"], "m2");
    let history = payload["history"].as_array().expect("a history");
    let sent = |index: usize| &history[2]["content"][index]["toolResult"]["text"];
    let expected = |index: usize| &expected[index]["toolResult"]["text"];
    assert_eq!((sent(0), sent(1)), (expected(0), expected(1)), "the model is told how the calls ended");
    assert_eq!(history.len(), 3);
}

#[tokio::test]
async fn repeated_message_leaves_its_turn_waiting() {
    let waiting = Waiting::new().await;
    waiting.fixture.send_message(&waiting.ann, "c1", "m1").await.expect("the same turn");
    assert_eq!(waiting.turn().await["status"], "WAITING");
    assert_eq!(waiting.payloads("turn").len(), 1);
}

#[tokio::test]
async fn cancellation_closes_the_wait_and_is_announced() {
    let waiting = Waiting::new().await;
    assert_eq!(waiting.fixture.mutate_turn(&waiting.ann, "cancelTurn").await.expect("a turn")["status"], "CANCELLED");
    let text = "The answer was cancelled before the call was run.";
    let expected = results([("ship", "CANCELLED", text), ("pick", "CANCELLED", text)]);
    assert_eq!(waiting.closing_event().await["content"], expected);
    assert!(!waiting.is_active().await);
    let order = json!({ "type": "close", "conversationId": "c1", "turnId": "m1", "run": 1 });
    assert_eq!(waiting.payloads("close"), [order]);
    assert_eq!(waiting.approve(&waiting.ann).await, Err(json!(NOT_PENDING)));
    assert_eq!(waiting.publish_wait().await, Err(json!("StaleAttempt")));
}

#[tokio::test]
async fn turn_that_is_being_cancelled_does_not_begin_to_wait() {
    let waiting = Waiting::before_wait().await;
    waiting.fixture.mutate_turn(&waiting.ann, "cancelTurn").await.expect("a turn");
    let published = waiting.publish_wait().await.expect("an update");
    assert_eq!(published["metadata"], json!({ "status": "CANCELLING", "toolCall": null, "pending": null }));
    let turn = waiting.turn().await;
    assert_eq!((&turn["status"], &turn["pending"]), (&json!("CANCELLING"), &Value::Null));
    let pending = turn.pointer("/batches/0/metadata/pending");
    assert_eq!(pending, Some(&Value::Null), "the stored update is not a wait");
}

#[tokio::test]
async fn turn_that_waits_cannot_be_retried_or_continued() {
    let waiting = Waiting::new().await;
    for mutation in ["retryTurn", "continueTurn"] {
        let refused = waiting.fixture.mutate_turn(&waiting.ann, mutation).await.expect_err("the turn waits");
        assert_eq!(refused["errorType"], CONVERSATION_BUSY);
    }
}

#[tokio::test]
async fn expired_wait_reads_as_failed_and_takes_no_answer() {
    let waiting = Waiting::new().await;
    waiting.approve(&waiting.ann).await.expect("an answer");
    waiting.fixture.set_time("2026-11-22T12:00:04Z");
    assert_eq!(waiting.turn().await["status"], "WAITING");
    waiting.expire();
    let turn = waiting.turn().await;
    let failure = json!({ "code": "PENDING_EXPIRED", "retryable": true });
    assert_eq!((&turn["status"], &turn["failure"]), (&json!("FAILED"), &failure));
    assert_eq!(turn["pending"], Value::Null);
    assert!(!waiting.is_active().await);
    assert_eq!(waiting.pick(&waiting.ann).await, Err(json!(NOT_PENDING)));
    assert_eq!(waiting.fixture.mutate_turn(&waiting.ann, "cancelTurn").await.expect("a turn")["status"], "FAILED");
}

#[tokio::test]
async fn next_writer_closes_an_expired_wait() {
    for (writer, superseded) in
        [("sendMessage", Value::Null), ("continueTurn", Value::Null), ("retryTurn", json!(true))]
    {
        let waiting = Waiting::new().await;
        waiting.expire();
        if writer == "sendMessage" {
            waiting.fixture.send_message(&waiting.ann, "c1", "m2").await.expect("a turn");
            assert_eq!(waiting.turn().await["status"], "FAILED");
        } else {
            let turn = waiting.fixture.mutate_turn(&waiting.ann, writer).await.expect("a turn");
            assert_eq!((&turn["status"], &turn["run"]), (&json!("QUEUED"), &json!(2)), "{writer}");
            assert_eq!(waiting.approve(&waiting.ann).await, Err(json!(NOT_PENDING)), "{writer}");
        }
        let event = waiting.closing_event().await;
        let text = "Nobody answered in time.";
        assert_eq!(event["content"], results([("ship", "EXPIRED", text), ("pick", "EXPIRED", text)]), "{writer}");
        assert_eq!(event["failure"]["code"], "PENDING_EXPIRED", "{writer}");
        assert_eq!(event["superseded"], superseded, "{writer}");
    }
}

#[tokio::test]
async fn answers_given_before_the_end_of_a_wait_decide_the_results() {
    for writer in ["sendMessage", "cancelTurn", "continueTurn"] {
        for (id, answer, status, text, json) in [
            (
                "ship",
                json!({ "approved": false, "reason": "Not now." }),
                "DENIED",
                json!("The user denied this call. Reason: Not now."),
                Value::Null,
            ),
            ("pick", json!({ "result": "{\"box\":1}" }), "SUCCEEDED", Value::Null, json!("{\"box\":1}")),
            ("pick", json!({ "result": "\"None.\"", "isError": true }), "FAILED", Value::Null, json!("\"None.\"")),
            (
                "ship",
                json!({ "approved": true }),
                if writer == "continueTurn" { "EXPIRED" } else { "CANCELLED" },
                match writer {
                    "continueTurn" => json!("Nobody answered the other calls in time, so this call was not run."),
                    _ => json!("The answer was ended before the call was run."),
                },
                Value::Null,
            ),
        ] {
            let waiting = Waiting::new().await;
            waiting.answer(&waiting.ann, id, answer.clone()).await.expect("an answer");
            match writer {
                "sendMessage" => waiting.fixture.send_message(&waiting.ann, "c1", "m2").await.expect("a turn"),
                "cancelTurn" => waiting.fixture.mutate_turn(&waiting.ann, writer).await.expect("a turn"),
                _ => {
                    waiting.expire();
                    waiting.fixture.mutate_turn(&waiting.ann, writer).await.expect("a turn")
                }
            };
            let results = waiting.closing_event().await["content"].clone();
            let results: Vec<_> = results.as_array().expect("results").iter().map(|it| &it["toolResult"]).collect();
            assert_eq!(results.len(), 2, "{writer}");
            let result = results.iter().find(|result| result["toolUseId"] == id).expect("a result");
            let expected = json!({ "toolUseId": id, "status": status, "text": text, "json": json });
            assert_eq!(**result, expected, "{writer} {answer}");
        }
    }
}

#[tokio::test]
async fn wait_lasts_as_long_as_the_parameter_says() {
    let begin = START.parse::<Timestamp>().expect("a time").as_millisecond();
    for (parameter, hours) in [(None, 24), (Some("1"), 1), (Some("168"), 168)] {
        let waiting = match parameter {
            Some(parameter) => Waiting::before_wait_with([("PendingHours", parameter)]).await,
            None => Waiting::before_wait().await,
        };
        waiting.publish_wait().await.expect("the turn waits");
        let stored = waiting.fixture.scan().await.into_iter().find(|item| item["sk"] == "TURN#m1").expect("the turn");
        assert_eq!(stored["pendingUntil"].as_f64(), Some((begin + hours * 3_600_000) as f64), "{hours} hours");
    }
}
