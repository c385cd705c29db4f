//! The loop under a paused clock: streams and publishes that take their time, in no time.
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::types::{
    ContentBlock, ConversationEvent, FailureCode, InferenceSettings, Sender, SenderKind, StopReason, TurnStatus,
};
use futures::{Stream, StreamExt, future::pending, stream};
use handler::event_loop::{Effects, run_attempt};
use tokio::time::{Instant, sleep};
use turn::{
    attempt::{Attempt, AttemptEnd, AttemptStart},
    claim::Claim,
    deadlines::Deadlines,
    direct_write::{DirectWrite, WriteFailure},
    limits::Limits,
    mutation::{AgentEvent, Mutation, PublishFailure, Update},
    request::Agent,
    types::{ModelRequest, StreamEvent},
};

type Said = (Duration, Result<StreamEvent, FailureCode>);

/// Remembers what was done and when.
struct Recorder {
    began: Instant,
    latency: Duration,
    /// For each time the model is asked.
    asks: Mutex<VecDeque<Model>>,
    publishes: Mutex<VecDeque<Result<TurnStatus, PublishFailure>>>,
    writes: Mutex<VecDeque<Result<TurnStatus, WriteFailure>>>,
    log: Arc<Mutex<Vec<(Duration, Done)>>>,
}

struct Model {
    says: Vec<Said>,
    then: Then,
}

#[derive(Clone, Copy)]
enum Then {
    Ends,
    FallsSilent,
}

#[derive(Clone, Debug, PartialEq)]
enum Done {
    Asked,
    Heard,
    Closed,
    Sent(Arc<Mutation>),
    Answered(u32),
    Written(DirectWrite),
    WriteAnswered,
}

impl Effects for Recorder {
    fn call_model(&self, _: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, FailureCode>> + Send {
        let model = self.asks.lock().unwrap().pop_front().expect("the model is asked once per entry");
        let closing = Closing(self.clock(), Arc::clone(&self.log));
        self.note(Done::Asked);
        let (log, clock) = (Arc::clone(&self.log), self.clock());
        let says = stream::iter(model.says).then(move |(after, said)| {
            let (log, clock) = (Arc::clone(&log), clock);
            async move {
                sleep(after).await;
                log.lock().unwrap().push((clock.elapsed(), Done::Heard));
                said
            }
        });
        let rest = stream::once(async move {
            match model.then {
                Then::Ends => None,
                Then::FallsSilent => pending().await,
            }
        });
        let rest = rest.filter_map(|none: Option<Said>| async move { none.map(|(_, said)| said) });
        // Ends once: a stream that is polled after its end panics.
        panicking(says.chain(rest)).map(move |said| {
            let _open = &closing;
            said
        })
    }

    async fn publish(&self, mutation: Arc<Mutation>) -> Result<TurnStatus, PublishFailure> {
        let sequence = mutation.sequence;
        self.note(Done::Sent(mutation));
        sleep(self.latency).await;
        self.note(Done::Answered(sequence));
        self.publishes.lock().unwrap().pop_front().unwrap_or(Ok(TurnStatus::Running))
    }

    async fn write(&self, write: DirectWrite) -> Result<TurnStatus, WriteFailure> {
        self.note(Done::Written(write));
        sleep(self.latency).await;
        self.note(Done::WriteAnswered);
        self.writes.lock().unwrap().pop_front().unwrap_or(Ok(TurnStatus::Running))
    }
}

/// Notes when the stream it belongs to is dropped.
struct Closing(Instant, Arc<Mutex<Vec<(Duration, Done)>>>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.1.lock().unwrap().push((self.0.elapsed(), Done::Closed));
    }
}

fn panicking<S: Stream + Send>(stream: S) -> impl Stream<Item = S::Item> + Send
where
    S::Item: Send,
{
    let mut stream = Box::pin(stream);
    let mut over = false;
    stream::poll_fn(move |context| {
        assert!(!over, "polled after its end");
        let polled = stream.as_mut().poll_next(context);
        over = matches!(polled, std::task::Poll::Ready(None));
        polled
    })
}

impl Recorder {
    fn new(latency: u64, asks: impl IntoIterator<Item = Model>) -> Self {
        Self {
            began: Instant::now(),
            latency: Duration::from_millis(latency),
            asks: Mutex::new(asks.into_iter().collect()),
            publishes: Mutex::default(),
            writes: Mutex::default(),
            log: Arc::default(),
        }
    }

    fn clock(&self) -> Instant {
        self.began
    }

    fn note(&self, done: Done) {
        self.log.lock().unwrap().push((self.began.elapsed(), done));
    }

    async fn run(&self) -> AttemptEnd {
        let mut attempt = Attempt::begin(attempt_start(), Instant::now().into_std());
        run_attempt(&mut attempt, self).await
    }

    fn when(&self, is: impl Fn(&Done) -> bool) -> Vec<u128> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|(_, done)| is(done)).map(|(at, _)| at.as_millis()).collect()
    }

    fn last_event(&self) -> AgentEvent {
        let log = self.log.lock().unwrap();
        let sent = log.iter().rev().find_map(|(_, done)| match done {
            Done::Sent(mutation) => Some(mutation.update.clone()),
            _ => None,
        });
        let Some(Update::Event(event)) = sent else { panic!("the last mutation is no event: {sent:?}") };
        event
    }
}

#[tokio::test(start_paused = true)]
async fn the_model_is_asked_while_the_first_publish_is_on_its_way() {
    let effects = Recorder::new(60, [model([word(5, "Hi"), stop(5)], Then::Ends)]);
    assert_eq!(effects.run().await, AttemptEnd::Published);
    assert_eq!(effects.when(|done| *done == Done::Asked), [0]);
    assert_eq!(effects.when(|done| *done == Done::Answered(1)), [60]);
    assert_eq!(effects.last_event().content, [ContentBlock::text("Hi")]);
}

#[tokio::test(start_paused = true)]
async fn reading_never_waits_for_publishing() {
    let says = (0..1000).map(|_| word(1, "tick ")).chain([stop(1)]);
    let effects = Recorder::new(9000, [model(says, Then::Ends)]);
    assert_eq!(effects.run().await, AttemptEnd::Published);
    assert_eq!(effects.when(|done| *done == Done::Heard).last(), Some(&1001));
    assert_eq!(effects.when(|done| matches!(done, Done::Sent(_))), [0, 9000]);
    assert_eq!(effects.last_event().content, [ContentBlock::text("tick ".repeat(1000))]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_leaves_when_its_time_has_come_though_nothing_else_happens() {
    let effects = Recorder::new(10, [model([word(20, "one "), word(5, "two"), stop(5000)], Then::Ends)]);
    assert_eq!(effects.run().await, AttemptEnd::Published);
    assert_eq!(effects.when(|done| matches!(done, Done::Sent(_))), [0, 20, 60, 5025]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_closes_the_models_stream() {
    let says = (0..1000).map(|_| word(50, "tick "));
    let effects = Recorder::new(30, [model(says, Then::Ends)]);
    effects.publishes.lock().unwrap().extend([Ok(TurnStatus::Running), Ok(TurnStatus::Cancelling)]);
    assert_eq!(effects.run().await, AttemptEnd::Published);
    assert_eq!(effects.when(|done| *done == Done::Closed), [80]);
    assert_eq!(effects.last_event().status(), TurnStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_failed_is_left_and_the_model_is_asked_again() {
    let throttled = model([(Duration::from_millis(5), Err(FailureCode::Throttled))], Then::Ends);
    let effects = Recorder::new(30, [throttled, model([word(5, "Hi"), stop(5)], Then::Ends)]);
    assert_eq!(effects.run().await, AttemptEnd::Published);
    let (asked, closed) = (effects.when(|done| *done == Done::Asked), effects.when(|done| *done == Done::Closed));
    assert_eq!((asked.len(), closed[0]), (2, 5));
    assert_eq!(effects.last_event().status(), TurnStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_without_a_reason_ends_the_turn() {
    let effects = Recorder::new(30, [model([word(50, "Half")], Then::Ends)]);
    assert_eq!(effects.run().await, AttemptEnd::Published);
    assert_eq!(effects.last_event().status(), TurnStatus::Failed);
    assert_eq!(effects.last_event().content, [ContentBlock::text("Half")]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_model_is_left_by_the_clock_alone() {
    let effects = Recorder::new(30, [model([word(50, "Half")], Then::FallsSilent)]);
    assert_eq!(effects.run().await, AttemptEnd::Published);
    assert_eq!(effects.when(|done| *done == Done::Closed), [120_050]);
    assert_eq!(effects.last_event().status(), TurnStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_lost_publish_is_repeated_unchanged() {
    let effects = Recorder::new(30, [model([word(50, "Hi"), stop(5)], Then::Ends)]);
    let lost = Err(PublishFailure::Again);
    effects.publishes.lock().unwrap().extend([Ok(TurnStatus::Running), lost, lost]);
    assert_eq!(effects.run().await, AttemptEnd::Published);
    let log = effects.log.lock().unwrap();
    let second = log.iter().filter_map(|(_, done)| match done {
        Done::Sent(mutation) if mutation.sequence == 2 => Some(mutation),
        _ => None,
    });
    let second: Vec<_> = second.collect();
    assert_eq!(second.len(), 3);
    assert!(second.iter().all(|mutation| Arc::ptr_eq(mutation, second[0])));
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_while_the_model_is_silent() {
    let effects = Recorder::new(30, [model([word(25_000, "Hi"), stop(5)], Then::Ends)]);
    assert_eq!(effects.run().await, AttemptEnd::Published);
    assert_eq!(effects.when(|done| matches!(done, Done::Written(DirectWrite::RenewLease(_)))), [10_030, 20_060]);
    assert_eq!(effects.when(|done| *done == Done::WriteAnswered), [10_060, 20_090]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_a_renewal_tells_closes_the_models_stream() {
    let effects = Recorder::new(30, [model([], Then::FallsSilent)]);
    effects.writes.lock().unwrap().push_back(Ok(TurnStatus::Cancelling));
    assert_eq!(effects.run().await, AttemptEnd::Published);
    assert_eq!(effects.when(|done| *done == Done::Closed), [10_060]);
    assert_eq!(effects.last_event().status(), TurnStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_write_leaves_while_a_publish_is_on_its_way_and_the_model_is_read() {
    let says = (0..100).map(|_| word(150, "tick ")).chain([stop(1)]);
    let effects = Recorder::new(12_000, [model(says, Then::Ends)]);
    assert_eq!(effects.run().await, AttemptEnd::Published);
    assert_eq!(effects.when(|done| matches!(done, Done::Written(_)))[0], 10_000);
    assert_eq!(effects.when(|done| *done == Done::Answered(1)), [12_000]);
    assert_eq!(effects.when(|done| *done == Done::Heard).last(), Some(&15_001));
}

#[tokio::test(start_paused = true)]
async fn what_appsync_refuses_is_written_and_announced_in_the_same_bytes() {
    let effects = Recorder::new(30, [model([word(50, "Hi"), stop(50)], Then::Ends)]);
    effects.publishes.lock().unwrap().extend([Ok(TurnStatus::Running), Err(PublishFailure::Refused)]);
    effects.writes.lock().unwrap().extend([Err(WriteFailure::Again)]);
    assert_eq!(effects.run().await, AttemptEnd::Published);
    let log = effects.log.lock().unwrap();
    let written = log.iter().filter_map(|(_, done)| match done {
        Done::Written(DirectWrite::StoreEvent(event)) => Some(event),
        _ => None,
    });
    let written: Vec<_> = written.collect();
    assert_eq!(written.len(), 2);
    assert!(log.iter().any(|(_, done)| matches!(done, Done::Sent(sent) if Arc::ptr_eq(sent, written[0]))));
    assert!(written[0].closes_turn() && Arc::ptr_eq(written[0], written[1]));
}

fn model(says: impl IntoIterator<Item = Said>, then: Then) -> Model {
    Model { says: says.into_iter().collect(), then }
}

fn word(after: u64, text: &str) -> Said {
    (Duration::from_millis(after), Ok(StreamEvent::Text { block: 0, text: text.into() }))
}

fn stop(after: u64) -> Said {
    (Duration::from_millis(after), Ok(StreamEvent::Stopped(StopReason::EndTurn)))
}

fn attempt_start() -> AttemptStart {
    let sender = Sender { kind: SenderKind::User, id: None, name: None };
    AttemptStart {
        claim: Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: 1, last_position: 1 },
        leased: Instant::now().into_std(),
        agent: Agent {
            id: "default".into(),
            version: 0,
            name: None,
            model_id: "m".into(),
            system_prompt: None,
            context_bytes: 1000,
            inference: None,
        },
        question: ConversationEvent {
            id: "t1".into(),
            conversation_id: "c1".into(),
            position: 1,
            turn_id: Some("t1".into()),
            attempt: None,
            sender,
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
            model_id: "m".into(),
            system_prompt: None,
            inference: InferenceSettings::default(),
            transcript: Vec::new(),
        },
        limits: Limits::default(),
        deadlines: Deadlines::within(Instant::now().into_std(), Duration::from_secs(900)),
    }
}
