//! Runs tools: claims calls that change something, and invokes Lambda functions.
mod lambda;
#[cfg(test)]
mod tests;

use std::{future::pending, time::Duration};

use api::{
    backoff::{Backoff, jitter_seed},
    types::ToolStatus,
};
use tokio::time::{sleep, timeout_at};
use turn::{
    model::ToolOutput,
    tool::{ToolEffect, ToolOutcome, ToolRun, ToolTarget},
};

use super::dynamodb::{Table, TableError, ToolClaim};
use crate::clock::{Clock, iso_8601, now};

pub use lambda::{InvokeError, Lambda};

/// The result of a call that another attempt has claimed, if that attempt stored no outcome.
const UNKNOWN_OUTCOME: &str = "This call was started before, and its result never came. It may have taken effect: check \
    before calling the tool again.";

const RETRY: Backoff = Backoff::half_jitter(Duration::from_millis(100), Duration::from_secs(5));

/// Runs the tools of one invocation.
pub struct ToolRunner<'a> {
    pub table: &'a Table,
    pub lambda: &'a Lambda,
    pub clock: Clock,
}

impl ToolRunner<'_> {
    /// Returns at `run.until` at the latest, but for the time that it takes to store the outcome. Never
    /// returns if the attempt no longer owns the turn.
    pub async fn run(&self, run: &ToolRun) -> ToolOutcome {
        let name = &run.tool.name;
        let outcome = match run.tool.effect {
            ToolEffect::Read => self.invoke(run).await,
            ToolEffect::Write => self.run_at_most_once(run).await,
        };
        tracing::info!(tool = name, status = ?outcome.status, "tool ended");
        outcome
    }

    async fn run_at_most_once(&self, run: &ToolRun) -> ToolOutcome {
        let time_limit = TimeLimit::of(run);
        match timeout_at(run.until.into(), self.claim(run)).await {
            Ok(Ok(ToolClaim::Claimed)) => {}
            Ok(Ok(ToolClaim::ClaimedBefore(outcome))) => return outcome.unwrap_or_else(unknown_outcome),
            Ok(Ok(ToolClaim::Stale)) => {
                tracing::info!(tool = run.tool.name, "the attempt no longer owns the turn");
                return pending().await;
            }
            Ok(Err(error)) => {
                tracing::error!(%error, tool = run.tool.name, "the call could not be claimed");
                return failed(InvokeError::Unreachable.text(), None, None);
            }
            Err(_) => return failed(time_limit.text(), None, None),
        }
        let outcome = self.invoke(run).await;
        if let Err(error) = self.table.store_tool_outcome(run, &outcome, self.clock.now()).await {
            tracing::warn!(%error, tool = run.tool.name, "the outcome of a call is not stored");
        }
        outcome
    }

    async fn claim(&self, run: &ToolRun) -> Result<ToolClaim, TableError> {
        let mut failures = 0;
        loop {
            match self.table.claim_tool_call(run, self.clock.now()).await {
                Err(error) if error.is_retryable() => {
                    failures += 1;
                    sleep(RETRY.seeded_delay(failures, retry_seed(run))).await;
                }
                result => return result,
            }
        }
    }

    async fn invoke(&self, run: &ToolRun) -> ToolOutcome {
        let time_limit = TimeLimit::of(run);
        let started_at = iso_8601(self.clock.now());
        let result = timeout_at(run.until.into(), self.invoke_with_retries(run)).await;
        let ended_at = iso_8601(self.clock.now());
        match result {
            Ok(Ok(json)) => ToolOutcome {
                status: ToolStatus::Succeeded,
                output: ToolOutput::Json(json),
                started_at: Some(started_at),
                ended_at: Some(ended_at),
            },
            Ok(Err(error)) => {
                let (started_at, ended_at) = match &error {
                    InvokeError::Refused { .. } | InvokeError::NotStarted => (None, None),
                    InvokeError::Unreachable => (Some(started_at), None),
                    InvokeError::Function(_) | InvokeError::TooLarge | InvokeError::NotJson => {
                        (Some(started_at), Some(ended_at))
                    }
                };
                failed(error.text(), started_at, ended_at)
            }
            Err(_) => failed(time_limit.text(), Some(started_at), None),
        }
    }

    async fn invoke_with_retries(&self, run: &ToolRun) -> Result<String, InvokeError> {
        let mut failures = 0;
        loop {
            let ToolTarget::Lambda(function) = &run.tool.target;
            let error = match self.lambda.invoke(function, run).await {
                Ok(json) => return Ok(json),
                Err(error) => error,
            };
            let may_try_again = match error {
                InvokeError::NotStarted => true,
                InvokeError::Unreachable => run.tool.effect == ToolEffect::Read,
                InvokeError::Refused { .. }
                | InvokeError::Function(_)
                | InvokeError::TooLarge
                | InvokeError::NotJson => false,
            };
            failures += 1;
            let delay = RETRY.seeded_delay(failures, retry_seed(run));
            if !may_try_again || now() + delay >= run.until {
                return Err(error);
            }
            sleep(delay).await;
        }
    }
}

/// How long a run may take.
struct TimeLimit(Duration);

impl TimeLimit {
    /// To be called when the run begins.
    fn of(run: &ToolRun) -> Self {
        Self(run.until.saturating_duration_since(now()))
    }

    fn text(&self) -> String {
        let seconds = self.0.as_secs_f64().round();
        format!("The tool did not answer within {seconds} seconds.")
    }
}

fn retry_seed(run: &ToolRun) -> u64 {
    jitter_seed(&[&run.claim.turn_id, &run.tool_use.id])
}

fn failed(text: impl Into<String>, started_at: Option<String>, ended_at: Option<String>) -> ToolOutcome {
    ToolOutcome { status: ToolStatus::Failed, output: ToolOutput::Text(text.into()), started_at, ended_at }
}

fn unknown_outcome() -> ToolOutcome {
    let output = ToolOutput::Text(UNKNOWN_OUTCOME.to_owned());
    ToolOutcome { status: ToolStatus::Unknown, output, started_at: None, ended_at: None }
}
