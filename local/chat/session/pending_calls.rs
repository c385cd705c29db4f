//! Answers the tool calls that a turn waits for: by the user's decisions, and by the results of commands.
use std::{io::Write, time::Instant};

use client::{
    Error,
    errors::ErrorType,
    requests::AnswerToolCall,
    schema::{ToolCall, ToolStatus},
};
use futures::StreamExt;
use tokio::io::AsyncBufRead;

use super::{Session, send_repeatedly};
use crate::chat::{
    ChatError,
    input::parse_approval,
    tool_command::{self, CommandCall, CommandResult, ToolCommand},
};

/// What the user does about a question.
enum Reply {
    Line(String),
    EndOfInput,
    Interrupt,
}

/// What has become of a call.
enum CallProgress {
    Answered,
    /// The caller may not answer it.
    LeftToOthers,
    /// The user cancels the turn instead.
    Cancelling,
}

/// How the API responds to the answer to a call.
#[derive(Debug)]
enum AnswerOutcome {
    Accepted,
    /// The wait is over, or somebody else has answered the call.
    NotNeeded(Error),
    /// The caller may not give this answer.
    NotAllowed(Error),
    /// A resolver or AppSync refuses what the answer contains.
    Invalid(Error),
}

impl AnswerOutcome {
    /// Errors that say nothing about the answer are returned.
    fn from_error(error: Error) -> Result<Self, Error> {
        let Some(api_error) = error.api_error() else { return Err(error) };
        match api_error.error_type {
            Some(ErrorType::NotPending | ErrorType::ToolCallAnswered) => Ok(Self::NotNeeded(error)),
            Some(ErrorType::Unauthorized) => Ok(Self::NotAllowed(error)),
            None | Some(ErrorType::InvalidInput | ErrorType::Other(_)) => Ok(Self::Invalid(error)),
            Some(_) => Err(error),
        }
    }
}

impl<I: AsyncBufRead + Unpin, O: Write> Session<I, O> {
    /// Prints the calls that wait, runs the commands of those that are for clients, and asks about those that
    /// need an approval. Fails where nobody can be asked, or nobody sees the end of a long wait.
    pub(super) async fn answer_calls(&mut self, turn_id: &str, calls: &[ToolCall]) -> Result<(), ChatError> {
        let (mut needs_page, mut needs_others) = (false, false);
        for call in calls.iter().filter(|call| call.status == ToolStatus::ClientNeeded) {
            let Some((command, input)) = self.command_of(call) else {
                needs_page = true;
                self.print_pending_call(call)?;
                continue;
            };
            if !self.is_first_sight(call) {
                continue;
            }
            match self.run_command(turn_id, call, &command, &input).await? {
                CallProgress::Answered => {}
                CallProgress::LeftToOthers => needs_others = true,
                CallProgress::Cancelling => return Ok(()),
            }
        }
        for call in calls.iter().filter(|call| call.status == ToolStatus::ApprovalNeeded) {
            let is_new = self.print_pending_call(call)?;
            if !is_new || self.lines.is_none() {
                continue;
            }
            match self.decide(turn_id, call).await? {
                CallProgress::Answered => {}
                CallProgress::LeftToOthers => needs_others = true,
                CallProgress::Cancelling => return Ok(()),
            }
        }
        let needs_approval = calls.iter().any(|call| call.status == ToolStatus::ApprovalNeeded);
        if self.lines.is_none() && needs_approval {
            return Err(ChatError::WaitsForApproval);
        }
        let is_watched = self.lines.is_some() && self.renderer.is_terminal();
        if needs_page && !is_watched {
            return Err(ChatError::WaitsForPage);
        }
        if needs_others && !is_watched {
            return Err(ChatError::WaitsForOthers);
        }
        Ok(())
    }

    /// The command that runs a call of the caller's own answer, and the call's arguments.
    fn command_of(&self, call: &ToolCall) -> Option<(ToolCommand, String)> {
        let command = self.tools.iter().find(|tool| self.is_asker && tool.name == call.name)?;
        Some((command.clone(), self.renderer.input_of(call)?.to_owned()))
    }

    /// Runs the command of a call, and sends its result.
    async fn run_command(
        &mut self,
        turn_id: &str,
        call: &ToolCall,
        command: &ToolCommand,
        input: &str,
    ) -> Result<CallProgress, ChatError> {
        self.renderer.note(&format!("{} runs by the command: {command}", call.name))?;
        let conversation_id = self.conversation_id.clone();
        let started_at = Instant::now();
        let command_call = CommandCall { conversation_id: &conversation_id, turn_id, tool_use_id: &call.id, input };
        let result = tokio::select! {
            result = command.run(command_call, tool_command::TIME_LIMIT) => result,
            Some(()) = self.interrupts.next() => {
                self.renderer.note(&format!("The command of {} was killed.", call.name))?;
                self.cancel_or_leave(turn_id)?;
                return Ok(CallProgress::Cancelling);
            }
        };
        let seconds = started_at.elapsed().as_secs_f64();
        self.renderer.note(&format!("The command of {} ended after {seconds:.1} s.", call.name))?;
        let mut outcome = self.send_result(turn_id, call, &result).await?;
        if let AnswerOutcome::Invalid(error) = outcome {
            self.renderer.note(&format!("The result was not accepted: {error}"))?;
            // Only the API decides which JSON it takes. The turn must not wait for a result that never comes.
            let result = CommandResult::error("The tool's result was not accepted.");
            outcome = self.send_result(turn_id, call, &result).await?;
        }
        match outcome {
            AnswerOutcome::Accepted => {}
            AnswerOutcome::NotNeeded(error) => self.renderer.note(&error.to_string())?,
            AnswerOutcome::NotAllowed(error) => {
                self.renderer.note(&format!("The result was not accepted: {error}"))?;
                return Ok(CallProgress::LeftToOthers);
            }
            AnswerOutcome::Invalid(error) => return Err(error.into()),
        }
        self.follower.expect_turn(turn_id);
        Ok(CallProgress::Answered)
    }

    async fn send_result(
        &mut self,
        turn_id: &str,
        call: &ToolCall,
        result: &CommandResult,
    ) -> Result<AnswerOutcome, ChatError> {
        let answer = AnswerToolCall {
            result: Some(result.json.clone()),
            is_error: Some(result.is_error),
            ..self.answer_to(turn_id, call)
        };
        Ok(self.send_answer(&answer).await??)
    }

    fn answer_to(&self, turn_id: &str, call: &ToolCall) -> AnswerToolCall {
        AnswerToolCall {
            conversation_id: self.conversation_id.clone(),
            turn_id: turn_id.to_owned(),
            tool_use_id: call.id.clone(),
            ..AnswerToolCall::default()
        }
    }

    /// Sends the answer to a call. The inner error is one that says nothing about the answer.
    async fn send_answer(&mut self, answer: &AnswerToolCall) -> Result<Result<AnswerOutcome, Error>, ChatError> {
        tokio::select! {
            result = send_repeatedly(&self.api, answer) => Ok(match result {
                Ok(_) => Ok(AnswerOutcome::Accepted),
                Err(error) => AnswerOutcome::from_error(error),
            }),
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

    /// Asks whether to run a call, and sends the answer. Asks again where the answer is not accepted.
    async fn decide(&mut self, turn_id: &str, call: &ToolCall) -> Result<CallProgress, ChatError> {
        loop {
            let approved = match self.ask("Run it? [y/n]").await? {
                Reply::Line(line) => parse_approval(&line),
                Reply::EndOfInput => return Err(ChatError::WaitsForApproval),
                Reply::Interrupt => {
                    self.cancel_or_leave(turn_id)?;
                    return Ok(CallProgress::Cancelling);
                }
            };
            let reason = match approved {
                None => continue,
                Some(true) => None,
                Some(false) => match self.ask("Why not? (an empty line gives no reason)").await? {
                    Reply::Line(line) => Some(line.trim().to_owned()).filter(|reason| !reason.is_empty()),
                    Reply::EndOfInput => None,
                    Reply::Interrupt => {
                        self.cancel_or_leave(turn_id)?;
                        return Ok(CallProgress::Cancelling);
                    }
                },
            };
            let answer = AnswerToolCall { approved, reason, ..self.answer_to(turn_id, call) };
            match self.send_answer(&answer).await? {
                Ok(AnswerOutcome::Accepted) => {}
                Ok(AnswerOutcome::NotNeeded(error)) => self.renderer.note(&error.to_string())?,
                // Whoever may not even deny a call waits for others.
                Ok(AnswerOutcome::NotAllowed(error)) if approved == Some(false) => {
                    self.renderer.note(&format!("The answer was not accepted: {error}"))?;
                    return Ok(CallProgress::LeftToOthers);
                }
                Ok(AnswerOutcome::NotAllowed(error) | AnswerOutcome::Invalid(error)) | Err(error) => {
                    self.renderer.note(&format!("The answer was not accepted: {error}"))?;
                    continue;
                }
            }
            self.follower.expect_turn(turn_id);
            return Ok(CallProgress::Answered);
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
}
