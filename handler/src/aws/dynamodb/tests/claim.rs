use turn::claim::ClaimRefusal;

use super::*;

#[tokio::test]
async fn every_turn_is_claimed_exactly_where_the_table_of_cases_says() {
    let table = table().await;
    for case in Case::all() {
        table.put([case.turn()]).await;
        let claimed = table.claim(&order(1), HOLDER, clock(case.now)).await.unwrap();
        assert_eq!(claimed.is_ok(), case.claimable, "{case:?}");
        let stored = table.all().await;
        assert_eq!(stored == [case.turn()], !case.claimable, "{case:?}");
    }
}

#[tokio::test]
async fn a_claim_begins_the_next_attempt_with_a_lease_and_new_numbers() {
    let table = table().await;
    let left = with(with(turn("RUNNING", Some(NOW), FAR), "lastSequence", number(5)), "lastEventSequence", number(4));
    table.put([left]).await;
    let claimed = table.claim(&order(1), HOLDER, clock(NOW)).await.unwrap().unwrap();
    assert_eq!((claimed.status, claimed.run, claimed.attempt), (TurnStatus::Running, 1, 2));
    assert_eq!((claimed.last_sequence, claimed.last_event_sequence, claimed.lease_until), (0, 0, Some(NOW + 30_000)));
    let stored = table.stored("TURN#t1").await;
    assert_eq!((&stored["lastSequence"], &stored["lastEventSequence"]), (&json!(0), &json!(0)));
    assert_eq!((&stored["holder"], &stored["attempt"]), (&json!(HOLDER.to_string()), &json!(2)));
}

#[tokio::test]
async fn a_turn_is_claimed_once_while_its_lease_lives() {
    let table = table().await;
    table.put([turn("QUEUED", None, FAR)]).await;
    assert!(table.claim(&order(1), HOLDER, clock(NOW)).await.unwrap().is_ok());
    for later in [0, 29_999] {
        let other = table.claim(&order(1), Uuid::from_u128(8), clock(NOW + later)).await.unwrap();
        assert_eq!(other, Err(ClaimRefusal::Leased));
    }
    assert!(table.claim(&order(1), Uuid::from_u128(8), clock(NOW + 30_000)).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_still_ours() {
    let table = table().await;
    table.put([turn("QUEUED", None, FAR)]).await;
    let claimed =
        table.answering("UpdateItem", replaced_responses::CONFLICT).claim(&order(1), HOLDER, clock(NOW)).await.unwrap();
    assert_eq!(claimed.unwrap().attempt, 2);
    let stored = table.all().await;
    assert_eq!(table.claim(&order(1), HOLDER, clock(NOW + 3_000)).await.unwrap(), claimed);
    assert_eq!(table.all().await, stored);
    assert_eq!(table.claim(&order(2), HOLDER, clock(NOW)).await.unwrap(), Err(ClaimRefusal::OtherRun));
}

#[tokio::test]
async fn each_try_to_claim_has_its_own_moment() {
    let table = table().await;
    table.put([turn("RUNNING", Some(NOW + 20), FAR)]).await;
    let met = table.answering("UpdateItem", replaced_responses::CONFLICT);
    let claimed = met.claim(&order(1), HOLDER, Clock::starting_at(at(NOW))).await.unwrap().unwrap();
    assert!(claimed.lease_until > Some(NOW + 30_020), "{claimed:?}");
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_ours_to_end_once_it_is_cancelled_and_nobodys_once_it_has_ended() {
    let table = table().await;
    let held = |status| with(turn(status, Some(FAR), FAR), "holder", text(HOLDER));
    table.put([held("CANCELLING")]).await;
    let claimed = table.claim(&order(1), HOLDER, clock(NOW)).await.unwrap();
    assert_eq!(claimed.unwrap().status, TurnStatus::Cancelling);
    table.put([held("FAILED")]).await;
    assert_eq!(table.claim(&order(1), HOLDER, clock(NOW)).await.unwrap(), Err(ClaimRefusal::Unannounced));
}

#[tokio::test]
async fn a_claim_that_is_refused_changes_nothing_and_says_why() {
    let table = table().await;
    assert_eq!(table.claim(&order(1), HOLDER, clock(NOW)).await.unwrap(), Err(ClaimRefusal::Gone));
    for (stored, run, expected) in [
        (turn("QUEUED", None, FAR), 2, ClaimRefusal::OtherRun),
        (with(turn("COMPLETED", None, FAR), "announced", AttributeValue::Bool(true)), 1, ClaimRefusal::Ended),
        (turn("COMPLETED", None, FAR), 1, ClaimRefusal::Unannounced),
        (turn("CANCELLING", Some(1), FAR), 1, ClaimRefusal::Cancelled),
        (turn("QUEUED", None, 1), 1, ClaimRefusal::TooLate),
        (turn("RUNNING", Some(FAR), FAR), 1, ClaimRefusal::Leased),
    ] {
        table.put([stored.clone()]).await;
        assert_eq!(table.claim(&order(run), HOLDER, clock(NOW)).await.unwrap(), Err(expected));
        assert_eq!(table.all().await, [stored]);
    }
}
