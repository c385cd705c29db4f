//! Runs of the init function.
use serde_json::Value;

use crate::{
    services::Services,
    support::{Function, Responses, next_response},
};

pub fn start(services: &Services) -> Function {
    Function::start(env!("CARGO_BIN_EXE_knowledge-init"), services.environment(), services.runtime())
}

/// Runs one invocation in a process of its own. Returns the output of the process, or the invocation's error.
pub async fn run_to_end(services: &Services, responses: &mut Responses) -> Result<String, Value> {
    let function = start(services);
    let response = next_response(responses).await;
    let output = function.into_output().await;
    match response {
        Some(Ok(_)) => Ok(output),
        Some(Err(error)) => Err(error),
        None => panic!("the invocation has no response: {output}"),
    }
}
