//! The event loop under a paused clock.
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use api::types::{
    ContentBlock, ConversationEvent, InferenceSettings, Sender, SenderKind, StopReason, ToolStatus, TurnStatus,
};
use futures::{Stream, StreamExt, future::pending, stream};
use handler::attempt_loop::{Effects, run_attempt};
use serde_json::json;
use tokio::time::{Instant, sleep};
use turn::{
    attempt::{Attempt, AttemptStart, RetrievalStart},
    claim::Claim,
    deadlines::Deadlines,
    direct_write::{DirectWrite, WriteFailure},
    effect::AttemptEnd,
    knowledge::{Knowledge, RetrievalRequest},
    limits::Limits,
    model::{ModelError, ModelRequest, ModelStop, StreamEvent, ToolOutput},
    mutation::{Accepted, AgentEvent, Mutation, PublishFailure, Update},
    replies::{Connection, Listener, ReplyFailure, ReplyRequest, ReplyTo},
    retrieval::RetrievalResult,
    tool::{Caller, LambdaTool, Tool, ToolApproval, ToolEffect, ToolOutcome, ToolRun, ToolTarget},
    transcript::TranscriptInput,
};

const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

type ModelResult = Result<StreamEvent, ModelError>;

/// A scripted environment that records what happens and when.
struct Environment {
    started: Instant,
    /// The latency of publishes and writes.
    latency: Duration,
    /// One stream for each call of the model.
    model_streams: Mutex<VecDeque<ModelStream>>,
    /// How long a search of documents takes. `None`: the agent has none.
    search_time: Option<Duration>,
    /// How long each tool runs, by its name.
    tools: Vec<(&'static str, Duration)>,
    /// Where replies go.
    reply_to: Option<ReplyTo>,
    /// How long a request with replies takes. `None`: it never ends.
    reply_latency: Option<Duration>,
    /// The results of the next publishes. Later publishes are accepted.
    publish_results: Mutex<VecDeque<Result<TurnStatus, PublishFailure>>>,
    /// The results of the next writes. Later writes are accepted.
    write_results: Mutex<VecDeque<Result<TurnStatus, WriteFailure>>>,
    log: Log,
}

struct ModelStream {
    /// Each with the time since the item before.
    items: Vec<(Duration, ModelResult)>,
    end: StreamEnd,
}

#[derive(Clone, Copy)]
enum StreamEnd {
    Ends,
    /// The stream stays open without further items.
    Hangs,
}

#[derive(Clone, Debug, PartialEq)]
enum Record {
    ModelCalled,
    ModelItemRead,
    ModelStreamClosed,
    SearchStarted,
    SearchEnded,
    /// The search was dropped before its end.
    SearchDropped,
    ToolStarted(String),
    ToolEnded(String),
    /// The run was dropped before its end.
    ToolDropped(String),
    PublishSent(Arc<Mutation>),
    PublishDone(u32),
    WriteSent(DirectWrite),
    WriteDone,
    AttemptEnded,
    /// The sequences of the updates.
    RepliesSent(Vec<u32>),
    RepliesDone(Vec<u32>),
    /// The request was dropped before its end.
    RepliesDropped(Vec<u32>),
}

#[derive(Clone)]
struct Log {
    started: Instant,
    records: Arc<Mutex<Vec<(Duration, Record)>>>,
}

impl Log {
    fn push(&self, record: Record) {
        self.records.lock().unwrap().push((self.started.elapsed(), record));
    }
}

impl Effects for Environment {
    async fn publish_title(&self, _: &str, _: &str) -> Result<(), PublishFailure> {
        unreachable!("an attempt gives no title")
    }

    fn call_model(&self, _: Arc<ModelRequest>) -> impl Stream<Item = ModelResult> + Send {
        let script = self.model_streams.lock().unwrap().pop_front().expect("the test scripts a stream per call");
        self.log.push(Record::ModelCalled);
        let log = self.log.clone();
        let items = stream::iter(script.items).then(move |(delay, item)| {
            let log = log.clone();
            async move {
                sleep(delay).await;
                log.push(Record::ModelItemRead);
                item
            }
        });
        let end = stream::once(async move {
            match script.end {
                StreamEnd::Ends => None,
                StreamEnd::Hangs => pending().await,
            }
        });
        let end = end.filter_map(|item: Option<ModelResult>| async move { item });
        let on_drop = LogOnDrop(self.log.clone(), Some(Record::ModelStreamClosed));
        panic_if_polled_after_end(items.chain(end)).map(move |item| {
            let _keep_until_dropped = &on_drop;
            item
        })
    }

    async fn retrieve(&self, _: Arc<RetrievalRequest>) -> RetrievalResult {
        self.log.push(Record::SearchStarted);
        let mut on_drop = LogOnDrop(self.log.clone(), Some(Record::SearchDropped));
        sleep(self.search_time.expect("the agent has documents")).await;
        on_drop.1 = Some(Record::SearchEnded);
        Ok(Vec::new())
    }

    async fn run_tool(&self, run: ToolRun) -> (String, ToolOutcome) {
        let ToolRun { tool, tool_use, .. } = run;
        self.log.push(Record::ToolStarted(tool_use.id.clone()));
        let mut on_drop = LogOnDrop(self.log.clone(), Some(Record::ToolDropped(tool_use.id.clone())));
        let duration = self.tools.iter().find(|(name, _)| *name == tool.name).expect("the test has the tool").1;
        sleep(duration).await;
        on_drop.1 = Some(Record::ToolEnded(tool_use.id.clone()));
        let output = ToolOutput::Json("7".to_owned());
        (tool_use.id, ToolOutcome { status: ToolStatus::Succeeded, output, started_at: None, ended_at: None })
    }

    async fn publish(&self, mutation: Arc<Mutation>, keeps_update: bool) -> Result<Accepted, PublishFailure> {
        let sequence = mutation.sequence;
        let keeps = self.reply_to.as_ref().is_some_and(|to| to.stream) && !mutation.closes_turn();
        assert_eq!(keeps_update, keeps, "an update is kept for a stream");
        self.log.push(Record::PublishSent(mutation));
        sleep(self.latency).await;
        self.log.push(Record::PublishDone(sequence));
        let result = self.publish_results.lock().unwrap().pop_front().unwrap_or(Ok(TurnStatus::Running));
        let update = keeps_update.then(|| format!("{{\"sequence\":{sequence}}}"));
        result.map(|status| Accepted { status, update })
    }

    async fn write(&self, write: DirectWrite) -> Result<TurnStatus, WriteFailure> {
        self.log.push(Record::WriteSent(write));
        sleep(self.latency).await;
        self.log.push(Record::WriteDone);
        self.write_results.lock().unwrap().pop_front().unwrap_or(Ok(TurnStatus::Running))
    }

    async fn send_replies(&self, request: Arc<ReplyRequest>) -> Result<(), ReplyFailure> {
        let sequences: Vec<u32> = request.messages.iter().map(|message| message.sequence).collect();
        self.log.push(Record::RepliesSent(sequences.clone()));
        let mut on_drop = LogOnDrop(self.log.clone(), Some(Record::RepliesDropped(sequences.clone())));
        let Some(latency) = self.reply_latency else { return pending().await };
        sleep(latency).await;
        on_drop.1 = Some(Record::RepliesDone(sequences));
        Ok(())
    }
}

/// Records that what it belongs to was dropped.
struct LogOnDrop(Log, Option<Record>);

impl Drop for LogOnDrop {
    fn drop(&mut self) {
        if let Some(record) = self.1.take() {
            self.0.push(record);
        }
    }
}

fn panic_if_polled_after_end<S: Stream + Send>(stream: S) -> impl Stream<Item = S::Item> + Send
where
    S::Item: Send,
{
    let mut stream = Box::pin(stream);
    let mut has_ended = false;
    stream::poll_fn(move |context| {
        assert!(!has_ended, "the stream is polled after its end");
        let polled = stream.as_mut().poll_next(context);
        has_ended = matches!(polled, Poll::Ready(None));
        polled
    })
}

impl Environment {
    fn new(latency_milliseconds: u64, model_streams: impl IntoIterator<Item = ModelStream>) -> Self {
        let started = Instant::now();
        Self {
            started,
            latency: Duration::from_millis(latency_milliseconds),
            model_streams: Mutex::new(model_streams.into_iter().collect()),
            search_time: None,
            tools: Vec::new(),
            reply_to: None,
            reply_latency: None,
            publish_results: Mutex::default(),
            write_results: Mutex::default(),
            log: Log { started, records: Arc::default() },
        }
    }

    async fn run(&self) -> AttemptEnd {
        let mut start = attempt_start(self.started.into_std());
        start.request.tools = self.tools.iter().map(|(name, _)| tool(name)).collect();
        if self.search_time.is_some() {
            start.retrieval = Some(retrieval_start(&start));
        }
        start.reply_to = self.reply_to.clone();
        let mut attempt = Attempt::new(start, self.started.into_std());
        let (end, replies) = run_attempt(&mut attempt, self).await;
        self.log.push(Record::AttemptEnded);
        replies.send((Instant::now() + REPLY_TIMEOUT).into_std()).await;
        end
    }

    /// The times of matching records, in milliseconds since the start.
    fn times(&self, is_match: impl Fn(&Record) -> bool) -> Vec<u128> {
        let records = self.log.records.lock().unwrap();
        records.iter().filter(|(_, record)| is_match(record)).map(|(at, _)| at.as_millis()).collect()
    }

    fn publish_times(&self) -> Vec<u128> {
        self.times(|record| matches!(record, Record::PublishSent(_)))
    }

    fn last_published_event(&self) -> AgentEvent {
        let records = self.log.records.lock().unwrap();
        let last = records.iter().rev().find_map(|(_, record)| match record {
            Record::PublishSent(mutation) => Some(mutation.update.clone()),
            _ => None,
        });
        let Some(Update::Event(event)) = last else { panic!("the last publish is no event: {last:?}") };
        event
    }
}

#[tokio::test(start_paused = true)]
async fn documents_are_searched_during_the_first_publish_and_before_the_model_is_called() {
    let mut environment = Environment::new(60, [model_stream([text(5, "Hi"), stop(5)], StreamEnd::Ends)]);
    environment.search_time = Some(Duration::from_millis(40));
    assert_eq!(environment.run().await, AttemptEnd::Published);
    assert_eq!(environment.times(|record| *record == Record::SearchStarted), [0]);
    assert_eq!(environment.times(|record| *record == Record::SearchEnded), [40]);
    assert_eq!(environment.times(|record| *record == Record::ModelCalled), [40]);
}

#[tokio::test(start_paused = true)]
async fn cancel_drops_the_search() {
    let mut environment = Environment::new(60, []);
    environment.search_time = Some(Duration::from_secs(15));
    environment.publish_results = Mutex::new([Ok(TurnStatus::Cancelling)].into());
    assert_eq!(environment.run().await, AttemptEnd::Published);
    assert_eq!(environment.times(|record| *record == Record::SearchDropped), [60]);
    assert_eq!(environment.times(|record| *record == Record::ModelCalled), []);
}

#[tokio::test(start_paused = true)]
async fn model_is_called_during_the_first_publish() {
    let environment = Environment::new(60, [model_stream([text(5, "Hi"), stop(5)], StreamEnd::Ends)]);
    assert_eq!(environment.run().await, AttemptEnd::Published);
    assert_eq!(environment.times(|record| *record == Record::ModelCalled), [0]);
    assert_eq!(environment.times(|record| *record == Record::PublishDone(1)), [60]);
    assert_eq!(environment.last_published_event().content, [ContentBlock::text("Hi")]);
}

#[tokio::test(start_paused = true)]
async fn model_stream_is_read_during_a_slow_publish() {
    let items = (0..1000).map(|_| text(1, "tick ")).chain([stop(1)]);
    let environment = Environment::new(9000, [model_stream(items, StreamEnd::Ends)]);
    assert_eq!(environment.run().await, AttemptEnd::Published);
    assert_eq!(environment.times(|record| *record == Record::ModelItemRead).last(), Some(&1001));
    assert_eq!(environment.publish_times(), [0, 9000]);
    assert_eq!(environment.last_published_event().content, [ContentBlock::text("tick ".repeat(1000))]);
}

#[tokio::test(start_paused = true)]
async fn timer_publishes_a_batch_without_other_input() {
    let items = [text(20, "one "), text(5, "two"), stop(5000)];
    let environment = Environment::new(10, [model_stream(items, StreamEnd::Ends)]);
    assert_eq!(environment.run().await, AttemptEnd::Published);
    assert_eq!(environment.publish_times(), [0, 20, 60, 5025]);
}

#[tokio::test(start_paused = true)]
async fn cancel_closes_the_model_stream() {
    let items = (0..1000).map(|_| text(50, "tick "));
    let environment = Environment::new(30, [model_stream(items, StreamEnd::Ends)]);
    environment.publish_results.lock().unwrap().extend([Ok(TurnStatus::Running), Ok(TurnStatus::Cancelling)]);
    assert_eq!(environment.run().await, AttemptEnd::Published);
    assert_eq!(environment.times(|record| *record == Record::ModelStreamClosed), [80]);
    assert_eq!(environment.last_published_event().status(), TurnStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn failed_model_stream_is_closed_and_the_model_is_called_again() {
    let throttled = model_stream([(Duration::from_millis(5), Err(ModelError::ThrottledBriefly))], StreamEnd::Ends);
    let answer = model_stream([text(5, "Hi"), stop(5)], StreamEnd::Ends);
    let environment = Environment::new(30, [throttled, answer]);
    assert_eq!(environment.run().await, AttemptEnd::Published);
    assert_eq!(environment.times(|record| *record == Record::ModelCalled).len(), 2);
    assert_eq!(environment.times(|record| *record == Record::ModelStreamClosed)[0], 5);
    assert_eq!(environment.last_published_event().status(), TurnStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn model_stream_that_ends_without_stop_fails_the_turn() {
    let environment = Environment::new(30, [model_stream([text(50, "Half")], StreamEnd::Ends)]);
    assert_eq!(environment.run().await, AttemptEnd::Published);
    assert_eq!(environment.last_published_event().status(), TurnStatus::Failed);
    assert_eq!(environment.last_published_event().content, [ContentBlock::text("Half")]);
}

#[tokio::test(start_paused = true)]
async fn silent_model_stream_is_closed_by_the_timer() {
    let environment = Environment::new(30, [model_stream([text(50, "Half")], StreamEnd::Hangs)]);
    assert_eq!(environment.run().await, AttemptEnd::Published);
    assert_eq!(environment.times(|record| *record == Record::ModelStreamClosed), [120_050]);
    assert_eq!(environment.last_published_event().status(), TurnStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn lost_publish_is_repeated_unchanged() {
    let environment = Environment::new(30, [model_stream([text(50, "Hi"), stop(5)], StreamEnd::Ends)]);
    let lost_response = Err(PublishFailure::Retryable);
    environment.publish_results.lock().unwrap().extend([Ok(TurnStatus::Running), lost_response, lost_response]);
    assert_eq!(environment.run().await, AttemptEnd::Published);
    let records = environment.log.records.lock().unwrap();
    let tries: Vec<_> = records
        .iter()
        .filter_map(|(_, record)| match record {
            Record::PublishSent(mutation) if mutation.sequence == 2 => Some(mutation),
            _ => None,
        })
        .collect();
    assert_eq!(tries.len(), 3);
    assert!(tries.iter().all(|mutation| Arc::ptr_eq(mutation, tries[0])));
}

#[tokio::test(start_paused = true)]
async fn lease_is_renewed_while_the_model_is_silent() {
    let environment = Environment::new(30, [model_stream([text(25_000, "Hi"), stop(5)], StreamEnd::Ends)]);
    assert_eq!(environment.run().await, AttemptEnd::Published);
    let is_renewal = |record: &Record| matches!(record, Record::WriteSent(DirectWrite::RenewLease(_)));
    assert_eq!(environment.times(is_renewal), [10_030, 20_060]);
    assert_eq!(environment.times(|record| *record == Record::WriteDone), [10_060, 20_090]);
}

#[tokio::test(start_paused = true)]
async fn cancel_reported_by_a_renewal_closes_the_model_stream() {
    let environment = Environment::new(30, [model_stream([], StreamEnd::Hangs)]);
    environment.write_results.lock().unwrap().push_back(Ok(TurnStatus::Cancelling));
    assert_eq!(environment.run().await, AttemptEnd::Published);
    assert_eq!(environment.times(|record| *record == Record::ModelStreamClosed), [10_060]);
    assert_eq!(environment.last_published_event().status(), TurnStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn write_and_publish_are_in_flight_together() {
    let items = (0..100).map(|_| text(150, "tick ")).chain([stop(1)]);
    let environment = Environment::new(12_000, [model_stream(items, StreamEnd::Ends)]);
    assert_eq!(environment.run().await, AttemptEnd::Published);
    assert_eq!(environment.times(|record| matches!(record, Record::WriteSent(_)))[0], 10_000);
    assert_eq!(environment.times(|record| *record == Record::PublishDone(1)), [12_000]);
    assert_eq!(environment.times(|record| *record == Record::ModelItemRead).last(), Some(&15_001));
}

#[tokio::test(start_paused = true)]
async fn event_after_a_refusal_is_written_and_announced_unchanged() {
    let environment = Environment::new(30, [model_stream([text(50, "Hi"), stop(50)], StreamEnd::Ends)]);
    environment.publish_results.lock().unwrap().extend([Ok(TurnStatus::Running), Err(PublishFailure::Refused)]);
    environment.write_results.lock().unwrap().extend([Err(WriteFailure::Retryable)]);
    assert_eq!(environment.run().await, AttemptEnd::Published);
    let records = environment.log.records.lock().unwrap();
    let written: Vec<_> = records
        .iter()
        .filter_map(|(_, record)| match record {
            Record::WriteSent(DirectWrite::StoreEvent(event)) => Some(event),
            _ => None,
        })
        .collect();
    assert_eq!(written.len(), 2);
    assert!(written[0].closes_turn() && Arc::ptr_eq(written[0], written[1]));
    let is_announcement =
        |record: &Record| matches!(record, Record::PublishSent(sent) if Arc::ptr_eq(sent, written[0]));
    assert!(records.iter().any(|(_, record)| is_announcement(record)));
}

#[tokio::test(start_paused = true)]
async fn tools_of_a_step_run_at_the_same_time_once_their_calls_are_stored() {
    let calls = model_stream([call(0, "fast"), call(1, "slow"), stop_for_tools(50)], StreamEnd::Ends);
    let answer = model_stream([text(10, "7."), stop(10)], StreamEnd::Ends);
    let mut environment = Environment::new(30, [calls, answer]);
    environment.tools = vec![("fast", Duration::from_millis(100)), ("slow", Duration::from_millis(500))];
    assert_eq!(environment.run().await, AttemptEnd::Published);
    // The calls are published from 50 to 80.
    let is_start = |record: &Record| matches!(record, Record::ToolStarted(_));
    assert_eq!(environment.times(is_start), [80, 80]);
    assert_eq!(environment.times(|record| *record == Record::ToolEnded("id-fast".into())), [180]);
    assert_eq!(environment.times(|record| *record == Record::ToolEnded("id-slow".into())), [580]);
    assert_eq!(environment.times(|record| *record == Record::ModelCalled), [0, 580]);
    assert_eq!(environment.last_published_event().content, [ContentBlock::text("7.")]);
}

#[tokio::test(start_paused = true)]
async fn cancel_drops_running_tools() {
    let calls = model_stream([call(0, "slow"), call(1, "slower"), stop_for_tools(50)], StreamEnd::Ends);
    let mut environment = Environment::new(30, [calls]);
    environment.tools = vec![("slow", Duration::from_secs(3)), ("slower", Duration::from_secs(600))];
    environment.write_results.lock().unwrap().push_back(Ok(TurnStatus::Cancelling));
    assert_eq!(environment.run().await, AttemptEnd::Published);
    assert_eq!(environment.times(|record| *record == Record::ToolEnded("id-slow".into())), [3080]);
    // The renewal of the lease reports the cancel.
    let renewed = environment.times(|record| *record == Record::WriteDone);
    assert_eq!(environment.times(|record| *record == Record::ToolDropped("id-slower".into())), renewed);
    assert_eq!(environment.last_published_event().status(), TurnStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn superseded_attempt_drops_its_tools() {
    let calls = model_stream([call(0, "slow"), stop_for_tools(50)], StreamEnd::Ends);
    let mut environment = Environment::new(30, [calls]);
    environment.tools = vec![("slow", Duration::from_secs(600))];
    environment.write_results.lock().unwrap().push_back(Err(WriteFailure::Stale));
    assert_eq!(environment.run().await, AttemptEnd::Superseded);
    let renewed = environment.times(|record| *record == Record::WriteDone);
    assert_eq!(environment.times(|record| *record == Record::ToolDropped("id-slow".into())), renewed);
}

#[tokio::test(start_paused = true)]
async fn model_stream_is_read_and_publishes_finish_while_the_next_step_starts() {
    let calls = model_stream([call(0, "fast"), stop_for_tools(50)], StreamEnd::Ends);
    let items = (0..1000).map(|_| text(1, "tick ")).chain([stop(1)]);
    let mut environment = Environment::new(9000, [calls, model_stream(items, StreamEnd::Ends)]);
    environment.tools = vec![("fast", Duration::from_millis(1))];
    assert_eq!(environment.run().await, AttemptEnd::Published);
    // Start 0 to 9,000, calls to 18,000, and the results while the model is asked again.
    assert_eq!(environment.times(|record| *record == Record::ModelCalled), [0, 18_001]);
    assert_eq!(environment.times(|record| *record == Record::ModelItemRead).last(), Some(&19_002));
}

fn call(block: u32, name: &str) -> (Duration, ModelResult) {
    (Duration::ZERO, Ok(StreamEvent::ToolUse { block, id: format!("id-{name}"), name: name.into() }))
}

fn stop_for_tools(delay: u64) -> (Duration, ModelResult) {
    (Duration::from_millis(delay), Ok(StreamEvent::MessageStop(ModelStop::ToolUse)))
}

fn tool(name: &str) -> Tool {
    Tool {
        name: name.into(),
        title: None,
        description: "Waits.".into(),
        input_schema: r#"{"type":"object"}"#.into(),
        effect: ToolEffect::Read,
        approval: Some(ToolApproval::Never),
        target: ToolTarget::Lambda(LambdaTool {
            function_arn: "arn:aws:lambda:us-east-1:000000000000:function:wait".into(),
        }),
    }
}

fn model_stream(items: impl IntoIterator<Item = (Duration, ModelResult)>, end: StreamEnd) -> ModelStream {
    ModelStream { items: items.into_iter().collect(), end }
}

fn text(delay: u64, text: &str) -> (Duration, ModelResult) {
    (Duration::from_millis(delay), Ok(StreamEvent::Text { block: 0, text: text.into() }))
}

fn stop(delay: u64) -> (Duration, ModelResult) {
    (Duration::from_millis(delay), Ok(StreamEvent::MessageStop(ModelStop::Answered(StopReason::EndTurn))))
}

fn retrieval_start(start: &AttemptStart) -> RetrievalStart {
    let knowledge: Knowledge =
        serde_json::from_str(r#"{"knowledgeBaseId":"KB00000001","mode":"ALWAYS"}"#).expect("settings");
    let transcript = TranscriptInput {
        history: Vec::new(),
        history_cut: false,
        question: start.question.clone(),
        context: Vec::new(),
        kept_answer: Vec::new(),
        model_id: "any".into(),
        context_bytes: 1000,
    };
    RetrievalStart { request: knowledge.request("Why?", &start.caller), knowledge, query_request: None, transcript }
}

fn attempt_start(now: std::time::Instant) -> AttemptStart {
    AttemptStart {
        caller: Caller::default(),
        claim: Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: 1, last_position: 1 },
        leased_at: now,
        agent: serde_json::from_value(json!({
            "id": "default", "version": 0, "modelId": "m", "contextBytes": 1000, "toolTimeoutSeconds": 300,
        }))
        .unwrap(),
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
        retrieval: None,
        stored_passages: BTreeMap::new(),
        reply_to: None,
        stored_calls: None,
        kept_usage: None,
        request: ModelRequest {
            model_id: "m".into(),
            system_prompt: None,
            inference: InferenceSettings::default(),
            tools: [].into(),
            ..ModelRequest::default()
        },
        limits: Limits::default(),
        deadlines: Deadlines::within(now, Duration::from_secs(900)),
    }
}

fn with_replies(reply_latency: Option<u64>) -> Environment {
    let items = (0..40).map(|_| text(50, "tick ")).chain([stop(1)]);
    let mut environment = Environment::new(30, [model_stream(items, StreamEnd::Ends)]);
    let listener = Listener::Events("/chat/responses/ann".into());
    environment.reply_to = Some(ReplyTo { listener, stream: true, request_id: None, participant_id: None });
    environment.reply_latency = reply_latency.map(Duration::from_millis);
    environment
}

fn replies_sent(environment: &Environment) -> Vec<Vec<u32>> {
    let records = environment.log.records.lock().unwrap();
    let sent = records.iter().filter_map(|(_, record)| match record {
        Record::RepliesSent(sequences) => Some(sequences.clone()),
        _ => None,
    });
    sent.collect()
}

#[tokio::test(start_paused = true)]
async fn replies_have_every_accepted_update_and_the_answer_in_order() {
    let environment = with_replies(Some(200));
    assert_eq!(environment.run().await, AttemptEnd::Published);
    let published = environment.publish_times().len() as u32;
    assert_eq!(replies_sent(&environment).concat(), (1..=published).collect::<Vec<_>>());
    let sent_before = environment.times(|record| matches!(record, Record::RepliesDone(_)));
    let ended = environment.times(|record| *record == Record::AttemptEnded)[0];
    assert!(sent_before.last().is_some_and(|at| *at > ended), "the last replies follow the end of the attempt");
}

#[tokio::test(start_paused = true)]
async fn replies_without_a_stream_have_the_answer_alone() {
    let mut environment = with_replies(Some(200));
    environment.reply_to.as_mut().unwrap().stream = false;
    assert_eq!(environment.run().await, AttemptEnd::Published);
    let published = environment.publish_times().len() as u32;
    assert_eq!(replies_sent(&environment), [[published]]);
}

#[tokio::test(start_paused = true)]
async fn answer_is_sent_in_time_to_a_slow_entry_point() {
    let mut environment = with_replies(Some(2_000));
    let connection = Connection { connection_id: "abc=".into(), user_id: "ann".into() };
    environment.reply_to.as_mut().unwrap().listener = Listener::WebSocket(connection);
    assert_eq!(environment.run().await, AttemptEnd::Published);
    let published = environment.publish_times().len() as u32;
    assert_eq!(replies_sent(&environment).concat(), [1, 2, 3, published], "updates of the first half give way");
}

#[tokio::test(start_paused = true)]
async fn hanging_reply_delays_no_publish_and_is_abandoned() {
    let mut without = with_replies(None);
    without.reply_to = None;
    assert_eq!(without.run().await, AttemptEnd::Published);
    let hanging = with_replies(None);
    assert_eq!(hanging.run().await, AttemptEnd::Published);
    assert_eq!(hanging.publish_times(), without.publish_times());
    let ended = |environment: &Environment| environment.times(|record| *record == Record::AttemptEnded)[0];
    assert_eq!(ended(&hanging), ended(&without));
    assert_eq!(replies_sent(&hanging), [[1]]);
    let dropped = hanging.times(|record| *record == Record::RepliesDropped(vec![1]));
    assert_eq!(dropped, [ended(&hanging) + REPLY_TIMEOUT.as_millis()]);
}
