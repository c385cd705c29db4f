//! A chat session: sends messages to one conversation and prints the answers.
mod pending_calls;

use std::{future::pending, io::Write, time::Duration};

use api::backoff::Backoff;
use client::{
    AppSync, Error, Follower,
    errors::ErrorType,
    reassembly::{Change, ConversationChange, TurnEnd},
    requests::{CancelTurn, ContinueTurn, GetEvents, GetTurn, Request, RetryTurn, SendMessage},
    schema::{Turn, TurnStatus},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use tokio::io::{AsyncBufRead, Lines};
use uuid::Uuid;

use super::{ChatError, Outcome, input::TurnRequest, renderer::Renderer, tool_command::ToolCommand};

/// How often a request is repeated after transient errors.
const MAX_RETRIES: u32 = 5;
const RETRY_BACKOFF: Backoff = Backoff::half_jitter(Duration::from_millis(250), Duration::from_secs(8));

pub(super) struct Session<I, O> {
    api: AppSync,
    conversation_id: String,
    caller_id: String,
    follower: Follower,
    /// The commands that run tools of clients.
    tools: Vec<ToolCommand>,
    /// Whether the caller has sent the message that is being answered, or has asked for its answer again.
    /// Only the user who did so last can give the result of a tool.
    is_asker: bool,
    renderer: Renderer<O>,
    /// What the user types; `None` where nobody can be asked.
    lines: Option<Lines<I>>,
    interrupts: BoxStream<'static, ()>,
    cancellation: Cancellation,
    /// The ids of the pending tool calls that were printed since the last request.
    printed_calls: Vec<String>,
}

/// A conversation that is followed.
pub(super) struct Connection {
    pub api: AppSync,
    pub conversation_id: String,
    pub caller_id: String,
    pub follower: Follower,
}

/// The cancellation of the turn whose answer is awaited.
enum Cancellation {
    NotRequested,
    InFlight(BoxFuture<'static, Result<Turn, Error>>),
    Accepted,
}

impl<I: AsyncBufRead + Unpin, O: Write> Session<I, O> {
    pub fn new(
        connection: Connection,
        tools: Vec<ToolCommand>,
        renderer: Renderer<O>,
        lines: Option<Lines<I>>,
        interrupts: BoxStream<'static, ()>,
    ) -> Self {
        let Connection { api, conversation_id, caller_id, follower } = connection;
        Self {
            api,
            conversation_id,
            caller_id,
            follower,
            tools,
            is_asker: true,
            renderer,
            lines,
            interrupts,
            cancellation: Cancellation::NotRequested,
            printed_calls: Vec::new(),
        }
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

    /// The next line of the input; `None` at its end or after Ctrl-C. Answers to messages of other clients
    /// are not printed meanwhile.
    pub async fn next_line(&mut self) -> Result<Option<String>, ChatError> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        loop {
            tokio::select! {
                line = lines.next_line() => return Ok(line?),
                change = self.follower.next() => {
                    if let ConversationChange::Titled(title) = change? {
                        self.renderer.note(&title_note(&title))?;
                        self.renderer.prompt()?;
                    }
                }
                Some(()) = self.interrupts.next() => return Ok(None),
            }
        }
    }

    /// Goes on with an answer that waits for tool calls since an earlier session.
    pub async fn resume_wait(&mut self) -> Result<Outcome, ChatError> {
        let conversation_id = self.conversation_id.clone();
        let newest = self.api.call(&GetEvents { conversation_id, limit: Some(1), ..GetEvents::default() }).await?;
        match newest.active_turn {
            Some(turn) if turn.status == TurnStatus::Waiting => {
                self.is_asker = self.has_asked(&turn.id).await?;
                self.follow_to_end(&turn.id).await
            }
            _ => Ok(Outcome::Answered),
        }
    }

    /// Whether the caller has sent the message of a turn. A message with the API key has no sender.
    async fn has_asked(&self, turn_id: &str) -> Result<bool, ChatError> {
        let (conversation_id, id) = (self.conversation_id.clone(), turn_id.to_owned());
        let turn = self.api.call(&GetTurn { conversation_id, id, ..GetTurn::default() }).await?;
        let sender_id = turn.question.and_then(|question| question.sender.id);
        Ok(sender_id.is_none_or(|id| id == self.caller_id))
    }

    /// Starts a turn and prints its answer.
    pub async fn answer(&mut self, request: TurnRequest<'_>) -> Result<Outcome, ChatError> {
        let Some(turn_id) = self.submit(request).await? else {
            self.renderer.note("The conversation has no message yet.")?;
            return Ok(Outcome::Answered);
        };
        self.is_asker = true;
        self.follow_to_end(&turn_id).await
    }

    async fn follow_to_end(&mut self, turn_id: &str) -> Result<Outcome, ChatError> {
        self.follower.expect_turn(turn_id);
        let end = self.print_answer(turn_id).await?;
        self.renderer.end(&end)?;
        Ok(match end.status {
            TurnStatus::Failed => Outcome::Failed,
            _ => Outcome::Answered,
        })
    }

    /// Returns the id of the turn that will be answered; None if there is no turn to retry, continue or
    /// replace.
    async fn submit(&mut self, request: TurnRequest<'_>) -> Result<Option<String>, ChatError> {
        match request {
            TurnRequest::Send { text } => self.send_message(text, None).await.map(Some),
            TurnRequest::Edit { text } => {
                let Some(id) = self.last_turn().await? else { return Ok(None) };
                self.send_message(text, Some(id)).await.map(Some)
            }
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
    async fn send_message(&mut self, text: &str, replaces_turn_id: Option<String>) -> Result<String, ChatError> {
        let id = Uuid::new_v4().to_string();
        let message = SendMessage {
            conversation_id: Some(self.conversation_id.clone()),
            id: Some(id.clone()),
            text: text.to_owned(),
            replaces_turn_id,
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
        // A message ends a wait for tool calls.
        while !matches!(self.next_change(turn_id).await?, Change::Ended(_) | Change::Waiting(_)) {}
        Ok(())
    }

    async fn print_answer(&mut self, turn_id: &str) -> Result<TurnEnd, ChatError> {
        self.cancellation = Cancellation::NotRequested;
        self.printed_calls.clear();
        loop {
            match self.next_change(turn_id).await? {
                Change::Appended(text) => self.renderer.append(&text)?,
                Change::Replaced(text) => self.renderer.replace(&text)?,
                Change::ReasoningAppended { content_block_index, text } => {
                    self.renderer.append_reasoning(content_block_index, &text)?;
                }
                Change::ReasoningCleared => self.renderer.clear_reasoning(),
                Change::Reasoned(blocks) => self.renderer.reasoning(&blocks)?,
                Change::Note(note) => self.renderer.note(&note)?,
                Change::ToolCalled(call) => self.renderer.tool_call(&call)?,
                Change::ToolResult(result) => self.renderer.tool_result(&result)?,
                Change::Cited(citations) => self.renderer.cite(citations),
                Change::Ended(end) => return Ok(end),
                Change::Waiting(calls) => self.answer_calls(turn_id, &calls).await?,
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
                    match next? {
                        ConversationChange::Turn(next) if next.turn_id == turn_id => return Ok(next.change),
                        ConversationChange::Turn(_) => {}
                        ConversationChange::Titled(title) => self.renderer.note(&title_note(&title))?,
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
        let api = self.api.clone();
        let cancel = async move { send_repeatedly(&api, &request).await };
        self.cancellation = Cancellation::InFlight(cancel.boxed());
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

/// Sends a request that may be repeated, until something else than a transient error answers it.
async fn send_repeatedly<R: Request<Answer = Turn>>(api: &AppSync, request: &R) -> Result<Turn, Error> {
    let mut retries = 0;
    loop {
        match api.call(request).await {
            Err(error) if error.is_transient() && retries < MAX_RETRIES => sleep_before_retry(&mut retries).await,
            result => return result,
        }
    }
}

async fn sleep_before_retry(retries: &mut u32) {
    *retries += 1;
    tokio::time::sleep(RETRY_BACKOFF.delay(*retries, fastrand::f64())).await;
}

fn title_note(title: &str) -> String {
    format!("Title: {title}")
}

/// The turn with which the conversation is busy, if the error says so.
fn active_turn(error: &Error) -> Option<String> {
    let busy = error.api_error().filter(|error| error.error_type == Some(ErrorType::ConversationBusy))?;
    busy.error_info.as_ref()?.get("turnId")?.as_str().map(str::to_owned)
}
