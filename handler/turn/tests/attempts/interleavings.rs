//! Attempts amid whatever may happen, in whatever order: what holds for every one of them.
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use api::types::{FailureCode, StopReason, TurnStatus, Usage};
use proptest::{collection::vec, prelude::*, sample::select};
use turn::{
    attempt::{Attempt, AttemptEnd, Effect, Input},
    deadlines::Deadlines,
    direct_write::{DirectWrite, WriteFailure},
    limits::Limits,
    mutation::{Mutation, PublishFailure, Update},
    types::StreamEvent,
};

use crate::{
    cases::{joined, json_len},
    script::{PublishAnswer, Script, WriteAnswer},
    simulation::attempt_start,
};

const TEXTS: [&str; 9] =
    ["", "tick ", "a", "é\u{301}", "👩‍👩‍👧‍👦", "\"\\\n\u{0}", " \r\n", "שלום ", "a rather longer piece of text"];

/// In which everything that waits is tried again.
const RECOVERY: Duration = Duration::from_secs(6);

/// One thing that happens, where it can.
#[derive(Clone, Debug)]
enum Happening {
    Said(StreamEvent),
    ModelFails(FailureCode),
    ModelCloses,
    /// AppSync answers what it was sent last.
    Published(PublishAnswer),
    /// The table answers what it was sent last.
    Written(WriteAnswer),
    Passes(Duration),
}

/// What comes after all that has happened.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rest {
    /// Nobody answers any more.
    Silence,
    /// The model ends, and all is accepted.
    Health,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_attempt_keeps_its_promises_whatever_happens(
        happenings in vec(happening(), 0..120),
        rest in select(vec![Rest::Silence, Rest::Health]),
        left in select(vec![8_000, 30_000, 900_000]),
        batch_max_bytes in 8_usize..200,
        event_max_bytes in 4_150_usize..5_000,
    ) {
        let limits = Limits { batch_max_bytes, event_max_bytes, ..Limits::default() };
        let script = Script { left: Duration::from_millis(left), limits, ..Script::default() };
        let mut world = World::new(&script);
        for happening in happenings {
            world.happens(happening);
        }
        let in_time = world.now + RECOVERY < world.deadlines.give_up_at;
        world.rests(rest);
        prop_assert!(rest == Rest::Silence || !in_time || world.is_settled(), "health ends a turn");
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    let text = (0_u32..3, select(&TEXTS[..]), select(vec![1, 1, 1, 40]))
        .prop_map(|(block, text, times)| StreamEvent::Text { block, text: text.repeat(times) });
    let stopped = select(vec![StopReason::EndTurn, StopReason::MaxTokens]).prop_map(StreamEvent::Stopped);
    let code = select(vec![FailureCode::Throttled, FailureCode::ModelUnavailable, FailureCode::Internal]);
    let time = select(vec![0, 5, 15, 45, 300, 2_000, 6_000, 11_000, 70_000]).prop_map(Duration::from_millis);
    prop_oneof![
        30 => text.prop_map(Happening::Said),
        1 => stopped.prop_map(Happening::Said),
        1 => Just(Happening::Said(StreamEvent::Used(Usage::default()))),
        1 => Just(Happening::Said(StreamEvent::Other)),
        1 => code.prop_map(Happening::ModelFails),
        1 => Just(Happening::ModelCloses),
        30 => publish_answer().prop_map(Happening::Published),
        12 => write_answer().prop_map(Happening::Written),
        20 => time.prop_map(Happening::Passes),
    ]
}

fn publish_answer() -> impl Strategy<Value = PublishAnswer> {
    prop_oneof![
        40 => Just(Ok(TurnStatus::Running)),
        1 => Just(Ok(TurnStatus::Cancelling)),
        1 => Just(Ok(TurnStatus::Failed)),
        20 => Just(Err(PublishFailure::Again)),
        2 => Just(Err(PublishFailure::Refused)),
        1 => Just(Err(PublishFailure::Stale)),
    ]
}

fn write_answer() -> impl Strategy<Value = WriteAnswer> {
    prop_oneof![
        40 => Just(Ok(TurnStatus::Running)),
        4 => Just(Ok(TurnStatus::Cancelling)),
        20 => Just(Err(WriteFailure::Again)),
        1 => Just(Err(WriteFailure::Stale)),
    ]
}

/// Everything around one attempt, and what has been seen of it.
struct World {
    attempt: Attempt,
    limits: Limits,
    deadlines: Deadlines,
    now: Instant,
    model_is_open: bool,
    publish: Option<Arc<Mutation>>,
    write: Option<DirectWrite>,
    sent: BTreeMap<u32, Arc<Mutation>>,
    heard: String,
    /// Of events.
    told: String,
    /// Of batches, since the last event.
    shown: String,
    closing: Option<Arc<Mutation>>,
    cancelled: bool,
    /// Whether an answer has said that the attempt is no longer the turn's.
    overtaken: bool,
    closing_written: bool,
    /// When the lease was renewed, or its renewal last failed.
    renewed: Instant,
    ended: Option<AttemptEnd>,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "an attempt begins at some moment")]
    fn new(script: &Script) -> Self {
        let now = Instant::now();
        let mut world = Self {
            attempt: Attempt::begin(attempt_start(script, now), now),
            limits: script.limits,
            deadlines: Deadlines::within(now, script.left),
            now,
            model_is_open: false,
            publish: None,
            write: None,
            sent: BTreeMap::new(),
            heard: String::new(),
            told: String::new(),
            shown: String::new(),
            closing: None,
            cancelled: false,
            overtaken: false,
            closing_written: false,
            renewed: now,
            ended: None,
        };
        world.drain();
        world
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            _ if self.ended.is_some() => {}
            Happening::Said(event) if self.model_is_open => self.hear(event),
            Happening::ModelFails(code) if self.model_is_open => self.model_ends(Input::ModelFailed(code)),
            Happening::ModelCloses if self.model_is_open => self.model_ends(Input::ModelStreamEnded),
            Happening::Published(answer) => self.published(answer),
            Happening::Written(answer) => self.written(answer),
            Happening::Passes(time) => self.pass(time),
            Happening::Said(_) | Happening::ModelFails(_) | Happening::ModelCloses => {}
        }
    }

    fn hear(&mut self, event: StreamEvent) {
        if let (StreamEvent::Text { text, .. }, None) = (&event, self.attempt.why()) {
            self.heard.push_str(text);
        }
        self.input(Input::ModelEvent(event));
    }

    fn model_ends(&mut self, input: Input) {
        self.model_is_open = false;
        self.input(input);
    }

    fn published(&mut self, answer: PublishAnswer) {
        let Some(closes) = self.publish.take().map(|sent| sent.closes_turn()) else { return };
        match answer {
            Ok(status) if !closes => self.accepted(status),
            Err(PublishFailure::Stale) => self.overtaken = true,
            Ok(_) | Err(PublishFailure::Again | PublishFailure::Refused) => {}
        }
        self.input(Input::Published(answer));
        if answer.is_ok() && closes {
            assert_eq!(self.ended, Some(AttemptEnd::Published), "an accepted closing event is the end");
        }
    }

    fn written(&mut self, answer: WriteAnswer) {
        let closes = |write| matches!(write, DirectWrite::StoreEvent(event) if event.closes_turn());
        let is_renewal = matches!(self.write, Some(DirectWrite::RenewLease(_)));
        let Some(closes) = self.write.take().map(closes) else { return };
        if is_renewal {
            self.renewed = self.now;
        }
        match answer {
            Ok(_) if closes => self.closing_written = true,
            Ok(status) => self.accepted(status),
            Err(WriteFailure::Stale) => self.overtaken |= !(is_renewal && self.closing.is_some()),
            Err(WriteFailure::Again) => {}
        }
        self.input(Input::Written(answer));
    }

    fn accepted(&mut self, status: TurnStatus) {
        self.renewed = self.now;
        if self.closing.is_none() {
            self.cancelled |= status == TurnStatus::Cancelling;
            self.overtaken |= status.is_end();
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.ended.is_none() && self.now < until {
            self.now = self.attempt.wake(self.now).min(until);
            self.input(Input::TimerFired);
        }
    }

    fn rests(&mut self, rest: Rest) {
        while self.ended.is_none() {
            match rest {
                Rest::Silence => self.pass(Duration::from_secs(60)),
                Rest::Health => self.recover(),
            }
        }
    }

    fn recover(&mut self) {
        let running = TurnStatus::Running;
        for happening in [
            Happening::Published(Ok(running)),
            Happening::Written(Ok(running)),
            Happening::Said(StreamEvent::Stopped(StopReason::EndTurn)),
            Happening::Said(StreamEvent::Used(Usage::default())),
            Happening::Passes(Duration::from_millis(100)),
        ] {
            self.happens(happening);
        }
    }

    fn input(&mut self, input: Input) {
        self.attempt.on(input, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while self.ended.is_none()
            && let Some(step) = self.attempt.next(self.now)
        {
            match step {
                Effect::CallModel(_) => self.model_is_open = true,
                Effect::CloseModelStream => self.model_is_open = false,
                Effect::Publish(mutation) => self.publish(mutation),
                Effect::Write(write) => self.write(write),
                Effect::End(ended) => self.ended = Some(ended),
            }
        }
        self.check();
    }

    fn publish(&mut self, mutation: Arc<Mutation>) {
        assert!(self.publish.is_none(), "one publish at a time");
        self.send(&mutation);
        self.publish = Some(mutation);
    }

    fn write(&mut self, write: DirectWrite) {
        assert!(self.write.is_none(), "one write at a time");
        match &write {
            DirectWrite::StoreEvent(event) => {
                assert!(matches!(event.update, Update::Event(_)), "only events are written");
                self.send(event);
            }
            DirectWrite::RenewLease(_) => assert!(!self.closing_written, "what is closed needs no lease"),
        }
        self.write = Some(write);
    }

    fn send(&mut self, mutation: &Arc<Mutation>) {
        let newest = self.sent.len() as u32;
        match self.sent.get(&mutation.sequence) {
            Some(before) => assert_eq!(before, mutation, "a number's bytes never change"),
            None => {
                assert_eq!(mutation.sequence, newest + 1, "numbers have no gaps");
                assert!(self.closing.is_none(), "nothing follows the closing event");
                self.tell(mutation);
                self.sent.insert(mutation.sequence, Arc::clone(mutation));
            }
        }
    }

    fn tell(&mut self, mutation: &Arc<Mutation>) {
        match &mutation.update {
            Update::Began { .. } => assert_eq!(mutation.sequence, 1),
            Update::Note(_) | Update::Stored(_) => {}
            Update::Batch(batch) => {
                assert!(!batch.text.is_empty() && json_len(&batch.text) <= self.limits.batch_max_bytes);
                self.shown.push_str(&batch.text);
            }
            Update::Event(event) => {
                let text = joined(&event.content);
                assert!(2 * json_len(&text) <= self.limits.event_max_bytes, "an event is bounded");
                assert!(text.starts_with(&self.shown), "batches are the beginning of their event");
                self.shown.clear();
                self.told.push_str(&text);
            }
        }
        let untold = self.heard.strip_prefix(&self.told).expect("events spell what was heard, in order");
        assert!(untold.starts_with(&self.shown), "batches spell what was heard, in order");
        if mutation.closes_turn() {
            self.closing = Some(Arc::clone(mutation));
            assert!(untold.is_empty(), "nothing that was heard is left out");
            let Update::Event(event) = &mutation.update else { panic!("an event closes a turn") };
            assert_eq!(event.status() == TurnStatus::Cancelled, self.cancelled);
        }
    }

    /// What holds at every moment.
    fn check(&self) {
        let kept = self.sent.values().filter(|sent| Arc::strong_count(sent) > self.own_references(sent)).count();
        assert!(kept <= 2, "{kept} mutations are kept");
        match self.ended {
            Some(ended) => self.check_end(ended),
            None => {
                assert!(self.now < self.deadlines.give_up_at, "every attempt ends in time");
                assert!(self.attempt.wake(self.now) > self.now, "whoever has nothing to do sleeps");
                let lost = self.renewed + self.limits.heartbeat + self.limits.write_retry.longest;
                let is_closing = self.closing_written || self.publish.as_ref().is_some_and(|sent| sent.closes_turn());
                assert!(is_closing || self.write.is_some() || self.now < lost, "a lease is kept alive");
            }
        }
    }

    /// How many references to it this world holds.
    fn own_references(&self, sent: &Arc<Mutation>) -> usize {
        let written = match &self.write {
            Some(DirectWrite::StoreEvent(event)) => Some(event),
            Some(DirectWrite::RenewLease(_)) | None => None,
        };
        let others = [self.publish.as_ref(), written, self.closing.as_ref()];
        1 + others.into_iter().flatten().filter(|other| other.sequence == sent.sequence).count()
    }

    fn check_end(&self, ended: AttemptEnd) {
        assert!(self.now <= self.deadlines.give_up_at, "it ends in time");
        match ended {
            AttemptEnd::Published => assert!(self.closing.is_some()),
            AttemptEnd::Unannounced => assert!(self.closing_written, "only what is stored can be announced later"),
            AttemptEnd::Superseded => assert!(self.overtaken, "only an answer can tell that"),
            AttemptEnd::OutOfTime => assert_eq!(self.now, self.deadlines.give_up_at),
        }
    }

    /// Whether the turn is closed, by this attempt or another.
    fn is_settled(&self) -> bool {
        self.overtaken || self.closing.is_some() && self.ended != Some(AttemptEnd::OutOfTime)
    }
}
