use std::{sync::Arc, time::Duration};

use api::types::{ToolStatus, ToolUse, TurnStatus};
use serde_json::json;
use turn::{
    model::ToolOutput,
    tool::{Caller, LambdaTool, MAX_RESULT_BYTES, Tool, ToolApproval, ToolEffect, ToolOutcome, ToolRun, ToolTarget},
};

use crate::{
    aws::dynamodb::{
        Table, ToolClaim,
        test_support::{
            FAR, Item, NOW, StatusCase, claim, embedded_table,
            interceptors::{INTERNAL_ERROR, TRANSACTION_CANCELLED},
            number, time, turn_item, with,
        },
    },
    clock,
};

const CLAIM: &str = "TOOL#00000008#a.1";

#[tokio::test]
async fn call_is_claimed_exactly_in_the_fenced_cases_of_a_running_turn() {
    let table = embedded_table().await;
    for case in StatusCase::all() {
        table.clear().await;
        table.put_items([case.turn_item()]).await;
        let outcome = table.claim_tool_call(&run(1), time(case.now)).await.unwrap();
        let is_claimed = case.fenced && case.status == TurnStatus::Running;
        assert_eq!(outcome, if is_claimed { ToolClaim::Claimed } else { ToolClaim::Stale }, "{case:?}");
        assert_eq!(table.all_items().await.len(), if is_claimed { 2 } else { 1 }, "{case:?}");
    }
}

#[tokio::test]
async fn claim_has_the_attempt_and_expires_after_nine_days() {
    let table = owned_table(1).await;
    assert_eq!(claim_call(&table, 1).await, ToolClaim::Claimed);
    let nine_days_later = NOW / 1000 + 9 * 86_400;
    assert_eq!(table.stored_json(CLAIM).await, json!({ "attempt": 1, "expiresAt": nine_days_later }));
    let items = table.all_items().await;
    assert!(items.iter().any(|item| item["pk"].as_s().unwrap() == "TURN#c1#t1"));
    assert_eq!(table.stored_json("TURN#t1").await["lastSequence"], 0);
}

#[tokio::test]
async fn call_claimed_by_an_earlier_attempt_is_not_claimed_again() {
    let table = owned_table(1).await;
    assert_eq!(claim_call(&table, 1).await, ToolClaim::Claimed);
    table.put_items([owned_turn(2)]).await;
    for _ in 0..2 {
        assert_eq!(claim_call(&table, 2).await, ToolClaim::ClaimedBefore(None));
    }
    assert_eq!(table.stored_json(CLAIM).await["attempt"], 1);
}

#[tokio::test]
async fn stored_outcome_is_returned_to_later_attempts() {
    let started_at = Some("2026-11-18T11:06:40.000Z".to_owned());
    for (status, output) in [
        (ToolStatus::Succeeded, ToolOutput::Json("{\"a\": \"\\ud83d\"}".into())),
        (ToolStatus::Failed, ToolOutput::Text("No.".into())),
        (ToolStatus::Succeeded, ToolOutput::Json("\"\"".into())),
    ] {
        let table = owned_table(1).await;
        claim_call(&table, 1).await;
        let outcome = ToolOutcome { status, output, started_at: started_at.clone(), ended_at: None };
        table.store_tool_outcome(&run(1), &outcome, time(NOW)).await.unwrap();
        table.put_items([owned_turn(2)]).await;
        assert_eq!(claim_call(&table, 2).await, ToolClaim::ClaimedBefore(Some(outcome)));
    }
}

#[tokio::test]
async fn stored_output_is_longer_than_a_result_and_fits_into_an_item() {
    let long = format!("[\"{}\"]", "é\\n".repeat(300_000));
    let output = ToolOutput::Json(long.clone());
    let outcome = ToolOutcome { status: ToolStatus::Succeeded, output, started_at: None, ended_at: None };
    let table = owned_table(1).await;
    claim_call(&table, 1).await;
    table.store_tool_outcome(&run(1), &outcome, time(NOW)).await.unwrap();
    let stored = table.stored_json(CLAIM).await["outcome"]["json"].as_str().unwrap().to_owned();
    assert!(long.starts_with(&stored) && stored.len() > MAX_RESULT_BYTES);
}

#[tokio::test]
async fn stale_attempt_claims_and_stores_nothing() {
    let table = owned_table(2).await;
    assert_eq!(claim_call(&table, 1).await, ToolClaim::Stale);
    assert_eq!(claim_call(&table, 2).await, ToolClaim::Claimed);
    assert_eq!(claim_call(&table, 1).await, ToolClaim::Stale);
    let outcome = ToolOutcome {
        status: ToolStatus::Succeeded,
        output: ToolOutput::Json("1".into()),
        started_at: None,
        ended_at: None,
    };
    assert!(table.store_tool_outcome(&run(1), &outcome, time(NOW)).await.is_err());
    assert_eq!(table.stored_json(CLAIM).await.get("outcome"), None);
    table.clear().await;
    assert_eq!(claim_call(&table, 2).await, ToolClaim::Stale);
    assert!(table.store_tool_outcome(&run(2), &outcome, time(NOW)).await.is_err());
    assert_eq!(table.all_items().await, []);
}

#[tokio::test]
async fn lost_claim_response_is_recognized_by_its_attempt() {
    let table = owned_table(1).await;
    for error in [INTERNAL_ERROR, TRANSACTION_CANCELLED] {
        let faulty_table = table.replacing_first_response("TransactWriteItems", error);
        let failure = faulty_table.claim_tool_call(&run(1), time(NOW)).await.unwrap_err();
        assert!(failure.is_retryable());
        assert_eq!(claim_call(&faulty_table, 1).await, ToolClaim::Claimed);
    }
    assert_eq!(table.all_items().await.len(), 2);
}

#[tokio::test]
async fn calls_of_other_events_and_ids_are_claimed_on_their_own() {
    let table = owned_table(1).await;
    let mut other_event = run(1);
    other_event.position = 9;
    let mut other_id = run(1);
    other_id.tool_use.id = "b".into();
    for run in [run(1), other_event, other_id] {
        assert_eq!(table.claim_tool_call(&run, time(NOW)).await.unwrap(), ToolClaim::Claimed);
    }
    assert_eq!(table.all_items().await.len(), 4);
}

fn owned_turn(attempt: u32) -> Item {
    with(turn_item("RUNNING", Some(FAR), FAR), "attempt", number(attempt))
}

/// A table with the turn, which this attempt owns.
async fn owned_table(attempt: u32) -> Table {
    let table = embedded_table().await;
    table.put_items([owned_turn(attempt)]).await;
    table
}

async fn claim_call(table: &Table, attempt: u32) -> ToolClaim {
    table.claim_tool_call(&run(attempt), time(NOW)).await.unwrap()
}

fn tool() -> Tool {
    Tool {
        name: "order".into(),
        title: None,
        description: "Orders.".into(),
        input_schema: "{}".into(),
        effect: ToolEffect::Write,
        approval: Some(ToolApproval::Never),
        target: ToolTarget::Lambda(LambdaTool { function_arn: "arn".into() }),
    }
}

fn tool_use() -> ToolUse {
    ToolUse { id: "a.1".into(), name: "order".into(), title: None, input: "{}".into() }
}

fn run(attempt: u32) -> ToolRun {
    let mut claim = claim();
    claim.attempt = attempt;
    let until = clock::now() + Duration::from_secs(30);
    ToolRun {
        claim,
        caller: Caller::default(),
        position: 8,
        tool: Arc::new(tool()),
        tool_use: tool_use(),
        given: None,
        guardrail: None,
        until,
    }
}
