use std::sync::Arc;

use api::types::{ContentBlock, FailureCode, StopReason, Usage};
use turn::{
    direct_write::{DirectWrite, WriteFailure},
    failures::Failure,
    mutation::{AgentEvent, AnswerEnd, EndReason, Mutation, Update},
    request::Agent,
};

use super::*;

#[tokio::test]
async fn every_write_holds_to_the_fence_of_the_table_of_cases() {
    let table = table().await;
    for case in Case::all() {
        for write in [DirectWrite::RenewLease(mine()), event(None), event(Some(ended()))] {
            table.clear().await;
            table.put([case.turn(), busy()]).await;
            let before = sorted(table.all().await);
            let written = table.write(write, at(case.now)).await;
            assert_eq!(written.is_ok(), case.fenced, "{case:?}");
            assert_eq!(sorted(table.all().await) == before, !case.fenced, "{case:?}: {written:?}");
        }
    }
}

#[tokio::test]
async fn another_run_or_attempt_may_not_write() {
    let table = table().await;
    for (run, attempt) in [(2, 1), (1, 2)] {
        let turn = with(turn("RUNNING", Some(FAR), FAR), "run", number(run));
        table.put([with(turn, "attempt", number(attempt)), busy()]).await;
        for write in [DirectWrite::RenewLease(mine()), event(None), event(Some(ended()))] {
            assert_eq!(table.write(write, at(NOW)).await, Err(WriteFailure::Stale));
        }
    }
    assert_eq!(table.all().await.len(), 2);
}

#[tokio::test]
async fn a_turn_that_is_gone_is_not_brought_back() {
    let table = table().await;
    for write in [DirectWrite::RenewLease(mine()), event(None), event(Some(ended()))] {
        assert_eq!(table.write(write, at(NOW)).await, Err(WriteFailure::Stale));
    }
    assert_eq!(table.all().await, []);
}

#[tokio::test]
async fn a_renewal_extends_the_lease_and_hears_of_a_cancellation() {
    let table = table().await;
    for (status, expected) in [("RUNNING", TurnStatus::Running), ("CANCELLING", TurnStatus::Cancelling)] {
        table.put([turn(status, Some(NOW + 1), FAR)]).await;
        assert_eq!(table.write(DirectWrite::RenewLease(mine()), at(NOW)).await, Ok(expected));
        assert_eq!(table.all().await, [turn(status, Some(NOW + 30_000), FAR)]);
    }
}

#[tokio::test]
async fn a_finish_stores_the_answer_ends_the_turn_and_frees_the_conversation() {
    let table = table().await;
    table.put([turn("RUNNING", Some(FAR), FAR), busy()]).await;
    assert_eq!(table.write(event(Some(ended())), at(NOW)).await, Ok(TurnStatus::Completed));
    let usage = json!({ "inputTokens": 5, "outputTokens": 2, "totalTokens": 7, "cacheReadTokens": 4 });
    let expected = json!({
        "id": "t1-1-1", "conversationId": "c1", "turnId": "t1", "attempt": 1, "position": 8,
        "sender": { "kind": "AGENT", "id": "default", "name": "Parlance" }, "content": [{ "text": "So\r\nbe it." }],
        "stopReason": "MAX_TOKENS", "usage": usage, "modelId": "any", "agentVersion": 3,
        "createdAt": "2026-11-18T11:06:40.000Z",
    });
    assert_eq!(table.stored("EVENT#00000008").await, expected);
    let turn = table.stored("TURN#t1").await;
    assert_eq!((&turn["status"], &turn["announced"], &turn["usage"]), (&json!("COMPLETED"), &json!(false), &usage));
    assert_eq!(
        (&turn["lastPosition"], &turn["lastSequence"], &turn["lastEventSequence"]),
        (&json!(8), &json!(4), &json!(4))
    );
    let meta = table.stored("META").await;
    assert_eq!((&meta["eventCount"], meta.get("activeTurnId")), (&json!(8), None));
    assert_eq!(meta["lastActivityAt"], "2026-11-18T11:06:40.000Z");
    assert_eq!(meta["listSort"], "2026-11-18T11:06:40.000Z#c1");
}

#[tokio::test]
async fn a_failure_is_stored_with_its_event_and_its_turn() {
    let table = table().await;
    table.put([turn("RUNNING", Some(FAR), FAR), busy()]).await;
    let failure = Failure::new(FailureCode::Throttled);
    let end = AnswerEnd { why: EndReason::Failed(failure), usage: None };
    assert_eq!(table.write(event(Some(end)), at(NOW)).await, Ok(TurnStatus::Failed));
    let expected = json!({ "code": "THROTTLED", "message": failure.text, "retryable": true });
    assert_eq!(table.stored("EVENT#00000008").await["failure"], expected);
    assert_eq!(table.stored("TURN#t1").await["failure"], expected);
}

#[tokio::test]
async fn an_event_that_more_will_follow_keeps_the_turn_and_its_lease() {
    let table = table().await;
    table.put([turn("CANCELLING", Some(NOW + 1), FAR), busy()]).await;
    assert_eq!(table.write(event(None), at(NOW)).await, Ok(TurnStatus::Running));
    let turn = table.stored("TURN#t1").await;
    assert_eq!((&turn["status"], &turn["leaseUntil"]), (&json!("CANCELLING"), &json!(NOW + 30_000)));
    assert_eq!(
        (&turn["lastPosition"], &turn["lastSequence"], &turn["lastEventSequence"]),
        (&json!(8), &json!(4), &json!(4))
    );
    let meta = table.stored("META").await;
    assert_eq!((&meta["eventCount"], &meta["activeTurnId"]), (&json!(8), &json!("t1")));
}

#[tokio::test]
async fn what_is_stored_already_is_not_stored_again_even_after_the_turn_has_ended() {
    let table = table().await;
    for (event, status) in [(event(None), TurnStatus::Running), (event(Some(ended())), TurnStatus::Completed)] {
        table.clear().await;
        table.put([turn("RUNNING", Some(FAR), FAR), busy()]).await;
        assert_eq!(table.write(event.clone(), at(NOW)).await, Ok(status));
        let stored = sorted(table.all().await);
        assert_eq!(table.write(event, at(NOW + 60_000)).await, Ok(status));
        assert_eq!(sorted(table.all().await), stored);
    }
}

#[tokio::test]
async fn another_attempts_event_in_its_place_is_not_taken_for_ours() {
    let table = table().await;
    for taken in [with(said(8, 2), "id", text("t1-1-1")), with(said(8, 1), "id", text("t1-closed-1"))] {
        table.put([turn("RUNNING", Some(FAR), FAR), busy(), taken]).await;
        assert_eq!(table.write(event(Some(ended())), at(NOW)).await, Err(WriteFailure::Stale));
    }
}

#[tokio::test]
async fn a_conversation_that_is_deleted_or_has_moved_on_takes_no_event() {
    let table = table().await;
    for moved in [
        with(busy(), "deletedAt", text("2026-11-21T09:00:00.000Z")),
        with(busy(), "activeTurnId", text("t2")),
        with(busy(), "eventCount", number(8)),
    ] {
        table.put([turn("RUNNING", Some(FAR), FAR), moved]).await;
        let before = sorted(table.all().await);
        assert_eq!(table.write(event(Some(ended())), at(NOW)).await, Err(WriteFailure::Stale));
        assert_eq!(sorted(table.all().await), before);
    }
}

#[tokio::test]
async fn a_write_that_met_another_is_done_again() {
    let table = table().await;
    table.put([turn("RUNNING", Some(FAR), FAR), busy()]).await;
    let event = event(Some(ended()));
    let met = table.answering("TransactWriteItems", replaced_responses::CANCELLED);
    assert_eq!(met.write(event.clone(), at(NOW)).await, Err(WriteFailure::Again));
    assert_eq!(met.write(event, at(NOW)).await, Ok(TurnStatus::Completed));
    table.put([turn("RUNNING", Some(FAR), FAR)]).await;
    let met = table.answering("UpdateItem", replaced_responses::CONFLICT);
    assert_eq!(met.write(DirectWrite::RenewLease(mine()), at(NOW)).await, Err(WriteFailure::Again));
}

#[tokio::test]
async fn a_write_is_tried_once_so_that_each_try_has_its_own_moment() {
    let table = table().await;
    table.put([turn("RUNNING", Some(FAR), FAR), busy()]).await;
    for (operation, write) in
        [("UpdateItem", DirectWrite::RenewLease(mine())), ("TransactWriteItems", event(Some(ended())))]
    {
        let throttled = table.answering(operation, replaced_responses::THROTTLED);
        assert_eq!(throttled.write(write, at(NOW)).await, Err(WriteFailure::Again));
    }
}

fn ended() -> AnswerEnd {
    let usage = Usage {
        input_tokens: 5,
        output_tokens: 2,
        total_tokens: 7,
        cache_read_tokens: Some(4),
        cache_write_tokens: None,
    };
    AnswerEnd { why: EndReason::Stopped(StopReason::MaxTokens), usage: Some(usage) }
}

fn event(end: Option<AnswerEnd>) -> DirectWrite {
    let agent = Agent {
        id: "default".into(),
        version: 3,
        name: Some("Parlance".into()),
        model_id: "any".into(),
        system_prompt: None,
        context_bytes: 1000,
        inference: None,
    };
    let content = vec![ContentBlock::text("So\r\nbe it.")];
    let event = AgentEvent { id: "t1-1-1".into(), position: 8, agent: Arc::new(agent), content, end };
    DirectWrite::StoreEvent(Arc::new(Mutation { claim: mine(), sequence: 4, update: Update::Event(event) }))
}
