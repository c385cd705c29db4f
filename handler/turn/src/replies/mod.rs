//! Replies: messages to a client of another entry point, which listens at a channel of AppSync Events or at a
//! connection of a WebSocket API.
//!
//! They are made of the updates that AppSync has accepted, in their order, and of the end of the run as one
//! answer. They have a request of their own in flight, so they neither delay nor repeat a publish, and
//! nothing of the attempt depends on them. What cannot be delivered in time is skipped, updates before
//! answers: the client sees a gap in the sequence, and reads the turn.
mod message;
mod reply_to;
mod run_end;
mod stored_answer;

use std::{collections::VecDeque, sync::Arc, time::Instant};

use api::{backoff::Backoff, message_limits::MAX_TRIES};

use crate::{
    claim::Claim,
    mutation::{Author, Mutation, Update},
    outbox::Outbox,
};
use message::MessageWriter;
use run_end::StepText;

pub use message::{MessageKind, ReplyMessage};
pub use reply_to::{Connection, Listener, ReplyTo, RequestLimits};
pub use run_end::{MAX_ANSWER_BYTES, RunEnd};
pub use stored_answer::StoredAnswer;

/// The most bytes of all messages that wait, and the most messages. Beyond this the oldest are skipped, but
/// no answer: there is one a run, of at most [`MAX_ANSWER_BYTES`].
pub const MAX_QUEUE_BYTES: usize = 1_000_000;
pub const MAX_QUEUED_MESSAGES: usize = 256;

/// Messages to send in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyRequest {
    pub listener: Listener,
    /// Whose part in the conversation must last. `None` for the owner's replies.
    pub participant: Option<Participant>,
    /// Ascending by sequence. At least one.
    pub messages: Vec<ReplyMessage>,
}

/// A user with whom a conversation is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    pub conversation_id: String,
    pub user_id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFailure {
    /// The client has gone: nothing more is sent.
    Gone,
    /// The conversation is not shared with the client's user any more: nothing more is sent.
    ShareEnded,
    /// The deployment does not have the client's entry point: nothing more is sent.
    NotDeployed,
    /// The request may succeed later.
    Retryable,
    /// The request would fail again.
    Refused,
}

#[derive(Debug)]
pub struct Replies {
    listener: Listener,
    participant: Option<Participant>,
    is_streaming: bool,
    writer: MessageWriter,
    limits: RequestLimits,
    queue: VecDeque<ReplyMessage>,
    queued_bytes: usize,
    requests: Outbox<Arc<ReplyRequest>>,
    /// How often the current request has failed.
    failures: u32,
    /// The sequence of the newest update that was taken.
    last_sequence: u32,
    skipped: u32,
    is_closed: bool,
    /// Whether the end of the run was taken, after which no update is sent.
    is_answered: bool,
    /// Whether only answers are still worth a try.
    is_hurried: bool,
    step: StepText,
    /// What the client is told if the turn ends with the update that is being delivered.
    end: Option<RunEnd>,
    /// What it is told if the turn begins to wait with the update that is being delivered.
    wait: Option<RunEnd>,
}

impl Replies {
    pub fn new(reply_to: ReplyTo, claim: Claim, retry: Backoff, jitter_seed: u64) -> Self {
        let to_participant = |user_id| Participant { conversation_id: claim.conversation_id.clone(), user_id };
        Self {
            listener: reply_to.listener.clone(),
            participant: reply_to.participant_id.clone().map(to_participant),
            is_streaming: reply_to.stream,
            limits: reply_to.listener.request_limits(),
            writer: MessageWriter::new(reply_to, claim),
            queue: VecDeque::new(),
            queued_bytes: 0,
            requests: Outbox::new(retry, jitter_seed),
            failures: 0,
            last_sequence: 0,
            skipped: 0,
            is_closed: false,
            is_answered: false,
            is_hurried: false,
            step: StepText::default(),
            end: None,
            wait: None,
        }
    }

    /// Whether the update of an accepted publish is needed. The answer replaces the one that ends the run.
    pub fn keeps_update(&self, mutation: &Mutation) -> bool {
        self.is_streaming && !mutation.closes_turn() && !mutation.begins_wait()
    }

    /// An update is being delivered for the first time.
    pub fn on_delivery(&mut self, mutation: &Mutation) {
        match &mutation.update {
            Update::Event(event) => {
                if event.author == Author::Agent {
                    self.step.push_event(&event.content);
                }
                if event.end.is_some() {
                    let step = std::mem::take(&mut self.step);
                    self.end = RunEnd::of_event(mutation.sequence, event, step);
                }
            }
            Update::Waiting(wait) => self.wait = Some(RunEnd::of_wait(mutation.sequence, wait, self.step.clone())),
            Update::Started { .. }
            | Update::Note(_)
            | Update::Batch(_)
            | Update::ToolProgress(_)
            | Update::CallAnswered(_)
            | Update::Stored(_) => {}
        }
    }

    /// Takes an update that AppSync has accepted. One that was taken before is ignored.
    pub fn push_update(&mut self, sequence: u32, update: &str) {
        if !self.is_streaming || sequence <= self.last_sequence {
            return;
        }
        if self.is_answered {
            // Its publish was given up before, and the answer has its text.
            self.skipped += 1;
            return;
        }
        self.last_sequence = sequence;
        let delta = self.writer.delta(sequence, update);
        self.push(delta);
    }

    /// The turn has ended with the event that was delivered last. Later calls do nothing.
    pub fn push_end(&mut self) {
        if let Some(end) = self.end.take() {
            self.push_answer(&end);
        }
    }

    /// The turn has begun to wait. Later calls do nothing. A run has one answer: if its end was taken before,
    /// the wait is not told.
    pub fn push_wait(&mut self) {
        let wait = self.wait.take();
        if let Some(wait) = wait.filter(|_| !self.is_answered) {
            self.push_answer(&wait);
        }
    }

    pub fn push_answer(&mut self, end: &RunEnd) {
        self.is_answered = true;
        for message in self.writer.answer(end) {
            self.push(message);
        }
    }

    /// The request to send now. At most one is in flight.
    pub fn next_request(&mut self, now: Instant) -> Option<Arc<ReplyRequest>> {
        if self.requests.is_idle()
            && let Some(request) = self.take_request()
        {
            self.failures = 0;
            self.requests.put(Arc::new(request), now);
        }
        self.requests.send_due(now)
    }

    /// When `next_request` may have a result without further input.
    pub fn wake_at(&self) -> Option<Instant> {
        self.requests.due_at()
    }

    pub fn on_result(&mut self, result: Result<(), ReplyFailure>, now: Instant) {
        match result {
            Ok(()) => {
                self.requests.on_accepted();
            }
            Err(ReplyFailure::Gone | ReplyFailure::ShareEnded | ReplyFailure::NotDeployed) => self.close(),
            Err(ReplyFailure::Refused) => self.skip_request(),
            Err(ReplyFailure::Retryable) => {
                self.failures += 1;
                let is_worth_a_try =
                    !self.is_hurried || self.requests.in_flight().is_some_and(|sent| sent.has_answer());
                if self.failures < MAX_TRIES && is_worth_a_try {
                    self.requests.on_failed(now);
                } else {
                    self.skip_request();
                }
            }
        }
    }

    /// Skips the updates that wait, so that the answer is sent in the time that is left. A request with
    /// updates alone is not sent again.
    pub fn skip_updates(&mut self, now: Instant) {
        self.is_hurried = true;
        let waiting = self.queue.len();
        self.queue.retain(|message| message.kind == MessageKind::Answer);
        self.queued_bytes = self.queue.iter().map(|message| message.text.len()).sum();
        self.skipped += (waiting - self.queue.len()) as u32;
        if self.requests.due_at().is_none() {
            return;
        }
        match self.requests.withdraw() {
            Some(request) if request.has_answer() => self.requests.put(request, now),
            Some(request) => self.skipped += request.messages.len() as u32,
            None => {}
        }
    }

    /// Whether everything that was taken is sent or skipped.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.requests.is_idle()
    }

    /// How many messages were skipped: those beyond the bounds of the queue, those of failed requests, and
    /// all after the client has gone.
    pub fn skipped(&self) -> u32 {
        self.skipped
    }

    fn push(&mut self, message: ReplyMessage) {
        if self.is_closed {
            self.skipped += 1;
            return;
        }
        self.queued_bytes += message.text.len();
        self.queue.push_back(message);
        while self.queue.len() > MAX_QUEUED_MESSAGES || self.queued_bytes > MAX_QUEUE_BYTES {
            let oldest = self.queue.iter().position(|message| message.kind != MessageKind::Answer);
            let Some(skipped) = oldest.and_then(|index| self.queue.remove(index)) else { break };
            self.queued_bytes -= skipped.text.len();
            self.skipped += 1;
        }
    }

    /// The oldest messages that fit into one request.
    fn take_request(&mut self) -> Option<ReplyRequest> {
        let mut messages = vec![self.pop()?];
        let mut bytes = messages[0].text.len();
        while messages.len() < self.limits.messages
            && let Some(next) = self.queue.front()
            && bytes + next.text.len() <= self.limits.bytes
        {
            bytes += next.text.len();
            messages.extend(self.pop());
        }
        Some(ReplyRequest { listener: self.listener.clone(), participant: self.participant.clone(), messages })
    }

    fn pop(&mut self) -> Option<ReplyMessage> {
        let message = self.queue.pop_front()?;
        self.queued_bytes -= message.text.len();
        Some(message)
    }

    fn skip_request(&mut self) {
        self.requests.withdraw();
        let request = self.requests.on_accepted();
        self.skipped += request.map_or(0, |request| request.messages.len() as u32);
    }

    fn close(&mut self) {
        self.is_closed = true;
        self.skip_request();
        self.skipped += self.queue.len() as u32;
        self.queue.clear();
        self.queued_bytes = 0;
    }
}

impl ReplyRequest {
    fn has_answer(&self) -> bool {
        self.messages.iter().any(|message| message.kind == MessageKind::Answer)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to start from")]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    use api::{
        backoff::Backoff,
        types::{ContentBlock, StopReason, TurnStatus},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        mutation::{AgentEvent, AnswerEnd, EndReason},
        request::Agent,
    };

    pub fn claim() -> Claim {
        Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: 2, last_position: 7 }
    }

    pub fn events() -> ReplyTo {
        ReplyTo {
            listener: Listener::Events("/chat/responses/ann".into()),
            stream: true,
            request_id: None,
            participant_id: None,
        }
    }

    pub fn websocket() -> ReplyTo {
        let connection = Connection { connection_id: "abc=".into(), user_id: "ann".into() };
        ReplyTo { listener: Listener::WebSocket(connection), stream: true, request_id: None, participant_id: None }
    }

    fn replies(reply_to: ReplyTo) -> Replies {
        Replies::new(reply_to, claim(), Backoff::half_jitter(Duration::from_millis(100), Duration::from_secs(1)), 0)
    }

    pub fn run_end(sequence: u32, text: &str) -> RunEnd {
        RunEnd {
            sequence,
            status: TurnStatus::Completed,
            text: text.to_owned(),
            citations: Vec::new(),
            failure: None,
            pending: Vec::new(),
            is_truncated: false,
        }
    }

    fn sequences(request: &ReplyRequest) -> Vec<u32> {
        request.messages.iter().map(|message| message.sequence).collect()
    }

    /// Sends everything that waits and returns the sequences of each request.
    fn drain(replies: &mut Replies, now: Instant) -> Vec<Vec<u32>> {
        let mut requests = Vec::new();
        while let Some(request) = replies.next_request(now) {
            requests.push(sequences(&request));
            replies.on_result(Ok(()), now);
        }
        requests
    }

    /// An update whose message has this size.
    fn update_of_size(reply_to: &ReplyTo, bytes: usize) -> String {
        let writer = MessageWriter::new(reply_to.clone(), claim());
        let head = writer.delta(1, r#"{"text":""}"#).text.len();
        json!({ "text": "x".repeat(bytes - head) }).to_string()
    }

    fn event(content: Vec<ContentBlock>, author: Author, reason: Option<StopReason>) -> Update {
        let agent = json!({ "id": "default", "version": 0, "modelId": "any", "contextBytes": 10_000 });
        let agent: Agent = serde_json::from_value(agent).unwrap();
        Update::Event(AgentEvent {
            id: "e".into(),
            position: 8,
            agent: Arc::new(agent),
            author,
            content,
            step_usage: None,
            model_id: "any".into(),
            guardrail: None,
            end: reason.map(|reason| AnswerEnd { reason: EndReason::Stopped(reason), usage: None }),
        })
    }

    fn deliver(replies: &mut Replies, sequence: u32, update: Update) {
        let mutation = Mutation { claim: claim(), sequence, update };
        let keeps_update = replies.keeps_update(&mutation);
        replies.on_delivery(&mutation);
        if keeps_update {
            replies.push_update(sequence, &json!({ "sequence": sequence }).to_string());
        }
    }

    #[test]
    fn one_request_at_a_time_has_at_most_five_events() {
        let now = Instant::now();
        let mut replies = replies(events());
        replies.push_update(1, "{}");
        assert_eq!(sequences(&replies.next_request(now).unwrap()), [1]);
        (2..=8).for_each(|sequence| replies.push_update(sequence, "{}"));
        assert_eq!(replies.next_request(now), None, "one request is in flight");
        replies.on_result(Ok(()), now);
        assert_eq!(drain(&mut replies, now), [vec![2, 3, 4, 5, 6], vec![7, 8]]);
        assert_eq!((replies.is_idle(), replies.skipped()), (true, 0));
    }

    #[test]
    fn request_has_at_most_240_kb() {
        let now = Instant::now();
        let mut replies = replies(events());
        for (sequence, bytes) in [(1, 120_000), (2, 120_000), (3, 100), (4, 240_000), (5, 240_000)] {
            replies.push_update(sequence, &update_of_size(&events(), bytes));
        }
        assert_eq!(drain(&mut replies, now), [vec![1, 2], vec![3], vec![4], vec![5]]);
    }

    #[test]
    fn connection_gets_one_update_a_request() {
        let now = Instant::now();
        let mut replies = replies(websocket());
        (1..=3).for_each(|sequence| replies.push_update(sequence, "{}"));
        assert_eq!(drain(&mut replies, now), [[1], [2], [3]]);
    }

    #[test]
    fn larger_update_is_replaced_by_a_reference() {
        let now = Instant::now();
        for (reply_to, limit) in [(events(), 240_000), (websocket(), 32_000)] {
            let mut replies = replies(reply_to.clone());
            replies.push_update(1, &update_of_size(&reply_to, limit));
            replies.push_update(2, &update_of_size(&reply_to, limit + 1));
            let first = replies.next_request(now).unwrap();
            assert_eq!((first.messages[0].text.len(), first.messages[0].kind), (limit, MessageKind::Delta));
            replies.on_result(Ok(()), now);
            let [message] = replies.next_request(now).unwrap().messages.clone().try_into().unwrap();
            let text: Value = serde_json::from_str(&message.text).unwrap();
            let mut expected = json!({
                "type": "delta", "conversationId": "c1", "turnId": "t1", "attempt": 2, "sequence": 2, "truncated": true,
            });
            if reply_to == events() {
                expected["sessionId"] = json!("c1");
            }
            assert_eq!((text, message.kind), (expected, MessageKind::Reference));
        }
    }

    #[test]
    fn failed_request_is_sent_three_times_and_then_skipped() {
        let mut now = Instant::now();
        let mut replies = replies(events());
        replies.push_update(1, "{}");
        let first = replies.next_request(now).unwrap();
        replies.push_update(2, "{}");
        for _ in 1..MAX_TRIES {
            replies.on_result(Err(ReplyFailure::Retryable), now);
            assert_eq!(replies.next_request(now), None, "a failed request waits");
            now = replies.wake_at().unwrap();
            assert_eq!(replies.next_request(now), Some(Arc::clone(&first)), "the same request is sent again");
        }
        replies.on_result(Err(ReplyFailure::Retryable), now);
        assert_eq!(drain(&mut replies, now), [[2]]);
        assert_eq!(replies.skipped(), 1);
    }

    #[test]
    fn refused_request_is_skipped_at_once() {
        let now = Instant::now();
        let mut replies = replies(events());
        replies.push_update(1, "{}");
        replies.next_request(now).unwrap();
        replies.push_update(2, "{}");
        replies.on_result(Err(ReplyFailure::Refused), now);
        assert_eq!(drain(&mut replies, now), [[2]]);
        assert_eq!(replies.skipped(), 1);
    }

    #[test]
    fn nothing_more_is_sent_to_a_client_that_cannot_be_reached() {
        let now = Instant::now();
        for failure in [ReplyFailure::Gone, ReplyFailure::ShareEnded, ReplyFailure::NotDeployed] {
            let mut replies = replies(websocket());
            replies.push_update(1, "{}");
            replies.push_update(2, "{}");
            replies.next_request(now).unwrap();
            replies.on_result(Err(failure), now);
            replies.push_answer(&run_end(3, "So."));
            assert_eq!((replies.next_request(now), replies.wake_at()), (None, None));
            assert_eq!((replies.is_idle(), replies.skipped()), (true, 3));
        }
    }

    #[test]
    fn oldest_updates_are_skipped_where_too_many_wait() {
        let now = Instant::now();
        let mut replies = replies(events());
        replies.push_update(1, "{}");
        replies.next_request(now).unwrap();
        let newest = MAX_QUEUED_MESSAGES as u32 + 4;
        (2..=newest).for_each(|sequence| replies.push_update(sequence, "{}"));
        replies.on_result(Ok(()), now);
        let sent: Vec<u32> = drain(&mut replies, now).concat();
        assert_eq!(sent, (5..=newest).collect::<Vec<_>>());
        assert_eq!(replies.skipped(), 3);
    }

    #[test]
    fn oldest_updates_are_skipped_where_too_many_bytes_wait() {
        let now = Instant::now();
        let mut replies = replies(events());
        (1..=6).for_each(|sequence| replies.push_update(sequence, &update_of_size(&events(), 200_000)));
        assert_eq!(drain(&mut replies, now), [[2], [3], [4], [5], [6]]);
        assert_eq!(replies.skipped(), 1);
    }

    #[test]
    fn updates_make_room_for_the_answer() {
        let now = Instant::now();
        let mut replies = replies(events());
        (1..=5).for_each(|sequence| replies.push_update(sequence, &update_of_size(&events(), 200_000)));
        replies.push_answer(&run_end(6, &"x".repeat(700_000)));
        assert_eq!(drain(&mut replies, now), [[5], [6], [6], [6]]);
        assert_eq!(replies.skipped(), 4);
        replies.push_answer(&run_end(7, &"x".repeat(MAX_QUEUE_BYTES + 1)));
        assert_eq!(drain(&mut replies, now), [[7]; 5], "no part of an answer is skipped");
        assert_eq!(replies.skipped(), 4);
    }

    #[test]
    fn update_that_was_taken_before_is_ignored() {
        let now = Instant::now();
        let mut replies = replies(events());
        for sequence in [1, 3, 3, 2] {
            replies.push_update(sequence, "{}");
        }
        assert_eq!(drain(&mut replies, now), [[1, 3]]);
        assert_eq!(replies.skipped(), 0);
    }

    #[test]
    fn hurried_replies_have_the_answer_alone() {
        let now = Instant::now();
        let mut replies = replies(websocket());
        (1..=3).for_each(|sequence| replies.push_update(sequence, "{}"));
        replies.push_answer(&run_end(4, "So."));
        replies.next_request(now).unwrap();
        replies.skip_updates(now);
        replies.on_result(Err(ReplyFailure::Retryable), now);
        assert_eq!(replies.skipped(), 3, "an update in flight is not sent again");
        assert_eq!(sequences(&replies.next_request(now).unwrap()), [4]);
        replies.on_result(Err(ReplyFailure::Retryable), now);
        let retry_at = replies.wake_at().unwrap();
        assert_eq!(sequences(&replies.next_request(retry_at).unwrap()), [4], "the answer is");
    }

    #[test]
    fn hurried_replies_do_not_wait_for_another_try() {
        let now = Instant::now();
        for (pushes_update, skipped) in [(true, 1), (false, 0)] {
            let mut replies = replies(websocket());
            if pushes_update {
                replies.push_update(1, "{}");
            }
            replies.push_answer(&run_end(2, "So."));
            replies.next_request(now).unwrap();
            replies.on_result(Err(ReplyFailure::Retryable), now);
            assert_eq!(replies.next_request(now), None);
            replies.skip_updates(now);
            assert_eq!(sequences(&replies.next_request(now).unwrap()), [2]);
            assert_eq!(replies.skipped(), skipped);
        }
    }

    #[test]
    fn update_that_ends_the_run_is_replaced_by_the_answer() {
        let now = Instant::now();
        let text = |text: &str, reason| event(vec![ContentBlock::text(text)], Author::Agent, reason);
        for (stream, expected) in [(true, vec![vec![1, 2]]), (false, vec![vec![2]])] {
            let mut replies = replies(ReplyTo { stream, ..events() });
            deliver(&mut replies, 1, text("So ", None));
            deliver(&mut replies, 2, text("be it.", Some(StopReason::EndTurn)));
            replies.push_wait();
            replies.push_end();
            replies.push_end();
            let request = replies.next_request(now).unwrap();
            let answer: Value = serde_json::from_str(&request.messages.last().unwrap().text).unwrap();
            assert_eq!(answer["result"]["text"], "So be it.");
            replies.on_result(Ok(()), now);
            assert_eq!(
                [vec![sequences(&request)], drain(&mut replies, now)].concat(),
                expected,
                "the end is told once"
            );
        }
    }

    #[test]
    fn update_after_the_answer_is_skipped() {
        let now = Instant::now();
        let mut replies = replies(events());
        replies.push_answer(&run_end(2, "So."));
        replies.push_update(1, "{}");
        assert_eq!((drain(&mut replies, now), replies.skipped()), (vec![vec![2]], 1));
    }

    #[test]
    fn nothing_is_sent_without_a_stream_before_the_end() {
        let mut replies = replies(ReplyTo { stream: false, ..events() });
        replies.push_update(1, "{}");
        assert!(replies.is_idle());
    }
}
