//! The tokens that count against the user's quota where the model reports none.
use std::{sync::Arc, time::Instant};

use api::types::StopReason;
use turn::{
    attempt::{Attempt, Input},
    effect::Effect,
    model::{ModelError, ModelRequest, ModelStop, StreamEvent},
    transcript_size::transcript_size,
};

use crate::{script::Script, simulation::attempt_start};

const ANSWER: &str = "You have 20 days [1].";
/// By `turn::token_estimate`.
const BYTES_PER_TOKEN: usize = 4;

/// Performs the effects of an attempt until there is none left, but for those of the model, which are
/// returned. Publishes stay in flight.
fn next_request(attempt: &mut Attempt, script: &Script, now: Instant) -> Arc<ModelRequest> {
    loop {
        match attempt.next_effect(now).expect("the model is called") {
            Effect::CallModel(request) => return request,
            Effect::Retrieve(_) => attempt.handle(Input::Retrieved(Ok(script.passages.clone())), now),
            _ => {}
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "an attempt needs some moment to start from")]
fn request_that_was_refused_for_its_search_results_costs_nothing() {
    let now = Instant::now();
    let script = Script::parse(
        r#"
        model eu.anthropic.claude-next-1
        knowledge ANSWER
        passage "s3://docs/leave.md" 0.8 "Employees get 20 days of leave."
        "#,
    );
    let mut attempt = Attempt::new(attempt_start(&script, now), now);
    let refused = next_request(&mut attempt, &script, now);
    attempt.handle(Input::ModelFailed(ModelError::SearchResultsRefused), now);
    let request = next_request(&mut attempt, &script, now);
    assert_ne!(refused.transcript, request.transcript);
    for event in [
        StreamEvent::Text { block: 0, text: ANSWER.into() },
        StreamEvent::MessageStop(ModelStop::Answered(StopReason::EndTurn)),
    ] {
        attempt.handle(Input::ModelEvent(event), now);
    }
    let tokens = (transcript_size(&request.transcript) + ANSWER.len()).div_ceil(BYTES_PER_TOKEN);
    assert_eq!(attempt.token_count(), Some(tokens as u32));
}
