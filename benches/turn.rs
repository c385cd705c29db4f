//! CPU time and allocations of the attempt state machine per model event. They must not grow with the
//! answer's length.
use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, Instant},
};

use api::types::{
    ContentBlock, ConversationEvent, InferenceSettings, Sender, SenderKind, StopReason, TurnStatus, Usage,
};
use divan::{AllocProfiler, Bencher, counter::ItemsCount};
use serde_json::json;
use turn::{
    attempt::{Attempt, AttemptStart, Input},
    claim::Claim,
    deadlines::Deadlines,
    effect::Effect,
    limits::Limits,
    model::{ModelRequest, ModelStop, StreamEvent},
    tool::Caller,
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const DELTA_INTERVAL: Duration = Duration::from_millis(15);

fn main() {
    divan::main();
}

/// 1,000 deltas after an answer with this many. The time of one delta is a thousandth of the result.
#[divan::bench(args = [100, 1_000, 10_000], sample_count = 200, sample_size = 1)]
fn thousand_deltas_after(bencher: Bencher, previous_deltas: usize) {
    let count = 1_000;
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| (RunningAttempt::after(previous_deltas), deltas(count)))
        .bench_local_values(|(mut attempt, deltas)| {
            attempt.handle_all(deltas);
            attempt
        });
}

/// An answer with this many deltas, from the first update to the final event.
#[divan::bench(args = [100, 1_000, 10_000], sample_count = 50, sample_size = 1)]
fn whole_answer(bencher: Bencher, count: usize) {
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| (RunningAttempt::after(0), deltas(count)))
        .bench_local_values(|(mut attempt, deltas)| {
            attempt.handle_all(deltas);
            attempt.handle_all([
                StreamEvent::MessageStop(ModelStop::Answered(StopReason::EndTurn)),
                StreamEvent::Usage(Usage::default()),
            ]);
            attempt
        });
}

/// An attempt whose publishes and writes succeed at once.
struct RunningAttempt {
    attempt: Attempt,
    now: Instant,
}

impl RunningAttempt {
    fn after(previous_deltas: usize) -> Self {
        let now = Instant::now();
        let mut running = Self { attempt: Attempt::new(attempt_start(now), now), now };
        running.perform_effects();
        running.handle_all(deltas(previous_deltas));
        running
    }

    fn handle_all(&mut self, events: impl IntoIterator<Item = StreamEvent>) {
        for event in events {
            self.now += DELTA_INTERVAL;
            self.attempt.handle(Input::ModelEvent(event), self.now);
            self.perform_effects();
        }
    }

    fn perform_effects(&mut self) {
        while let Some(effect) = self.attempt.next_effect(self.now) {
            match black_box(effect) {
                Effect::Publish(_) => self.attempt.handle(Input::Published(Ok(TurnStatus::Running.into())), self.now),
                Effect::Write(_) => self.attempt.handle(Input::Written(Ok(TurnStatus::Running)), self.now),
                Effect::CallModel(_) | Effect::CloseModelStream | Effect::RunTool(_) | Effect::StopTools => {}
                Effect::Retrieve(_) | Effect::StopRetrieval | Effect::SendReplies(_) => {}
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
        caller: Caller::default(),
        claim: Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: 1, last_position: 1 },
        leased_at: now,
        retrieval: None,
        stored_passages: BTreeMap::new(),
        reply_to: None,
        agent: serde_json::from_value(json!({
            "id": "default", "version": 0, "modelId": "any", "contextBytes": 400_000,
        }))
        .expect("the members are those of an agent"),
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
            replaces_turn_id: None,
            answer_position: None,
            model_id: None,
            guardrail: None,
            created_at: "2026-11-21T09:00:00.000Z".into(),
        },
        continues: false,
        stored_calls: None,
        kept_usage: None,
        request: ModelRequest {
            model_id: "any".into(),
            system_prompt: None,
            inference: InferenceSettings::default(),
            tools: [].into(),
            ..ModelRequest::default()
        },
        limits: Limits::default(),
        deadlines: Deadlines::within(now, Duration::from_secs(900)),
    }
}
