//! A chat session: sends messages to one conversation and prints the answers.
use std::{future::pending, io::Write, time::Duration};

use api::backoff::Backoff;
use client::{
    AppSync, Error, Follower,
    errors::ErrorType,
    reassembly::{Change, TurnEnd},
    requests::{CancelTurn, ContinueTurn, GetEvents, Request, RetryTurn, SendMessage},
    schema::{Turn, TurnStatus},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use uuid::Uuid;

use super::{ChatError, Outcome, input::TurnRequest, renderer::Renderer};

/// How often a request is repeated after transient errors.
const MAX_RETRIES: u32 = 5;
const RETRY_BACKOFF: Backoff = Backoff::half_jitter(Duration::from_millis(250), Duration::from_secs(8));

pub(super) struct Session<O> {
    api: AppSync,
    conversation_id: String,
    follower: Follower,
    renderer: Renderer<O>,
    interrupts: BoxStream<'static, ()>,
    cancellation: Cancellation,
}

/// The cancellation of the turn whose answer is awaited.
enum Cancellation {
    NotRequested,
    InFlight(BoxFuture<'static, Result<Turn, Error>>),
    Accepted,
}

impl<O: Write> Session<O> {
    pub fn new(
        api: AppSync,
        conversation_id: String,
        follower: Follower,
        renderer: Renderer<O>,
        interrupts: BoxStream<'static, ()>,
    ) -> Self {
        Self { api, conversation_id, follower, renderer, interrupts, cancellation: Cancellation::NotRequested }
    }

    pub fn prompt(&mut self) -> Result<(), ChatError> {
        Ok(self.renderer.prompt()?)
    }

    pub fn print(&mut self, text: &str) -> Result<(), ChatError> {
        Ok(self.renderer.append(text)?)
    }

    pub fn note(&mut self, note: &str) -> Result<(), ChatError> {
        Ok(self.renderer.note(note)?)
    }

    /// Waits until the user presses Ctrl-C. Answers to messages of other clients are not printed.
    pub async fn wait_for_interrupt(&mut self) -> Result<(), ChatError> {
        loop {
            tokio::select! {
                change = self.follower.next() => drop(change?),
                Some(()) = self.interrupts.next() => return Ok(()),
            }
        }
    }

    /// Starts a turn and prints its answer.
    pub async fn answer(&mut self, request: TurnRequest<'_>) -> Result<Outcome, ChatError> {
        let Some(turn_id) = self.submit(request).await? else {
            self.renderer.note("The conversation has no message yet.")?;
            return Ok(Outcome::Answered);
        };
        self.follower.expect_turn(&turn_id);
        let end = self.print_answer(&turn_id).await?;
        self.renderer.end(&end)?;
        Ok(match end.status {
            TurnStatus::Failed => Outcome::Failed,
            _ => Outcome::Answered,
        })
    }

    /// Returns the id of the turn that will be answered; None if there is no turn to retry or to continue.
    async fn submit(&mut self, request: TurnRequest<'_>) -> Result<Option<String>, ChatError> {
        match request {
            TurnRequest::Send { text } => self.send_message(text).await.map(Some),
            TurnRequest::Retry => {
                let Some(id) = self.last_turn().await? else { return Ok(None) };
                let request = RetryTurn { conversation_id: self.conversation_id.clone(), id: id.clone() };
                self.send_until_accepted(&request, &id).await.map(Some)
            }
            TurnRequest::Continue => {
                let Some(id) = self.last_turn().await? else { return Ok(None) };
                let request = ContinueTurn { conversation_id: self.conversation_id.clone(), id: id.clone() };
                self.send_until_accepted(&request, &id).await.map(Some)
            }
        }
    }

    /// The message's id makes repeated requests one message.
    async fn send_message(&mut self, text: &str) -> Result<String, ChatError> {
        let id = Uuid::new_v4().to_string();
        let message = SendMessage {
            conversation_id: Some(self.conversation_id.clone()),
            id: Some(id.clone()),
            text: text.to_owned(),
        };
        self.send_until_accepted(&message, &id).await
    }

    async fn last_turn(&self) -> Result<Option<String>, ChatError> {
        let conversation_id = self.conversation_id.clone();
        let newest = self.api.call(&GetEvents { conversation_id, limit: Some(1), ..GetEvents::default() }).await?;
        Ok(newest.events.and_then(|events| events.items.into_iter().next_back()?.turn_id))
    }

    /// Repeats a request until the API accepts it, and returns the id of its turn. If the conversation is
    /// busy with that very turn, an earlier request was accepted and its response lost.
    async fn send_until_accepted<R>(&mut self, request: &R, turn_id: &str) -> Result<String, ChatError>
    where
        R: Request<Answer = Turn>,
    {
        let mut retries = 0;
        loop {
            let response = tokio::select! {
                response = self.api.call(request) => response,
                Some(()) = self.interrupts.next() => return Err(ChatError::LeftEarly),
            };
            let error = match response {
                Ok(turn) => return Ok(turn.id),
                Err(error) => error,
            };
            match active_turn(&error) {
                Some(active) if active == turn_id => return Ok(active),
                Some(active) => self.wait_for_end(&active).await?,
                None if error.is_transient() && retries < MAX_RETRIES => sleep_before_retry(&mut retries).await,
                None => return Err(error.into()),
            }
        }
    }

    async fn wait_for_end(&mut self, turn_id: &str) -> Result<(), ChatError> {
        self.renderer.note("An earlier message is still being answered.")?;
        self.follower.expect_turn(turn_id);
        self.cancellation = Cancellation::NotRequested;
        while !matches!(self.next_change(turn_id).await?, Change::Ended(_)) {}
        Ok(())
    }

    async fn print_answer(&mut self, turn_id: &str) -> Result<TurnEnd, ChatError> {
        self.cancellation = Cancellation::NotRequested;
        loop {
            match self.next_change(turn_id).await? {
                Change::Appended(text) => self.renderer.append(&text)?,
                Change::Replaced(text) => self.renderer.replace(&text)?,
                Change::Note(note) => self.renderer.note(&note)?,
                Change::ToolCalled(call) => self.renderer.tool_call(&call)?,
                Change::ToolResult(result) => self.renderer.tool_result(&result)?,
                Change::Ended(end) => return Ok(end),
                Change::Waiting(calls) => {
                    for call in calls {
                        self.renderer.note(&format!("Waits for an answer to the call of {}", call.name))?;
                    }
                }
                // The result follows.
                Change::ToolProgress(_) => {}
                Change::Question(_) | Change::Reopened => {}
            }
        }
    }

    /// The next change of a turn. The first Ctrl-C meanwhile cancels the turn, the second one leaves.
    async fn next_change(&mut self, turn_id: &str) -> Result<Change, ChatError> {
        loop {
            tokio::select! {
                next = self.follower.next() => {
                    let next = next?;
                    if next.turn_id == turn_id {
                        return Ok(next.change);
                    }
                }
                Some(()) = self.interrupts.next() => self.cancel_or_leave(turn_id)?,
                result = self.cancellation.result() => match result {
                    Ok(turn) => {
                        self.cancellation = Cancellation::Accepted;
                        self.follower.expect_turn(&turn.id);
                    }
                    Err(error) => {
                        self.cancellation = Cancellation::NotRequested;
                        self.renderer.note(&format!("The answer cannot be cancelled: {error}"))?;
                    }
                },
            }
        }
    }

    fn cancel_or_leave(&mut self, turn_id: &str) -> Result<(), ChatError> {
        match self.cancellation {
            Cancellation::NotRequested => {}
            Cancellation::InFlight(_) | Cancellation::Accepted => return Err(ChatError::LeftEarly),
        }
        self.renderer.note("Cancelling. Ctrl-C again leaves.")?;
        let request = CancelTurn { conversation_id: self.conversation_id.clone(), id: turn_id.to_owned() };
        self.cancellation = Cancellation::InFlight(cancel(self.api.clone(), request).boxed());
        Ok(())
    }
}

impl Cancellation {
    /// Never returns unless a cancellation is in flight. Must not be polled again after it has returned.
    async fn result(&mut self) -> Result<Turn, Error> {
        match self {
            Self::InFlight(request) => request.await,
            Self::NotRequested | Self::Accepted => pending().await,
        }
    }
}

async fn cancel(api: AppSync, request: CancelTurn) -> Result<Turn, Error> {
    let mut retries = 0;
    loop {
        match api.call(&request).await {
            Err(error) if error.is_transient() && retries < MAX_RETRIES => sleep_before_retry(&mut retries).await,
            result => return result,
        }
    }
}

async fn sleep_before_retry(retries: &mut u32) {
    *retries += 1;
    tokio::time::sleep(RETRY_BACKOFF.delay(*retries, fastrand::f64())).await;
}

/// The turn with which the conversation is busy, if the error says so.
fn active_turn(error: &Error) -> Option<String> {
    let busy = error.api_error().filter(|error| error.error_type == Some(ErrorType::ConversationBusy))?;
    busy.error_info.as_ref()?.get("turnId")?.as_str().map(str::to_owned)
}
