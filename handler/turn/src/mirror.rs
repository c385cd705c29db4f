//! Copies of published updates for a client that listens elsewhere: at a channel of AppSync Events, or at a
//! connection of a WebSocket API.
//!
//! The mirror takes the updates that AppSync has accepted, in their order. It has a request of its own in
//! flight, so it neither delays nor repeats a publish, and nothing of the attempt depends on it. What it
//! cannot deliver in time it skips: the client sees a gap in the sequence, and reads the turn.
use std::{collections::VecDeque, sync::Arc, time::Instant};

use api::backoff::Backoff;
use serde::Deserialize;
use serde_json::json;

use crate::{claim::Claim, outbox::Outbox};

/// The most bytes of all updates that wait, and the most updates. The oldest are skipped beyond this.
pub const MAX_QUEUE_BYTES: usize = 1_000_000;
pub const MAX_QUEUED_UPDATES: usize = 256;
/// How often a request is sent before its updates are skipped.
pub const MAX_TRIES: u32 = 3;

/// Where copies of a run's updates go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReplyTo {
    /// The path of a channel of AppSync Events.
    Events(String),
    Websocket(Connection),
}

/// A connection of the deployment's WebSocket API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    pub connection_id: String,
}

/// How much one request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    pub messages: usize,
    /// Of all messages, and so of each. A larger update is replaced by a reference.
    pub bytes: usize,
}

impl ReplyTo {
    pub const fn request_limits(&self) -> RequestLimits {
        match self {
            // AppSync takes 5 events a request, each of at most 240 KB.
            Self::Events(_) => RequestLimits { messages: 5, bytes: 240_000 },
            // A request is one message of at most 128 KB. Below 32 KB it is one frame and one billed message.
            Self::Websocket(_) => RequestLimits { messages: 1, bytes: 32_000 },
        }
    }
}

/// Updates to send in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorRequest {
    pub reply_to: ReplyTo,
    /// Ascending by sequence. At least one.
    pub messages: Vec<MirrorMessage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorMessage {
    pub sequence: u32,
    /// The update as subscribers get it, or a reference to it, as JSON text.
    pub text: String,
    pub is_reference: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorFailure {
    /// The client has gone: nothing more is sent.
    Gone,
    /// The request may succeed later.
    Retryable,
    /// The request would fail again.
    Refused,
}

#[derive(Debug)]
pub struct Mirror {
    reply_to: ReplyTo,
    claim: Claim,
    limits: RequestLimits,
    queue: VecDeque<MirrorMessage>,
    queued_bytes: usize,
    requests: Outbox<Arc<MirrorRequest>>,
    /// How often the current request has failed.
    failures: u32,
    /// The sequence of the newest update that was taken.
    last_sequence: u32,
    skipped: u32,
    is_gone: bool,
}

impl Mirror {
    pub fn new(reply_to: ReplyTo, claim: Claim, retry: Backoff, jitter_seed: u64) -> Self {
        Self {
            limits: reply_to.request_limits(),
            reply_to,
            claim,
            queue: VecDeque::new(),
            queued_bytes: 0,
            requests: Outbox::new(retry, jitter_seed),
            failures: 0,
            last_sequence: 0,
            skipped: 0,
            is_gone: false,
        }
    }

    /// Takes an update that AppSync has accepted. One that was taken before is ignored.
    pub fn push(&mut self, sequence: u32, update: String) {
        if sequence <= self.last_sequence {
            return;
        }
        self.last_sequence = sequence;
        if self.is_gone {
            self.skipped += 1;
            return;
        }
        let is_reference = update.len() > self.limits.bytes;
        let text = if is_reference { self.reference(sequence) } else { update };
        self.queued_bytes += text.len();
        self.queue.push_back(MirrorMessage { sequence, text, is_reference });
        while self.queue.len() > MAX_QUEUED_UPDATES || self.queued_bytes > MAX_QUEUE_BYTES {
            self.pop();
            self.skipped += 1;
        }
    }

    /// The request to send now. At most one is in flight.
    pub fn next_request(&mut self, now: Instant) -> Option<Arc<MirrorRequest>> {
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

    pub fn on_result(&mut self, result: Result<(), MirrorFailure>, now: Instant) {
        match result {
            Ok(()) => {
                self.requests.on_accepted();
            }
            Err(MirrorFailure::Gone) => self.end(),
            Err(MirrorFailure::Refused) => self.skip_request(),
            Err(MirrorFailure::Retryable) => {
                self.failures += 1;
                if self.failures < MAX_TRIES {
                    self.requests.on_failed(now);
                } else {
                    self.skip_request();
                }
            }
        }
    }

    /// Whether everything that was taken is sent or skipped.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.requests.is_idle()
    }

    /// How many updates were skipped: those beyond the bounds of the queue, those of failed requests, and all
    /// after the client has gone.
    pub fn skipped(&self) -> u32 {
        self.skipped
    }

    /// What a client needs to read the update that is too large to send.
    fn reference(&self, sequence: u32) -> String {
        let Claim { conversation_id, turn_id, attempt, .. } = &self.claim;
        json!({
            "conversationId": conversation_id,
            "turnId": turn_id,
            "attempt": attempt,
            "sequence": sequence,
            "truncated": true,
        })
        .to_string()
    }

    /// The oldest updates that fit into one request.
    fn take_request(&mut self) -> Option<MirrorRequest> {
        let mut messages = vec![self.pop()?];
        let mut bytes = messages[0].text.len();
        while messages.len() < self.limits.messages
            && let Some(next) = self.queue.front()
            && bytes + next.text.len() <= self.limits.bytes
        {
            bytes += next.text.len();
            messages.extend(self.pop());
        }
        Some(MirrorRequest { reply_to: self.reply_to.clone(), messages })
    }

    fn pop(&mut self) -> Option<MirrorMessage> {
        let message = self.queue.pop_front()?;
        self.queued_bytes -= message.text.len();
        Some(message)
    }

    fn skip_request(&mut self) {
        self.requests.withdraw();
        let request = self.requests.on_accepted();
        self.skipped += request.map_or(0, |request| request.messages.len() as u32);
    }

    fn end(&mut self) {
        self.is_gone = true;
        self.skip_request();
        self.skipped += self.queue.len() as u32;
        self.queue.clear();
        self.queued_bytes = 0;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to start from")]
mod tests {
    use std::time::Duration;

    use super::*;

    fn claim() -> Claim {
        Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: 2, last_position: 7 }
    }

    fn events() -> ReplyTo {
        ReplyTo::Events("/responses/ann".into())
    }

    fn websocket() -> ReplyTo {
        ReplyTo::Websocket(Connection { connection_id: "abc=".into() })
    }

    fn mirror(reply_to: ReplyTo) -> Mirror {
        Mirror::new(reply_to, claim(), Backoff::half_jitter(Duration::from_millis(100), Duration::from_secs(1)), 0)
    }

    fn sequences(request: &MirrorRequest) -> Vec<u32> {
        request.messages.iter().map(|message| message.sequence).collect()
    }

    /// Sends everything that waits and returns the sequences of each request.
    fn drain(mirror: &mut Mirror, now: Instant) -> Vec<Vec<u32>> {
        let mut requests = Vec::new();
        while let Some(request) = mirror.next_request(now) {
            requests.push(sequences(&request));
            mirror.on_result(Ok(()), now);
        }
        requests
    }

    #[test]
    fn one_request_at_a_time_has_at_most_five_events() {
        let now = Instant::now();
        let mut mirror = mirror(events());
        mirror.push(1, "{}".into());
        assert_eq!(sequences(&mirror.next_request(now).unwrap()), [1]);
        (2..=8).for_each(|sequence| mirror.push(sequence, "{}".into()));
        assert_eq!(mirror.next_request(now), None, "one request is in flight");
        mirror.on_result(Ok(()), now);
        assert_eq!(drain(&mut mirror, now), [vec![2, 3, 4, 5, 6], vec![7, 8]]);
        assert_eq!((mirror.is_idle(), mirror.skipped()), (true, 0));
    }

    #[test]
    fn request_has_at_most_240_kb() {
        let now = Instant::now();
        let mut mirror = mirror(events());
        for (sequence, bytes) in [(1, 120_000), (2, 120_000), (3, 1), (4, 240_000), (5, 240_000)] {
            mirror.push(sequence, "x".repeat(bytes));
        }
        assert_eq!(drain(&mut mirror, now), [vec![1, 2], vec![3], vec![4], vec![5]]);
    }

    #[test]
    fn connection_gets_one_update_a_request() {
        let now = Instant::now();
        let mut mirror = mirror(websocket());
        (1..=3).for_each(|sequence| mirror.push(sequence, "{}".into()));
        assert_eq!(drain(&mut mirror, now), [[1], [2], [3]]);
    }

    #[test]
    fn larger_update_is_replaced_by_a_reference() {
        let now = Instant::now();
        for (reply_to, limit) in [(events(), 240_000), (websocket(), 32_000)] {
            let mut mirror = mirror(reply_to);
            mirror.push(1, "x".repeat(limit));
            mirror.push(2, "x".repeat(limit + 1));
            let first = mirror.next_request(now).unwrap();
            assert_eq!((first.messages[0].text.len(), first.messages[0].is_reference), (limit, false));
            mirror.on_result(Ok(()), now);
            let [message] = mirror.next_request(now).unwrap().messages.clone().try_into().unwrap();
            let text: serde_json::Value = serde_json::from_str(&message.text).unwrap();
            let expected =
                json!({ "conversationId": "c1", "turnId": "t1", "attempt": 2, "sequence": 2, "truncated": true });
            assert_eq!((text, message.is_reference), (expected, true));
        }
    }

    #[test]
    fn failed_request_is_sent_three_times_and_then_skipped() {
        let mut now = Instant::now();
        let mut mirror = mirror(events());
        mirror.push(1, "1".into());
        let first = mirror.next_request(now).unwrap();
        mirror.push(2, "2".into());
        for _ in 1..MAX_TRIES {
            mirror.on_result(Err(MirrorFailure::Retryable), now);
            assert_eq!(mirror.next_request(now), None, "a failed request waits");
            now = mirror.wake_at().unwrap();
            assert_eq!(mirror.next_request(now), Some(Arc::clone(&first)), "the same request is sent again");
        }
        mirror.on_result(Err(MirrorFailure::Retryable), now);
        assert_eq!(drain(&mut mirror, now), [[2]]);
        assert_eq!(mirror.skipped(), 1);
    }

    #[test]
    fn refused_request_is_skipped_at_once() {
        let now = Instant::now();
        let mut mirror = mirror(events());
        mirror.push(1, "1".into());
        mirror.next_request(now).unwrap();
        mirror.push(2, "2".into());
        mirror.on_result(Err(MirrorFailure::Refused), now);
        assert_eq!(drain(&mut mirror, now), [[2]]);
        assert_eq!(mirror.skipped(), 1);
    }

    #[test]
    fn gone_client_gets_nothing_more() {
        let now = Instant::now();
        let mut mirror = mirror(websocket());
        mirror.push(1, "1".into());
        mirror.push(2, "2".into());
        mirror.next_request(now).unwrap();
        mirror.on_result(Err(MirrorFailure::Gone), now);
        mirror.push(3, "3".into());
        assert_eq!((mirror.next_request(now), mirror.wake_at()), (None, None));
        assert_eq!((mirror.is_idle(), mirror.skipped()), (true, 3));
    }

    #[test]
    fn oldest_updates_are_skipped_where_too_many_wait() {
        let now = Instant::now();
        let mut mirror = mirror(events());
        mirror.push(1, "1".into());
        mirror.next_request(now).unwrap();
        let newest = MAX_QUEUED_UPDATES as u32 + 4;
        (2..=newest).for_each(|sequence| mirror.push(sequence, "{}".into()));
        mirror.on_result(Ok(()), now);
        let sent: Vec<u32> = drain(&mut mirror, now).concat();
        assert_eq!(sent, (5..=newest).collect::<Vec<_>>());
        assert_eq!(mirror.skipped(), 3);
    }

    #[test]
    fn oldest_updates_are_skipped_where_too_many_bytes_wait() {
        let now = Instant::now();
        let mut mirror = mirror(events());
        (1..=6).for_each(|sequence| mirror.push(sequence, "x".repeat(200_000)));
        assert_eq!(drain(&mut mirror, now), [[2], [3], [4], [5], [6]]);
        assert_eq!(mirror.skipped(), 1);
    }

    #[test]
    fn update_that_was_taken_before_is_ignored() {
        let now = Instant::now();
        let mut mirror = mirror(events());
        for sequence in [1, 3, 3, 2] {
            mirror.push(sequence, "{}".into());
        }
        assert_eq!(drain(&mut mirror, now), [[1, 3]]);
        assert_eq!(mirror.skipped(), 0);
    }
}
