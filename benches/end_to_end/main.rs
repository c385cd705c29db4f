//! Benchmarks of a local server with its handler: publishing, latency, table capacity, tool calls, searches,
//! cancellation and memory. The process fails when a budget is exceeded.
mod answer_delivery;
mod backend;
mod cancellation;
mod document_search;
#[path = "../../tests/support/entry_clients.rs"]
mod entry_clients;
mod entry_points;
mod handler_process;
#[path = "../../tests/support/lambda_function.rs"]
mod lambda_function;
mod recorder;
mod tool_calls;

use std::process::ExitCode;

use tracing::Level;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use recorder::Recorder;

#[tokio::main]
async fn main() -> ExitCode {
    if lambda_function::is_started_as_function() {
        tool_calls::serve_function().await;
        return ExitCode::SUCCESS;
    }
    let recorder = Recorder::default();
    let modules = ["local::bedrock", "local::fault_injection", "local::knowledge_base::routes"];
    let targets = Targets::new().with_targets(modules.map(|module| (module, Level::TRACE)));
    tracing_subscriber::registry().with(recorder.clone().with_filter(targets)).init();
    let answers_in_budget = answer_delivery::measure_all(&recorder).await;
    let entry_points_in_budget = entry_points::measure_all(&recorder).await;
    let tool_calls_in_budget = tool_calls::measure_all(&recorder).await;
    let searches_in_budget = document_search::measure_all(&recorder).await;
    let handler_in_budget = handler_process::measure(&recorder).await;
    let cancellation_in_budget = cancellation::measure_all(&recorder).await;
    let in_budget = [
        answers_in_budget,
        entry_points_in_budget,
        tool_calls_in_budget,
        searches_in_budget,
        handler_in_budget,
        cancellation_in_budget,
    ];
    if in_budget.iter().all(|in_budget| *in_budget) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
