//! How often a repeated order starts the handler.
use futures::future::join_all;
use serde_json::json;

use super::fixture::{Fixture, iam_user};

#[tokio::test]
async fn repeated_message_starts_the_handler_at_most_once_a_minute() {
    let fixture = Fixture::with_parameters([]);
    let ann = iam_user("ann");
    fixture.create_conversation(&ann, "c1").await;
    for _ in 0..30 {
        fixture.send_message(&ann, "c1", "m1").await.unwrap();
    }
    assert_eq!(fixture.payloads().len(), 1);
    fixture.set_time("2026-11-21T12:01:05Z");
    for resent in join_all((0..10).map(|_| fixture.send_message(&ann, "c1", "m1"))).await {
        assert_eq!(resent.unwrap()["id"], "m1");
    }
    assert_eq!(fixture.payloads().len(), 2, "of ten at once, one starts the handler again");
    let starts: Vec<_> = fixture.payloads().iter().map(|payload| payload["startedAt"].clone()).collect();
    assert_eq!(starts, [json!(1_795_262_405_000_u64), json!(1_795_262_465_000_u64)]);
}

#[tokio::test]
async fn repeated_first_message_starts_the_handler_at_most_once_a_minute() {
    let fixture = Fixture::with_parameters([]);
    let ann = iam_user("ann");
    for _ in 0..10 {
        fixture.send_first_message(&ann, "m1").await.unwrap();
    }
    assert_eq!(fixture.payloads().len(), 1);
    fixture.set_time("2026-11-21T12:01:05Z");
    for _ in 0..10 {
        fixture.send_first_message(&ann, "m1").await.unwrap();
    }
    assert_eq!(fixture.payloads().len(), 2);
}

#[tokio::test]
async fn repeated_retry_starts_the_handler_at_most_once_a_minute() {
    let fixture = Fixture::with_parameters([]);
    let ann = iam_user("ann");
    fixture.create_conversation(&ann, "c1").await;
    fixture.send_message(&ann, "c1", "m1").await.unwrap();
    fixture.mutate_turn(&ann, "cancelTurn").await.unwrap();
    for _ in 0..10 {
        assert_eq!(fixture.mutate_turn(&ann, "retryTurn").await.unwrap()["run"], 2);
    }
    assert_eq!(fixture.payloads().len(), 2);
    fixture.set_time("2026-11-21T12:01:05Z");
    for _ in 0..10 {
        assert_eq!(fixture.mutate_turn(&ann, "retryTurn").await.unwrap()["run"], 2);
    }
    assert_eq!(fixture.payloads().len(), 3);
}
