//! Follows one conversation: connects its subscription and its requests with the reassembly of updates.
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
    realtime::{Realtime, Signal, Subscription},
    reassembly::{ConversationChange, ConversationReassembly, Fetch},
    requests::{GetEvents, GetTurn},
    schema::{ConversationEvents, ConversationUpdate, Turn},
};

/// The API's largest page of events.
const EVENTS_PER_PAGE: u32 = 100;
/// How long the first subscription may take. Later interruptions are waited out without a limit.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(30);

/// Reports the changes of a conversation from now on without a gap, across reconnects.
pub struct Follower {
    api: AppSync,
    conversation_id: String,
    reassembly: ConversationReassembly,
    subscription: Subscription,
    requests: FuturesUnordered<BoxFuture<'static, Response>>,
}

enum Response {
    Events(Result<ConversationEvents, Error>),
    Turn { turn_id: String, result: Result<Box<Turn>, Error> },
}

impl AppSync {
    /// Follows a conversation over a connection of its own. Returns once AppSync has acknowledged the
    /// subscription, so that no message sent afterwards is missed.
    pub async fn follow(&self, conversation_id: &str) -> Result<Follower, Error> {
        Follower::start(self.clone(), &Realtime::new(self), conversation_id).await
    }
}

impl Follower {
    /// Like [`AppSync::follow`], over a connection that other subscriptions share.
    pub async fn start(api: AppSync, realtime: &Realtime, conversation_id: &str) -> Result<Self, Error> {
        let variables = json!({ "conversationId": conversation_id });
        let mut follower = Self {
            api,
            conversation_id: conversation_id.to_owned(),
            reassembly: ConversationReassembly::new(),
            subscription: realtime.subscribe(documents::ON_CONVERSATION_UPDATE, &variables),
            requests: FuturesUnordered::new(),
        };
        let first_signal = tokio::time::timeout(SUBSCRIBE_TIMEOUT, follower.subscription.next()).await;
        let signal = first_signal.map_err(|_| Error::Transport("the subscription took too long".to_owned()))?;
        follower.handle_signal(signal)?;
        Ok(follower)
    }

    /// Reports a turn that the caller has started to its end, even if no update of it arrives.
    pub fn expect_turn(&mut self, turn_id: &str) {
        self.reassembly.expect_turn(turn_id, Instant::now());
    }

    /// Waits for the next change. After an error nothing more can be followed. Cancel safe.
    pub async fn next(&mut self) -> Result<ConversationChange, Error> {
        loop {
            if let Some(change) = self.reassembly.poll_change() {
                return Ok(change);
            }
            self.send_requests();
            tokio::select! {
                signal = self.subscription.next() => self.handle_signal(signal)?,
                Some(response) = self.requests.next() => self.handle_response(response)?,
                () = sleep_until(self.reassembly.wake_at()) => self.reassembly.advance(Instant::now()),
            }
        }
    }

    fn handle_signal(&mut self, signal: Option<Signal>) -> Result<(), Error> {
        match signal {
            Some(Signal::Subscribed) => self.reassembly.on_subscribed(),
            Some(Signal::Data(data)) => self.handle_update(&data),
            Some(Signal::Interrupted) => {}
            Some(Signal::Refused(errors)) => return Err(Error::Subscription(errors)),
            Some(Signal::Failed(error)) => return Err(error),
            None => return Err(Error::Transport("the connection's task has ended".to_owned())),
        }
        Ok(())
    }

    /// An update that cannot be parsed counts as lost: the reassembly finds the gap. AppSync does not
    /// document whether subscribers receive a null update after a failed publish.
    fn handle_update(&mut self, data: &Value) {
        let update = data.get("onConversationUpdate").cloned().unwrap_or_default();
        if let Ok(update) = serde_json::from_value::<ConversationUpdate>(update) {
            self.reassembly.on_update(&update, Instant::now());
        }
    }

    fn send_requests(&mut self) {
        while let Some(fetch) = self.reassembly.poll_fetch() {
            let request = send(self.api.clone(), self.conversation_id.clone(), fetch);
            self.requests.push(request.boxed());
        }
    }

    fn handle_response(&mut self, response: Response) -> Result<(), Error> {
        let now = Instant::now();
        match response {
            Response::Events(Ok(events)) => self.reassembly.on_events(&events, now),
            Response::Events(Err(error)) if error.is_transient() => self.reassembly.on_events_failed(now),
            Response::Events(Err(error)) => return Err(error),
            Response::Turn { result: Ok(turn), .. } => self.reassembly.on_turn(&turn, now),
            Response::Turn { turn_id, result: Err(error) } if error.is_transient() => {
                self.reassembly.on_turn_failed(&turn_id, now);
            }
            Response::Turn { result: Err(error), .. } => return Err(error),
        }
        Ok(())
    }
}

async fn send(api: AppSync, conversation_id: String, fetch: Fetch) -> Response {
    match fetch {
        Fetch::Events { after } => {
            let limit = if after.is_some() { EVENTS_PER_PAGE } else { 1 };
            let request = GetEvents { conversation_id, limit: Some(limit), before: None, after };
            Response::Events(api.call(&request).await)
        }
        Fetch::Turn { turn_id, query } => {
            let request = GetTurn {
                conversation_id,
                id: turn_id.clone(),
                attempt: query.attempt,
                after_sequence: Some(query.after_sequence),
            };
            Response::Turn { turn_id, result: api.call(&request).await.map(Box::new) }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => pending().await,
    }
}
