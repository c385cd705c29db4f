//! Mutations, delays, bytes and write units of one answer.
use std::time::Duration;

use client::requests::CreateConversation;

use crate::{
    backend::Backend,
    recorder::{RecordedEvent, Recorder},
};

/// The measured answers: count of deltas, milliseconds between them, and latencies of AppSync in
/// milliseconds.
const ANSWERS: [(u32, u64, &[u64]); 2] = [(300, 15, &[0, 30, 60, 200]), (1000, 10, &[0, 30, 60, 200])];

/// The budgets apply to answers with this many deltas, 15 ms apart.
const BUDGETED_DELTAS: u32 = 300;
const MAX_MUTATIONS: usize = 30;
const MAX_DELAY_P95: Duration = Duration::from_millis(300);
const MAX_FINAL_DELAY: Duration = Duration::from_millis(20);
const MAX_WRITE_UNITS: f64 = 90.0;

/// The scripted model's deltas are five bytes long.
const DELTA_BYTES: usize = 5;

/// Returns whether all budgets are kept.
pub async fn measure_all(recorder: &Recorder) -> bool {
    println!(
        "deltas  every   latency  mutations  bytes up  delay p50     p95      max  metadata->final  write units  \
         handler's  read units"
    );
    let mut in_budget = true;
    for (count, pause, latencies) in ANSWERS {
        for milliseconds in latencies {
            let latency = Duration::from_millis(*milliseconds);
            let measurement = measure(recorder, count, pause, latency).await;
            println!("{count:>6}  {pause:>3} ms  {milliseconds:>4} ms  {measurement}");
            if count == BUDGETED_DELTAS {
                in_budget &= measurement.is_in_budget(latency);
            }
        }
    }
    measure_title().await;
    in_budget
}

/// Prints what the title adds to the first answer of a conversation.
async fn measure_title() {
    let backend = Backend::start(Duration::ZERO).await;
    let titled = backend.conversation_with("parlance.deltas-1-0").await;
    let request = CreateConversation { agent_id: Some("measured".into()), ..CreateConversation::default() };
    let untitled = backend.api.call(&request).await.expect("the conversation is created").id;
    let mut written = Vec::new();
    for conversation_id in [titled, untitled] {
        let before = Units::consumed(&backend);
        backend.complete_turn(&conversation_id).await;
        backend.wait_for_title(&conversation_id).await;
        written.push(Units::consumed(&backend).since(&before).written);
    }
    println!("title: {} write units more than the {} of an answer without one", written[1] - written[0], written[0]);
    backend.stop().await;
}

/// Measures one answer on a server of its own.
async fn measure(recorder: &Recorder, count: u32, pause: u64, publish_latency: Duration) -> Measurement {
    let backend = Backend::start(publish_latency).await;
    let conversation_id = backend.conversation_with(&format!("parlance.deltas-{count}-{pause}")).await;
    recorder.clear();
    let before = Units::consumed(&backend);
    let batch_sizes = backend.complete_turn(&conversation_id).await;
    let units = Units::consumed(&backend).since(&before);
    let measurement = Measurement::new(&recorder.events(), &batch_sizes, units);
    backend.stop().await;
    measurement
}

pub struct Measurement {
    mutations: usize,
    bytes: u64,
    /// From the model's delta to the publish of its batch, in ascending order.
    delays: Vec<Duration>,
    /// From the model's last event to the publish of the final event.
    final_delay: Duration,
    units: Units,
}

/// What DynamoDB charges.
pub struct Units {
    /// Write units of AppSync's requests.
    written: f64,
    /// Write units of the handler's own requests.
    written_by_handler: f64,
    /// Read units of both.
    read: f64,
}

impl Units {
    pub fn consumed(backend: &Backend) -> Self {
        let data_sources = backend.server.database.data_source_capacity();
        let functions = backend.server.database.function_capacity();
        Self {
            written: data_sources.write_units,
            written_by_handler: functions.write_units,
            read: data_sources.read_units + functions.read_units,
        }
    }

    pub fn since(&self, before: &Self) -> Self {
        Self {
            written: self.written - before.written,
            written_by_handler: self.written_by_handler - before.written_by_handler,
            read: self.read - before.read,
        }
    }
}

impl Measurement {
    pub fn new(events: &[RecordedEvent], batch_sizes: &[usize], units: Units) -> Self {
        let publishes: Vec<&RecordedEvent> = events.iter().filter(|event| event.message == "publish").collect();
        // The time at which each delta was published, in order.
        let published = publishes
            .iter()
            .zip(batch_sizes)
            .flat_map(|(publish, bytes)| std::iter::repeat_n(publish.at, bytes / DELTA_BYTES));
        let generated = events.iter().filter(|event| event.message == "contentBlockDelta").map(|event| event.at);
        let mut delays: Vec<Duration> =
            published.zip(generated).map(|(published, generated)| published - generated).collect();
        delays.sort();
        let model_end = events.iter().find(|event| event.message == "metadata").map(|event| event.at);
        let final_publish = publishes.last().map(|publish| publish.at);
        let final_delay = match (final_publish, model_end) {
            (Some(publish), Some(end)) => publish.saturating_duration_since(end),
            _ => Duration::MAX,
        };
        let bytes = publishes.iter().map(|publish| publish.bytes).sum();
        Self { mutations: publishes.len(), bytes, delays, final_delay, units }
    }

    fn delay_quantile(&self, quantile: f64) -> Duration {
        let last = self.delays.len().saturating_sub(1);
        self.delays.get((last as f64 * quantile) as usize).copied().unwrap_or_default()
    }

    pub fn is_in_budget(&self, latency: Duration) -> bool {
        self.mutations <= MAX_MUTATIONS
            && self.delay_quantile(0.95) < MAX_DELAY_P95
            && self.final_delay <= 2 * latency + MAX_FINAL_DELAY
            && self.units.written <= MAX_WRITE_UNITS
    }
}

impl std::fmt::Display for Measurement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        let [p50, p95, max] = [0.5, 0.95, 1.0].map(|quantile| milliseconds(self.delay_quantile(quantile)));
        let Self { mutations, bytes, units: Units { written, written_by_handler, read }, .. } = self;
        let final_delay = milliseconds(self.final_delay);
        write!(
            f,
            "{mutations:>9}  {bytes:>8}  {p50:>6.0} ms  {p95:>3.0} ms  {max:>4.0} ms  {final_delay:>12.0} ms  {written:>11}  \
             {written_by_handler:>9}  {read:>10}"
        )
    }
}
