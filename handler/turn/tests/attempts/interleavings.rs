//! Property test: an attempt keeps its invariants for any external events in any order.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use api::types::{ContentBlock, FailureCode, StopReason, ToolStatus, TurnStatus, Usage};
use proptest::{collection::vec, prelude::*, sample::select};
use turn::{
    attempt::{Attempt, Input},
    deadlines::Deadlines,
    direct_write::{DirectWrite, WriteFailure},
    effect::{AttemptEnd, Effect},
    knowledge::{KnowledgeFailure, Passage, RetrievalError},
    limits::Limits,
    model::{CitedPassage, ModelError, ModelStop, ReasoningPart, StreamEvent, ToolOutput},
    mutation::{Accepted, BlockKind, Mutation, PublishFailure, Update, Wait},
    replies::{Listener, MessageKind, ReplyFailure, ReplyRequest, ReplyTo},
    retrieval::RetrievalResult,
    tool::{ToolOutcome, ToolRun},
};

use crate::{
    golden::{event_size, json_len},
    received_text::ReceivedText,
    script::{self, PublishResult, ReplyResult, Script, WriteResult, tool},
    simulation::{attempt_start, update_text},
};

const TEXTS: [&str; 12] = [
    "[1]",
    "[",
    "2]",
    "",
    "tick ",
    "a",
    "é\u{301}",
    "👩‍👩‍👧‍👦",
    "\"\\\n\u{0}",
    " \r\n",
    "שלום ",
    "a rather longer piece of text",
];

/// Longer than any delay before another try of a publish or write.
const RECOVERY_TIME: Duration = Duration::from_secs(6);

/// An event outside of the attempt. Ignored if it cannot happen at that time.
#[derive(Clone, Debug)]
enum ExternalEvent {
    ModelEvent(StreamEvent),
    ModelFailed(ModelError),
    ModelStreamEnded,
    /// The publish in flight gets its result. An update that begins a wait is accepted as WAITING.
    Published(PublishResult),
    /// The write in flight gets its result.
    Written(WriteResult),
    /// The model ends its step with calls of these tools, each with an id.
    StepWithCalls(Vec<(&'static str, &'static str)>),
    /// The search in flight gets its result.
    Retrieved(RetrievalResult),
    /// The request with replies in flight gets its result.
    RepliesSent(ReplyResult),
    /// The tool that was started first ends.
    ToolFinished(ToolStatus),
    TimePasses(Duration),
}

/// The end of a run, after the random events.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Remainder {
    /// Nothing gets a result any more.
    NoResults,
    /// The model ends its answer, and every publish and write is accepted.
    AllHealthy,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn attempt_keeps_its_invariants_under_any_events(
        events in vec(external_event(), 0..120),
        remainder in select(vec![Remainder::NoResults, Remainder::AllHealthy]),
        remaining_milliseconds in select(vec![8_000, 30_000, 900_000]),
        batch_max_bytes in 8_usize..200,
        event_max_bytes in 4_150_usize..5_000,
        knowledge in select(vec![None, None, Some(KnowledgeFailure::Answer), Some(KnowledgeFailure::Fail)]),
        model_id in select(vec!["anthropic.claude-opus-4-1", "amazon.nova-pro-v1:0"]),
        stream in any::<bool>(),
    ) {
        // With citations, an event has more room.
        let event_max_bytes = if knowledge.is_some() { event_max_bytes + 8_000 } else { event_max_bytes };
        let script = Script {
            remaining: Duration::from_millis(remaining_milliseconds),
            limits: Limits { batch_max_bytes, event_max_bytes, ..Limits::default() },
            knowledge: knowledge.map(script::knowledge),
            model_id: model_id.into(),
            ..script_with_replies(stream)
        };
        check_invariants(&script, events, remainder);
    }
}

/// Found by the test above: the publish that begins a wait was given up, and accepted after the end.
#[test]
fn run_has_one_answer_where_a_wait_is_accepted_after_the_end() {
    let text = || ExternalEvent::ModelEvent(StreamEvent::Text { block: 0, text: "[1]".into() });
    let published = || ExternalEvent::Published(Ok(TurnStatus::Running));
    let written = || ExternalEvent::Written(Ok(TurnStatus::Running));
    let seconds = |seconds| ExternalEvent::TimePasses(Duration::from_secs(seconds));
    let events = vec![
        ExternalEvent::Published(Err(PublishFailure::Retryable)),
        ExternalEvent::StepWithCalls(vec![("id1", "ask")]),
        seconds(11),
        seconds(6),
        published(),
        text(),
        written(),
        published(),
        text(),
        seconds(11),
        written(),
        written(),
        text(),
    ];
    let script = Script {
        remaining: Duration::from_secs(30),
        limits: Limits { batch_max_bytes: 8, event_max_bytes: 4_150, ..Limits::default() },
        model_id: "anthropic.claude-opus-4-1".into(),
        ..script_with_replies(false)
    };
    check_invariants(&script, events, Remainder::AllHealthy);
}

fn script_with_replies(stream: bool) -> Script {
    Script {
        tools: vec![tool("look"), tool("change"), tool("ask"), tool("page")],
        reply_to: Some(ReplyTo {
            listener: Listener::Events("/chat/responses/u1".into()),
            stream,
            request_id: None,
            participant_id: None,
        }),
        ..Script::default()
    }
}

fn check_invariants(script: &Script, events: Vec<ExternalEvent>, remainder: Remainder) {
    let mut environment = Environment::new(script);
    for event in events {
        environment.apply(event);
    }
    let has_time = environment.now + RECOVERY_TIME < environment.deadlines.give_up_at;
    environment.run_to_end(remainder);
    environment.finish_replies();
    if remainder == Remainder::AllHealthy && has_time {
        assert!(environment.is_turn_closed(), "the turn is closed once everything is healthy");
    }
}

fn external_event() -> impl Strategy<Value = ExternalEvent> {
    let text = (0_u32..3, select(&TEXTS[..]), select(vec![1, 1, 1, 40]))
        .prop_map(|(block, text, times)| StreamEvent::Text { block, text: text.repeat(times) });
    let stop = select(vec![
        ModelStop::Answered(StopReason::EndTurn),
        ModelStop::Answered(StopReason::MaxTokens),
        ModelStop::ToolUse,
    ])
    .prop_map(StreamEvent::MessageStop);
    let error = select(vec![
        ModelError::ThrottledBriefly,
        ModelError::Failed(FailureCode::Throttled),
        ModelError::Failed(FailureCode::ModelUnavailable),
        ModelError::Failed(FailureCode::Internal),
    ]);
    let time = select(vec![0, 5, 15, 45, 300, 2_000, 6_000, 11_000, 70_000]).prop_map(Duration::from_millis);
    prop_oneof![
        30 => text.prop_map(ExternalEvent::ModelEvent),
        1 => stop.prop_map(ExternalEvent::ModelEvent),
        1 => Just(ExternalEvent::ModelEvent(StreamEvent::Usage(Usage::default()))),
        1 => Just(ExternalEvent::ModelEvent(StreamEvent::Other)),
        2 => select(&TEXTS[..]).prop_map(|text| {
            let part = ReasoningPart::Text(text.to_owned());
            ExternalEvent::ModelEvent(StreamEvent::Reasoning { block: 9, part })
        }),
        1 => Just(ReasoningPart::Signature("Eu0E".into()))
            .prop_map(|part| ExternalEvent::ModelEvent(StreamEvent::Reasoning { block: 9, part })),
        1 => error.prop_map(ExternalEvent::ModelFailed),
        1 => Just(ExternalEvent::ModelStreamEnded),
        30 => publish_result().prop_map(ExternalEvent::Published),
        12 => write_result().prop_map(ExternalEvent::Written),
        6 => retrieval_result().prop_map(ExternalEvent::Retrieved),
        12 => reply_result().prop_map(ExternalEvent::RepliesSent),
        6 => (0_u32..3, 0_usize..3).prop_map(|(block, index)| {
            let source = Some(format!("s3://bucket/{index}.md"));
            let cited = CitedPassage { source, search_result_index: Some(index), text: String::new() };
            ExternalEvent::ModelEvent(StreamEvent::Citation { block, cited })
        }),
        3 => (0_u32..3).prop_map(|block| ExternalEvent::ModelEvent(StreamEvent::BlockEnd { block })),
        2 => tool_call().prop_map(ExternalEvent::ModelEvent),
        2 => (0_u32..3, select(&["{", "}", "{}", "x"][..]))
            .prop_map(|(block, json)| ExternalEvent::ModelEvent(StreamEvent::ToolInput { block, json: json.into() })),
        4 => vec((select(&["id1", "id2", ""][..]), select(&["look", "change", "ask", "page"][..])), 1..4)
            .prop_map(ExternalEvent::StepWithCalls),
        8 => select(vec![ToolStatus::Succeeded, ToolStatus::Failed]).prop_map(ExternalEvent::ToolFinished),
        20 => time.prop_map(ExternalEvent::TimePasses),
    ]
}

fn retrieval_result() -> impl Strategy<Value = RetrievalResult> {
    let passage = |index| Passage {
        text: "passage ".repeat(40),
        source: Some(format!("s3://bucket/{index}.md")),
        score: Some(0.5),
        page: None,
    };
    prop_oneof![
        4 => (0_usize..3).prop_map(move |count| Ok((0..count).map(passage).collect())),
        2 => Just(Err(RetrievalError::Resuming)),
        2 => Just(Err(RetrievalError::Temporary)),
        1 => Just(Err(RetrievalError::Refused)),
    ]
}

fn tool_call() -> impl Strategy<Value = StreamEvent> {
    (0_u32..3, select(&["id1", "id2", ""][..]), select(&["look", "change", "ask", "page", "unknown"][..]))
        .prop_map(|(block, id, name)| StreamEvent::ToolUse { block, id: id.into(), name: name.into() })
}

fn publish_result() -> impl Strategy<Value = PublishResult> {
    prop_oneof![
        40 => Just(Ok(TurnStatus::Running)),
        1 => Just(Ok(TurnStatus::Cancelling)),
        1 => Just(Ok(TurnStatus::Failed)),
        20 => Just(Err(PublishFailure::Retryable)),
        2 => Just(Err(PublishFailure::Refused)),
        1 => Just(Err(PublishFailure::Stale)),
    ]
}

fn reply_result() -> impl Strategy<Value = ReplyResult> {
    prop_oneof![
        40 => Just(Ok(())),
        20 => Just(Err(ReplyFailure::Retryable)),
        4 => Just(Err(ReplyFailure::Refused)),
        1 => Just(Err(ReplyFailure::Gone)),
    ]
}

fn write_result() -> impl Strategy<Value = WriteResult> {
    prop_oneof![
        40 => Just(Ok(TurnStatus::Running)),
        4 => Just(Ok(TurnStatus::Cancelling)),
        20 => Just(Err(WriteFailure::Retryable)),
        1 => Just(Err(WriteFailure::Stale)),
    ]
}

/// Everything around one attempt, and what it has observed of the attempt.
struct Environment {
    attempt: Attempt,
    limits: Limits,
    deadlines: Deadlines,
    now: Instant,
    is_model_stream_open: bool,
    is_search_running: bool,
    /// Whether the model cites by itself: then all text of a step is one block.
    cites: bool,
    can_cite: bool,
    /// The block of the step's text.
    text_block: Option<u32>,
    publish: Option<Arc<Mutation>>,
    write: Option<DirectWrite>,
    reply_request: Option<Arc<ReplyRequest>>,
    /// The requests with replies that have a result, each once for all its tries.
    reply_requests: Vec<Arc<ReplyRequest>>,
    /// The sequences of the updates that AppSync has accepted and that replies are to have.
    accepted: BTreeSet<u32>,
    /// The tools that run.
    tools: Vec<ToolRun>,
    /// The calls of stored events, and how often each was started.
    starts: BTreeMap<(u32, String), u32>,
    /// The ids of calls that an event has and that have no result yet.
    open_calls: Vec<String>,
    /// The ids of all calls.
    call_ids: BTreeSet<String>,
    /// The ids of calls that a person or a client is to answer.
    pending_ids: BTreeSet<String>,
    /// By sequence: the first mutation sent under it.
    sent: BTreeMap<u32, Arc<Mutation>>,
    received_text: ReceivedText,
    closing_event: Option<Arc<Mutation>>,
    /// Whether the turn has begun to wait.
    is_waiting: bool,
    is_closing_event_written: bool,
    is_cancelled: bool,
    /// Whether a result has shown the attempt that it no longer owns the turn.
    is_superseded: bool,
    /// When the lease was last extended, or its renewal last failed.
    last_renewal: Instant,
    end: Option<AttemptEnd>,
}

impl Environment {
    #[expect(clippy::disallowed_methods, reason = "an attempt needs some moment to start from")]
    fn new(script: &Script) -> Self {
        let now = Instant::now();
        let mut environment = Self {
            attempt: Attempt::new(attempt_start(script, now), now),
            limits: script.limits,
            deadlines: Deadlines::within(now, script.remaining),
            now,
            is_model_stream_open: false,
            is_search_running: false,
            cites: false,
            can_cite: script.model_id.contains("claude"),
            text_block: None,
            publish: None,
            write: None,
            reply_request: None,
            reply_requests: Vec::new(),
            accepted: BTreeSet::new(),
            tools: Vec::new(),
            starts: BTreeMap::new(),
            open_calls: Vec::new(),
            call_ids: BTreeSet::new(),
            pending_ids: BTreeSet::new(),
            sent: BTreeMap::new(),
            received_text: ReceivedText::default(),
            closing_event: None,
            is_waiting: false,
            is_closing_event_written: false,
            is_cancelled: false,
            is_superseded: false,
            last_renewal: now,
            end: None,
        };
        environment.perform_effects();
        environment
    }

    /// Ignores what cannot happen now.
    fn apply(&mut self, event: ExternalEvent) {
        if self.end.is_some() {
            return;
        }
        match event {
            ExternalEvent::ModelEvent(event) if self.is_model_stream_open => self.on_model_event(event),
            ExternalEvent::ModelFailed(error) if self.is_model_stream_open => {
                self.on_stream_end(Input::ModelFailed(error));
            }
            ExternalEvent::ModelStreamEnded if self.is_model_stream_open => self.on_stream_end(Input::ModelStreamEnded),
            ExternalEvent::ModelEvent(_) | ExternalEvent::ModelFailed(_) | ExternalEvent::ModelStreamEnded => {}
            ExternalEvent::StepWithCalls(calls) if self.is_model_stream_open => self.end_step_with_calls(&calls),
            ExternalEvent::StepWithCalls(_) => {}
            ExternalEvent::Published(result) => self.on_publish_result(result),
            ExternalEvent::Written(result) => self.on_write_result(result),
            ExternalEvent::Retrieved(result) => self.on_retrieved(result),
            ExternalEvent::RepliesSent(result) => self.on_replies_sent(result),
            ExternalEvent::ToolFinished(status) => self.on_tool_finished(status),
            ExternalEvent::TimePasses(time) => self.pass_time(time),
        }
    }

    fn on_model_event(&mut self, event: StreamEvent) {
        if let StreamEvent::Text { block, text } = &event
            && self.attempt.end_reason().is_none()
        {
            let block = match self.cites && !text.is_empty() {
                true => *self.text_block.get_or_insert(*block),
                false => *block,
            };
            self.received_text.push_delta(block, text);
        }
        if let StreamEvent::MessageStop(_) = &event {
            self.text_block = None;
        }
        self.handle(Input::ModelEvent(event));
    }

    fn on_retrieved(&mut self, result: RetrievalResult) {
        if std::mem::take(&mut self.is_search_running) {
            self.cites = self.can_cite && result.is_ok();
            self.handle(Input::Retrieved(result));
        }
    }

    fn on_replies_sent(&mut self, result: ReplyResult) {
        let Some(request) = self.reply_request.take() else { return };
        if self.reply_requests.last() != Some(&request) {
            self.reply_requests.push(request);
        }
        self.handle(Input::RepliesSent(result));
    }

    fn end_step_with_calls(&mut self, calls: &[(&str, &str)]) {
        for (block, (id, name)) in (3..).zip(calls) {
            self.on_model_event(StreamEvent::ToolUse { block, id: (*id).into(), name: (*name).into() });
        }
        self.on_model_event(StreamEvent::MessageStop(ModelStop::ToolUse));
        self.on_model_event(StreamEvent::Usage(Usage::default()));
    }

    fn on_stream_end(&mut self, input: Input) {
        self.is_model_stream_open = false;
        self.handle(input);
    }

    fn on_publish_result(&mut self, result: PublishResult) {
        let Some(sent) = self.publish.take() else { return };
        let closes_turn = sent.closes_turn();
        let result = match result {
            Ok(TurnStatus::Running) if sent.begins_wait() => Ok(TurnStatus::Waiting),
            result => result,
        };
        let keeps_update = self.attempt.keeps_update(&sent);
        let update = keeps_update.then(|| update_text(&sent));
        let accepted = result.map(|status| Accepted { status, update });
        if result.is_ok() && keeps_update {
            self.accepted.insert(sent.sequence);
        }
        drop(sent);
        match result {
            Ok(TurnStatus::Waiting) => self.is_waiting = true,
            Ok(status) if !closes_turn => self.on_lease_extended(status),
            Err(PublishFailure::Stale) => self.is_superseded = true,
            Ok(_) | Err(PublishFailure::Retryable | PublishFailure::Refused) => {}
        }
        self.handle(Input::Published(accepted));
        if result.is_ok() && closes_turn {
            assert_eq!(self.end, Some(AttemptEnd::Published), "an accepted closing event ends the attempt");
        }
        if self.is_waiting {
            assert_eq!(self.end, Some(AttemptEnd::Waiting), "an accepted wait ends the attempt");
        }
    }

    fn on_write_result(&mut self, result: WriteResult) {
        let Some(write) = self.write.take() else { return };
        let (is_renewal, closes_turn) = match &write {
            DirectWrite::RenewLease(_) => (true, false),
            DirectWrite::StoreEvent(event) => (false, event.closes_turn()),
        };
        if is_renewal {
            self.last_renewal = self.now;
        }
        // A refused renewal says nothing once there is a closing event: the end may be the attempt's own.
        let supersedes = !is_renewal || self.closing_event.is_none();
        match result {
            Ok(_) if closes_turn => self.is_closing_event_written = true,
            Ok(status) => self.on_lease_extended(status),
            Err(WriteFailure::Stale) if supersedes => self.is_superseded = true,
            Err(WriteFailure::Stale | WriteFailure::Retryable) => {}
        }
        drop(write);
        self.handle(Input::Written(result));
    }

    fn on_lease_extended(&mut self, status: TurnStatus) {
        self.last_renewal = self.now;
        if self.closing_event.is_some() {
            return;
        }
        match status {
            TurnStatus::Queued | TurnStatus::Running | TurnStatus::Waiting => {}
            TurnStatus::Cancelling => self.is_cancelled = true,
            TurnStatus::Completed | TurnStatus::Cancelled | TurnStatus::Failed => self.is_superseded = true,
        }
    }

    fn pass_time(&mut self, time: Duration) {
        let until = self.now + time;
        while self.end.is_none() && self.now < until {
            self.now = self.attempt.wake_at(self.now).min(until);
            self.handle(Input::TimerFired);
        }
    }

    fn run_to_end(&mut self, remainder: Remainder) {
        while self.end.is_none() {
            match remainder {
                Remainder::NoResults => self.pass_time(Duration::from_secs(60)),
                Remainder::AllHealthy => self.succeed_for_a_moment(),
            }
        }
    }

    /// Accepts every publish and write, ends the model's answer and lets some time pass.
    fn succeed_for_a_moment(&mut self) {
        while self.publish.is_some() || self.write.is_some() {
            self.apply(ExternalEvent::Published(Ok(TurnStatus::Running)));
            self.apply(ExternalEvent::Written(Ok(TurnStatus::Running)));
            if self.end.is_some() {
                return;
            }
        }
        self.on_retrieved(Ok(Vec::new()));
        while !self.tools.is_empty() {
            self.apply(ExternalEvent::ToolFinished(ToolStatus::Succeeded));
        }
        self.apply(ExternalEvent::ModelEvent(StreamEvent::MessageStop(ModelStop::Answered(StopReason::EndTurn))));
        self.apply(ExternalEvent::ModelEvent(StreamEvent::Usage(Usage::default())));
        self.apply(ExternalEvent::TimePasses(Duration::from_millis(100)));
    }

    /// Every accepted update is sent once, in order, or skipped. So is the end of the run, which is the last.
    fn finish_replies(&mut self) {
        let mut replies = self.attempt.take_replies().unwrap();
        if self.reply_request.is_some() {
            replies.on_result(Ok(()), self.now);
            self.reply_requests.extend(self.reply_request.take());
        }
        while !replies.is_idle() {
            if let Some(request) = replies.next_request(self.now) {
                replies.on_result(Ok(()), self.now);
                self.reply_requests.push(request);
            } else {
                self.now = replies.wake_at().unwrap();
            }
        }
        self.reply_requests.dedup();
        let messages = || self.reply_requests.iter().flat_map(|request| &request.messages);
        let sent: Vec<u32> = messages().map(|message| message.sequence).collect();
        assert!(sent.is_sorted_by(|one, next| one < next), "messages are sent once and in order: {sent:?}");
        let updates = messages().filter(|message| message.kind != MessageKind::Answer);
        let updates: Vec<u32> = updates.map(|message| message.sequence).collect();
        assert!(updates.iter().all(|sequence| self.accepted.contains(sequence)), "only accepted updates are sent");
        let answers: Vec<u32> = sent.iter().filter(|sequence| !updates.contains(sequence)).copied().collect();
        let last_sequence = self.sent.keys().last().copied();
        let is_end = |sequence: &u32| Some(*sequence) == last_sequence || self.is_wait(*sequence);
        assert!(answers.iter().all(is_end), "the answer is about the update that ends the run: {answers:?}");
        // A later run may supersede an attempt whose end is written and not announced yet.
        let has_end = self.is_closing_event_written || self.end.is_some_and(AttemptEnd::ends_work);
        assert!(answers.len() <= usize::from(has_end), "a run has one answer, at its end: {answers:?}");
        let unsent = self.accepted.len() + usize::from(has_end) - sent.len();
        assert!(replies.skipped() as usize >= unsent, "what is not sent is skipped");
    }

    fn is_wait(&self, sequence: u32) -> bool {
        self.sent.get(&sequence).is_some_and(|mutation| mutation.begins_wait())
    }

    fn handle(&mut self, input: Input) {
        self.attempt.handle(input, self.now);
        self.perform_effects();
    }

    fn perform_effects(&mut self) {
        while self.end.is_none()
            && let Some(effect) = self.attempt.next_effect(self.now)
        {
            match effect {
                Effect::Retrieve(_) => {
                    assert!(!self.is_search_running, "one search at a time");
                    self.is_search_running = true;
                }
                Effect::StopRetrieval => self.is_search_running = false,
                Effect::CallModel(_) => {
                    assert!(!self.is_search_running, "the model is asked after the search");
                    self.is_model_stream_open = true;
                }
                Effect::CloseModelStream => self.is_model_stream_open = false,
                Effect::RunTool(run) => self.run_tool(*run),
                Effect::StopTools => self.tools.clear(),
                Effect::Publish(mutation) => self.publish(mutation),
                Effect::Write(write) => self.write(write),
                Effect::SendReplies(request) => {
                    assert!(self.reply_request.is_none(), "one request with replies at a time");
                    self.reply_request = Some(request);
                }
                Effect::End(end) => self.end = Some(end),
            }
        }
        self.check_state();
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
            DirectWrite::RenewLease(_) => {
                assert!(!self.is_closing_event_written, "the lease of a closed turn is not renewed");
            }
        }
        self.write = Some(write);
    }

    fn send(&mut self, mutation: &Arc<Mutation>) {
        if let Some(first) = self.sent.get(&mutation.sequence) {
            assert_eq!(first, mutation, "the content of a sequence never changes");
            return;
        }
        assert_eq!(mutation.sequence, self.sent.len() as u32 + 1, "sequences have no gaps");
        assert!(self.closing_event.is_none(), "the closing event is the last update");
        self.check_update(mutation);
        self.sent.insert(mutation.sequence, Arc::clone(mutation));
    }

    fn check_update(&mut self, mutation: &Arc<Mutation>) {
        match &mutation.update {
            Update::Started { .. } => assert_eq!(mutation.sequence, 1),
            Update::Note(_) | Update::ToolProgress(_) => {}
            Update::Waiting(wait) => self.check_wait(wait),
            Update::Stored(_) | Update::CallAnswered(_) => panic!("an attempt publishes only its own updates"),
            Update::Batch(batch) => {
                assert!(!batch.text.is_empty(), "a batch has text");
                assert!(json_len(&batch.text) <= self.limits.batch_max_bytes, "batches are bounded");
                if batch.kind == BlockKind::Text {
                    self.received_text.push_batch(batch).unwrap();
                }
            }
            Update::Event(event) => {
                assert!(event_size(&event.content) <= self.limits.event_max_bytes, "events are bounded");
                self.received_text.push_event(&event.content).unwrap();
                self.check_tool_blocks(&event.content);
            }
        }
        if mutation.closes_turn() {
            self.closing_event = Some(Arc::clone(mutation));
            assert!(self.received_text.is_all_stored(), "all received text is stored");
            assert_eq!(self.open_calls, Vec::<String>::new(), "every call has a result");
            let Update::Event(event) = &mutation.update else { panic!("only an event closes a turn") };
            assert_eq!(event.status() == TurnStatus::Cancelled, self.is_cancelled);
        }
    }

    /// The attempt waits for exactly the calls without results, and no tool runs.
    fn check_wait(&self, wait: &Wait) {
        let pending: Vec<_> = wait.calls.iter().map(|call| call.id.clone()).collect();
        assert_eq!(pending, self.open_calls, "exactly the calls without results wait");
        let event = self.sent.values().find_map(|sent| match &sent.update {
            Update::Event(event) if event.position == wait.position => Some(event),
            _ => None,
        });
        let calls: Vec<_> = event.unwrap().content.iter().filter_map(|block| block.tool_use.as_ref()).collect();
        for call in &wait.calls {
            assert!(calls.iter().any(|tool_use| tool_use.id == call.id), "the position is that of the calls");
            let status = if call.name == "ask" { ToolStatus::ApprovalNeeded } else { ToolStatus::ClientNeeded };
            assert_eq!(call.status, status, "{call:?}");
        }
        assert!(self.tools.is_empty(), "other calls run before the wait");
        assert!(self.received_text.is_all_stored(), "all received text is stored");
        assert!(!self.is_cancelled, "a cancelled turn does not wait");
    }

    /// Every result is that of an open call, and an event with calls comes after the results of those before.
    fn check_tool_blocks(&mut self, content: &[ContentBlock]) {
        for block in content {
            if let Some(tool_use) = &block.tool_use {
                let is_new = self.call_ids.insert(tool_use.id.clone());
                assert!(is_new, "an id is unique among the calls of a transcript");
                self.open_calls.push(tool_use.id.clone());
                if matches!(tool_use.name.as_str(), "ask" | "page") {
                    self.pending_ids.insert(tool_use.id.clone());
                }
            }
            if let Some(result) = &block.tool_result {
                let index = self.open_calls.iter().position(|id| *id == result.tool_use_id);
                self.open_calls.remove(index.expect("a result belongs to a call without a result"));
            }
        }
        let has_calls = content.iter().any(|block| block.tool_use.is_some());
        let is_result_missing = self.open_calls.iter().any(|id| !self.pending_ids.contains(id));
        assert!(has_calls || !is_result_missing, "the results of calls that do not wait are one event");
    }

    fn run_tool(&mut self, run: ToolRun) {
        assert!(run.tool.pending_status().is_none(), "no call is run that has to wait");
        let is_call_sent = self.sent.values().any(|sent| {
            let Update::Event(event) = &sent.update else { return false };
            event.position == run.position
                && event.content.iter().any(|block| block.tool_use.as_ref() == Some(&run.tool_use))
        });
        assert!(is_call_sent, "a tool runs after its call was sent");
        assert!(self.publish.is_none() || self.tools.len() < 8, "at most 8 tools run");
        let starts = self.starts.entry((run.position, run.tool_use.id.clone())).or_default();
        *starts += 1;
        assert_eq!(*starts, 1, "an attempt runs a call once");
        self.tools.push(run);
    }

    fn on_tool_finished(&mut self, status: ToolStatus) {
        if self.tools.is_empty() {
            return;
        }
        let tool_use_id = self.tools.remove(0).tool_use.id;
        let output = ToolOutput::Text("x".repeat(200));
        let outcome = ToolOutcome { status, output, started_at: None, ended_at: None };
        self.handle(Input::ToolFinished { tool_use_id, outcome });
    }

    /// Checks what holds after every input.
    fn check_state(&self) {
        let held_mutations =
            self.sent.values().filter(|sent| Arc::strong_count(sent) > self.own_references(sent)).count();
        assert!(held_mutations <= 2, "the attempt holds {held_mutations} mutations");
        if let Some(end) = self.end {
            self.check_end(end);
            return;
        }
        assert!(self.now < self.deadlines.give_up_at, "every attempt ends in time");
        assert!(self.attempt.wake_at(self.now) > self.now, "an attempt without effects sleeps");
        let is_last = |sent: &Arc<Mutation>| sent.closes_turn() || sent.begins_wait();
        let is_closing = self.is_closing_event_written || self.publish.as_ref().is_some_and(is_last);
        let renewal_deadline = self.last_renewal + self.limits.renewal_interval + self.limits.write_retry.longest;
        assert!(
            is_closing || self.write.is_some() || self.now < renewal_deadline,
            "the lease is renewed until the turn is being closed"
        );
    }

    /// How many references to a mutation this environment holds.
    fn own_references(&self, mutation: &Arc<Mutation>) -> usize {
        let written = match &self.write {
            Some(DirectWrite::StoreEvent(event)) => Some(event),
            Some(DirectWrite::RenewLease(_)) | None => None,
        };
        let in_sent = 1;
        let others = [self.publish.as_ref(), written, self.closing_event.as_ref()];
        in_sent + others.into_iter().flatten().filter(|other| other.sequence == mutation.sequence).count()
    }

    fn check_end(&self, end: AttemptEnd) {
        assert!(self.now <= self.deadlines.give_up_at, "every attempt ends in time");
        match end {
            AttemptEnd::Published => assert!(self.closing_event.is_some()),
            AttemptEnd::Waiting => assert!(self.is_waiting, "an attempt waits only once its turn does"),
            AttemptEnd::Unannounced => assert!(self.is_closing_event_written, "an unannounced end is stored"),
            AttemptEnd::Superseded => assert!(self.is_superseded, "only a result ends an attempt as superseded"),
            AttemptEnd::OutOfTime => assert_eq!(self.now, self.deadlines.give_up_at),
        }
    }

    /// Whether the turn was closed or waits, by this attempt or another process.
    fn is_turn_closed(&self) -> bool {
        self.is_superseded
            || self.is_waiting
            || (self.closing_event.is_some() && self.end != Some(AttemptEnd::OutOfTime))
    }
}
