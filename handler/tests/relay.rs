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
use handler::relay::{Outside, relay};
use tokio::time::{Instant, sleep};
use turn::{
    attempt::{Attempt, Beginning, Ended},
    claim::Claim,
    limits::{Bounds, Limits},
    mutation::{AgentEvent, Mutation, PublishFailure, Update},
    request::Agent,
    types::{ModelRequest, StreamEvent},
    writing::{Write, WriteFailure},
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
    Written(Write),
    WriteAnswered,
}

impl Outside for Recorder {
    fn ask(&self, _: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, FailureCode>> + Send {
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

    async fn write(&self, write: Write) -> Result<TurnStatus, WriteFailure> {
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

    async fn run(&self) -> Ended {
        let mut attempt = Attempt::begin(beginning(), Instant::now().into_std());
        relay(&mut attempt, self).await
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
    let outside = Recorder::new(60, [model([word(5, "Hi"), stop(5)], Then::Ends)]);
    assert_eq!(outside.run().await, Ended::Published);
    assert_eq!(outside.when(|done| *done == Done::Asked), [0]);
    assert_eq!(outside.when(|done| *done == Done::Answered(1)), [60]);
    assert_eq!(outside.last_event().content, [ContentBlock::text("Hi")]);
}

#[tokio::test(start_paused = true)]
async fn reading_never_waits_for_publishing() {
    let says = (0..1000).map(|_| word(1, "tick ")).chain([stop(1)]);
    let outside = Recorder::new(9000, [model(says, Then::Ends)]);
    assert_eq!(outside.run().await, Ended::Published);
    assert_eq!(outside.when(|done| *done == Done::Heard).last(), Some(&1001));
    assert_eq!(outside.when(|done| matches!(done, Done::Sent(_))), [0, 9000]);
    assert_eq!(outside.last_event().content, [ContentBlock::text("tick ".repeat(1000))]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_leaves_when_its_time_has_come_though_nothing_else_happens() {
    let outside = Recorder::new(10, [model([word(20, "one "), word(5, "two"), stop(5000)], Then::Ends)]);
    assert_eq!(outside.run().await, Ended::Published);
    assert_eq!(outside.when(|done| matches!(done, Done::Sent(_))), [0, 20, 60, 5025]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_closes_the_models_stream() {
    let says = (0..1000).map(|_| word(50, "tick "));
    let outside = Recorder::new(30, [model(says, Then::Ends)]);
    outside.publishes.lock().unwrap().extend([Ok(TurnStatus::Running), Ok(TurnStatus::Cancelling)]);
    assert_eq!(outside.run().await, Ended::Published);
    assert_eq!(outside.when(|done| *done == Done::Closed), [80]);
    assert_eq!(outside.last_event().status(), TurnStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_failed_is_left_and_the_model_is_asked_again() {
    let throttled = model([(Duration::from_millis(5), Err(FailureCode::Throttled))], Then::Ends);
    let outside = Recorder::new(30, [throttled, model([word(5, "Hi"), stop(5)], Then::Ends)]);
    assert_eq!(outside.run().await, Ended::Published);
    let (asked, closed) = (outside.when(|done| *done == Done::Asked), outside.when(|done| *done == Done::Closed));
    assert_eq!((asked.len(), closed[0]), (2, 5));
    assert_eq!(outside.last_event().status(), TurnStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_without_a_reason_ends_the_turn() {
    let outside = Recorder::new(30, [model([word(50, "Half")], Then::Ends)]);
    assert_eq!(outside.run().await, Ended::Published);
    assert_eq!(outside.last_event().status(), TurnStatus::Failed);
    assert_eq!(outside.last_event().content, [ContentBlock::text("Half")]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_model_is_left_by_the_clock_alone() {
    let outside = Recorder::new(30, [model([word(50, "Half")], Then::FallsSilent)]);
    assert_eq!(outside.run().await, Ended::Published);
    assert_eq!(outside.when(|done| *done == Done::Closed), [120_050]);
    assert_eq!(outside.last_event().status(), TurnStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_lost_publish_is_repeated_unchanged() {
    let outside = Recorder::new(30, [model([word(50, "Hi"), stop(5)], Then::Ends)]);
    let lost = Err(PublishFailure::Again);
    outside.publishes.lock().unwrap().extend([Ok(TurnStatus::Running), lost, lost]);
    assert_eq!(outside.run().await, Ended::Published);
    let log = outside.log.lock().unwrap();
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
    let outside = Recorder::new(30, [model([word(25_000, "Hi"), stop(5)], Then::Ends)]);
    assert_eq!(outside.run().await, Ended::Published);
    assert_eq!(outside.when(|done| matches!(done, Done::Written(Write::Renew(_)))), [10_030, 20_060]);
    assert_eq!(outside.when(|done| *done == Done::WriteAnswered), [10_060, 20_090]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_a_renewal_tells_closes_the_models_stream() {
    let outside = Recorder::new(30, [model([], Then::FallsSilent)]);
    outside.writes.lock().unwrap().push_back(Ok(TurnStatus::Cancelling));
    assert_eq!(outside.run().await, Ended::Published);
    assert_eq!(outside.when(|done| *done == Done::Closed), [10_060]);
    assert_eq!(outside.last_event().status(), TurnStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_write_leaves_while_a_publish_is_on_its_way_and_the_model_is_read() {
    let says = (0..100).map(|_| word(150, "tick ")).chain([stop(1)]);
    let outside = Recorder::new(12_000, [model(says, Then::Ends)]);
    assert_eq!(outside.run().await, Ended::Published);
    assert_eq!(outside.when(|done| matches!(done, Done::Written(_)))[0], 10_000);
    assert_eq!(outside.when(|done| *done == Done::Answered(1)), [12_000]);
    assert_eq!(outside.when(|done| *done == Done::Heard).last(), Some(&15_001));
}

#[tokio::test(start_paused = true)]
async fn what_appsync_refuses_is_written_and_announced_in_the_same_bytes() {
    let outside = Recorder::new(30, [model([word(50, "Hi"), stop(50)], Then::Ends)]);
    outside.publishes.lock().unwrap().extend([Ok(TurnStatus::Running), Err(PublishFailure::Refused)]);
    outside.writes.lock().unwrap().extend([Err(WriteFailure::Again)]);
    assert_eq!(outside.run().await, Ended::Published);
    let log = outside.log.lock().unwrap();
    let written = log.iter().filter_map(|(_, done)| match done {
        Done::Written(Write::Event(event)) => Some(event),
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

fn beginning() -> Beginning {
    let sender = Sender { kind: SenderKind::User, id: None, name: None };
    Beginning {
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
        bounds: Bounds::default(),
        limits: Limits::within(Instant::now().into_std(), Duration::from_secs(900)),
    }
}
