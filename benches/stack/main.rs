//! The whole backend, measured: how often it publishes, how late, how much, what the table is charged, how soon a turn is
//! cancelled. Fails when a budget is broken.
mod answers;
mod backend;
mod cancelling;
mod handler;
mod tape;

use std::process::ExitCode;

use tracing::Level;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use tape::Tape;

#[tokio::main]
async fn main() -> ExitCode {
    let tape = Tape::default();
    let watched =
        Targets::new().with_target("local::bedrock", Level::TRACE).with_target("local::fault_injection", Level::TRACE);
    tracing_subscriber::registry().with(tape.clone().with_filter(watched)).init();
    let kept = [answers::measure_all(&tape).await, handler::measure(&tape).await, cancelling::measure_all(&tape).await];
    if kept == [true; 3] { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
