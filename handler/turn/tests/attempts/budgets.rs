//! What a streamed answer may cost, in simulated time.
use std::time::Duration;

use api::types::{StopReason, Usage};
use turn::{attempt::Effect, mutation::Update, types::StreamEvent};

use crate::{
    cases::joined,
    script::{Said, Script},
    simulation::{Played, play},
};

const LATENCIES: [u64; 4] = [0, 30, 60, 200];

struct Measured {
    mutations: usize,
    /// From each delta to the start of the publish that carries it, ascending.
    delays: Vec<Duration>,
    metadata_to_final: Duration,
}

#[test]
fn three_hundred_deltas_stay_within_the_budget_at_every_publish_latency() {
    for latency in LATENCIES {
        let measured = measure(300, 15, latency);
        let p95 = measured.percentile(95);
        assert!(measured.mutations <= 30, "{latency} ms: {} mutations", measured.mutations);
        assert!(p95 < Duration::from_millis(300), "{latency} ms: p95 {p95:?}");
    }
}

#[test]
fn the_delay_does_not_grow_with_the_answer() {
    for latency in LATENCIES {
        let (short, long) = (measure(1500, 10, latency), measure(6000, 10, latency));
        let grown = long.percentile(95).saturating_sub(short.percentile(95));
        assert!(grown < Duration::from_millis(5), "{latency} ms: p95 grows by {grown:?}");
    }
}

#[test]
fn the_final_event_leaves_within_two_publish_latencies_of_the_models_last_word() {
    for latency in LATENCIES {
        for deltas in 290..310 {
            let measured = measure(deltas, 15, latency).metadata_to_final;
            assert!(measured <= Duration::from_millis(2 * latency), "{latency} ms, {deltas} deltas: {measured:?}");
        }
    }
}

#[test]
fn the_first_delta_leaves_at_once() {
    let played = play(script(300, 15, 0));
    let first = played.steps.iter().find(|(_, step)| carried(step) > 0).map(|(at, _)| *at);
    assert_eq!(first, played.heard.first().map(|(at, _)| *at));
}

#[test]
fn published_bytes_grow_with_the_answer_and_not_with_its_square() {
    let bytes = |deltas| play(script(deltas, 10, 30)).steps.iter().map(|(_, step)| carried(step)).sum::<usize>();
    let (once, tenfold) = (bytes(600), bytes(6000));
    assert!(tenfold <= 11 * once, "{once} bytes, then {tenfold}");
}

impl Measured {
    fn percentile(&self, percent: usize) -> Duration {
        self.delays[(self.delays.len() * percent).div_ceil(100) - 1]
    }
}

fn measure(deltas: usize, interval: u64, latency: u64) -> Measured {
    let played = play(script(deltas, interval, latency));
    let published: Vec<_> = played.steps.iter().filter(|(_, step)| matches!(step, Effect::Publish(_))).collect();
    let mut delays = delays(&played);
    delays.sort();
    let said_all = played.heard.last().unwrap().0;
    let metadata_to_final = published.last().unwrap().0 - said_all;
    Measured { mutations: published.len(), delays, metadata_to_final }
}

fn delays(played: &Played) -> Vec<Duration> {
    let mut carriers = played.steps.iter().map(|(at, step)| (*at, carried_first(step))).filter(|(_, bytes)| *bytes > 0);
    let (mut spoken, mut shown, mut at) = (0, 0, Duration::ZERO);
    let total: usize = played.heard.iter().map(|(_, text)| text.len()).sum();
    let delay = |(heard, text): &(Duration, String)| {
        spoken += text.len();
        while shown < spoken {
            let (when, bytes) = carriers.next().expect("everything is published");
            (at, shown) = (when, if bytes == usize::MAX { total } else { shown + bytes });
        }
        at - *heard
    };
    played.heard.iter().map(delay).collect()
}

/// Bytes of text that a step is the first to carry; the final event carries all that is left.
fn carried_first(step: &Effect) -> usize {
    match step {
        Effect::Publish(mutation) if mutation.closes_turn() => usize::MAX,
        _ => carried(step),
    }
}

fn carried(step: &Effect) -> usize {
    let Effect::Publish(mutation) = step else { return 0 };
    match &mutation.update {
        Update::Batch(batch) => batch.text.len(),
        Update::Event(event) => joined(&event.content).len(),
        Update::Began { .. } | Update::Note(_) | Update::Stored(_) => 0,
    }
}

fn script(deltas: usize, interval: u64, latency: u64) -> Script {
    let delta = Said::Event(StreamEvent::Text { block: 0, text: "tick ".into() });
    let mut said = vec![(Duration::from_millis(interval), delta); deltas];
    said.push((Duration::ZERO, Said::Event(StreamEvent::Stopped(StopReason::EndTurn))));
    said.push((Duration::ZERO, Said::Event(StreamEvent::Used(Usage::default()))));
    Script { latency: Duration::from_millis(latency), asks: [said].into(), ..Script::default() }
}
