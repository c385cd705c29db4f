//! Tools that the handler itself runs: a [`Tool`] gets a call and returns its result.
use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use serde::de::DeserializeOwned;
use turn::tool::ToolRun;

pub use serde_json::Value;

/// A tool in the handler's own process.
///
/// An agent has the tool by an entry of its `tools` with `handler: true` and the tool's name. That entry has
/// the description and the schema for the model, says whether a call changes something, and whether a user
/// approves it. All the rest is as for other tools: calls of a step run together, their results are cut at
/// 48 KB, a tool with the effect `WRITE` is started at most once for each call, and the agent's
/// `toolTimeoutSeconds` ends a call. See `docs/tools.md`.
pub trait Tool: Send + Sync + 'static {
    /// 1 to 64 of `A-Z a-z 0-9 _`, and no other tool of the handler's.
    fn name(&self) -> &str;

    /// Runs one call. The error is a sentence for the model, of which it gets the first 1,000 characters;
    /// users see it too. A panic is an error without a reason.
    ///
    /// The call is dropped when its time is over or the user cancels. Nothing in it may block the thread,
    /// which serves the whole turn: `tokio::task::spawn_blocking` is for what does.
    fn run(&self, call: ToolCall) -> impl Future<Output = Result<Value, String>> + Send;
}

/// One call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The same in every run of the same call, and different for every other call.
    pub idempotency_key: String,
    /// The id of the call in its event. Other calls may have the same one.
    pub id: String,
    /// The arguments: the JSON text of an object. The model chooses them, and nothing has checked them
    /// against the schema.
    pub input: String,
    /// The user for whom the call is run. A tool must return only what this user may see.
    pub caller: ToolCaller,
    pub conversation_id: String,
    pub turn_id: String,
}

/// The user for whom a call is run, as `getCaller` returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCaller {
    /// `None` for callers with the API key.
    pub id: Option<String>,
    pub name: Option<String>,
}

impl ToolCall {
    /// The arguments as a type. The error is a sentence for the model.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_str(&self.input).map_err(|error| format!("The arguments are not valid: {error}."))
    }
}

/// Two tools of a handler have the same name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("The handler has two tools of the name {0}.")]
pub struct DuplicateTool(String);

/// The tools of a handler.
#[derive(Clone, Default)]
pub struct HandlerTools(Vec<Arc<dyn AnyTool>>);

/// A tool of any type.
trait AnyTool: Send + Sync {
    fn name(&self) -> &str;
    fn run(&self, call: ToolCall) -> BoxFuture<'_, Result<Value, String>>;
}

impl<T: Tool> AnyTool for T {
    fn name(&self) -> &str {
        Tool::name(self)
    }

    fn run(&self, call: ToolCall) -> BoxFuture<'_, Result<Value, String>> {
        Tool::run(self, call).boxed()
    }
}

impl HandlerTools {
    pub(crate) fn push(&mut self, tool: impl Tool) {
        self.0.push(Arc::new(tool));
    }

    pub(crate) fn check_names(&self) -> Result<(), DuplicateTool> {
        let mut names: Vec<&str> = self.0.iter().map(|tool| tool.name()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(DuplicateTool(pair[0].to_owned())),
            None => Ok(()),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// `None` if there is no tool of this name. Otherwise its result as JSON text, or its error.
    /// The error of a panic is empty.
    pub(crate) async fn run(&self, run: &ToolRun) -> Option<Result<String, String>> {
        let tool = self.find(&run.tool.name)?;
        // The call itself may panic, too, before it returns a future.
        let result = AssertUnwindSafe(async { tool.run(call_of(run)).await }).catch_unwind().await;
        Some(match result {
            Ok(Ok(value)) => Ok(value.to_string()),
            Ok(Err(text)) => Err(text),
            Err(_) => {
                tracing::error!(tool = run.tool.name, "a tool of the handler panicked");
                Err(String::new())
            }
        })
    }

    fn find(&self, name: &str) -> Option<&dyn AnyTool> {
        self.0.iter().map(AsRef::as_ref).find(|tool| tool.name() == name)
    }
}

fn call_of(run: &ToolRun) -> ToolCall {
    ToolCall {
        idempotency_key: run.idempotency_key(),
        id: run.tool_use.id.clone(),
        input: run.tool_use.input.clone(),
        caller: ToolCaller { id: run.caller.id.clone(), name: run.caller.name.clone() },
        conversation_id: run.claim.conversation_id.clone(),
        turn_id: run.claim.turn_id.clone(),
    }
}
