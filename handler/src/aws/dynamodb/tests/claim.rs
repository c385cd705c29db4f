use api::types::TurnStatus;
use serde_json::json;
use turn::claim::{
    ClaimRefusal::{self, Cancelled, Ended, Expired, Leased, LeasedByOtherStart, NotFound, OtherRun, Unannounced},
    StoredTurn,
};
use uuid::Uuid;

use crate::{
    aws::dynamodb::{
        ClaimOutcome, Table,
        test_support::{
            FAR, HOLDER, NOW, StatusCase, boolean, embedded_table, interceptors::TRANSACTION_CONFLICT, number, run_id,
            string, time, turn_item, with,
        },
    },
    clock::Clock,
};

const OTHER_HOLDER: Uuid = Uuid::from_u128(8);

#[tokio::test]
async fn turn_is_claimed_exactly_in_the_claimable_cases() {
    let table = embedded_table().await;
    for case in StatusCase::all() {
        table.put_items([case.turn_item()]).await;
        let outcome = claim(&table, 1, HOLDER, case.now).await;
        assert_eq!(matches!(outcome, ClaimOutcome::Claimed(_)), case.claimable, "{case:?}");
        let is_unchanged = table.all_items().await == [case.turn_item()];
        assert_eq!(is_unchanged, !case.claimable, "{case:?}");
    }
}

#[tokio::test]
async fn claim_starts_the_next_attempt_with_a_lease_and_new_sequences() {
    let table = embedded_table().await;
    let abandoned = turn_item("RUNNING", Some(NOW), FAR);
    let abandoned = with(abandoned, "lastSequence", number(5));
    let abandoned = with(abandoned, "lastEventSequence", number(4));
    table.put_items([abandoned]).await;
    let turn = claim_successfully(&table, HOLDER, NOW).await;
    assert_eq!((turn.status, turn.run, turn.attempt), (TurnStatus::Running, 1, 2));
    assert_eq!((turn.last_sequence, turn.last_event_sequence, turn.lease_until), (0, 0, Some(NOW + 30_000)));
    let stored = table.stored_json("TURN#t1").await;
    assert_eq!((&stored["lastSequence"], &stored["lastEventSequence"]), (&json!(0), &json!(0)));
    assert_eq!((&stored["holder"], &stored["attempt"]), (&json!(HOLDER.to_string()), &json!(2)));
}

#[tokio::test]
async fn leased_turn_is_not_claimed_by_another_holder() {
    let table = embedded_table().await;
    table.put_items([turn_item("QUEUED", None, FAR)]).await;
    claim_successfully(&table, HOLDER, NOW).await;
    for later in [0, 29_999] {
        let outcome = claim(&table, 1, OTHER_HOLDER, NOW + later).await;
        assert_eq!(outcome, ClaimOutcome::Refused(Leased));
    }
    claim_successfully(&table, OTHER_HOLDER, NOW + 30_000).await;
}

#[tokio::test]
async fn lost_claim_response_is_recognized_by_its_holder() {
    let table = embedded_table().await;
    table.put_items([turn_item("QUEUED", None, FAR)]).await;
    let faulty_table = table.replacing_first_response("UpdateItem", TRANSACTION_CONFLICT);
    let turn = claim_successfully(&faulty_table, HOLDER, NOW).await;
    assert_eq!(turn.attempt, 2);
    let stored = table.all_items().await;
    assert_eq!(claim_successfully(&table, HOLDER, NOW + 3_000).await, turn);
    assert_eq!(table.all_items().await, stored);
    assert_eq!(claim(&table, 2, HOLDER, NOW).await, ClaimOutcome::Refused(OtherRun));
}

#[tokio::test]
async fn live_lease_of_another_start_is_distinguished() {
    let table = embedded_table().await;
    table.put_items([turn_item("QUEUED", None, FAR)]).await;
    claim_for_start(&table, Some(1), HOLDER).await;
    assert_eq!(claim_for_start(&table, Some(1), OTHER_HOLDER).await, ClaimOutcome::Refused(Leased));
    assert_eq!(claim_for_start(&table, Some(2), OTHER_HOLDER).await, ClaimOutcome::Refused(LeasedByOtherStart));
}

#[tokio::test]
async fn each_try_of_a_claim_uses_the_current_time() {
    let table = embedded_table().await;
    table.put_items([turn_item("RUNNING", Some(NOW + 20), FAR)]).await;
    let faulty_table = table.replacing_first_response("UpdateItem", TRANSACTION_CONFLICT);
    let clock = Clock::starting_at(time(NOW));
    let outcome = faulty_table.claim_turn(&run_id(1), None, HOLDER, clock).await.unwrap();
    let ClaimOutcome::Claimed(turn) = outcome else { panic!("{outcome:?}") };
    assert!(turn.lease_until >= Some(NOW + 30_020), "{turn:?}");
}

#[tokio::test]
async fn lost_claim_response_then_cancel_is_closed_by_same_holder() {
    let table = embedded_table().await;
    let held = with(turn_item("CANCELLING", Some(FAR), FAR), "holder", string(HOLDER));
    table.put_items([held]).await;
    assert_eq!(claim_successfully(&table, HOLDER, NOW).await.status, TurnStatus::Cancelling);
}

#[tokio::test]
async fn lost_claim_response_then_end_is_refused() {
    let table = embedded_table().await;
    let held = with(turn_item("FAILED", Some(FAR), FAR), "holder", string(HOLDER));
    table.put_items([held]).await;
    assert_eq!(claim(&table, 1, HOLDER, NOW).await, ClaimOutcome::Refused(Unannounced));
}

#[tokio::test]
async fn refused_claim_changes_nothing_and_returns_the_reason() {
    let table = embedded_table().await;
    assert_eq!(claim(&table, 1, HOLDER, NOW).await, ClaimOutcome::Refused(NotFound));
    let announced = with(turn_item("COMPLETED", None, FAR), "announced", boolean(true));
    let cases: [(_, _, ClaimRefusal); 6] = [
        (turn_item("QUEUED", None, FAR), 2, OtherRun),
        (announced, 1, Ended),
        (turn_item("COMPLETED", None, FAR), 1, Unannounced),
        (turn_item("CANCELLING", Some(1), FAR), 1, Cancelled),
        (turn_item("QUEUED", None, 1), 1, Expired),
        (turn_item("RUNNING", Some(FAR), FAR), 1, Leased),
    ];
    for (stored, run, expected) in cases {
        table.put_items([stored.clone()]).await;
        assert_eq!(claim(&table, run, HOLDER, NOW).await, ClaimOutcome::Refused(expected));
        assert_eq!(table.all_items().await, [stored]);
    }
}

async fn claim_for_start(table: &Table, started_at: Option<u64>, holder: Uuid) -> ClaimOutcome {
    table.claim_turn(&run_id(1), started_at, holder, Clock::stopped_at(time(NOW))).await.unwrap()
}

async fn claim(table: &Table, run: u32, holder: Uuid, now: u64) -> ClaimOutcome {
    table.claim_turn(&run_id(run), None, holder, Clock::stopped_at(time(now))).await.unwrap()
}

async fn claim_successfully(table: &Table, holder: Uuid, now: u64) -> StoredTurn {
    match claim(table, 1, holder, now).await {
        ClaimOutcome::Claimed(turn) => turn,
        ClaimOutcome::Refused(refusal) => panic!("{refusal:?}"),
    }
}
