//! A step with two Lambda tools of one second each: the time until the model is asked again, and the updates
//! of the calls.
use std::time::Duration;

use client::{
    requests::{PutLambdaTool, PutTool},
    schema::{ToolApproval, ToolEffect},
};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use local::lambda::LocalFunction;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    backend::Backend,
    lambda_function::exit_when_input_closes,
    recorder::{RecordedEvent, Recorder},
};

/// Answers as the scripted model, with Claude's rules for transcripts.
const MODEL: &str = "anthropic.claude-sonnet-5";
const ONE_CALL: &str = "Please call wait.";
const TWO_CALLS: &str = "Please call wait and call wait.";
const CALLS: usize = 2;
const TOOL_TIME: Duration = Duration::from_secs(1);
/// Latencies of AppSync in milliseconds.
const LATENCIES: [u64; 2] = [0, 60];
/// The turns of one measurement. The best of them counts, because the machine may be busy.
const TURNS: usize = 3;
/// The event with the calls is stored before they run, and the results before the model is asked again.
const SERIAL_PUBLISHES: u32 = 2;
/// The goal on a machine without other work, beside the time of a tool and the publishes.
const GOAL_OVERHEAD: Duration = Duration::from_millis(100);
/// A step with two calls takes hardly longer than one with a single call. Calls that ran one after the other
/// would take twice as long.
const MAX_RATIO: f64 = 1.25;
/// The event with the calls, one update for each call but the last, and the event with the results.
const MAX_UPDATES: usize = CALLS + 1;
const MAX_BYTES_OF_CALL: u64 = 4 * 1024;

/// Serves invocations as a function that answers after a second.
pub async fn serve_function() {
    exit_when_input_closes();
    let wait = |_: LambdaEvent<Value>| async {
        sleep(TOOL_TIME).await;
        Ok::<_, Diagnostic>(json!({ "waited": true }))
    };
    lambda_runtime::run(service_fn(wait)).await.expect("the Runtime API answers");
}

/// Returns whether all budgets are kept.
pub async fn measure_all(recorder: &Recorder) -> bool {
    println!("tools   latency  step end->next request     goal  ratio to one call  updates  updates/call  bytes/call");
    let mut in_budget = true;
    for latency in LATENCIES.map(Duration::from_millis) {
        in_budget &= measure(recorder, latency).await;
    }
    in_budget
}

async fn measure(recorder: &Recorder, publish_latency: Duration) -> bool {
    let backend = Backend::start_with_functions(publish_latency, MODEL, vec![function()]).await;
    let conversation_id = backend.conversation_with_tools(MODEL, vec![tool()]).await;
    let one_call = best_step(&backend, recorder, &conversation_id, ONE_CALL).await;
    let best = best_step(&backend, recorder, &conversation_id, TWO_CALLS).await;
    backend.stop().await;
    let ratio = best.until_next_request.as_secs_f64() / one_call.until_next_request.as_secs_f64();
    let goal = TOOL_TIME + GOAL_OVERHEAD + SERIAL_PUBLISHES * publish_latency;
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    println!(
        "{CALLS:>5}  {:>5} ms  {:>18.0} ms  {:>4.0} ms  {ratio:>17.2}  {:>7}  {:>12.1}  {:>10}",
        milliseconds(publish_latency),
        milliseconds(best.until_next_request),
        milliseconds(goal),
        best.updates,
        best.updates as f64 / CALLS as f64,
        best.bytes / CALLS as u64,
    );
    ratio <= MAX_RATIO && best.updates <= MAX_UPDATES && best.bytes <= MAX_BYTES_OF_CALL * CALLS as u64
}

/// The step that took the least time of several turns.
async fn best_step(backend: &Backend, recorder: &Recorder, conversation_id: &str, question: &str) -> Step {
    let mut steps = Vec::new();
    for _ in 0..TURNS {
        recorder.clear();
        backend.complete_turn_about(conversation_id, question).await;
        steps.push(Step::from_events(&recorder.events()));
    }
    steps.into_iter().min_by_key(|step| step.until_next_request).expect("a turn was measured")
}

/// What the handler did between a step's end and the next request to the model.
struct Step {
    until_next_request: Duration,
    updates: usize,
    bytes: u64,
}

impl Step {
    fn from_events(events: &[RecordedEvent]) -> Self {
        let index_of = |message: &str, skipped: usize| {
            let mut found = events.iter().enumerate().filter(|(_, event)| event.message == message);
            found.nth(skipped).map(|(index, _)| index).expect("the model has two steps")
        };
        // The model is asked when its stream is opened. The results are published meanwhile.
        let (end, next) = (index_of("messageStop", 0), index_of("model stream opened", 1));
        let answer = index_of("messageStart", 1);
        let publishes: Vec<_> = events[end..answer].iter().filter(|event| event.message == "publish").collect();
        Self {
            until_next_request: events[next].at - events[end].at,
            updates: publishes.len(),
            bytes: publishes.iter().map(|publish| publish.bytes).sum(),
        }
    }
}

/// This program, which serves the function when Lambda starts it.
fn function() -> LocalFunction {
    let program = std::env::current_exe().expect("the program has a path");
    format!("wait='{}'", program.display()).parse().expect("the function is valid")
}

fn tool() -> PutTool {
    PutTool {
        name: "wait".into(),
        description: Some("Waits for a second.".into()),
        input_schema: Some(r#"{"type":"object"}"#.into()),
        effect: Some(ToolEffect::Write),
        approval: Some(ToolApproval::Never),
        lambda: Some(PutLambdaTool { function_arn: function().arn() }),
        ..PutTool::default()
    }
}
