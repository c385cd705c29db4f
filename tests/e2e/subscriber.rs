//! A subscriber of one conversation that sees every update as it was delivered.
use client::{
    AppSync, documents,
    errors::ApiError,
    realtime::{Realtime, Signal, Subscription},
    schema::ConversationUpdate,
};
use futures::StreamExt;
use serde_json::json;

use crate::backend::with_timeout;

pub struct Subscriber(Subscription);

impl Subscriber {
    /// Returns once the server has acknowledged the subscription.
    pub async fn subscribe(api: &AppSync, conversation_id: &str) -> Self {
        Self::try_subscribe(api, conversation_id).await.unwrap()
    }

    pub async fn try_subscribe(api: &AppSync, conversation_id: &str) -> Result<Self, Vec<ApiError>> {
        let variables = json!({ "conversationId": conversation_id });
        let mut subscription = Realtime::new(api).subscribe(documents::ON_CONVERSATION_UPDATE, &variables);
        match with_timeout(subscription.next()).await {
            Some(Signal::Subscribed) => Ok(Self(subscription)),
            Some(Signal::Refused(errors)) => Err(errors),
            other => panic!("expected an acknowledgement or an error, got {other:?}"),
        }
    }

    pub async fn next_update(&mut self) -> ConversationUpdate {
        match with_timeout(self.0.next()).await {
            Some(Signal::Data(mut data)) => serde_json::from_value(data["onConversationUpdate"].take()).unwrap(),
            other => panic!("expected an update, got {other:?}"),
        }
    }

    /// Receives updates until one has an end status. All of them belong to this turn, but for the title that
    /// an earlier turn may have given.
    pub async fn updates_until_end(&mut self, turn_id: &str) -> Vec<ConversationUpdate> {
        let is_end = |update: &ConversationUpdate| {
            assert!(update.title.is_some() || update.turn_id.as_deref() == Some(turn_id), "{update:?}");
            update.metadata.as_ref().is_some_and(|metadata| metadata.status.is_end())
        };
        let mut updates = self.updates_until(is_end).await;
        updates.retain(|update| update.title.is_none());
        updates
    }

    /// Receives updates up to the first one of this kind.
    pub async fn updates_until(&mut self, is_last: impl Fn(&ConversationUpdate) -> bool) -> Vec<ConversationUpdate> {
        let mut updates = vec![self.next_update().await];
        while !updates.last().is_some_and(&is_last) {
            updates.push(self.next_update().await);
        }
        updates
    }

    /// Waits until the server has ended the subscription and refused to resume it.
    pub async fn wait_for_error(&mut self) -> Vec<ApiError> {
        loop {
            match with_timeout(self.0.next()).await {
                Some(Signal::Interrupted | Signal::Data(_)) => {}
                Some(Signal::Refused(errors)) => return errors,
                other => panic!("expected an error, got {other:?}"),
            }
        }
    }
}
