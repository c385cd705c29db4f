//! Follows one conversation: joins the subscription, the requests and the rule.
use std::{
    future::pending,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde_json::{Value, json};

use crate::{
    appsync::AppSync,
    documents,
    errors::Error,
    realtime::{Realtime, Subscription, session::Signal},
    requests::{GetEvents, GetTurn},
    rule::{Ask, ConversationRule, Progress},
    schema::{ConversationEvents, ConversationUpdate, Turn},
};

/// The largest page of events the API gives.
const PAGE: u32 = 100;
/// How long the first subscription may take before following is given up; later interruptions are waited out.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(30);

/// Reports what happens in a conversation from now on, without a gap, whatever the connection does.
pub struct Follower {
    api: AppSync,
    conversation_id: String,
    rule: ConversationRule,
    subscription: Subscription,
    asked: FuturesUnordered<BoxFuture<'static, Answered>>,
}

enum Answered {
    Events(Result<ConversationEvents, Error>),
    Turn { turn_id: String, answer: Result<Box<Turn>, Error> },
}

impl AppSync {
    /// Returns when the subscription stands: no message sent afterwards is missed.
    pub async fn follow(&self, conversation_id: &str) -> Result<Follower, Error> {
        Follower::begin(self.clone(), &Realtime::new(self), conversation_id).await
    }
}

impl Follower {
    /// Shares a connection with other subscriptions.
    pub async fn begin(api: AppSync, realtime: &Realtime, conversation_id: &str) -> Result<Self, Error> {
        let variables = json!({ "conversationId": conversation_id });
        let mut follower = Self {
            api,
            conversation_id: conversation_id.to_owned(),
            rule: ConversationRule::new(),
            subscription: realtime.subscribe(documents::ON_CONVERSATION_UPDATE, &variables),
            asked: FuturesUnordered::new(),
        };
        let standing = tokio::time::timeout(SUBSCRIBE_TIMEOUT, follower.subscription.next()).await;
        let signal = standing.map_err(|_| Error::Transport("the subscription took too long".to_owned()))?;
        follower.hear(signal)?;
        Ok(follower)
    }

    /// The turn of a message just sent will be reported to its end, even if no update ever tells of it.
    pub fn expect(&mut self, turn_id: &str) {
        self.rule.expect(turn_id, Instant::now());
    }

    /// What happened next. An error means that nothing more can be followed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Progress, Error> {
        loop {
            if let Some(progress) = self.rule.poll_progress() {
                return Ok(progress);
            }
            self.ask();
            tokio::select! {
                signal = self.subscription.next() => self.hear(signal)?,
                Some(answered) = self.asked.next() => self.take(answered)?,
                () = wake(self.rule.wake()) => self.rule.advance(Instant::now()),
            }
        }
    }

    fn hear(&mut self, signal: Option<Signal>) -> Result<(), Error> {
        match signal {
            Some(Signal::Subscribed) => self.rule.subscribed(),
            Some(Signal::Data(data)) => self.update(&data),
            Some(Signal::Interrupted) => {}
            Some(Signal::Refused(errors)) => return Err(Error::Subscription(errors)),
            Some(Signal::Failed(error)) => return Err(error),
            None => return Err(Error::Transport("the connection's task has ended".to_owned())),
        }
        Ok(())
    }

    /// What cannot be read counts as lost: the rule finds the gap.
    /// AppSync does not document whether subscribers hear of a publish that was refused: such an update would be null.
    fn update(&mut self, data: &Value) {
        let update = data.get("onConversationUpdate").cloned().unwrap_or_default();
        if let Ok(update) = serde_json::from_value::<ConversationUpdate>(update) {
            self.rule.update(&update, Instant::now());
        }
    }

    fn ask(&mut self) {
        while let Some(ask) = self.rule.poll_ask() {
            let (api, conversation_id) = (self.api.clone(), self.conversation_id.clone());
            self.asked.push(answer(api, conversation_id, ask).boxed());
        }
    }

    fn take(&mut self, answered: Answered) -> Result<(), Error> {
        let now = Instant::now();
        match answered {
            Answered::Events(Ok(page)) => self.rule.caught_up(&page, now),
            Answered::Turn { answer: Ok(turn), .. } => self.rule.refilled(&turn, now),
            Answered::Events(Err(error)) if error.is_transient() => self.rule.catch_up_failed(now),
            Answered::Turn { turn_id, answer: Err(error) } if error.is_transient() => {
                self.rule.refill_failed(&turn_id, now);
            }
            Answered::Events(Err(error)) | Answered::Turn { answer: Err(error), .. } => return Err(error),
        }
        Ok(())
    }
}

async fn answer(api: AppSync, conversation_id: String, ask: Ask) -> Answered {
    match ask {
        Ask::Events { after } => {
            let limit = Some(if after.is_some() { PAGE } else { 1 });
            let request = GetEvents { conversation_id, limit, before: None, after };
            Answered::Events(api.call(&request).await)
        }
        Ask::Turn { turn_id, refill } => {
            let request = GetTurn {
                conversation_id,
                id: turn_id.clone(),
                attempt: refill.attempt,
                after_sequence: Some(refill.after_sequence),
            };
            Answered::Turn { turn_id, answer: api.call(&request).await.map(Box::new) }
        }
    }
}

async fn wake(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => pending().await,
    }
}
