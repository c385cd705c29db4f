//! A simulated model: a random answer to each request, with random failures.
use std::{future::pending, sync::Arc, time::Duration};

use api::types::{FailureCode, StopReason, Usage};
use futures::{Stream, StreamExt, stream};
use tokio::time::sleep;
use turn::model::{ModelError, ModelRequest, ModelStop, StreamEvent};

use super::invocation;
use crate::{environment::Environment, long_run::LongRun, rng::Rng};

/// Texts that are easily damaged: joined emoji, line ends, right-to-left text, combining marks, control
/// characters.
const TEXTS: [&str; 12] =
    ["Hello", " ", "👩‍👩‍👧", "\r\n", "שלום", "e\u{301}", "\u{1}\u{0}", "\"\\", "…and more", "日本語", "x", "\t\u{2028}"];

/// A response of the model.
struct Script {
    /// Each event with the pause before it.
    events: Vec<(Duration, ModelEvent)>,
    end: StreamEnd,
}

type ModelEvent = Result<StreamEvent, ModelError>;

#[derive(Clone, Copy)]
enum StreamEnd {
    Closed,
    /// The stream stays open without further events.
    Silent,
}

/// Returns the index of the recorded model call, and its stream. Text is recorded when the handler receives
/// it.
pub fn converse(
    environment: Arc<Environment>,
    request: &ModelRequest,
) -> (usize, impl Stream<Item = ModelEvent> + Send + use<>) {
    let call = environment.with_recorder(|recorder| recorder.record_model_call(&environment, request));
    let Script { events, end } = environment.with_rng(|rng| match environment.long_run {
        Some(long_run) => long_script(rng, long_run, call),
        None => random_script(rng, call),
    });
    environment.trace(|| format!("model call {call}: {} events", events.len()));
    let caller = Arc::clone(&environment);
    let open = stream::once(async move { invocation::pass_fault_point(&caller, "the model").await });
    let events = stream::iter(events).then(async |(pause, event)| {
        sleep(pause).await;
        event
    });
    let silence = stream::once(async move {
        if let StreamEnd::Silent = end {
            pending::<()>().await;
        }
    });
    let stream = open.filter_map(async |()| None).chain(events).chain(silence.filter_map(async |()| None));
    let stream = stream.inspect(move |event| {
        if let Ok(StreamEvent::Text { block, text }) = event {
            let delta = (*block, text.clone());
            environment.with_recorder(|recorder| recorder.model_calls[call].received_deltas.push(delta));
        }
    });
    (call, stream.boxed())
}

/// A text answer begins with the number of its call, so that no two answers are equal.
fn random_script(rng: &mut Rng, call: usize) -> Script {
    let kind = rng.below(100);
    if kind < 6 {
        return random_refusal(rng);
    }
    let (min_pause_ms, max_pause_ms) = rng.choose(&[(0, 1), (5, 30), (5, 30), (100, 400), (2_000, 9_000)]);
    let deltas = match rng.below(40) {
        0 if max_pause_ms <= 30 => rng.within(200..400),
        1..6 if max_pause_ms <= 400 => rng.within(20..60),
        _ => rng.within(1..10),
    };
    let mut events = Vec::new();
    let mut push = |rng: &mut Rng, event| events.push((rng.milliseconds(min_pause_ms..max_pause_ms), Ok(event)));
    push(rng, StreamEvent::Other);
    if kind >= 10 {
        push(rng, StreamEvent::Text { block: 0, text: format!("«{call}»") });
        let mut block = 0;
        for _ in 0..deltas {
            block += u32::from(rng.percent(3));
            let text = random_text(rng);
            push(rng, StreamEvent::Text { block, text });
        }
    }
    let end = push_end(rng, &mut events, kind);
    Script { events, end }
}

/// In the first call of a long run, the answer that reaches the bound; afterwards answers are short.
fn long_script(rng: &mut Rng, long_run: LongRun, call: usize) -> Script {
    let is_long = call == 0 || matches!(long_run, LongRun::Continues(_) | LongRun::Turns(_));
    if !is_long {
        return random_script(rng, call);
    }
    let mut events = vec![(Duration::ZERO, Ok(StreamEvent::Text { block: 0, text: format!("«{call}»") }))];
    for (block, text) in long_run.deltas(rng) {
        events.push((long_run.pause_between_deltas(rng), Ok(StreamEvent::Text { block, text })));
    }
    if long_run.updates_before_death().is_some() {
        // Slow publishes catch up while the stream stays open.
        return Script { events, end: StreamEnd::Silent };
    }
    events.push((Duration::ZERO, Ok(StreamEvent::MessageStop(ModelStop::Answered(StopReason::EndTurn)))));
    Script { events, end: StreamEnd::Closed }
}

fn push_end(rng: &mut Rng, events: &mut Vec<(Duration, ModelEvent)>, kind: u64) -> StreamEnd {
    let pause = rng.milliseconds(0..50);
    let reasons = [StopReason::EndTurn, StopReason::EndTurn, StopReason::MaxTokens, StopReason::StopSequence];
    let message_stop = StreamEvent::MessageStop(ModelStop::Answered(rng.choose(&reasons)));
    let usage = Usage { input_tokens: 3, output_tokens: 5, total_tokens: 8, ..Usage::default() };
    match kind {
        10..14 => events.push((pause, Err(ModelError::Failed(FailureCode::ModelUnavailable)))),
        14..16 => events.push((pause, Err(ModelError::ThrottledBriefly))),
        16..19 => {}
        19..22 => return StreamEnd::Silent,
        22..25 => events.push((pause, Ok(message_stop))),
        25..27 => {
            events.push((pause, Ok(message_stop)));
            return StreamEnd::Silent;
        }
        _ => {
            events.push((pause, Ok(message_stop)));
            events.push((pause, Ok(StreamEvent::Usage(usage))));
        }
    }
    StreamEnd::Closed
}

/// A failure before the first event, or no event at all.
fn random_refusal(rng: &mut Rng) -> Script {
    let error = rng.choose(&[
        ModelError::ThrottledBriefly,
        ModelError::ThrottledBriefly,
        ModelError::ThrottledBriefly,
        ModelError::Failed(FailureCode::Throttled),
        ModelError::Failed(FailureCode::ModelUnavailable),
        ModelError::Failed(FailureCode::ModelRefused),
    ]);
    if rng.percent(20) {
        return Script { events: Vec::new(), end: StreamEnd::Silent };
    }
    Script { events: vec![(rng.milliseconds(1..500), Err(error))], end: StreamEnd::Closed }
}

fn random_text(rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..rng.within(1..5) {
        text.push_str(rng.choose(&TEXTS));
    }
    if rng.per_mille(5) { text.repeat(200) } else { text }
}
