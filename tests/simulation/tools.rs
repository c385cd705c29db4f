//! The tools of a run's agent, and a model of what they do: each execution is counted by its call.
use std::{collections::BTreeMap, time::Duration};

use client::{
    requests::{PutAgent, PutLambdaTool, PutTool},
    schema::{ToolApproval, ToolEffect},
};
use handler::tools::CallError;
use local::template::{ACCOUNT, REGION};

use crate::{environment::Environment, knowledge::KnowledgeProfile, rng::Rng};

/// The functions that agents may have as tools, as the template's parameter.
pub const ALLOWED_FUNCTIONS: &str = "arn:aws:lambda:us-east-1:000000000000:function:tool-*";
/// The hours of the template's parameter PendingHours.
pub const PENDING_HOURS: u64 = 1;
/// Of families that differ in the transcripts they take: Claude wants results first, Nova has its own status,
/// Mistral takes no text beside calls and only ids of nine characters.
const MODELS: [&str; 3] =
    ["anthropic.claude-sonnet-4-20250514-v1:0", "amazon.nova-pro-v1:0", "mistral.mistral-large-2407-v1:0"];

/// A tool of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimulatedTool {
    /// A function that only reads.
    Look,
    /// A function that changes something.
    Change,
    /// A function that changes something once a user has approved the call.
    ApprovedChange,
    /// Run by a client.
    Client,
}

/// The agent of a run.
#[derive(Clone, Copy, Debug)]
pub struct AgentProfile {
    /// Without tools it is the default agent.
    pub has_tools: bool,
    /// Only of an agent with tools.
    pub knowledge: Option<KnowledgeProfile>,
    /// That a request to the model is answered with tool calls, in percent.
    pub steps: u64,
    model_id: &'static str,
    max_steps: u32,
    tool_timeout_seconds: u32,
}

/// A call as the handler identifies it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId {
    pub turn_id: String,
    /// The position of the event with the call.
    pub position: u32,
    pub tool_use_id: String,
}

/// What has happened in a tool for one call.
#[derive(Clone, Debug, Default)]
pub struct Executions {
    pub tool: String,
    pub count: u32,
    /// The JSON texts that executions returned.
    pub returned: Vec<String>,
    /// The number of executions that ended with an error.
    pub failures: u32,
}

pub type ToolCounters = BTreeMap<CallId, Executions>;

impl SimulatedTool {
    pub const ALL: [Self; 4] = [Self::Look, Self::Change, Self::ApprovedChange, Self::Client];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Change => "change",
            Self::ApprovedChange => "change_approved",
            Self::Client => "ask_client",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// Whether a call may take effect only once.
    pub fn changes_something(self) -> bool {
        matches!(self, Self::Change | Self::ApprovedChange)
    }

    /// Whether a user approves the call or a client answers it.
    pub fn waits_for_user(self) -> bool {
        matches!(self, Self::ApprovedChange | Self::Client)
    }

    fn put(self) -> PutTool {
        let function_arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:tool-{}", self.name());
        let lambda = (self != Self::Client).then_some(PutLambdaTool { function_arn });
        let (effect, approval) = match self {
            Self::Look => (Some(ToolEffect::Read), Some(ToolApproval::Never)),
            Self::Change => (Some(ToolEffect::Write), Some(ToolApproval::Never)),
            Self::ApprovedChange => (Some(ToolEffect::Write), Some(ToolApproval::Always)),
            Self::Client => (None, None),
        };
        PutTool {
            name: self.name().to_owned(),
            description: Some("A simulated tool.".to_owned()),
            input_schema: Some(r#"{"type":"object","properties":{"n":{"type":"integer"}}}"#.to_owned()),
            effect,
            approval,
            lambda,
            client: (self == Self::Client).then_some(true),
            ..PutTool::default()
        }
    }
}

impl AgentProfile {
    pub fn random(rng: &mut Rng, seed: u64) -> Self {
        let has_tools = rng.percent(88);
        Self {
            has_tools,
            knowledge: KnowledgeProfile::random(seed).filter(|_| has_tools),
            steps: rng.choose(&[20, 50, 80]),
            model_id: rng.choose(&MODELS),
            max_steps: rng.choose(&[2, 4, 10]),
            tool_timeout_seconds: rng.choose(&[3, 30]),
        }
    }

    /// The agent with its tools and documents, or a version of it that has lost them.
    pub fn put(&self, environment: &Environment, has_tools: bool) -> PutAgent {
        PutAgent {
            id: agent_id(environment),
            model_id: self.knowledge.map_or(self.model_id, |knowledge| knowledge.model_id).to_owned(),
            knowledge: self.knowledge.filter(|_| has_tools).map(|knowledge| knowledge.put()),
            tools: has_tools.then(|| SimulatedTool::ALL.map(SimulatedTool::put).into()),
            max_steps: has_tools.then_some(self.max_steps),
            tool_timeout_seconds: has_tools.then_some(self.tool_timeout_seconds),
            ..PutAgent::default()
        }
    }
}

/// Runs share a table.
pub fn agent_id(environment: &Environment) -> String {
    format!("agent{}", environment.seed)
}

/// Executes a call once: its effect comes first, then its result, which may take long or never come.
pub async fn execute(environment: &Environment, call: &CallId, tool: &str) -> Result<String, CallError> {
    let (number, time, outcome) = environment.with_rng(|rng| (rng.below(1_000_000), random_time(rng), rng.below(100)));
    let count = environment.with_recorder(|recorder| {
        let executions = recorder.tool_counters.entry(call.clone()).or_default();
        executions.tool = tool.to_owned();
        executions.count += 1;
        executions.count
    });
    environment.trace(|| format!("{tool} executes {call:?} for the {count}. time"));
    tokio::time::sleep(time).await;
    let result = match outcome {
        0..10 => Err(CallError::Failed(format!("The tool failed with {number}."))),
        10..12 => Err(CallError::NotJson),
        12..14 => Err(CallError::TooLarge),
        _ => Ok(format!(r#"{{"executed":{count},"number":{number}}}"#)),
    };
    environment.with_recorder(|recorder| {
        let executions = recorder.tool_counters.entry(call.clone()).or_default();
        match &result {
            Ok(json) => executions.returned.push(json.clone()),
            Err(_) => executions.failures += 1,
        }
    });
    result
}

/// Some tools take longer than they may.
fn random_time(rng: &mut Rng) -> Duration {
    match rng.below(20) {
        0 => rng.seconds(2..50),
        1 => Duration::from_secs(100_000),
        2..6 => rng.milliseconds(200..3_000),
        _ => rng.milliseconds(0..60),
    }
}
