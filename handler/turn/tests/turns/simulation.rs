//! Plays a script against an attempt, as the relay would with real sockets and a real clock.
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use turn::{
    attempt::{Attempt, Beginning, Ended, Input, Step},
    claim::Claim,
    limits::Limits,
    mutation::Mutation,
    request::Agent,
    words::{ContentBlock, ConversationEvent, Inference, ModelRequest, Sender, SenderKind, StreamEvent, TurnStatus},
};

use crate::script::{PublishAnswer, Said, Script};

/// What an attempt did, and when.
pub struct Played {
    pub steps: Vec<(Duration, Step)>,
    /// Deltas that reached the attempt while it was listening, and when.
    pub heard: Vec<(Duration, String)>,
    pub ended: Ended,
}

struct Stage {
    script: Script,
    began: Instant,
    now: Instant,
    model: VecDeque<(Instant, Said)>,
    publish: Option<(Instant, PublishAnswer)>,
    played: Vec<(Duration, Step)>,
    heard: Vec<(Duration, String)>,
}

#[expect(clippy::disallowed_methods, reason = "a simulation begins at some moment")]
pub fn play(script: Script) -> Played {
    let now = Instant::now();
    let mut attempt = Attempt::begin(beginning(&script, now), now);
    let (model, played, heard) = Default::default();
    let mut stage = Stage { script, began: now, now, model, publish: None, played, heard };
    loop {
        while let Some(step) = attempt.next(stage.now) {
            if let Step::End(ended) = step {
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
    fn take(&mut self, step: Step) {
        match &step {
            Step::AskModel(_) => self.ask(),
            Step::CloseModel => self.model.clear(),
            Step::Publish(mutation) => self.publish(mutation),
            Step::End(_) => {}
        }
        self.record(step);
    }

    fn record(&mut self, step: Step) {
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
        let scripted = self.script.answers.get_mut(&mutation.sequence).and_then(VecDeque::pop_front);
        let (answer, latency) = scripted.unwrap_or((Ok(TurnStatus::Running), None));
        self.publish = Some((self.now + latency.unwrap_or(self.script.latency), answer));
    }

    /// The next thing that happens, in the relay's order where two happen at once.
    fn wait(&mut self, wake: Instant) -> Input {
        let answered = self.publish.as_ref().map(|(at, _)| *at);
        let said = self.model.front().map(|(at, _)| *at);
        let next = [answered, said].into_iter().flatten().fold(wake, Instant::min);
        self.now = self.now.max(next);
        if answered == Some(next) {
            return Input::Published(self.publish.take().expect("a publish is in flight").1);
        }
        if said == Some(next) {
            return self.hear();
        }
        Input::Woken
    }

    fn hear(&mut self) -> Input {
        let (_, said) = self.model.pop_front().expect("the model speaks");
        if let Said::Event(StreamEvent::Text { text, .. }) = &said {
            self.heard.push((self.now - self.began, text.clone()));
        }
        said.into()
    }
}

fn beginning(script: &Script, now: Instant) -> Beginning {
    let claim =
        Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: script.attempt, last_position: 7 };
    let request = ModelRequest {
        model_id: "anthropic.some-model".into(),
        system_prompt: None,
        inference: Inference::default(),
        transcript: Vec::new(),
    };
    Beginning {
        claim,
        agent: agent(),
        question: question(),
        request,
        bounds: script.bounds,
        limits: Limits::within(now, script.left),
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
        position: 7,
        turn_id: Some("t1".into()),
        attempt: None,
        sender: Sender { kind: SenderKind::User, id: Some("u1".into()), name: None },
        content: vec![ContentBlock::text("Why?")],
        superseded: None,
        created_at: Some("2026-11-21T09:00:00.000Z".into()),
    }
}
