//! Quotas, through the API of the template, with a clock that the test sets.
use jiff::Timestamp;
use local::identity::Caller;
use serde_json::{Value, json};

use super::fixture::{Fixture, START, iam_user};

#[tokio::test]
async fn messages_over_the_minute_quota_raise_quota_exceeded() {
    let fixture = Fixture::with_parameters([("MessagesPerMinute", "2")]);
    let ann = iam_user("ann");
    fixture.send_first_message(&ann, "m1").await.unwrap();
    fixture.send_first_message(&ann, "m2").await.unwrap();
    let before = fixture.scan().await;
    for time in [START, "2026-11-21T12:00:59.999Z"] {
        fixture.set_time(time);
        assert_eq!(fixture.send_first_message(&ann, "m3").await, Err(quota_exceeded("2026-11-21T12:01:00.000Z")));
    }
    assert_eq!(fixture.scan().await, before, "a rejected message writes nothing");
    assert_eq!(fixture.payloads().len(), 2);
    fixture.set_time("2026-11-21T12:01:00Z");
    assert_eq!(fixture.send_first_message(&ann, "m3").await.unwrap()["id"], "m3");
}

#[tokio::test]
async fn one_of_two_concurrent_messages_takes_the_rest_of_the_quota() {
    let fixture = Fixture::with_parameters([("MessagesPerMinute", "1")]);
    let ann = iam_user("ann");
    let (one, other) = tokio::join!(fixture.send_first_message(&ann, "m1"), fixture.send_first_message(&ann, "m2"));
    let errors = [one, other].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(errors, [quota_exceeded("2026-11-21T12:01:00.000Z")]);
    assert_eq!(fixture.payloads().len(), 1);
}

#[tokio::test]
async fn repeated_message_is_not_counted_or_rejected() {
    let fixture = Fixture::with_parameters([("MessagesPerMinute", "1")]);
    let ann = iam_user("ann");
    fixture.create_conversation(&ann, "c1").await;
    fixture.send_message(&ann, "c1", "m1").await.unwrap();
    assert_eq!(fixture.send_message(&ann, "c1", "m1").await.unwrap()["id"], "m1");
    assert_eq!(fixture.get_caller(&ann).await["messagesThisMinute"], 1);
    assert!(fixture.send_first_message(&ann, "m2").await.is_err());
    assert_eq!(fixture.send_message(&ann, "c1", "m1").await.unwrap()["id"], "m1");
}

#[tokio::test]
async fn repeated_first_message_is_not_counted_or_rejected() {
    let fixture = Fixture::with_parameters([("MessagesPerMinute", "1")]);
    let ann = iam_user("ann");
    let first = fixture.send_first_message(&ann, "m1").await.unwrap();
    assert_eq!(fixture.send_first_message(&ann, "m1").await.unwrap(), first);
    assert_eq!(fixture.get_caller(&ann).await["messagesThisMinute"], 1);
}

#[tokio::test]
async fn retry_and_continue_count_as_messages() {
    let fixture = Fixture::with_parameters([("MessagesPerMinute", "3")]);
    let ann = iam_user("ann");
    fixture.create_conversation(&ann, "c1").await;
    fixture.send_message(&ann, "c1", "m1").await.unwrap();
    for (count, mutation) in [(2, "retryTurn"), (3, "continueTurn")] {
        fixture.mutate_turn(&ann, "cancelTurn").await.unwrap();
        fixture.mutate_turn(&ann, mutation).await.unwrap();
        assert_eq!(
            fixture.mutate_turn(&ann, mutation).await.unwrap()["run"],
            count,
            "a repeated request returns the same run"
        );
        assert_eq!(fixture.get_caller(&ann).await["messagesThisMinute"], count);
    }
    fixture.mutate_turn(&ann, "cancelTurn").await.unwrap();
    let before = fixture.scan().await;
    for mutation in ["retryTurn", "continueTurn"] {
        assert_eq!(fixture.mutate_turn(&ann, mutation).await, Err(quota_exceeded("2026-11-21T12:01:00.000Z")));
    }
    assert_eq!(fixture.scan().await, before);
}

#[tokio::test]
async fn message_over_the_day_quota_raises_quota_exceeded_until_midnight() {
    let fixture = Fixture::with_parameters([("TokensPerDay", "100")]);
    let ann = iam_user("ann");
    fixture.put_token_usage(&ann, "2026-11-21", 99).await;
    fixture.send_first_message(&ann, "m1").await.unwrap();
    fixture.put_token_usage(&ann, "2026-11-21", 250).await;
    let before = fixture.scan().await;
    assert_eq!(fixture.send_first_message(&ann, "m2").await, Err(quota_exceeded("2026-11-22T00:00:00.000Z")));
    assert_eq!(fixture.scan().await, before, "a message over the day quota is not counted as a message");
    let caller = fixture.get_caller(&ann).await;
    assert_eq!((&caller["tokensToday"], &caller["tokensPerDay"]), (&json!(250), &json!(100)));
    fixture.set_time("2026-11-22T00:00:00Z");
    fixture.send_first_message(&ann, "m2").await.unwrap();
}

#[tokio::test]
async fn each_user_has_separate_quotas() {
    let fixture = Fixture::with_parameters([("MessagesPerMinute", "1")]);
    let ann = iam_user("ann");
    let bob = iam_user("bob");
    fixture.send_first_message(&ann, "m1").await.unwrap();
    fixture.send_first_message(&bob, "m2").await.unwrap();
    assert!(fixture.send_first_message(&ann, "m3").await.is_err());
    assert_eq!(fixture.get_caller(&bob).await["messagesThisMinute"], 1);
}

#[tokio::test]
async fn participants_messages_count_for_the_participant_and_not_the_owner() {
    let fixture = Fixture::with_parameters([("MessagesPerMinute", "2")]);
    let ann = iam_user("ann");
    let bob = iam_user("bob");
    fixture.create_conversation(&ann, "c1").await;
    fixture.share_conversation(&ann, "c1", &bob, "WRITE").await.unwrap();
    fixture.send_message(&bob, "c1", "m1").await.unwrap();
    fixture.mutate_turn(&bob, "cancelTurn").await.unwrap();
    fixture.mutate_turn(&bob, "retryTurn").await.unwrap();
    assert_eq!(fixture.get_caller(&ann).await["messagesThisMinute"], 1, "shareConversation");
    fixture.mutate_turn(&bob, "cancelTurn").await.unwrap();
    assert_eq!(fixture.mutate_turn(&bob, "retryTurn").await, Err(quota_exceeded("2026-11-21T12:01:00.000Z")));
    fixture.mutate_turn(&ann, "retryTurn").await.unwrap();
    let asked_by = fixture.payloads().into_iter().map(|payload| payload["askedBy"].clone()).collect::<Vec<_>>();
    let ann_id = fixture.get_caller(&ann).await["id"].clone();
    let bob_id = fixture.get_caller(&bob).await["id"].clone();
    assert_eq!(asked_by, [bob_id.clone(), bob_id, ann_id]);
}

#[tokio::test]
async fn share_counts_as_a_message_and_ignores_the_token_quota() {
    let limits = [("MessagesPerMinute", "2"), ("TokensPerDay", "1")];
    let fixture = Fixture::with_parameters(limits);
    let ann = iam_user("ann");
    let bob = iam_user("bob");
    fixture.create_conversation(&ann, "c1").await;
    fixture.put_token_usage(&ann, "2026-11-21", 1).await;
    for access in ["READ", "READ", "WRITE"] {
        fixture.share_conversation(&ann, "c1", &bob, access).await.unwrap();
    }
    assert_eq!(fixture.get_caller(&ann).await["messagesThisMinute"], 2, "a repeated share is not counted");
    let before = fixture.scan().await;
    assert_eq!(
        fixture.share_conversation(&ann, "c1", &bob, "READ").await,
        Err(quota_exceeded("2026-11-21T12:01:00.000Z"))
    );
    assert_eq!(fixture.scan().await, before);
    fixture.share_conversation(&ann, "c1", &bob, "WRITE").await.unwrap();
}

#[tokio::test]
async fn invocation_names_the_caller_whose_tokens_are_counted() {
    let fixture = Fixture::with_parameters([]);
    let ann = iam_user("ann");
    fixture.send_first_message(&ann, "m1").await.unwrap();
    fixture.send_first_message(&Caller::from_api_key(), "random-message-id-1").await.unwrap();
    let asked_by = fixture.payloads().into_iter().map(|payload| payload["askedBy"].clone()).collect::<Vec<_>>();
    assert_eq!(asked_by, [fixture.get_caller(&ann).await["id"].clone(), Value::Null]);
}

#[tokio::test]
async fn api_key_callers_have_no_quotas_and_no_usage() {
    let fixture = Fixture::with_parameters([("MessagesPerMinute", "1"), ("TokensPerDay", "1")]);
    let key = Caller::from_api_key();
    for id in ["random-message-id-1", "random-message-id-2", "random-message-id-3"] {
        fixture.send_first_message(&key, id).await.unwrap();
    }
    assert!(fixture.usage_items().await.is_empty());
    let unlimited = json!({
        "id": "API_KEY", "name": null, "isAdministrator": false,
        "messagesThisMinute": null, "messagesPerMinute": null, "tokensToday": null, "tokensPerDay": null,
    });
    assert_eq!(fixture.get_caller(&key).await, unlimited);
}

#[tokio::test]
async fn limits_of_zero_store_no_usage() {
    let fixture = Fixture::with_parameters([("MessagesPerMinute", "0"), ("TokensPerDay", "0")]);
    let ann = iam_user("ann");
    fixture.send_first_message(&ann, "m1").await.unwrap();
    assert!(fixture.usage_items().await.is_empty());
}

#[tokio::test]
async fn usage_of_a_minute_expires_after_an_hour() {
    let fixture = Fixture::with_parameters([]);
    let ann = iam_user("ann");
    fixture.send_first_message(&ann, "m1").await.unwrap();
    let [minute] = fixture.usage_items().await.try_into().unwrap();
    assert_eq!((&minute["sk"], &minute["messages"]), (&json!("MINUTE#2026-11-21T12:00"), &json!(1)));
    let now: Timestamp = START.parse().unwrap();
    assert_eq!(minute["expiresAt"], now.as_second() + 3600);
}

fn quota_exceeded(retry_at: &str) -> Value {
    json!({ "errorType": "QuotaExceeded", "errorInfo": { "retryAt": retry_at } })
}
