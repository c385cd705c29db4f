//! What answers cost is counted for whoever asked, once they have ended.
use client::{
    errors::ErrorType,
    requests::{CreateConversation, GetCaller, SendMessage},
};
use jiff::Timestamp;
use serde_json::json;

use crate::backend::{Backend, Ear, draw, say};

#[tokio::test]
async fn an_answer_is_counted_once_it_has_ended_and_may_overshoot_the_day() {
    let backend = Backend::with_parameters([("TokensPerDay", "1")]).await;
    let user = &backend.administrator;
    let place = user.call(&CreateConversation::default()).await.unwrap().id;
    let mut ear = Ear::open(user, &place).await;
    let turn = say(user, &place, &draw(), "How much is this?").await.unwrap();
    let updates = ear.until_end(&turn.id).await;
    let cost = updates.last().and_then(|update| update.event.as_ref()?.usage).expect("the answer tells its cost");
    let caller = user.call(&GetCaller).await.unwrap();
    assert_eq!((backend.tokens_spent(&caller.id).await, caller.tokens_per_day), (cost.total_tokens.into(), Some(1)));
    assert!(cost.total_tokens > 1, "the answer overshoots");

    let now = Timestamp::now();
    let refused = user.call(&SendMessage { text: "And this?".into(), ..SendMessage::default() }).await.unwrap_err();
    let named = refused.api_error().unwrap();
    let retry_at: Timestamp = named.retry_at().unwrap().parse().unwrap();
    assert_eq!((&named.error_type, retry_at.as_second() % 86_400), (&Some(ErrorType::QuotaExceeded), 0));
    assert!(retry_at > now && retry_at.as_second() - now.as_second() <= 86_400);
}

#[tokio::test]
async fn nothing_is_counted_for_callers_with_an_api_key() {
    let backend = Backend::with_parameters([("MessagesPerMinute", "1"), ("TokensPerDay", "1")]).await;
    let place = backend.conversation().await;
    for question in ["One?", "Two?"] {
        backend.converse(&place, question).await;
    }
    let caller = backend.api.call(&GetCaller).await.unwrap();
    assert_eq!((caller.id.as_str(), caller.tokens_today, caller.is_administrator), ("API_KEY", None, false));
    assert_eq!(backend.count_items("USAGE#API_KEY").await, 0);
}

impl Backend {
    /// Waits until anything is counted for the user: nothing tells when.
    async fn tokens_spent(&self, user: &str) -> u64 {
        let days = json!({
            "operation": "Query",
            "query": {
                "expression": "pk = :pk AND begins_with(sk, :day)",
                "expressionValues": { ":pk": { "S": format!("USAGE#{user}") }, ":day": { "S": "DAY#" } },
            },
            "consistentRead": true,
        });
        self.found(&days).await["tokens"].as_u64().expect("tokens are a number")
    }
}
