//! The functions that are tools, as the handler reaches them: requests with the faults of their link.
use std::{pin::pin, sync::Arc};

use handler::tools::{CallError, ToolBackend};
use tokio::{select, time::sleep};
use turn::{
    knowledge::{Knowledge, RetrievalError},
    knowledge_tool::{parse_query, search_result},
    model::ToolOutput,
    tool::{ToolRun, ToolTarget},
};

use super::invocation;
use crate::{
    environment::Environment,
    fault_profile::Link,
    knowledge::retrieve,
    mutants::Mutant,
    network,
    tools::{CallId, execute},
};

pub struct SimulatedTools {
    pub environment: Arc<Environment>,
}

impl ToolBackend for SimulatedTools {
    type Call = CallId;

    async fn prepare(&self, run: &ToolRun) -> Result<CallId, CallError> {
        if let ToolTarget::Knowledge(_) = run.tool.target {
            parse_query(&run.tool_use.input).map_err(CallError::Refused)?;
        }
        Ok(CallId { turn_id: run.claim.turn_id.clone(), position: run.position, tool_use_id: run.tool_use.id.clone() })
    }

    /// A process may be killed before the request, while the tool runs, and when its response arrives.
    async fn send(&self, call: &CallId, run: &ToolRun) -> Result<ToolOutput, CallError> {
        let environment = &self.environment;
        if let ToolTarget::Knowledge(knowledge) = &run.tool.target {
            return search(environment, knowledge).await;
        }
        invocation::pass_fault_point(environment, "a tool call").await;
        let (callee, call, tool) = (Arc::clone(environment), call.clone(), run.tool_use.name.clone());
        let request = environment.call(Link::HandlerToTool, move || {
            let (environment, call, tool) = (Arc::clone(&callee), call.clone(), tool.clone());
            async move { execute(&environment, &call, &tool).await }
        });
        let mut request = pin!(request);
        let moment = environment.with_rng(|rng| rng.milliseconds(0..40));
        let response = select! {
            biased;
            response = &mut request => response,
            () = sleep(moment) => {
                invocation::pass_fault_point(environment, "a running tool").await;
                request.await
            }
        };
        invocation::pass_fault_point(environment, "the response of a tool").await;
        let result = response.unwrap_or_else(|error| Err(call_error(environment, error)));
        environment.trace(|| format!("{} responds: {result:?}", run.tool_use.id));
        result.map(ToolOutput::Json)
    }
}

async fn search(environment: &Arc<Environment>, knowledge: &Knowledge) -> Result<ToolOutput, CallError> {
    match retrieve(environment).await {
        Ok(passages) => Ok(ToolOutput::Json(search_result(knowledge.select(passages)))),
        Err(RetrievalError::Resuming | RetrievalError::Temporary) => Err(CallError::NotStarted),
        Err(RetrievalError::Refused) => Err(CallError::Refused("The documents could not be searched.")),
    }
}

/// What the handler knows of a call without a response.
fn call_error(environment: &Environment, error: network::CallError) -> CallError {
    let error = match error {
        network::CallError::Throttled => CallError::NotStarted,
        network::CallError::ServerError => CallError::ServerError,
        network::CallError::ConnectionLost => CallError::ConnectionBroken,
    };
    if environment.mutant == Some(Mutant::LostCallsAreRepeated) && error != CallError::NotStarted {
        environment.with_recorder(|recorder| recorder.mutations += 1);
        return CallError::NotStarted;
    }
    error
}
