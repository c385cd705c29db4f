use std::sync::Arc;

use api::types::{ContentBlock, FailureCode, StopReason, ToolResult, ToolStatus, ToolUse, TurnStatus, Usage};
use serde_json::json;
use turn::{
    direct_write::{DirectWrite, WriteFailure},
    failures::Failure,
    mutation::{AgentEvent, AnswerEnd, Author, EndReason, Mutation, Update},
    request::Agent,
};

use crate::aws::dynamodb::test_support::{
    ConversationCase, FAR, NOW, StatusCase, answer_item, claim, conversation_item, embedded_table,
    interceptors::{THROTTLED, TRANSACTION_CANCELLED, TRANSACTION_CONFLICT},
    number, sorted_by_key, string, time, turn_item, with,
};

#[tokio::test]
async fn writes_are_accepted_exactly_in_the_fenced_cases() {
    let table = embedded_table().await;
    for case in StatusCase::all() {
        for write in every_write() {
            table.clear().await;
            table.put_items([case.turn_item(), conversation_item()]).await;
            let before = sorted_by_key(table.all_items().await);
            let result = table.write_directly(write, time(case.now)).await;
            assert_eq!(result.is_ok(), case.fenced, "{case:?}");
            let is_unchanged = sorted_by_key(table.all_items().await) == before;
            assert_eq!(is_unchanged, !case.fenced, "{case:?}: {result:?}");
        }
    }
}

#[tokio::test]
async fn write_of_another_run_or_attempt_is_stale() {
    let table = embedded_table().await;
    for (run, attempt) in [(2, 1), (1, 2)] {
        let turn = turn_item("RUNNING", Some(FAR), FAR);
        let turn = with(turn, "run", number(run));
        let turn = with(turn, "attempt", number(attempt));
        table.put_items([turn, conversation_item()]).await;
        for write in every_write() {
            assert_eq!(table.write_directly(write, time(NOW)).await, Err(WriteFailure::Stale));
        }
    }
    assert_eq!(table.all_items().await.len(), 2);
}

#[tokio::test]
async fn write_does_not_recreate_a_deleted_turn() {
    let table = embedded_table().await;
    for write in every_write() {
        assert_eq!(table.write_directly(write, time(NOW)).await, Err(WriteFailure::Stale));
    }
    assert_eq!(table.all_items().await, []);
}

#[tokio::test]
async fn renewal_extends_the_lease_and_returns_the_status() {
    let table = embedded_table().await;
    for (status, expected) in [("RUNNING", TurnStatus::Running), ("CANCELLING", TurnStatus::Cancelling)] {
        table.put_items([turn_item(status, Some(NOW + 1), FAR)]).await;
        let renewal = DirectWrite::RenewLease(claim());
        assert_eq!(table.write_directly(renewal, time(NOW)).await, Ok(expected));
        assert_eq!(table.all_items().await, [turn_item(status, Some(NOW + 30_000), FAR)]);
    }
}

#[tokio::test]
async fn last_event_ends_the_turn_and_frees_the_conversation() {
    let table = embedded_table().await;
    let turn = with(turn_item("RUNNING", Some(FAR), FAR), "callerCredential", string("sealed"));
    table.put_items([turn, conversation_item()]).await;
    let result = table.write_directly(store_event(Some(answer_end())), time(NOW)).await;
    assert_eq!(result, Ok(TurnStatus::Completed));
    let usage = json!({ "inputTokens": 5, "outputTokens": 2, "totalTokens": 7, "cacheReadTokens": 4 });
    let expected = json!({
        "id": "t1-1-1", "conversationId": "c1", "turnId": "t1", "attempt": 1, "position": 8,
        "sender": { "kind": "AGENT", "id": "default", "name": "Parlance" }, "content": [{ "text": "So\r\nbe it." }],
        "stopReason": "MAX_TOKENS", "usage": usage, "modelId": "any", "agentVersion": 3,
        "createdAt": "2026-11-18T11:06:40.000Z",
    });
    assert_eq!(table.stored_json("EVENT#00000008").await, expected);
    let turn = table.stored_json("TURN#t1").await;
    assert_eq!((&turn["status"], &turn["announced"], &turn["usage"]), (&json!("COMPLETED"), &json!(false), &usage));
    assert_eq!(turn.get("callerCredential"), None);
    assert_eq!(
        (&turn["lastPosition"], &turn["lastSequence"], &turn["lastEventSequence"]),
        (&json!(8), &json!(4), &json!(4))
    );
    let conversation = table.stored_json("META").await;
    assert_eq!((&conversation["eventCount"], conversation.get("activeTurnId")), (&json!(8), None));
    assert_eq!(conversation["lastActivityAt"], "2026-11-18T11:06:40.000Z");
    assert_eq!(conversation["listSort"], "2026-11-18T11:06:40.000Z#c1");
}

#[tokio::test]
async fn failure_is_stored_with_the_event_and_the_turn() {
    let table = embedded_table().await;
    table.put_items([turn_item("RUNNING", Some(FAR), FAR), conversation_item()]).await;
    let failure = Failure::new(FailureCode::Throttled);
    let end = AnswerEnd { reason: EndReason::Failed(failure), usage: None };
    assert_eq!(table.write_directly(store_event(Some(end)), time(NOW)).await, Ok(TurnStatus::Failed));
    let expected = json!({ "code": "THROTTLED", "message": failure.message, "retryable": true });
    assert_eq!(table.stored_json("EVENT#00000008").await["failure"], expected);
    assert_eq!(table.stored_json("TURN#t1").await["failure"], expected);
}

#[tokio::test]
async fn event_before_the_last_extends_the_lease() {
    let table = embedded_table().await;
    table.put_items([turn_item("CANCELLING", Some(NOW + 1), FAR), conversation_item()]).await;
    assert_eq!(table.write_directly(store_event(None), time(NOW)).await, Ok(TurnStatus::Running));
    let turn = table.stored_json("TURN#t1").await;
    assert_eq!((&turn["status"], &turn["leaseUntil"]), (&json!("CANCELLING"), &json!(NOW + 30_000)));
    assert_eq!(
        (&turn["lastPosition"], &turn["lastSequence"], &turn["lastEventSequence"]),
        (&json!(8), &json!(4), &json!(4))
    );
    let conversation = table.stored_json("META").await;
    assert_eq!((&conversation["eventCount"], &conversation["activeTurnId"]), (&json!(8), &json!("t1")));
}

#[tokio::test]
async fn event_with_tool_calls_or_results_is_kept_by_later_attempts() {
    let input = "{\"a\": \"é\" }";
    let call = ToolUse { id: "a".into(), name: "look".into(), title: Some("Look".into()), input: input.into() };
    let result = ToolResult {
        tool_use_id: "a".into(),
        status: ToolStatus::Failed,
        json: None,
        text: Some("No.".into()),
        truncated: None,
        started_at: None,
        ended_at: None,
    };
    for (author, content, kind, expected) in [
        (
            Author::Agent,
            vec![ContentBlock::text("So."), ContentBlock::tool_use(call)],
            "AGENT",
            json!([{ "text": "So." }, { "toolUse": { "id": "a", "name": "look", "title": "Look", "input": input } }]),
        ),
        (
            Author::Tools,
            vec![ContentBlock::tool_result(result)],
            "TOOL",
            json!([{ "toolResult": { "toolUseId": "a", "status": "FAILED", "text": "No." } }]),
        ),
    ] {
        let table = embedded_table().await;
        table.put_items([turn_item("RUNNING", Some(FAR), FAR), conversation_item()]).await;
        let write = store_event_with(author, content.clone(), None);
        assert_eq!(table.write_directly(write, time(NOW)).await, Ok(TurnStatus::Running));
        let turn = table.stored_json("TURN#t1").await;
        assert_eq!(
            (&turn["runPosition"], &turn["lastPosition"], &turn["answerPosition"]),
            (&json!(8), &json!(8), &json!(7))
        );
        let stored = table.stored_json("EVENT#00000008").await;
        assert_eq!((&stored["content"], &stored["sender"]["kind"]), (&expected, &json!(kind)));
        assert_eq!(table.load_event("c1", 8).await.unwrap().unwrap().content, content);
    }
}

#[tokio::test]
async fn text_alone_is_not_kept_by_later_attempts() {
    let table = embedded_table().await;
    table.put_items([turn_item("RUNNING", Some(FAR), FAR), conversation_item()]).await;
    table.write_directly(store_event(None), time(NOW)).await.unwrap();
    assert_eq!(table.stored_json("TURN#t1").await["runPosition"], 7);
}

#[tokio::test]
async fn repeated_event_is_accepted_and_stored_once() {
    let table = embedded_table().await;
    for (end, status) in [(None, TurnStatus::Running), (Some(answer_end()), TurnStatus::Completed)] {
        table.clear().await;
        table.put_items([turn_item("RUNNING", Some(FAR), FAR), conversation_item()]).await;
        assert_eq!(table.write_directly(store_event(end), time(NOW)).await, Ok(status));
        let stored = sorted_by_key(table.all_items().await);
        assert_eq!(table.write_directly(store_event(end), time(NOW + 60_000)).await, Ok(status));
        assert_eq!(sorted_by_key(table.all_items().await), stored);
    }
}

#[tokio::test]
async fn event_of_another_attempt_at_the_same_position_makes_the_write_stale() {
    let table = embedded_table().await;
    let of_other_attempt = with(answer_item(8, 2), "id", string("t1-1-1"));
    let with_other_id = with(answer_item(8, 1), "id", string("t1-closed-1"));
    for stored in [of_other_attempt, with_other_id] {
        table.put_items([turn_item("RUNNING", Some(FAR), FAR), conversation_item(), stored]).await;
        let result = table.write_directly(store_event(Some(answer_end())), time(NOW)).await;
        assert_eq!(result, Err(WriteFailure::Stale));
    }
}

#[tokio::test]
async fn event_is_stored_only_if_the_conversation_awaits_the_turn() {
    let table = embedded_table().await;
    for case in ConversationCase::all() {
        for write in [store_event(None), store_event(Some(answer_end()))] {
            table.clear().await;
            table.put_items([turn_item("RUNNING", Some(FAR), FAR)].into_iter().chain(case.conversation_item())).await;
            let before = sorted_by_key(table.all_items().await);
            let result = table.write_directly(write, time(NOW)).await;
            assert_eq!(result.is_ok(), case.awaits, "{}: {result:?}", case.name);
            if !case.awaits {
                assert_eq!(result, Err(WriteFailure::Stale), "{}", case.name);
                assert_eq!(sorted_by_key(table.all_items().await), before, "{}", case.name);
            }
        }
    }
}

#[tokio::test]
async fn write_that_conflicts_with_another_is_retryable() {
    let table = embedded_table().await;
    table.put_items([turn_item("RUNNING", Some(FAR), FAR), conversation_item()]).await;
    let event = store_event(Some(answer_end()));
    let faulty_table = table.replacing_first_response("TransactWriteItems", TRANSACTION_CANCELLED);
    assert_eq!(faulty_table.write_directly(event.clone(), time(NOW)).await, Err(WriteFailure::Retryable));
    assert_eq!(faulty_table.write_directly(event, time(NOW)).await, Ok(TurnStatus::Completed));
    table.put_items([turn_item("RUNNING", Some(FAR), FAR)]).await;
    let faulty_table = table.replacing_first_response("UpdateItem", TRANSACTION_CONFLICT);
    let renewal = DirectWrite::RenewLease(claim());
    assert_eq!(faulty_table.write_directly(renewal, time(NOW)).await, Err(WriteFailure::Retryable));
}

/// The attempt repeats a write itself, with the time of each try.
#[tokio::test]
async fn throttled_write_is_not_repeated_by_the_table() {
    let table = embedded_table().await;
    table.put_items([turn_item("RUNNING", Some(FAR), FAR), conversation_item()]).await;
    for (operation, write) in
        [("UpdateItem", DirectWrite::RenewLease(claim())), ("TransactWriteItems", store_event(Some(answer_end())))]
    {
        let faulty_table = table.replacing_first_response(operation, THROTTLED);
        assert_eq!(faulty_table.write_directly(write, time(NOW)).await, Err(WriteFailure::Retryable));
    }
}

fn every_write() -> [DirectWrite; 3] {
    [DirectWrite::RenewLease(claim()), store_event(None), store_event(Some(answer_end()))]
}

fn answer_end() -> AnswerEnd {
    let usage = Usage {
        input_tokens: 5,
        output_tokens: 2,
        total_tokens: 7,
        cache_read_tokens: Some(4),
        cache_write_tokens: None,
    };
    AnswerEnd { reason: EndReason::Stopped(StopReason::MaxTokens), usage: Some(usage) }
}

fn store_event(end: Option<AnswerEnd>) -> DirectWrite {
    store_event_with(Author::Agent, vec![ContentBlock::text("So\r\nbe it.")], end)
}

fn store_event_with(author: Author, content: Vec<ContentBlock>, end: Option<AnswerEnd>) -> DirectWrite {
    let agent = json!({ "id": "default", "version": 3, "name": "Parlance", "modelId": "any", "contextBytes": 1000 });
    let agent: Agent = serde_json::from_value(agent).unwrap();
    let (id, agent) = ("t1-1-1".into(), Arc::new(agent));
    let event = AgentEvent {
        id,
        position: 8,
        model_id: agent.model_id.clone(),
        agent,
        author,
        content,
        step_usage: None,
        end,
        guardrail: None,
    };
    DirectWrite::StoreEvent(Arc::new(Mutation { claim: claim(), sequence: 4, update: Update::Event(event) }))
}
