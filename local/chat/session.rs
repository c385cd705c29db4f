//! A chat session: sends messages to one conversation and prints the answers.
use std::{
    future::pending,
    io::Write,
    time::{Duration, Instant},
};

use api::backoff::Backoff;
use client::{
    AppSync, Error, Follower,
    errors::ErrorType,
    reassembly::{Change, TurnEnd},
    requests::{AnswerToolCall, CancelTurn, ContinueTurn, GetEvents, GetTurn, Request, RetryTurn, SendMessage},
    schema::{ToolCall, ToolStatus, Turn, TurnStatus},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use tokio::io::{AsyncBufRead, Lines};
use uuid::Uuid;

use super::{
    ChatError, Outcome,
    input::{TurnRequest, parse_approval},
    renderer::Renderer,
    tool_command::{self, CommandCall, CommandResult, ToolCommand},
};

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
    /// Whether the answer is one for the caller: only the user who asked may give the result of a tool.
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

/// What the user does about a question.
enum Reply {
    Line(String),
    EndOfInput,
    Interrupt,
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
                change = self.follower.next() => drop(change?),
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
                Change::Note(note) => self.renderer.note(&note)?,
                Change::ToolCalled(call) => self.renderer.tool_call(&call)?,
                Change::ToolResult(result) => self.renderer.tool_result(&result)?,
                Change::Ended(end) => return Ok(end),
                Change::Waiting(calls) => self.answer_calls(turn_id, &calls).await?,
                // The result follows.
                Change::ToolProgress(_) => {}
                Change::Question(_) | Change::Reopened => {}
            }
        }
    }

    /// Prints the calls that wait, runs the commands of those that are for clients, and asks about those that
    /// need an approval. Fails where nobody can be asked.
    async fn answer_calls(&mut self, turn_id: &str, calls: &[ToolCall]) -> Result<(), ChatError> {
        let mut needs_page = false;
        for call in calls.iter().filter(|call| call.status == ToolStatus::ClientNeeded) {
            let Some((command, input)) = self.command_of(call) else {
                needs_page = true;
                self.print_pending_call(call)?;
                continue;
            };
            if self.is_first_sight(call) && !self.run_command(turn_id, call, &command, &input).await? {
                return Ok(());
            }
        }
        for call in calls.iter().filter(|call| call.status == ToolStatus::ApprovalNeeded) {
            let is_new = self.print_pending_call(call)?;
            if is_new && self.lines.is_some() && !self.decide(turn_id, call).await? {
                return Ok(());
            }
        }
        let needs_approval = calls.iter().any(|call| call.status == ToolStatus::ApprovalNeeded);
        if self.lines.is_none() && needs_approval {
            return Err(ChatError::WaitsForApproval);
        }
        if needs_page && (self.lines.is_none() || !self.renderer.is_terminal()) {
            return Err(ChatError::WaitsForPage);
        }
        Ok(())
    }

    /// The command that runs a call of the caller's own answer, and the call's arguments.
    fn command_of(&self, call: &ToolCall) -> Option<(ToolCommand, String)> {
        let command = self.tools.iter().find(|tool| self.is_asker && tool.name == call.name)?;
        Some((command.clone(), self.renderer.input_of(call)?.to_owned()))
    }

    /// Runs the command of a call, and sends its result. Returns false if the user cancels the turn instead.
    async fn run_command(
        &mut self,
        turn_id: &str,
        call: &ToolCall,
        command: &ToolCommand,
        input: &str,
    ) -> Result<bool, ChatError> {
        self.renderer.note(&format!("{} runs by the command: {command}", call.name))?;
        let conversation_id = self.conversation_id.clone();
        let started_at = Instant::now();
        let command_call = CommandCall { conversation_id: &conversation_id, turn_id, tool_use_id: &call.id, input };
        let result = tokio::select! {
            result = command.run(command_call, tool_command::TIME_LIMIT) => result,
            Some(()) = self.interrupts.next() => {
                self.renderer.note(&format!("The command of {} was killed.", call.name))?;
                return self.cancel_or_leave(turn_id).map(|()| false);
            }
        };
        let seconds = started_at.elapsed().as_secs_f64();
        self.renderer.note(&format!("The command of {} ended after {seconds:.1} s.", call.name))?;
        if let Err(error) = self.send_result(turn_id, call, &result).await? {
            self.renderer.note(&format!("The result was not accepted: {error}"))?;
            // Only the API decides which JSON it takes. The turn must not wait for a result that never comes.
            let result = CommandResult::error("The tool's result was not accepted.");
            self.send_result(turn_id, call, &result).await??;
        }
        self.follower.expect_turn(turn_id);
        Ok(true)
    }

    /// The inner error says that the API refuses the result.
    async fn send_result(
        &mut self,
        turn_id: &str,
        call: &ToolCall,
        result: &CommandResult,
    ) -> Result<Result<(), Error>, ChatError> {
        let answer = AnswerToolCall {
            result: Some(result.json.clone()),
            is_error: Some(result.is_error),
            ..self.answer_to(turn_id, call)
        };
        match self.send_answer(&answer).await? {
            Err(error) if is_invalid(&error) => Ok(Err(error)),
            Err(error) if is_answered(&error) => Ok(Ok(self.renderer.note(&error.to_string())?)),
            result => Ok(Ok(result?)),
        }
    }

    fn answer_to(&self, turn_id: &str, call: &ToolCall) -> AnswerToolCall {
        AnswerToolCall {
            conversation_id: self.conversation_id.clone(),
            turn_id: turn_id.to_owned(),
            tool_use_id: call.id.clone(),
            ..AnswerToolCall::default()
        }
    }

    /// Sends the answer to a call. The inner error is the API's.
    async fn send_answer(&mut self, answer: &AnswerToolCall) -> Result<Result<(), Error>, ChatError> {
        tokio::select! {
            result = send_repeatedly(&self.api, answer) => Ok(result.map(drop)),
            Some(()) = self.interrupts.next() => Err(ChatError::LeftEarly),
        }
    }

    /// Returns whether the call was not printed before.
    fn print_pending_call(&mut self, call: &ToolCall) -> Result<bool, ChatError> {
        let is_first_sight = self.is_first_sight(call);
        if is_first_sight {
            self.renderer.pending_call(call)?;
        }
        Ok(is_first_sight)
    }

    /// True when it is called for the first time for a call since the last request.
    fn is_first_sight(&mut self, call: &ToolCall) -> bool {
        let is_first_sight = !self.printed_calls.contains(&call.id);
        if is_first_sight {
            self.printed_calls.push(call.id.clone());
        }
        is_first_sight
    }

    /// Asks whether to run a call, and sends the answer. Returns false if the user cancels the turn instead.
    async fn decide(&mut self, turn_id: &str, call: &ToolCall) -> Result<bool, ChatError> {
        loop {
            let approved = match self.ask("Run it? [y/n]").await? {
                Reply::Line(line) => parse_approval(&line),
                Reply::EndOfInput => return Err(ChatError::WaitsForApproval),
                Reply::Interrupt => return self.cancel_or_leave(turn_id).map(|()| false),
            };
            let reason = match approved {
                None => continue,
                Some(true) => None,
                Some(false) => match self.ask("Why not? (an empty line gives no reason)").await? {
                    Reply::Line(line) => Some(line.trim().to_owned()).filter(|reason| !reason.is_empty()),
                    Reply::EndOfInput => None,
                    Reply::Interrupt => return self.cancel_or_leave(turn_id).map(|()| false),
                },
            };
            let answer = AnswerToolCall { approved, reason, ..self.answer_to(turn_id, call) };
            match self.send_answer(&answer).await? {
                Ok(()) => {}
                // The wait is over, or somebody else has answered the call.
                Err(error) if is_answered(&error) => self.renderer.note(&error.to_string())?,
                Err(error) => {
                    self.renderer.note(&format!("The answer was not accepted: {error}"))?;
                    continue;
                }
            }
            self.follower.expect_turn(turn_id);
            return Ok(true);
        }
    }

    async fn ask(&mut self, question: &str) -> Result<Reply, ChatError> {
        let Some(lines) = &mut self.lines else { return Ok(Reply::EndOfInput) };
        self.renderer.question(question)?;
        tokio::select! {
            line = lines.next_line() => Ok(line?.map_or(Reply::EndOfInput, Reply::Line)),
            Some(()) = self.interrupts.next() => Ok(Reply::Interrupt),
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

fn is_answered(error: &Error) -> bool {
    let error_type = error.api_error().and_then(|error| error.error_type.as_ref());
    matches!(error_type, Some(ErrorType::NotPending | ErrorType::ToolCallAnswered))
}

/// Whether a resolver or AppSync refuses what a request contains.
fn is_invalid(error: &Error) -> bool {
    let Some(error) = error.api_error() else { return false };
    matches!(error.error_type, None | Some(ErrorType::InvalidInput | ErrorType::Other(_)))
}

/// The turn with which the conversation is busy, if the error says so.
fn active_turn(error: &Error) -> Option<String> {
    let busy = error.api_error().filter(|error| error.error_type == Some(ErrorType::ConversationBusy))?;
    busy.error_info.as_ref()?.get("turnId")?.as_str().map(str::to_owned)
}
