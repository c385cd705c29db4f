//! Budgets of a streamed answer in simulated time: mutations, delays and published bytes.
use std::time::Duration;

use api::types::{StopReason, Usage};
use turn::{
    effect::Effect,
    model::{ModelStop, ReasoningPart, StreamEvent},
    mutation::Update,
};

use crate::{
    golden::join_text,
    script::{ModelStep, Script},
    simulation::{ReceivedDelta, Timeline, simulate},
};

/// Latencies of a publish, in milliseconds.
const LATENCIES: [u64; 4] = [0, 30, 60, 200];

struct Measurement {
    mutations: usize,
    /// From each delta to the start of the publish that carries it, ascending.
    delays: Vec<Duration>,
    usage_to_closing_event: Duration,
}

#[test]
fn mutations_and_p95_delay_of_300_deltas_stay_within_budget() {
    for latency in LATENCIES {
        let measurement = measure(300, 15, latency);
        let p95 = measurement.percentile(95);
        assert!(measurement.mutations <= 30, "{latency} ms: {} mutations", measurement.mutations);
        assert!(p95 < Duration::from_millis(300), "{latency} ms: p95 {p95:?}");
    }
}

#[test]
fn delay_does_not_grow_with_the_answer() {
    for latency in LATENCIES {
        let short = measure(1500, 10, latency);
        let long = measure(6000, 10, latency);
        let growth = long.percentile(95).saturating_sub(short.percentile(95));
        assert!(growth < Duration::from_millis(5), "{latency} ms: p95 grows by {growth:?}");
    }
}

#[test]
fn closing_event_is_published_within_two_publish_latencies_of_the_usage() {
    for latency in LATENCIES {
        for deltas in 290..310 {
            let delay = measure(deltas, 15, latency).usage_to_closing_event;
            assert!(delay <= Duration::from_millis(2 * latency), "{latency} ms, {deltas} deltas: {delay:?}");
        }
    }
}

#[test]
fn reasoning_of_5000_tokens_costs_no_more_publishes_than_as_much_text() {
    for latency in LATENCIES {
        let publishes = |delta: StreamEvent| {
            let timeline = simulate(script_of(delta, 5000, 10, latency));
            timeline.effects.iter().filter(|(_, effect)| matches!(effect, Effect::Publish(_))).count()
        };
        let text = publishes(StreamEvent::Text { block: 0, text: "tick ".into() });
        let reasoning = publishes(StreamEvent::Reasoning { block: 0, part: ReasoningPart::Text("tick ".into()) });
        println!("{latency} ms: {text} publishes for text, {reasoning} for reasoning");
        assert!(reasoning <= text, "{latency} ms: {reasoning} publishes for reasoning, {text} for text");
    }
}

#[test]
fn first_delta_is_published_at_once() {
    let timeline = simulate(script(300, 15, 0));
    let first_text = timeline.effects.iter().find(|(_, effect)| text_bytes(effect) > 0).map(|(at, _)| *at);
    assert_eq!(first_text, timeline.deltas.first().map(|delta| delta.at));
}

#[test]
fn published_bytes_grow_linearly_with_the_answer() {
    let bytes = |deltas| -> usize {
        simulate(script(deltas, 10, 30)).effects.iter().map(|(_, effect)| text_bytes(effect)).sum()
    };
    let (once, tenfold) = (bytes(600), bytes(6000));
    assert!(tenfold <= 11 * once, "{once} bytes, then {tenfold}");
}

impl Measurement {
    fn percentile(&self, percent: usize) -> Duration {
        self.delays[(self.delays.len() * percent).div_ceil(100) - 1]
    }
}

/// `interval` between deltas and `latency` of publishes are in milliseconds.
fn measure(deltas: usize, interval: u64, latency: u64) -> Measurement {
    let timeline = simulate(script(deltas, interval, latency));
    let publishes: Vec<_> =
        timeline.effects.iter().filter(|(_, effect)| matches!(effect, Effect::Publish(_))).collect();
    let mut delays = publish_delays(&timeline);
    delays.sort();
    let usage_at = timeline.deltas.last().unwrap().at;
    let closing_event_at = publishes.last().unwrap().0;
    Measurement { mutations: publishes.len(), delays, usage_to_closing_event: closing_event_at - usage_at }
}

/// For each delta, the time until all text up to its end has been published.
fn publish_delays(timeline: &Timeline) -> Vec<Duration> {
    let total_bytes: usize = timeline.deltas.iter().map(|delta| delta.text.len()).sum();
    let mut publishes = timeline.effects.iter().filter(|(_, effect)| text_bytes(effect) > 0);
    let mut published_bytes = 0;
    let mut published_at = Duration::ZERO;
    let mut received_bytes = 0;
    let mut delays = Vec::new();
    for ReceivedDelta { at: received_at, text, .. } in &timeline.deltas {
        received_bytes += text.len();
        while published_bytes < received_bytes {
            let (at, effect) = publishes.next().expect("all text is published");
            published_at = *at;
            published_bytes = if is_closing_event(effect) { total_bytes } else { published_bytes + text_bytes(effect) };
        }
        delays.push(published_at - *received_at);
    }
    delays
}

/// The closing event carries all text that is in no batch.
fn is_closing_event(effect: &Effect) -> bool {
    matches!(effect, Effect::Publish(mutation) if mutation.closes_turn())
}

fn text_bytes(effect: &Effect) -> usize {
    let Effect::Publish(mutation) = effect else { return 0 };
    match &mutation.update {
        Update::Batch(batch) => batch.text.len(),
        Update::Event(event) => join_text(&event.content).len(),
        Update::Started { .. } | Update::Note(_) | Update::ToolProgress(_) | Update::Stored(_) => 0,
        Update::Waiting(_) | Update::CallAnswered(_) => 0,
    }
}

fn script(deltas: usize, interval: u64, latency: u64) -> Script {
    script_of(StreamEvent::Text { block: 0, text: "tick ".into() }, deltas, interval, latency)
}

fn script_of(delta: StreamEvent, deltas: usize, interval: u64, latency: u64) -> Script {
    let mut steps = vec![(Duration::from_millis(interval), ModelStep::Event(delta)); deltas];
    steps.push((Duration::ZERO, ModelStep::Event(StreamEvent::MessageStop(ModelStop::Answered(StopReason::EndTurn)))));
    steps.push((Duration::ZERO, ModelStep::Event(StreamEvent::Usage(Usage::default()))));
    Script { latency: Duration::from_millis(latency), model_calls: [steps].into(), ..Script::default() }
}
