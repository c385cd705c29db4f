//! Token quotas: tokens are counted for the user that sent the message once its turn has ended.
use client::{
    errors::ErrorType,
    requests::{CreateConversation, GetCaller, SendMessage},
};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    backend::{Backend, expect_api_error, new_id, send_message},
    subscriber::Subscriber,
};

const SECONDS_PER_DAY: i64 = 86_400;

#[tokio::test]
async fn tokens_are_counted_at_the_end_of_a_turn_and_may_exceed_the_quota() {
    let backend = Backend::with_parameters([("TokensPerDay", "1")]).await;
    let user = &backend.administrator;
    let conversation = user.call(&CreateConversation::default()).await.unwrap().id;
    let mut subscriber = Subscriber::subscribe(user, &conversation).await;
    let turn = send_message(user, &conversation, &new_id(), "How much is this?").await.unwrap();
    let updates = subscriber.updates_until_end(&turn.id).await;
    let final_event = updates.last().and_then(|update| update.event.as_ref());
    let total_tokens = final_event.and_then(|event| event.usage).expect("the final event has usage").total_tokens;
    let caller = user.call(&GetCaller).await.unwrap();
    assert_eq!(caller.tokens_per_day, Some(1));
    assert_eq!(backend.tokens_counted(&caller.id).await, u64::from(total_tokens));
    assert!(total_tokens > 1, "the answer exceeds the quota");

    let now = Timestamp::now();
    let second = SendMessage { text: "And this?".into(), ..SendMessage::default() };
    let replacement = SendMessage {
        conversation_id: Some(conversation),
        text: "How much is it?".into(),
        replaces_turn_id: Some(turn.id),
        ..SendMessage::default()
    };
    assert_eq!(expect_api_error(user, &replacement).await.0, ErrorType::QuotaExceeded);
    let error = user.call(&second).await.unwrap_err();
    let api_error = error.api_error().unwrap();
    assert_eq!(api_error.error_type, Some(ErrorType::QuotaExceeded));
    let retry_at: Timestamp = api_error.retry_at().unwrap().parse().unwrap();
    assert_eq!(retry_at.as_second() % SECONDS_PER_DAY, 0, "the quota is renewed at midnight UTC");
    assert!(retry_at > now && retry_at.as_second() - now.as_second() <= SECONDS_PER_DAY);
}

#[tokio::test]
async fn api_key_callers_have_no_quota() {
    let backend = Backend::with_parameters([("MessagesPerMinute", "1"), ("TokensPerDay", "1")]).await;
    let conversation = backend.conversation().await;
    for question in ["One?", "Two?"] {
        backend.send_and_wait(&conversation, question).await;
    }
    let caller = backend.api.call(&GetCaller).await.unwrap();
    assert_eq!((caller.id.as_str(), caller.tokens_today, caller.is_administrator), ("API_KEY", None, false));
    assert_eq!(backend.count_items("USAGE#API_KEY").await, 0);
}

impl Backend {
    /// Waits until tokens are counted for a user, and returns today's sum.
    async fn tokens_counted(&self, user: &str) -> u64 {
        let query = json!({
            "operation": "Query",
            "query": {
                "expression": "pk = :pk AND begins_with(sk, :day)",
                "expressionValues": { ":pk": { "S": format!("USAGE#{user}") }, ":day": { "S": "DAY#" } },
            },
            "consistentRead": true,
        });
        self.wait_for_item(&query).await["tokens"].as_u64().expect("tokens are a number")
    }
}
