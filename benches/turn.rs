//! What one event of the model's stream costs the handler. Flat: it must not depend on how much was said before.
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use api::types::{
    ContentBlock, ConversationEvent, InferenceSettings, Sender, SenderKind, StopReason, TurnStatus, Usage,
};
use divan::{AllocProfiler, Bencher, counter::ItemsCount};
use turn::{
    attempt::{Attempt, AttemptStart, Input},
    claim::Claim,
    deadlines::Deadlines,
    effect::Effect,
    limits::Limits,
    request::Agent,
    types::{ModelRequest, StreamEvent},
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const INTERVAL: Duration = Duration::from_millis(15);

fn main() {
    divan::main();
}

/// A thousand deltas, after an answer of so many: divide by 1,000 for the cost of one.
#[divan::bench(args = [100, 1_000, 10_000], sample_count = 200, sample_size = 1)]
fn a_thousand_more_deltas(bencher: Bencher, already: usize) {
    let deltas = 1_000;
    bencher
        .counter(ItemsCount::new(deltas))
        .with_inputs(|| (Answering::after(already), self::deltas(deltas)))
        .bench_local_values(|(mut answering, deltas)| {
            answering.hear(deltas);
            answering
        });
}

/// A whole answer, from the first update to the final event.
#[divan::bench(args = [100, 1_000, 10_000], sample_count = 50, sample_size = 1)]
fn a_whole_answer(bencher: Bencher, length: usize) {
    bencher.counter(ItemsCount::new(length)).with_inputs(|| (Answering::after(0), deltas(length))).bench_local_values(
        |(mut answering, deltas)| {
            answering.hear(deltas);
            answering.hear([StreamEvent::MessageStop(StopReason::EndTurn), StreamEvent::Usage(Usage::default())]);
            answering
        },
    );
}

/// An attempt whose publishes are accepted at once.
struct Answering {
    attempt: Attempt,
    now: Instant,
}

impl Answering {
    fn after(deltas: usize) -> Self {
        let now = Instant::now();
        let mut answering = Self { attempt: Attempt::new(attempt_start(now), now), now };
        answering.drain();
        answering.hear(self::deltas(deltas));
        answering
    }

    fn hear(&mut self, events: impl IntoIterator<Item = StreamEvent>) {
        for event in events {
            self.now += INTERVAL;
            self.attempt.handle(Input::ModelEvent(event), self.now);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(step) = self.attempt.next_effect(self.now) {
            match black_box(step) {
                Effect::Publish(_) => self.attempt.handle(Input::Published(Ok(TurnStatus::Running)), self.now),
                Effect::Write(_) => self.attempt.handle(Input::Written(Ok(TurnStatus::Running)), self.now),
                Effect::CallModel(_) | Effect::CloseModelStream => {}
                Effect::End(_) => return,
            }
        }
    }
}

fn deltas(count: usize) -> Vec<StreamEvent> {
    let delta = || StreamEvent::Text { block: 0, text: "tick ".into() };
    std::iter::repeat_with(delta).take(count).collect()
}

fn attempt_start(now: Instant) -> AttemptStart {
    AttemptStart {
        claim: Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: 1, last_position: 1 },
        leased_at: now,
        agent: Agent {
            id: "default".into(),
            version: 0,
            name: None,
            model_id: "any".into(),
            system_prompt: None,
            context_bytes: 400_000,
            inference: None,
        },
        question: ConversationEvent {
            id: "t1".into(),
            conversation_id: "c1".into(),
            position: 1,
            turn_id: Some("t1".into()),
            attempt: None,
            sender: Sender { kind: SenderKind::User, id: None, name: None },
            content: vec![ContentBlock::text("Why?")],
            text: None,
            stop_reason: None,
            usage: None,
            failure: None,
            superseded: None,
            created_at: "2026-11-21T09:00:00.000Z".into(),
        },
        continues: false,
        request: ModelRequest {
            model_id: "any".into(),
            system_prompt: None,
            inference: InferenceSettings::default(),
            transcript: Vec::new(),
        },
        limits: Limits::default(),
        deadlines: Deadlines::within(now, Duration::from_secs(900)),
    }
}
