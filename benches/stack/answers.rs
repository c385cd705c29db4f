//! How often an answer is published, how late a delta is published, how much is sent, what the table is charged.
use std::time::Duration;

use crate::{
    backend::Backend,
    tape::{Recorded, Tape},
};

/// Answers to measure: deltas, milliseconds between them, and AppSync's latencies.
const ANSWERS: [(u32, u64, &[u64]); 2] = [(300, 15, &[0, 30, 60, 200]), (1000, 10, &[0, 30, 60, 200])];

/// Budgets for an answer of 300 deltas, 15 ms apart.
const MUTATIONS: usize = 30;
const DELAY_P95: Duration = Duration::from_millis(300);
const TAIL: Duration = Duration::from_millis(20);
const WRITE_UNITS: f64 = 90.0;

/// Whether the budgets are kept.
pub async fn measure_all(tape: &Tape) -> bool {
    println!("deltas  every   latency  mutations  bytes up  delay p50     p95      max  metadata->final  write units");
    let mut kept = true;
    for (count, pause, latencies) in ANSWERS {
        for latency in latencies {
            let measured = measure(tape, count, pause, Duration::from_millis(*latency)).await;
            println!("{count:>6}  {pause:>3} ms  {latency:>4} ms  {measured}");
            kept &= count != 300 || measured.keeps_budgets(Duration::from_millis(*latency));
        }
    }
    kept
}

/// One answer on a backend of its own.
async fn measure(tape: &Tape, count: u32, pause: u64, publish_latency: Duration) -> Measured {
    let backend = Backend::start(publish_latency).await;
    let conversation_id = backend.conversation_with(&format!("parlance.deltas-{count}-{pause}")).await;
    tape.rewind();
    let charged = backend.server.database.data_source_capacity();
    let batches = backend.converse(&conversation_id).await;
    let write_units = backend.server.database.data_source_capacity().write_units - charged.write_units;
    let measured = Measured::of(&tape.events(), &batches, write_units);
    backend.stop().await;
    measured
}

struct Measured {
    mutations: usize,
    bytes: u64,
    delays: Vec<Duration>,
    tail: Duration,
    write_units: f64,
}

impl Measured {
    /// Each delta of five bytes is as late as the publish that carried it.
    fn of(events: &[Recorded], batches: &[usize], write_units: f64) -> Self {
        let publishes: Vec<&Recorded> = events.iter().filter(|event| event.what == "publish").collect();
        let carried =
            publishes.iter().zip(batches).flat_map(|(publish, bytes)| std::iter::repeat_n(publish.at, bytes / 5));
        let deltas = events.iter().filter(|event| event.what == "contentBlockDelta").map(|event| event.at);
        let mut delays: Vec<Duration> = carried.zip(deltas).map(|(published, said)| published - said).collect();
        delays.sort();
        let metadata = events.iter().find(|event| event.what == "metadata").map(|event| event.at);
        let last = publishes.last().map(|publish| publish.at);
        Self {
            mutations: publishes.len(),
            bytes: publishes.iter().map(|publish| publish.bytes).sum(),
            delays,
            tail: last.zip(metadata).map_or(Duration::MAX, |(last, metadata)| last.saturating_duration_since(metadata)),
            write_units,
        }
    }

    fn delay(&self, share: f64) -> Duration {
        let last = self.delays.len().saturating_sub(1);
        self.delays.get((last as f64 * share) as usize).copied().unwrap_or_default()
    }

    fn keeps_budgets(&self, latency: Duration) -> bool {
        let on_time = self.delay(0.95) < DELAY_P95 && self.tail <= 2 * latency + TAIL;
        self.mutations <= MUTATIONS && on_time && self.write_units <= WRITE_UNITS
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        let [p50, p95, max] = [0.5, 0.95, 1.0].map(|share| milliseconds(self.delay(share)));
        let Self { mutations, bytes, write_units, .. } = self;
        let tail = milliseconds(self.tail);
        write!(
            f,
            "{mutations:>9}  {bytes:>8}  {p50:>6.0} ms  {p95:>3.0} ms  {max:>4.0} ms  {tail:>12.0} ms  {write_units:>11}"
        )
    }
}
