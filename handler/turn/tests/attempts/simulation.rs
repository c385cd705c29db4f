//! Plays a script against an attempt, as the relay would with real sockets and a real clock.
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use api::types::{ContentBlock, ConversationEvent, InferenceSettings, Sender, SenderKind, TurnStatus};
use turn::{
    attempt::{Attempt, AttemptEnd, AttemptStart, Effect, Input},
    claim::Claim,
    deadlines::Deadlines,
    direct_write::DirectWrite,
    mutation::Mutation,
    request::Agent,
    types::{ModelRequest, StreamEvent},
};

use crate::script::{PublishAnswer, Said, Script, WriteAnswer};

/// What an attempt did, and when.
pub struct Played {
    pub steps: Vec<(Duration, Effect)>,
    /// Deltas that reached the attempt while it was listening, and when.
    pub heard: Vec<(Duration, String)>,
    pub ended: AttemptEnd,
}

struct Stage {
    script: Script,
    began: Instant,
    now: Instant,
    model: VecDeque<(Instant, Said)>,
    publish: Option<(Instant, PublishAnswer)>,
    write: Option<(Instant, WriteAnswer)>,
    played: Vec<(Duration, Effect)>,
    heard: Vec<(Duration, String)>,
}

#[expect(clippy::disallowed_methods, reason = "a simulation begins at some moment")]
pub fn play(script: Script) -> Played {
    let now = Instant::now();
    let mut attempt = Attempt::begin(attempt_start(&script, now), now);
    let (model, played, heard) = Default::default();
    let mut stage = Stage { script, began: now, now, model, publish: None, write: None, played, heard };
    loop {
        while let Some(step) = attempt.next(stage.now) {
            if let Effect::End(ended) = step {
                stage.record(step);
                return Played { steps: stage.played, heard: stage.heard, ended };
            }
            stage.take(step);
        }
        let input = stage.wait(attempt.wake(stage.now));
        attempt.on(input, stage.now);
    }
}

impl Stage {
    fn take(&mut self, step: Effect) {
        match &step {
            Effect::CallModel(_) => self.ask(),
            Effect::CloseModelStream => self.model.clear(),
            Effect::Publish(mutation) => self.publish(mutation),
            Effect::Write(write) => self.write(write),
            Effect::End(_) => {}
        }
        self.record(step);
    }

    fn record(&mut self, step: Effect) {
        self.played.push((self.now - self.began, step));
    }

    fn ask(&mut self) {
        let mut at = self.now;
        let said = self.script.asks.pop_front().expect("the model is asked once per `ask`");
        self.model = said
            .into_iter()
            .map(|(after, said)| {
                at += after;
                (at, said)
            })
            .collect();
    }

    fn publish(&mut self, mutation: &Arc<Mutation>) {
        assert!(self.publish.is_none(), "one publish in flight");
        let scripted = self.script.publishes.get_mut(&mutation.sequence).and_then(VecDeque::pop_front);
        let (answer, latency) = scripted.unwrap_or((self.weather(), None));
        self.publish = Some((self.now + latency.unwrap_or(self.script.latency), answer));
    }

    fn weather(&self) -> PublishAnswer {
        let at = self.now - self.began;
        let weather = self.script.weather.iter().find(|weather| weather.time.contains(&at));
        weather.map_or(Ok(TurnStatus::Running), |weather| weather.answer)
    }

    fn write(&mut self, write: &DirectWrite) {
        assert!(self.write.is_none(), "one write in flight");
        let scripted = match write {
            DirectWrite::RenewLease(_) => self.script.renewals.pop_front(),
            DirectWrite::StoreEvent(event) => self.script.writes.get_mut(&event.sequence).and_then(VecDeque::pop_front),
        };
        let (answer, latency) = scripted.unwrap_or((Ok(TurnStatus::Running), None));
        self.write = Some((self.now + latency.unwrap_or(self.script.latency), answer));
    }

    /// The next thing that happens, in the relay's order where two happen at once.
    fn wait(&mut self, wake: Instant) -> Input {
        let answered = self.publish.as_ref().map(|(at, _)| *at);
        let written = self.write.as_ref().map(|(at, _)| *at);
        let said = self.model.front().map(|(at, _)| *at);
        let next = [answered, written, said].into_iter().flatten().fold(wake, Instant::min);
        self.now = self.now.max(next);
        if answered == Some(next) {
            return Input::Published(self.publish.take().expect("a publish is in flight").1);
        }
        if written == Some(next) {
            return Input::Written(self.write.take().expect("a write is in flight").1);
        }
        if said == Some(next) {
            return self.hear();
        }
        Input::TimerFired
    }

    fn hear(&mut self) -> Input {
        let (_, said) = self.model.pop_front().expect("the model speaks");
        if let Said::Event(StreamEvent::Text { text, .. }) = &said {
            self.heard.push((self.now - self.began, text.clone()));
        }
        said.into()
    }
}

pub fn attempt_start(script: &Script, now: Instant) -> AttemptStart {
    let claim =
        Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: script.attempt, last_position: 7 };
    let request = ModelRequest {
        model_id: "anthropic.some-model".into(),
        system_prompt: None,
        inference: InferenceSettings::default(),
        transcript: Vec::new(),
    };
    AttemptStart {
        claim,
        leased: now.checked_sub(script.claimed_before).unwrap_or(now),
        agent: agent(),
        question: question(),
        continues: script.continues,
        request,
        limits: script.limits,
        deadlines: Deadlines::within(now, script.left),
    }
}

pub fn agent() -> Agent {
    Agent {
        id: "default".into(),
        version: 3,
        name: Some("Parlance".into()),
        model_id: "anthropic.some-model".into(),
        system_prompt: None,
        context_bytes: 400_000,
        inference: None,
    }
}

pub fn question() -> ConversationEvent {
    ConversationEvent {
        id: "t1".into(),
        conversation_id: "c1".into(),
        position: 7,
        turn_id: Some("t1".into()),
        attempt: None,
        sender: Sender { kind: SenderKind::User, id: Some("u1".into()), name: None },
        content: vec![ContentBlock::text("Why?")],
        text: None,
        stop_reason: None,
        usage: None,
        failure: None,
        superseded: None,
        created_at: "2026-11-21T09:00:00.000Z".into(),
    }
}
