//! How soon a cancelled turn leaves its model.
use std::time::{Duration, Instant};

use client::{realtime::Signal, requests::CancelTurn};
use futures::StreamExt;
use tokio::time::{sleep, timeout};

use crate::{backend::Backend, tape::Tape};

/// AppSync's latencies.
const LATENCIES: [u64; 3] = [0, 60, 200];
/// The longest wait between two batches.
const INTERVAL: Duration = Duration::from_millis(250);
/// A silent model's handler looks at its turn this often.
const IN_SILENCE: Duration = Duration::from_secs(10);
/// What a busy machine adds.
const LEEWAY: Duration = Duration::from_millis(50);

/// How long after its budget a model is waited for that is not left.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the budgets are kept.
pub async fn measure_all(tape: &Tape) -> bool {
    let mut kept = true;
    for latency in LATENCIES.map(Duration::from_millis) {
        let budget = INTERVAL.max(latency) + latency;
        let took = measure(tape, "parlance.deltas-2000-15", 15, latency, budget).await;
        println!("cancel while text flows, latency {latency:?}: {}, budget {budget:?}", told(took));
        kept &= took.is_some_and(|took| took <= budget + LEEWAY);
    }
    let took = measure(tape, "parlance.silent", 1, Duration::ZERO, IN_SILENCE).await;
    println!("cancel in silence: {}, budget {IN_SILENCE:?}", told(took));
    kept & took.is_some_and(|took| took <= IN_SILENCE + LEEWAY)
}

fn told(took: Option<Duration>) -> String {
    took.map_or("model not left".into(), |took| format!("model left after {took:?}"))
}

/// From the cancellation, sent after so many updates, to the end of the model's stream; None where it does not end.
async fn measure(
    tape: &Tape,
    model_id: &str,
    updates: usize,
    publish_latency: Duration,
    budget: Duration,
) -> Option<Duration> {
    let backend = Backend::start(publish_latency).await;
    let conversation_id = backend.conversation_with(model_id).await;
    let (mut heard, id) = backend.ask(&conversation_id).await;
    for _ in 0..updates {
        assert!(matches!(heard.next().await, Some(Signal::Data(_))));
    }
    tape.rewind();
    let cancelled = Instant::now();
    backend.api.call(&CancelTurn { conversation_id, id }).await.expect("the turn is cancelled");
    let closed = timeout(budget + PATIENCE, closed(tape)).await.ok();
    backend.stop().await;
    closed.map(|closed| closed - cancelled)
}

async fn closed(tape: &Tape) -> Instant {
    loop {
        if let Some(closed) = tape.events().into_iter().find(|event| event.what == "closed") {
            return closed.at;
        }
        sleep(Duration::from_millis(5)).await;
    }
}
