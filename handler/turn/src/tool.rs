//! Tools of an agent, and one run of a tool.
use std::{sync::Arc, time::Instant};

use api::types::{ToolStatus, ToolUse};
use serde::Deserialize;

use crate::{claim::Claim, types::ToolOutput};

/// A tool that an agent's model may call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// `[A-Za-z0-9_]{1,64}`, unique among the agent's tools.
    pub name: String,
    /// The tool's name for people.
    pub title: Option<String>,
    pub description: String,
    /// JSON Schema of the arguments, as JSON text. Its type is `object`.
    pub input_schema: String,
    pub effect: ToolEffect,
    pub lambda: LambdaTool,
}

/// Whether a run of the tool changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ToolEffect {
    /// The tool only reads: a call may be run again.
    Read,
    /// The tool changes something: a call is run at most once.
    Write,
}

/// A tool that is a Lambda function.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LambdaTool {
    pub function_arn: String,
}

/// Runs a tool once.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolRun {
    pub claim: Claim,
    /// The position of the event that has the call. With the call's id it identifies the call in its conversation.
    pub position: u32,
    pub tool: Arc<Tool>,
    pub tool_use: ToolUse,
    /// The run ends here, with a result or without.
    pub until: Instant,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolOutcome {
    pub status: ToolStatus,
    pub output: ToolOutput,
    /// ISO 8601; `None` if the tool was not run.
    pub started_at: Option<String>,
    /// ISO 8601; `None` if the tool was not run or its end is not known.
    pub ended_at: Option<String>,
}
