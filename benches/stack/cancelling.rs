//! How soon a cancelled turn leaves its model.
use std::time::{Duration, Instant};

use client::{realtime::session::Signal, requests::CancelTurn};
use futures::StreamExt;
use tokio::time::sleep;

use crate::{backend::Backend, tape::Tape};

/// AppSync's latencies.
const LATENCIES: [u64; 3] = [0, 60, 200];
/// The longest wait between two batches.
const INTERVAL: Duration = Duration::from_millis(250);
/// A silent model's handler looks at its turn this often.
const IN_SILENCE: Duration = Duration::from_secs(10);
/// What a busy machine adds.
const LEEWAY: Duration = Duration::from_millis(50);

/// Whether the budgets are kept.
pub async fn measure_all(tape: &Tape) -> bool {
    let mut kept = true;
    for latency in LATENCIES.map(Duration::from_millis) {
        let took = measure(tape, "parlance.deltas-2000-15", 15, latency).await;
        let budget = INTERVAL.max(latency) + latency;
        println!("cancel while text flows, latency {latency:?}: model left after {took:?}, budget {budget:?}");
        kept &= took <= budget + LEEWAY;
    }
    let took = measure(tape, "parlance.silent", 1, Duration::ZERO).await;
    println!("cancel in silence: model left after {took:?}, budget {IN_SILENCE:?}");
    kept & (took <= IN_SILENCE + LEEWAY)
}

/// From the cancellation, sent after so many updates, to the end of the model's stream.
async fn measure(tape: &Tape, model_id: &str, updates: usize, publish_latency: Duration) -> Duration {
    let backend = Backend::start(publish_latency).await;
    let conversation_id = backend.conversation_with(model_id).await;
    let (mut heard, id) = backend.ask(&conversation_id).await;
    for _ in 0..updates {
        assert!(matches!(heard.next().await, Some(Signal::Data(_))));
    }
    tape.rewind();
    let cancelled = Instant::now();
    backend.api.call(&CancelTurn { conversation_id, id }).await.expect("the turn is cancelled");
    let closed = loop {
        if let Some(closed) = tape.events().into_iter().find(|event| event.what == "closed") {
            break closed.at;
        }
        sleep(Duration::from_millis(5)).await;
    };
    backend.stop().await;
    closed - cancelled
}
