use std::{iter::repeat_n, time::Duration};

use api::types::{ToolStatus, TurnStatus};
use serde_json::{Value, json};
use turn::mutation::{PublishFailure, StoredEvent, Update};

use crate::{
    aws::dynamodb::test_support::{
        AttributeValue, FAR, Item, NOW, answer_item, batch_item, boolean, conversation_item,
        interceptors::TRANSACTION_CANCELLED, key, map, number, string, turn_item, with,
    },
    errors::HandlerError,
    test_support::TestInvocation,
};

#[tokio::test]
async fn dead_turn_is_closed_with_its_batch_text_and_announced() {
    let turn = turn_item("RUNNING", Some(NOW), FAR);
    let items = [turn, conversation_item(), batch_item(1, 2, "So "), batch_item(1, 3, "be")];
    let invocation = TestInvocation::with_items(items).await;
    invocation.serve(failure_record(1)).await.unwrap();
    let event = invocation.table.stored_json("EVENT#00000008").await;
    assert_eq!((&event["id"], &event["content"]), (&json!("t1-closed-1"), &json!([{ "text": "So be" }])));
    assert_eq!(event["failure"]["code"], "INTERRUPTED");
    assert_eq!(take_announced(&invocation), [(4, stored_event("t1-closed-1", TurnStatus::Failed))]);
}

#[tokio::test]
async fn cancelling_turn_is_closed_as_cancelled_and_others_as_failed() {
    for (turn, expected) in [
        (turn_item("CANCELLING", Some(NOW), FAR), "CANCELLED"),
        (turn_item("RUNNING", Some(NOW), FAR), "FAILED"),
        (turn_item("QUEUED", None, FAR), "FAILED"),
    ] {
        let invocation = TestInvocation::with_items([turn, conversation_item()]).await;
        invocation.serve(failure_record(1)).await.unwrap();
        assert_eq!(invocation.table.stored_json("TURN#t1").await["status"], expected);
    }
}

#[tokio::test]
async fn waiting_turn_is_left_alone_until_it_has_expired() {
    let items = [waiting_turn(NOW + 60_000), conversation_with_events(9), calls_item(8), results_item(9)];
    let invocation = TestInvocation::with_items(items).await;
    invocation.serve(failure_record(1)).await.unwrap();
    assert_eq!(invocation.table.stored_json("TURN#t1").await["status"], "WAITING");
    assert_eq!(invocation.take_published(), []);

    invocation.table.put_items([waiting_turn(NOW)]).await;
    invocation.serve(failure_record(1)).await.unwrap();
    let turn = invocation.table.stored_json("TURN#t1").await;
    assert_eq!((&turn["status"], &turn["failure"]["code"]), (&json!("FAILED"), &json!("PENDING_EXPIRED")));
    assert_eq!((turn.get("pending"), turn.get("pendingUntil")), (None, None));
    let event = invocation.table.stored_json("EVENT#00000010").await;
    assert_eq!(event["sender"], json!({ "kind": "TOOL", "id": "default" }));
    let result = json!({ "toolUseId": "b", "status": "EXPIRED", "text": "Nobody answered in time." });
    assert_eq!(event["content"], json!([{ "toolResult": result }]), "call a has a result");
    let announced = StoredEvent { id: "t1-closed-1".into(), position: 10, status: TurnStatus::Failed };
    assert_eq!(take_announced(&invocation), [(6, Update::Stored(announced))]);
}

#[tokio::test]
async fn end_that_is_an_event_of_tools_is_announced() {
    let tools = AttributeValue::M(map([("kind", string("TOOL"))]));
    let closing_event = with(answer_item(8, 1), "sender", tools);
    let invocation = TestInvocation::with_items([ended_turn(), closing_event]).await;
    invocation.serve(json!({ "type": "close", "conversationId": "c1", "turnId": "t1", "run": 1 })).await.unwrap();
    assert_eq!(take_announced(&invocation), [(5, stored_event("t1-1-8", TurnStatus::Completed))]);
}

#[tokio::test]
async fn answered_tool_call_is_published_until_accepted_or_stale() {
    let tool_call = json!({ "id": "a", "name": "order", "title": "Order", "status": "DENIED", "note": "Too much." });
    let payload = json!({
        "type": "publishToolCall", "conversationId": "c1", "turnId": "t1", "run": 1, "attempt": 2, "sequence": 7,
        "toolCall": tool_call,
    });
    let mut invocation = TestInvocation::with_items([]).await;
    invocation.script_publish_results([Err(PublishFailure::Retryable), Err(PublishFailure::Stale)]);
    invocation.serve(payload.clone()).await.unwrap();
    let published = invocation.take_published();
    let [first, second] = &published[..] else { panic!("{published:?}") };
    assert_eq!(first, second);
    assert_eq!((first.claim.run, first.claim.attempt, first.sequence), (1, 2, 7));
    let Update::CallAnswered(call) = &first.update else { panic!("{first:?}") };
    assert_eq!((call.status, call.note.as_deref()), (ToolStatus::Denied, Some("Too much.")));

    invocation.remaining = Duration::from_millis(1_100);
    for result in [PublishFailure::Retryable, PublishFailure::Refused] {
        invocation.script_publish_results(repeat_n(Err(result), 100_000));
        let outcome = invocation.serve(payload.clone()).await;
        assert!(matches!(outcome, Err(HandlerError::ToolCallNotPublished)), "{outcome:?}");
    }
    let record = json!({ "requestContext": { "condition": "RetriesExhausted" }, "requestPayload": payload });
    invocation.serve(record).await.unwrap();
}

#[tokio::test]
async fn closed_turn_is_told_to_who_else_listens() {
    let turn = turn_item("RUNNING", Some(NOW), FAR);
    let items = [turn, conversation_item(), batch_item(1, 2, "So "), batch_item(1, 3, "be")];
    let invocation = TestInvocation::with_items(items).await;
    let mut record = failure_record(1);
    record["requestPayload"]["replyTo"] = json!({ "events": "/chat/responses/ann", "requestId": "7" });
    invocation.serve(record.clone()).await.unwrap();
    let failure = json!({
        "code": "INTERRUPTED", "message": "The work on the answer was interrupted. Try again.", "retryable": true,
    });
    let answer = json!({
        "type": "answer", "id": "7", "result": { "text": "So be" }, "sessionId": "c1", "turnId": "t1", "attempt": 1,
        "sequence": 4, "status": "FAILED", "failure": failure,
    });
    assert_eq!(take_messages(&invocation), [answer]);
    mark_announced(&invocation).await;
    invocation.serve(record).await.unwrap();
    assert_eq!(take_messages(&invocation), [] as [Value; 0], "a repeated record tells nothing");
}

#[tokio::test]
async fn end_is_told_though_appsync_is_down_and_not_at_every_try() {
    let turn = turn_item("RUNNING", Some(NOW), FAR);
    let invocation = TestInvocation::with_items([turn, conversation_item()]).await;
    let mut record = failure_record(1);
    record["requestPayload"]["replyTo"] = json!({ "websocket": { "connectionId": "abc=", "userId": "ann" } });
    for told in [1, 0] {
        invocation.script_publish_results([Err(PublishFailure::Refused)]);
        let outcome = invocation.serve(record.clone()).await;
        assert!(matches!(outcome, Err(HandlerError::Unannounced)), "{outcome:?}");
        assert_eq!(take_messages(&invocation).len(), told);
    }
}

#[tokio::test]
async fn cancelled_wait_is_told_by_the_order_to_announce_it() {
    let tools = AttributeValue::M(map([("kind", string("TOOL"))]));
    let closing_event = with(answer_item(8, 1), "sender", tools);
    let turn = with(ended_turn(), "status", string("CANCELLED"));
    let invocation = TestInvocation::with_items([turn, closing_event]).await;
    let order = json!({
        "type": "close", "conversationId": "c1", "turnId": "t1", "run": 1,
        "replyTo": { "websocket": { "connectionId": "abc=", "userId": "ann" } },
    });
    invocation.serve(order).await.unwrap();
    let [message] = take_messages(&invocation).try_into().unwrap();
    assert_eq!((&message["message"], &message["status"]), (&json!("The answer was stopped."), &json!("CANCELLED")));
}

#[tokio::test]
async fn told_answer_has_the_text_of_all_events_of_its_last_step() {
    let turn = with(with(ended_turn(), "lastPosition", number(10)), "runPosition", number(8));
    let of_step = |position: u32, attempt: u32| {
        let text = AttributeValue::M(map([("text", string(format!("{position} ")))]));
        with(answer_item(position, attempt), "content", AttributeValue::L(vec![text]))
    };
    let items = [turn, of_step(8, 1), of_step(9, 1), of_step(10, 1)];
    let invocation = TestInvocation::with_items(items).await;
    let order = json!({
        "type": "close", "conversationId": "c1", "turnId": "t1", "run": 1,
        "replyTo": { "websocket": { "connectionId": "abc=", "userId": "ann" } },
    });
    invocation.serve(order).await.unwrap();
    let [message] = take_messages(&invocation).try_into().unwrap();
    assert_eq!((&message["message"], message.get("truncated")), (&json!("9 10 "), None));
}

#[tokio::test(start_paused = true)]
async fn hanging_listener_fails_no_closing_and_takes_three_seconds() {
    let turn = turn_item("RUNNING", Some(NOW), FAR);
    let mut invocation = TestInvocation::with_items([turn, conversation_item()]).await;
    invocation.are_replies_hanging = true;
    let mut record = failure_record(1);
    record["requestPayload"]["replyTo"] = json!({ "events": "/chat/responses/ann" });
    let started = tokio::time::Instant::now();
    invocation.serve(record).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 3);
    assert_eq!(invocation.table.stored_json("TURN#t1").await["status"], "FAILED");
    assert_eq!(invocation.take_published().len(), 1);
}

#[tokio::test]
async fn unreadable_listener_fails_no_closing() {
    let turn = turn_item("RUNNING", Some(NOW), FAR);
    let invocation = TestInvocation::with_items([turn, conversation_item()]).await;
    let mut record = failure_record(1);
    record["requestPayload"]["replyTo"] = json!({ "fax": 7 });
    invocation.serve(record).await.unwrap();
    assert_eq!(invocation.table.stored_json("TURN#t1").await["status"], "FAILED");
    assert_eq!(take_messages(&invocation), [] as [Value; 0]);
}

#[tokio::test]
async fn leased_turn_is_not_closed() {
    let items = [turn_item("RUNNING", Some(NOW + 60_000), 1), conversation_item()];
    let invocation = TestInvocation::with_items(items.clone()).await;
    assert!(matches!(invocation.serve(failure_record(1)).await, Err(HandlerError::Leased)));
    assert_eq!(invocation.table.all_items().await.len(), items.len());
    assert_eq!(invocation.take_published(), []);
}

#[tokio::test]
async fn turn_of_another_run_is_not_closed() {
    let turn = with(turn_item("QUEUED", None, FAR), "run", number(2));
    let invocation = TestInvocation::with_items([turn, conversation_item()]).await;
    invocation.serve(failure_record(1)).await.unwrap();
    assert_eq!(invocation.table.stored_json("TURN#t1").await["status"], "QUEUED");
    assert_eq!(invocation.take_published(), []);
}

#[tokio::test]
async fn unannounced_end_is_announced_under_its_sequence() {
    let invocation = TestInvocation::with_items([ended_turn(), answer_item(8, 1)]).await;
    invocation.serve(failure_record(1)).await.unwrap();
    assert_eq!(take_announced(&invocation), [(5, stored_event("t1-1-8", TurnStatus::Completed))]);
    invocation.table.put_items([with(ended_turn(), "announced", boolean(true))]).await;
    invocation.serve(failure_record(1)).await.unwrap();
    assert_eq!(invocation.take_published(), []);
}

#[tokio::test]
async fn orphaned_events_are_superseded_before_the_announcement() {
    let turn = with(ended_turn(), "lastPosition", number(9));
    let turn = with(turn, "attempt", number(2));
    let closing_event = with(answer_item(9, 2), "id", string("t1-closed-1"));
    let invocation = TestInvocation::with_items([turn, answer_item(8, 1), closing_event]).await;
    invocation.serve(failure_record(1)).await.unwrap();
    assert_eq!(invocation.table.stored_json("EVENT#00000008").await["superseded"], true);
    assert_eq!(invocation.table.stored_json("EVENT#00000009").await.get("superseded"), None);
    assert_eq!(invocation.take_published().len(), 1);
}

#[tokio::test]
async fn end_without_an_event_of_the_turn_is_not_announced() {
    let of_other_turn = with(answer_item(8, 1), "turnId", string("t2"));
    let of_user = with(answer_item(8, 1), "sender", AttributeValue::M(map([("kind", string("USER"))])));
    for newest_event in [of_other_turn, of_user] {
        let invocation = TestInvocation::with_items([ended_turn(), newest_event]).await;
        invocation.serve(failure_record(1)).await.unwrap();
        assert_eq!(invocation.take_published(), []);
    }
}

#[tokio::test]
async fn announcement_is_repeated_unchanged_until_accepted() {
    let invocation = TestInvocation::with_items([ended_turn(), answer_item(8, 1)]).await;
    invocation.script_publish_results([Err(PublishFailure::Retryable), Err(PublishFailure::Retryable)]);
    invocation.serve(failure_record(1)).await.unwrap();
    let announcement = (5, stored_event("t1-1-8", TurnStatus::Completed));
    assert_eq!(take_announced(&invocation), [announcement.clone(), announcement.clone(), announcement]);
}

#[tokio::test]
async fn refused_announcement_fails_and_stale_announcement_succeeds() {
    let invocation = TestInvocation::with_items([ended_turn(), answer_item(8, 1)]).await;
    invocation.script_publish_results([Err(PublishFailure::Refused)]);
    assert!(matches!(invocation.serve(failure_record(1)).await, Err(HandlerError::Unannounced)));
    invocation.script_publish_results([Err(PublishFailure::Stale)]);
    invocation.serve(failure_record(1)).await.unwrap();
}

#[tokio::test]
async fn announcement_fails_at_the_deadline() {
    let mut invocation = TestInvocation::with_items([ended_turn(), answer_item(8, 1)]).await;
    invocation.remaining = Duration::from_millis(1_100);
    invocation.script_publish_results(repeat_n(Err(PublishFailure::Retryable), 100_000));
    assert!(matches!(invocation.serve(failure_record(1)).await, Err(HandlerError::Unannounced)));
}

#[tokio::test]
async fn lost_response_to_close_does_not_close_twice() {
    let items = [turn_item("RUNNING", Some(NOW), FAR), conversation_item()];
    let mut invocation = TestInvocation::with_items(items).await;
    invocation.table = invocation.table.replacing_first_response("TransactWriteItems", TRANSACTION_CANCELLED);
    invocation.serve(failure_record(1)).await.unwrap();
    assert_eq!(invocation.table.stored_json("META").await["eventCount"], 8);
    assert_eq!(take_announced(&invocation), [(1, stored_event("t1-closed-1", TurnStatus::Failed))]);
}

#[tokio::test]
async fn turn_that_contradicts_its_conversation_is_left_unchanged() {
    let conversation = with(conversation_item(), "eventCount", number(9));
    let invocation = TestInvocation::with_items([turn_item("RUNNING", Some(NOW), FAR), conversation]).await;
    assert!(matches!(invocation.serve(failure_record(1)).await, Err(HandlerError::Table(_))));
    assert_eq!(invocation.table.stored_json("TURN#t1").await["status"], "RUNNING");
    assert_eq!(invocation.take_published(), []);
}

#[tokio::test]
async fn turn_of_a_deleted_conversation_is_not_closed() {
    let deleted = with(conversation_item(), "deletedAt", string("2026-11-21"));
    for items in [vec![], vec![turn_item("QUEUED", None, FAR), deleted]] {
        let invocation = TestInvocation::with_items(items.clone()).await;
        invocation.serve(failure_record(1)).await.unwrap();
        assert_eq!(invocation.table.all_items().await.len(), items.len());
        assert_eq!(invocation.take_published(), []);
    }
}

#[tokio::test]
async fn record_of_a_failed_purge_succeeds_and_unknown_records_are_refused() {
    let invocation = TestInvocation::with_items([conversation_item()]).await;
    let purge = json!({ "type": "purge", "conversationId": "c1" });
    invocation.serve(json!({ "requestContext": {}, "requestPayload": purge })).await.unwrap();
    for payload in [json!({ "type": "other" }), json!({ "type": "turn", "conversationId": "c1" }), json!("turn")] {
        let result = invocation.serve(json!({ "requestContext": {}, "requestPayload": payload })).await;
        assert!(matches!(result, Err(HandlerError::Payload)));
    }
}

#[tokio::test]
async fn answers_given_before_the_end_of_a_wait_decide_the_results() {
    for (answer, expected) in [
        (
            map([("approved", boolean(false)), ("reason", string("No."))]),
            json!({ "status": "DENIED", "text": "The user denied this call. Reason: No." }),
        ),
        (map([("result", string("[1]"))]), json!({ "status": "SUCCEEDED", "json": "[1]" })),
        (map([("result", string("[1]")), ("isError", boolean(true))]), json!({ "status": "FAILED", "json": "[1]" })),
        (
            map([("approved", boolean(true))]),
            json!({
                "status": "EXPIRED",
                "text": "Nobody answered the other calls in time, so this call was not run.",
            }),
        ),
    ] {
        let answer = key("TURN#c1#t1", "ANSWER#b#00000008").into_iter().chain(answer).collect();
        let items = [waiting_turn(NOW), conversation_with_events(9), calls_item(8), results_item(9), answer];
        let invocation = TestInvocation::with_items(items).await;
        invocation.serve(failure_record(1)).await.unwrap();
        let mut result = invocation.table.stored_json("EVENT#00000010").await["content"][0]["toolResult"].take();
        assert_eq!(result.as_object_mut().unwrap().remove("toolUseId"), Some(json!("b")));
        assert_eq!(result, expected);
    }
}

/// Lambda's record of an invocation for turn t1 that failed for good.
fn failure_record(run: u32) -> Value {
    json!({
        "version": "1.0",
        "timestamp": "2026-11-21T09:05:00.000Z",
        "requestContext": { "requestId": "r1", "condition": "RetriesExhausted", "approximateInvokeCount": 3 },
        "requestPayload": {
            "type": "turn", "conversationId": "c1", "turnId": "t1", "run": run, "agent": null, "history": [],
            "question": { "id": "t1", "content": [{ "text": "Why?" }] },
        },
        "responseContext": { "statusCode": 200, "functionError": "Unhandled" },
        "responsePayload": { "errorType": "Handler.OutOfTime" },
    })
}

/// A completed turn whose end is not announced.
fn ended_turn() -> Item {
    let turn = turn_item("COMPLETED", Some(NOW), FAR);
    let turn = with(turn, "lastPosition", number(8));
    with(turn, "lastSequence", number(5))
}

fn stored_event(id: &str, status: TurnStatus) -> Update {
    Update::Stored(StoredEvent { id: id.into(), position: 8, status })
}

/// The sequences and updates published since the last call of this function.
fn take_announced(invocation: &TestInvocation) -> Vec<(u32, Update)> {
    let published = invocation.take_published();
    assert!(published.iter().all(|mutation| (mutation.claim.run, mutation.claim.attempt) == (1, 1)));
    published.iter().map(|mutation| (mutation.sequence, mutation.update.clone())).collect()
}

/// The messages to who else listens since the last call of this function.
fn take_messages(invocation: &TestInvocation) -> Vec<Value> {
    let requests = invocation.take_reply_requests();
    let messages = requests.iter().flat_map(|request| &request.messages);
    messages.map(|message| serde_json::from_str(&message.text).unwrap()).collect()
}

/// As AppSync does once it has accepted the announcement.
async fn mark_announced(invocation: &TestInvocation) {
    let items = invocation.table.all_items().await;
    let turn = items.into_iter().find(|item| item["sk"] == string("TURN#t1")).unwrap();
    invocation.table.put_items([with(turn, "announced", boolean(true))]).await;
}

/// Turn t1 of which call b waits. Call a has its result.
fn waiting_turn(pending_until: u64) -> Item {
    let turn = with(turn_item("WAITING", None, 1), "pendingUntil", number(pending_until));
    let turn = with(turn, "pending", AttributeValue::L(Vec::new()));
    let turn = with(turn, "lastSequence", number(5));
    with(with(turn, "runPosition", number(9)), "lastPosition", number(9))
}

fn conversation_with_events(count: u32) -> Item {
    with(conversation_item(), "eventCount", number(count))
}

/// An event with calls a and b.
fn calls_item(position: u32) -> Item {
    let call = |id: &str| {
        let call = map([("id", string(id)), ("name", string("order")), ("input", string("{}"))]);
        AttributeValue::M(map([("toolUse", AttributeValue::M(call))]))
    };
    with(answer_item(position, 1), "content", AttributeValue::L(vec![call("a"), call("b")]))
}

/// An event with the result of call a.
fn results_item(position: u32) -> Item {
    let result = map([("toolUseId", string("a")), ("status", string("SUCCEEDED")), ("json", string("1"))]);
    let result = AttributeValue::M(map([("toolResult", AttributeValue::M(result))]));
    let tools = AttributeValue::M(map([("kind", string("TOOL"))]));
    with(with(answer_item(position, 1), "sender", tools), "content", AttributeValue::L(vec![result]))
}
