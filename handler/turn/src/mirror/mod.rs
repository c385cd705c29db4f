//! Copies of published updates for a client that listens elsewhere: at a channel of AppSync Events, or at a
//! connection of a WebSocket API.
//!
//! The mirror takes the updates that AppSync has accepted, in their order, and the end of the run as one
//! answer. It has a request of its own in flight, so it neither delays nor repeats a publish, and nothing of
//! the attempt depends on it. What it cannot deliver in time it skips, updates before answers: the client sees
//! a gap in the sequence, and reads the turn.
mod message;
mod reply_to;
mod run_end;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc, time::Instant};

use api::backoff::Backoff;

use crate::{
    claim::Claim,
    mutation::{Author, Mutation, Update},
    outbox::Outbox,
};
use message::MessageWriter;
use run_end::StepText;

pub use message::{MessageKind, MirrorMessage};
pub use reply_to::{Connection, Listener, ReplyTo, RequestLimits};
pub use run_end::{MAX_ANSWER_BYTES, RunEnd};

/// The most bytes of all messages that wait, and the most messages. Beyond this the oldest are skipped, but
/// no answer: there is one a run, of at most [`MAX_ANSWER_BYTES`].
pub const MAX_QUEUE_BYTES: usize = 1_000_000;
pub const MAX_QUEUED_MESSAGES: usize = 256;
/// How often a request is sent before its messages are skipped.
pub const MAX_TRIES: u32 = 3;

/// Messages to send in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorRequest {
    pub listener: Listener,
    /// Ascending by sequence. At least one.
    pub messages: Vec<MirrorMessage>,
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
    listener: Listener,
    is_streaming: bool,
    writer: MessageWriter,
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

impl Mirror {
    pub fn new(reply_to: ReplyTo, claim: Claim, retry: Backoff, jitter_seed: u64) -> Self {
        Self {
            listener: reply_to.listener.clone(),
            is_streaming: reply_to.stream,
            limits: reply_to.listener.request_limits(),
            writer: MessageWriter::new(reply_to, claim),
            queue: VecDeque::new(),
            queued_bytes: 0,
            requests: Outbox::new(retry, jitter_seed),
            failures: 0,
            last_sequence: 0,
            skipped: 0,
            is_gone: false,
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

    /// The turn has begun to wait. Later calls do nothing.
    pub fn push_wait(&mut self) {
        if let Some(wait) = self.wait.take() {
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

    /// How many messages were skipped: those beyond the bounds of the queue, those of failed requests, and all
    /// after the client has gone.
    pub fn skipped(&self) -> u32 {
        self.skipped
    }

    fn push(&mut self, message: MirrorMessage) {
        if self.is_gone {
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
        Some(MirrorRequest { listener: self.listener.clone(), messages })
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

impl MirrorRequest {
    fn has_answer(&self) -> bool {
        self.messages.iter().any(|message| message.kind == MessageKind::Answer)
    }
}
