//! The runs of one step's tools: which to start, which calls wait for an answer, and their results.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use api::{
    text::is_blank,
    types::{ContentBlock, ToolCall, ToolResult, ToolStatus, ToolUse},
};

use crate::{
    claim::Claim,
    model::{Guardrail, ToolOutput},
    mutation::EndReason,
    tool::{CallAnswer, Caller, MAX_RESULT_BYTES, StoredCalls, Tool, ToolOutcome, ToolRun, is_cut},
    tool_calls::{Call, Refusal},
    transcript::UNKNOWN_RESULT,
};

/// The most tools that run at the same time.
pub const MAX_CONCURRENT_RUNS: usize = 8;

/// The result of a call that nobody answered.
const NOT_ANSWERED: &str = "Nobody answered in time.";
/// The result of an approved call of a wait that has expired. The same as in prepareClosingEvent.js.
const OTHERS_NOT_ANSWERED: &str = "Nobody answered the other calls in time, so this call was not run.";

#[derive(Debug)]
pub struct ToolRuns {
    /// The calls whose results are not published.
    calls: Vec<(ToolUse, CallState)>,
    /// The position of the event with the calls, once it is published.
    position: Option<u32>,
    /// Whether the event with the calls is stored. No tool runs before.
    is_stored: bool,
    /// Why the answer ends after this step, if it does.
    end: Option<EndReason>,
    has_tools_to_stop: bool,
    /// Whether the states of the pending calls were returned.
    is_pending_reported: bool,
    /// Whether the calls to wait for were returned.
    is_wait_taken: bool,
    max_result_bytes: usize,
    guardrail: Option<Guardrail>,
}

#[derive(Debug)]
enum CallState {
    /// A person or a client is to answer the call. The status says which.
    Pending(ToolStatus),
    /// The tool can be run, or has been run by a client and its outcome is to be assessed.
    Ready(Arc<Tool>, Option<ToolOutcome>),
    Running,
    Done(ToolResult),
}

impl ToolRuns {
    /// `event_max_bytes`: the room for the results of all calls together, in JSON-escaped bytes.
    pub fn new(calls: Vec<Call>, event_max_bytes: usize, guardrail: Option<Guardrail>) -> Self {
        let max_result_bytes = max_result_bytes(calls.len(), event_max_bytes);
        let calls = calls.into_iter().map(|Call { tool_use, tool, answer }| {
            let state = match (tool, answer) {
                (Ok(tool), Some(CallAnswer::Result { json, is_error }))
                    if guardrail.is_some() && is_for_client(&tool) =>
                {
                    CallState::Ready(tool, Some(given_outcome(json, is_error)))
                }
                (tool, answer) => first_state(&tool_use, tool, answer, max_result_bytes),
            };
            (tool_use, state)
        });
        Self {
            calls: calls.collect(),
            position: None,
            is_stored: false,
            end: None,
            has_tools_to_stop: false,
            is_pending_reported: false,
            is_wait_taken: false,
            max_result_bytes,
            guardrail,
        }
    }

    /// The runs of calls whose event was stored by an earlier attempt.
    pub fn of_stored_calls(
        calls: Vec<Call>,
        position: u32,
        event_max_bytes: usize,
        guardrail: Option<Guardrail>,
    ) -> Self {
        Self { position: Some(position), is_stored: true, ..Self::new(calls, event_max_bytes, guardrail) }
    }

    /// The event with the calls was published.
    pub fn on_event_published(&mut self, position: u32) {
        self.position = Some(position);
    }

    /// Everything that was published is stored.
    pub fn on_published_stored(&mut self) {
        self.is_stored = self.position.is_some();
    }

    /// The states of the pending calls, to be published once while other calls of the step run.
    pub fn take_pending_states(&mut self) -> Vec<ToolCall> {
        if self.is_pending_reported || !self.is_stored {
            return Vec::new();
        }
        self.is_pending_reported = true;
        if self.is_settled() { Vec::new() } else { self.pending_calls() }
    }

    /// The next tool to run.
    pub fn next_run(
        &mut self,
        claim: &Claim,
        caller: &Caller,
        timeout: Duration,
        deadline: Instant,
        now: Instant,
    ) -> Option<ToolRun> {
        let position = self.position.filter(|_| self.is_stored)?;
        let running = self.calls.iter().filter(|(_, state)| matches!(state, CallState::Running)).count();
        if running == MAX_CONCURRENT_RUNS {
            return None;
        }
        let (tool_use, state) = self.calls.iter_mut().find(|(_, state)| matches!(state, CallState::Ready(..)))?;
        let CallState::Ready(tool, given) = std::mem::replace(state, CallState::Running) else { return None };
        Some(ToolRun {
            claim: claim.clone(),
            caller: caller.clone(),
            position,
            tool,
            tool_use: tool_use.clone(),
            given,
            guardrail: self.guardrail.clone(),
            until: (now + timeout).min(deadline),
        })
    }

    /// Whether running tools are to be stopped. True once after a stop.
    pub fn take_stop(&mut self) -> bool {
        std::mem::take(&mut self.has_tools_to_stop)
    }

    /// The name of a call's tool.
    pub fn tool_name(&self, tool_use_id: &str) -> Option<&str> {
        let (tool_use, _) = self.calls.iter().find(|(tool_use, _)| tool_use.id == tool_use_id)?;
        Some(&tool_use.name)
    }

    /// The largest size of one result, in JSON-escaped bytes.
    pub fn max_result_bytes(&self) -> usize {
        self.max_result_bytes
    }

    /// A tool has ended. Returns the progress to publish, unless the results of the step follow at once.
    pub fn on_finished(&mut self, tool_use_id: &str, outcome: ToolOutcome) -> Option<ToolCall> {
        let max_bytes = self.max_result_bytes;
        let (tool_use, state) = self.calls.iter_mut().find(|(tool_use, _)| tool_use.id == tool_use_id)?;
        if !matches!(state, CallState::Running) {
            return None;
        }
        let status = outcome.status;
        let progress = call_state(tool_use, status);
        *state = CallState::Done(to_result(tool_use, outcome, max_bytes));
        (!self.is_settled()).then_some(progress)
    }

    /// The answer ends: the tools that run are stopped, the others are not started, and no call waits.
    pub fn stop(&mut self, reason: EndReason) {
        self.end = Some(reason);
        for (tool_use, state) in &mut self.calls {
            let text = match state {
                CallState::Pending(_) | CallState::Ready(..) => "The answer was ended before the tool was run.",
                CallState::Running => "The answer was ended while the tool ran. What the tool did is not known.",
                CallState::Done(_) => continue,
            };
            self.has_tools_to_stop |= matches!(state, CallState::Running);
            let output = ToolOutput::Text(text.to_owned());
            let outcome = ToolOutcome { status: ToolStatus::Cancelled, output, started_at: None, ended_at: None };
            *state = CallState::Done(to_result(tool_use, outcome, usize::MAX));
        }
    }

    /// Whether the calls are stored, no tool runs, and none is to be run.
    pub fn is_settled(&self) -> bool {
        let is_settled = |state: &CallState| matches!(state, CallState::Pending(_) | CallState::Done(_));
        self.is_stored && self.calls.iter().all(|(_, state)| is_settled(state))
    }

    /// Whether nothing is left but to wait for answers.
    pub fn is_waiting(&self) -> bool {
        self.is_settled() && self.calls.iter().any(|(_, state)| matches!(state, CallState::Pending(_)))
    }

    /// The calls to wait for, and the position of their event. `None` if they were returned before, or if
    /// there is nothing to wait for.
    pub fn take_wait(&mut self) -> Option<(Vec<ToolCall>, u32)> {
        let position = self.position?;
        if self.is_wait_taken || !self.is_waiting() {
            return None;
        }
        self.is_wait_taken = true;
        Some((self.pending_calls(), position))
    }

    fn pending_calls(&self) -> Vec<ToolCall> {
        let pending = self.calls.iter().filter_map(|(tool_use, state)| match state {
            CallState::Pending(status) => Some(call_state(tool_use, *status)),
            CallState::Ready(..) | CallState::Running | CallState::Done(_) => None,
        });
        pending.collect()
    }

    /// Why the answer ends after this step, if it does.
    pub fn end(&self) -> Option<EndReason> {
        self.end
    }

    /// One block for each call with a result, in their order. Each result is returned once.
    pub fn take_results(&mut self) -> Vec<ContentBlock> {
        let is_done = |(_, state): &mut (ToolUse, CallState)| matches!(state, CallState::Done(_));
        let results = self.calls.extract_if(.., is_done).filter_map(|(_, state)| match state {
            CallState::Done(result) => Some(result),
            CallState::Pending(_) | CallState::Ready(..) | CallState::Running => None,
        });
        results.map(ContentBlock::tool_result).collect()
    }
}

/// One block for each call of a wait that has expired: what its answer implies, or that it was not run.
pub fn results_of_expired_wait(stored: StoredCalls, event_max_bytes: usize) -> Vec<ContentBlock> {
    let StoredCalls { calls, answers, .. } = stored;
    let max_bytes = max_result_bytes(calls.len(), event_max_bytes);
    let result = |call: ToolUse| {
        let answer = answers.get(&call.id);
        let is_approved = answer == Some(&CallAnswer::Approved);
        let text = if is_approved { OTHERS_NOT_ANSWERED } else { NOT_ANSWERED };
        let result = answer.and_then(|answer| answer_result(&call, answer, max_bytes));
        result.unwrap_or_else(|| not_run(&call, ToolStatus::Expired, ToolOutput::Text(text.to_owned()), usize::MAX))
    };
    calls.into_iter().map(result).map(ContentBlock::tool_result).collect()
}

/// In JSON-escaped bytes.
fn max_result_bytes(call_count: usize, event_max_bytes: usize) -> usize {
    (event_max_bytes / call_count.max(1)).min(MAX_RESULT_BYTES)
}

/// An approval counts for the stored call: the arguments never come from the answer. An answer of the wrong
/// kind does not count.
fn first_state(
    tool_use: &ToolUse,
    tool: Result<Arc<Tool>, Refusal>,
    answer: Option<CallAnswer>,
    max_bytes: usize,
) -> CallState {
    let is_for_clients = tool.as_ref().map_or(true, |tool| is_for_client(tool));
    let answer = answer.filter(|answer| is_for_clients || !matches!(answer, CallAnswer::Result { .. }));
    if let Some(result) = answer.as_ref().and_then(|answer| answer_result(tool_use, answer, max_bytes)) {
        return CallState::Done(result);
    }
    match tool {
        Err(refusal) => CallState::Done(not_run(tool_use, Refusal::status(), refusal.into_output(), usize::MAX)),
        Ok(tool) => match tool.pending_status() {
            Some(ToolStatus::ApprovalNeeded) if answer == Some(CallAnswer::Approved) => CallState::Ready(tool, None),
            Some(status) => CallState::Pending(status),
            None => CallState::Ready(tool, None),
        },
    }
}

fn is_for_client(tool: &Tool) -> bool {
    tool.pending_status() == Some(ToolStatus::ClientNeeded)
}

fn given_outcome(json: String, is_error: bool) -> ToolOutcome {
    let status = if is_error { ToolStatus::Failed } else { ToolStatus::Succeeded };
    ToolOutcome { status, output: ToolOutput::Json(json), started_at: None, ended_at: None }
}

/// The result that an answer implies. `None` for an approval: the tool is to be run.
fn answer_result(tool_use: &ToolUse, answer: &CallAnswer, max_bytes: usize) -> Option<ToolResult> {
    let (status, output) = match answer {
        CallAnswer::Approved => return None,
        CallAnswer::Denied { reason } => (ToolStatus::Denied, ToolOutput::Text(denial(reason.as_deref()))),
        CallAnswer::Result { json, is_error: true } => (ToolStatus::Failed, ToolOutput::Json(json.clone())),
        CallAnswer::Result { json, is_error: false } => (ToolStatus::Succeeded, ToolOutput::Json(json.clone())),
        CallAnswer::NoLongerCounts => (ToolStatus::Unknown, ToolOutput::Text(UNKNOWN_RESULT.to_owned())),
    };
    Some(not_run(tool_use, status, output, max_bytes))
}

/// The result of a call whose tool this attempt does not run.
fn not_run(tool_use: &ToolUse, status: ToolStatus, output: ToolOutput, max_bytes: usize) -> ToolResult {
    to_result(tool_use, ToolOutcome { status, output, started_at: None, ended_at: None }, max_bytes)
}

fn denial(reason: Option<&str>) -> String {
    match reason.filter(|reason| !is_blank(reason)) {
        Some(reason) => format!("The user denied this call. Reason: {reason}"),
        None => "The user denied this call.".to_owned(),
    }
}

fn call_state(tool_use: &ToolUse, status: ToolStatus) -> ToolCall {
    let ToolUse { id, name, title, .. } = tool_use.clone();
    ToolCall { id, name, title, status, note: None }
}

fn to_result(tool_use: &ToolUse, outcome: ToolOutcome, max_bytes: usize) -> ToolResult {
    let ToolOutcome { status, output, started_at, ended_at } = outcome.cut_to(max_bytes);
    let is_truncated = matches!(&output, ToolOutput::Text(text) if is_cut(text));
    let (json, text) = match output {
        ToolOutput::Json(json) => (Some(json), None),
        ToolOutput::Text(text) => (None, Some(text)),
    };
    ToolResult {
        tool_use_id: tool_use.id.clone(),
        status,
        json,
        text,
        truncated: is_truncated.then_some(true),
        started_at,
        ended_at,
    }
}
