//! The time from the cancellation of a turn to the end of its model stream.
use std::time::{Duration, Instant};

use client::{realtime::Signal, requests::CancelTurn};
use futures::StreamExt;
use tokio::time::{sleep, timeout};

use crate::{backend::Backend, recorder::Recorder};

/// Latencies of AppSync in milliseconds.
const LATENCIES: [u64; 3] = [0, 60, 200];
/// The longest time between two batches.
const BATCH_INTERVAL: Duration = Duration::from_millis(250);
/// While the model is silent, the handler reads its turn this often.
const SILENT_POLL_INTERVAL: Duration = Duration::from_secs(10);
/// Allowed on top of each budget, because the machine may be busy.
const TOLERANCE: Duration = Duration::from_millis(50);
/// How long a measurement goes on after its budget is exceeded.
const OVERTIME: Duration = Duration::from_secs(1);

/// Returns whether all budgets are kept.
pub async fn measure_all(recorder: &Recorder) -> bool {
    let mut in_budget = true;
    for latency in LATENCIES.map(Duration::from_millis) {
        let budget = BATCH_INTERVAL.max(latency) + latency;
        let elapsed = measure(recorder, "parlance.deltas-2000-15", 15, latency, budget).await;
        println!("cancel while text streams, latency {latency:?}: {}, budget {budget:?}", describe(elapsed));
        in_budget &= elapsed.is_some_and(|elapsed| elapsed <= budget + TOLERANCE);
    }
    let budget = SILENT_POLL_INTERVAL;
    let elapsed = measure(recorder, "parlance.silent", 1, Duration::ZERO, budget).await;
    println!("cancel while the model is silent: {}, budget {budget:?}", describe(elapsed));
    in_budget && elapsed.is_some_and(|elapsed| elapsed <= budget + TOLERANCE)
}

fn describe(elapsed: Option<Duration>) -> String {
    match elapsed {
        Some(elapsed) => format!("model stream closed after {elapsed:?}"),
        None => "model stream not closed".into(),
    }
}

/// Cancels a turn after this many updates, and measures the time until its model stream is closed. Returns
/// nothing if the stream stays open past the budget and the overtime.
async fn measure(
    recorder: &Recorder,
    model_id: &str,
    updates_before: usize,
    publish_latency: Duration,
    budget: Duration,
) -> Option<Duration> {
    let backend = Backend::start(publish_latency).await;
    let conversation_id = backend.conversation_with(model_id).await;
    let (mut updates, id) = backend.start_turn(&conversation_id).await;
    for _ in 0..updates_before {
        assert!(matches!(updates.next().await, Some(Signal::Data(_))));
    }
    recorder.clear();
    let cancelled_at = Instant::now();
    backend.api.call(&CancelTurn { conversation_id, id }).await.expect("the turn is cancelled");
    let closed_at = timeout(budget + OVERTIME, stream_closed_at(recorder)).await.ok();
    backend.stop().await;
    closed_at.map(|closed_at| closed_at - cancelled_at)
}

async fn stream_closed_at(recorder: &Recorder) -> Instant {
    loop {
        if let Some(closed) = recorder.first("model stream closed") {
            return closed.at;
        }
        sleep(Duration::from_millis(5)).await;
    }
}
