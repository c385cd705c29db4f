//! The runs of one step's tools: which to start, and their results.
use std::time::{Duration, Instant};

use api::types::{ContentBlock, ToolResult, ToolStatus, ToolUse};

use crate::{
    claim::Claim,
    json_size::{fitting_prefix, json_size},
    model::ToolOutput,
    mutation::{EndReason, ToolProgress},
    tool::{Caller, MAX_RESULT_BYTES, ToolOutcome, ToolRun},
    tool_calls::{Call, Refusal},
};

/// The most tools that run at the same time.
pub const MAX_CONCURRENT_RUNS: usize = 8;

/// Marks where the rest of a result was left out.
const TRUNCATION_MARK: &str = " [The rest of this result was left out because it is too long.]";

#[derive(Debug)]
pub struct ToolRuns {
    calls: Vec<(ToolUse, CallState)>,
    /// The position of the event with the calls, once it is published.
    position: Option<u32>,
    /// Whether the event with the calls is stored. No tool runs before.
    is_stored: bool,
    /// Why the answer ends after this step, if it does.
    end: Option<EndReason>,
    has_tools_to_stop: bool,
    max_result_bytes: usize,
}

#[derive(Debug)]
enum CallState {
    Waiting(std::sync::Arc<crate::tool::Tool>),
    Running,
    Done(ToolResult),
}

impl ToolRuns {
    /// `event_max_bytes`: the room for the results of all calls together, in JSON-escaped bytes.
    pub fn new(calls: Vec<Call>, event_max_bytes: usize) -> Self {
        let max_result_bytes = (event_max_bytes / calls.len().max(1)).min(MAX_RESULT_BYTES);
        let calls = calls.into_iter().map(|Call { tool_use, tool }| {
            let state = match tool {
                Ok(tool) => CallState::Waiting(tool),
                Err(refusal) => CallState::Done(refused(&tool_use, refusal)),
            };
            (tool_use, state)
        });
        Self {
            calls: calls.collect(),
            position: None,
            is_stored: false,
            end: None,
            has_tools_to_stop: false,
            max_result_bytes,
        }
    }

    /// The runs of calls whose event was stored by an earlier attempt.
    pub fn of_stored_calls(calls: Vec<Call>, position: u32, event_max_bytes: usize) -> Self {
        Self { position: Some(position), is_stored: true, ..Self::new(calls, event_max_bytes) }
    }

    /// The event with the calls was published.
    pub fn on_event_published(&mut self, position: u32) {
        self.position = Some(position);
    }

    /// Everything that was published is stored.
    pub fn on_published_stored(&mut self) {
        self.is_stored = self.position.is_some();
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
        let (tool_use, state) = self.calls.iter_mut().find(|(_, state)| matches!(state, CallState::Waiting(_)))?;
        let CallState::Waiting(tool) = std::mem::replace(state, CallState::Running) else { return None };
        Some(ToolRun {
            claim: claim.clone(),
            caller: caller.clone(),
            position,
            tool,
            tool_use: tool_use.clone(),
            until: (now + timeout).min(deadline),
        })
    }

    /// Whether running tools are to be stopped. True once after a stop.
    pub fn take_stop(&mut self) -> bool {
        std::mem::take(&mut self.has_tools_to_stop)
    }

    /// A tool has ended. Returns the progress to publish, unless the results of the step follow at once.
    pub fn on_finished(&mut self, tool_use_id: &str, outcome: ToolOutcome) -> Option<ToolProgress> {
        let max_bytes = self.max_result_bytes;
        let (tool_use, state) = self.calls.iter_mut().find(|(tool_use, _)| tool_use.id == tool_use_id)?;
        if !matches!(state, CallState::Running) {
            return None;
        }
        let status = outcome.status;
        let progress = ToolProgress { id: tool_use.id.clone(), name: tool_use.name.clone(), status };
        *state = CallState::Done(to_result(tool_use, outcome, max_bytes));
        (!self.is_done()).then_some(progress)
    }

    /// The answer ends: the tools that run are stopped, and the others are not started.
    pub fn stop(&mut self, reason: EndReason) {
        self.end = Some(reason);
        for (tool_use, state) in &mut self.calls {
            let text = match state {
                CallState::Waiting(_) => "The answer was ended before the tool was run.",
                CallState::Running => "The answer was ended while the tool ran. What the tool did is not known.",
                CallState::Done(_) => continue,
            };
            self.has_tools_to_stop |= matches!(state, CallState::Running);
            let output = ToolOutput::Text(text.to_owned());
            let outcome = ToolOutcome { status: ToolStatus::Cancelled, output, started_at: None, ended_at: None };
            *state = CallState::Done(to_result(tool_use, outcome, usize::MAX));
        }
    }

    /// Whether the calls are stored and each has a result.
    pub fn is_done(&self) -> bool {
        self.is_stored && self.calls.iter().all(|(_, state)| matches!(state, CallState::Done(_)))
    }

    /// Why the answer ends after this step, if it does.
    pub fn end(&self) -> Option<EndReason> {
        self.end
    }

    /// One block for each call, in their order.
    pub fn results(&self) -> Vec<ContentBlock> {
        let results = self.calls.iter().filter_map(|(_, state)| match state {
            CallState::Done(result) => Some(result.clone()),
            CallState::Waiting(_) | CallState::Running => None,
        });
        results.map(ContentBlock::tool_result).collect()
    }
}

fn refused(tool_use: &ToolUse, refusal: Refusal) -> ToolResult {
    let output = refusal.into_output();
    let outcome = ToolOutcome { status: Refusal::status(), output, started_at: None, ended_at: None };
    to_result(tool_use, outcome, usize::MAX)
}

fn to_result(tool_use: &ToolUse, outcome: ToolOutcome, max_bytes: usize) -> ToolResult {
    let ToolOutcome { status, output, started_at, ended_at } = outcome;
    let is_too_long = output_text(&output).len() > max_bytes || json_size(output_text(&output)) > max_bytes;
    let (json, text) = match output {
        ToolOutput::Json(text) | ToolOutput::Text(text) if is_too_long => (None, Some(truncated(&text, max_bytes))),
        ToolOutput::Json(json) => (Some(json), None),
        ToolOutput::Text(text) => (None, Some(text)),
    };
    ToolResult {
        tool_use_id: tool_use.id.clone(),
        status,
        json,
        text,
        truncated: is_too_long.then_some(true),
        started_at,
        ended_at,
    }
}

fn output_text(output: &ToolOutput) -> &str {
    let (ToolOutput::Json(text) | ToolOutput::Text(text)) = output;
    text
}

fn truncated(text: &str, max_bytes: usize) -> String {
    let cut = fitting_prefix(text, max_bytes.saturating_sub(TRUNCATION_MARK.len())).cut;
    format!("{}{TRUNCATION_MARK}", &text[..cut])
}
