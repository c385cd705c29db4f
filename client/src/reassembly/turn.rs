//! Reassembly of one turn.
use std::{
    cmp::Ordering,
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{request_state::RequestState, text_buffer::TextBuffer};
use crate::schema::{
    AgentBatch, AgentMetadata, Citation, ConversationEvent, ConversationUpdate, Failure, GuardrailIntervention,
    Reasoning, SenderKind, StopReason, ToolCall, ToolResult, ToolStatus, ToolUse, Turn, TurnStatus, Usage,
};

/// How long an open turn may bring no update before getTurn is called.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a derived end is checked again. Meanwhile the closer or a late handler may store the real end.
const RECHECKS: u32 = 12;
const RECHECK_INTERVAL: Duration = Duration::from_secs(60);
/// The same for a turn that waits for tool calls.
const WAIT_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// A change to what is displayed of a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The user's event that the turn answers.
    Question(Box<ConversationEvent>),
    /// Text to append to the answer.
    Appended(String),
    /// The whole text of the answer, in place of what was displayed.
    Replaced(String),
    /// Text to append to the reasoning of one block, which is shown beside the answer.
    ReasoningAppended { content_block_index: u32, text: String },
    /// The reasoning that was appended since the event before is void: an event or another attempt follows.
    ReasoningCleared,
    /// The reasoning of a stored event, one item for each block.
    Reasoned(Vec<Reasoning>),
    /// The agent calls a tool.
    ToolCalled(Box<ToolUse>),
    /// The state of a tool call while others of its event still run. The result of a call that has ended
    /// follows, unless the turn ends without it.
    ToolProgress(ToolCall),
    /// Nothing runs until a user or a client has answered these tool calls. Comes again when one of them is
    /// answered; the others still wait.
    Waiting(Vec<ToolCall>),
    /// The result of a tool call.
    ToolResult(Box<ToolResult>),
    /// The passages that a stored event of the answer cites. Their places are in the text of its blocks.
    Cited(Vec<Citation>),
    /// A message for a person who waits for the answer.
    Note(String),
    /// The turn ended. Comes a second time if the first end was derived from an expired lease and an end was
    /// stored later.
    Ended(TurnEnd),
    /// The turn had ended and is answered again: it was retried or continued.
    Reopened,
}

/// How a turn ended. The `Appended` and `Replaced` changes before it have given the stored answer, byte for
/// byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnEnd {
    pub status: TurnStatus,
    pub stop_reason: Option<StopReason>,
    pub failure: Option<Failure>,
    pub usage: Option<Usage>,
    /// What a guardrail did to the answer.
    pub guardrail: Option<GuardrailIntervention>,
}

/// The arguments of getTurn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnQuery {
    /// None: the turn's current attempt.
    pub attempt: Option<u32>,
    pub after_sequence: u32,
}

/// What a client knows of one turn, and which part of it is missing.
pub struct TurnReassembly {
    phase: Phase,
    /// 0 before the first attempt.
    attempt: u32,
    /// The sequence to apply next.
    next_sequence: u32,
    /// The highest sequence seen in this attempt.
    highest_sequence: u32,
    /// How many agent events of this attempt were applied.
    events_applied: usize,
    is_question_shown: bool,
    /// The ids of the events whose parts were reported: reasoning, tool calls, results and citations.
    shown_events: Vec<String>,
    /// Events whose parts are reported after those of the base, which may have the calls of these results.
    events_after_base: Vec<ConversationEvent>,
    text: TextBuffer,
    /// Whether batches have brought reasoning that no stored event has.
    streams_reasoning: bool,
    /// The tool calls for which the attempt waits; `None` if it does not wait. Nothing of an attempt follows
    /// its wait, except the states of these calls: their answers start a later attempt.
    pending: Option<Vec<ToolCall>>,
    last_activity: Instant,
    request: RequestState<TurnQuery>,
    changes: VecDeque<Change>,
}

enum Phase {
    /// The attempt streams. Its base text is what was displayed before, which getTurn has not confirmed.
    AwaitingBase,
    /// The attempt streams after a base text that is known.
    Streaming,
    /// getTurn answered a final status without an event that ends the answer: the lease has expired, and such
    /// an event may still be stored, with text that no update carried.
    EndDerived { rechecks_left: u32 },
    /// The event that ends the answer is stored: nothing of this attempt follows.
    EndStored,
}

impl TurnReassembly {
    /// A turn of which nothing is known yet.
    pub fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Streaming,
            attempt: 0,
            next_sequence: 1,
            highest_sequence: 0,
            events_applied: 0,
            is_question_shown: false,
            shown_events: Vec::new(),
            events_after_base: Vec::new(),
            text: TextBuffer::default(),
            streams_reasoning: false,
            pending: None,
            last_activity: now,
            request: RequestState::Idle,
            changes: VecDeque::new(),
        }
    }

    pub fn is_open(&self) -> bool {
        match self.phase {
            Phase::AwaitingBase | Phase::Streaming => true,
            Phase::EndDerived { .. } | Phase::EndStored => false,
        }
    }

    /// An update arrived. One without attempt and sequence belongs to no turn and is ignored.
    pub fn on_update(&mut self, update: &ConversationUpdate, now: Instant) {
        let (Some(attempt), Some(sequence)) = (update.attempt, update.sequence) else { return };
        match attempt.cmp(&self.attempt) {
            Ordering::Less => return,
            Ordering::Equal => match self.phase {
                Phase::AwaitingBase | Phase::Streaming => {}
                // The real end may be stored by now.
                Phase::EndDerived { .. } => return self.request.request(),
                Phase::EndStored => return,
            },
            Ordering::Greater => self.start_attempt(attempt),
        }
        self.last_activity = now;
        self.highest_sequence = self.highest_sequence.max(sequence);
        let (metadata, event) = (update.metadata.as_ref(), update.event.as_ref());
        let is_wait = metadata.is_some_and(|metadata| metadata.status == TurnStatus::Waiting);
        if let (Some(_), true, Some(metadata)) = (&self.pending, is_wait, metadata) {
            // The state of a call is the same wherever it comes in the order.
            metadata.tool_call.iter().for_each(|call| self.apply_tool_call(call));
        }
        let is_incomplete = match sequence.cmp(&self.next_sequence) {
            // An end can be published under the number of a stored batch that was never published.
            Ordering::Less => end_status(metadata, event).is_some(),
            Ordering::Equal => {
                self.apply(metadata, event);
                let awaits_base = matches!(self.phase, Phase::AwaitingBase);
                // A stored batch with these calls does not say so: it is stored before the wait begins.
                if let (false, Some(pending)) = (awaits_base, metadata.and_then(pending_calls)) {
                    self.wait_for(pending);
                }
                awaits_base
            }
            Ordering::Greater => true,
        };
        if self.is_open() && is_incomplete {
            // The response under way may be older than the update, and then the next check is a minute away.
            if is_wait { self.mark_stale() } else { self.request.request() }
        }
    }

    /// Something may have been missed: calls getTurn.
    pub fn mark_stale(&mut self) {
        self.request.mark_stale();
    }

    /// getTurn answered the query that was drained last.
    pub fn on_turn(&mut self, turn: &Turn, now: Instant) {
        let Some(query) = self.request.complete() else { return };
        self.last_activity = now;
        let before = (self.attempt, self.next_sequence);
        self.show_question(turn.question.as_ref());
        if turn.attempt > self.attempt {
            self.start_attempt(turn.attempt);
        }
        let is_of_other_attempt = query.attempt.is_some_and(|attempt| attempt != self.attempt);
        let has_more_batches = turn.has_more_batches == Some(true);
        let is_final = matches!(self.phase, Phase::EndStored);
        if turn.attempt == self.attempt && !is_final {
            let has_all_batches = !is_of_other_attempt && !has_more_batches;
            self.merge_turn(turn, has_all_batches);
        }
        let is_incomplete = is_of_other_attempt
            || has_more_batches
            || matches!(self.phase, Phase::AwaitingBase)
            || self.highest_sequence >= self.next_sequence;
        if self.is_open() && is_incomplete && self.request.is_idle() {
            let has_progressed = (self.attempt, self.next_sequence) != before;
            if has_progressed { self.request.request() } else { self.request.back_off(now) }
        }
    }

    /// The query that was drained last failed.
    pub fn on_turn_failed(&mut self, now: Instant) {
        self.request.back_off(now);
    }

    pub fn advance(&mut self, now: Instant) {
        self.request.advance(now);
        if self.silence_ends_at().is_some_and(|at| now >= at) {
            if let Phase::EndDerived { rechecks_left } = &mut self.phase {
                *rechecks_left -= 1;
            }
            self.request.request();
        }
    }

    /// When to call `advance`, if nothing else happens before.
    pub fn wake_at(&self) -> Option<Instant> {
        self.request.retry_at().or(self.silence_ends_at())
    }

    /// The arguments to call getTurn with now. `on_turn` or `on_turn_failed` follows.
    pub fn poll_query(&mut self) -> Option<TurnQuery> {
        let query = match self.attempt {
            0 => TurnQuery { attempt: None, after_sequence: 0 },
            attempt => TurnQuery { attempt: Some(attempt), after_sequence: self.next_sequence - 1 },
        };
        self.request.poll(query)
    }

    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    fn silence_ends_at(&self) -> Option<Instant> {
        if !self.request.is_idle() {
            return None;
        }
        match self.phase {
            Phase::AwaitingBase | Phase::Streaming if self.pending.is_some() => {
                Some(self.last_activity + WAIT_CHECK_INTERVAL)
            }
            Phase::AwaitingBase | Phase::Streaming => Some(self.last_activity + SILENCE_TIMEOUT),
            Phase::EndDerived { rechecks_left: 0 } | Phase::EndStored => None,
            Phase::EndDerived { .. } => Some(self.last_activity + RECHECK_INTERVAL),
        }
    }

    fn start_attempt(&mut self, attempt: u32) {
        let previous_ended = !self.is_open();
        if previous_ended {
            self.changes.push_back(Change::Reopened);
        }
        let previous_waited = self.pending.take().is_some();
        let keeps_text = previous_ended || previous_waited;
        self.clear_reasoning();
        self.changes.extend(self.text.start_attempt(keeps_text));
        self.phase = Phase::AwaitingBase;
        self.attempt = attempt;
        self.next_sequence = 1;
        self.highest_sequence = 0;
        self.events_applied = 0;
        self.events_after_base.clear();
    }

    fn set_base(&mut self, base: &str) {
        self.phase = Phase::Streaming;
        self.changes.extend(self.text.set_base(base));
    }

    fn apply(&mut self, metadata: Option<&AgentMetadata>, event: Option<&ConversationEvent>) {
        self.next_sequence += 1;
        self.apply_metadata(metadata);
        let end = end_status(metadata, event);
        let Some(event) = event else {
            if end.is_some() {
                self.mark_stale();
            }
            return;
        };
        if event.sender.kind == SenderKind::User {
            return self.apply_question(metadata, event);
        }
        let can_end = self.is_question_shown && matches!(self.phase, Phase::Streaming);
        match end {
            None => self.apply_event(event),
            Some(status) if can_end => self.apply_last_event(event, status),
            Some(_) => self.mark_stale(),
        }
    }

    fn apply_metadata(&mut self, metadata: Option<&AgentMetadata>) {
        let Some(metadata) = metadata else { return };
        if let Some(note) = &metadata.note {
            self.changes.push_back(Change::Note(note.clone()));
        }
        if let Some(tool_call) = &metadata.tool_call {
            self.apply_tool_call(tool_call);
        }
        if let Some(text) = &metadata.agent_partial_reasoning
            && !text.is_empty()
        {
            self.streams_reasoning = true;
            let content_block_index = metadata.content_block_index.unwrap_or(0);
            self.changes.push_back(Change::ReasoningAppended { content_block_index, text: text.clone() });
        }
        if let Some(text) = &metadata.agent_partial_message {
            self.changes.extend(self.text.append(text));
        }
    }

    fn apply_tool_call(&mut self, tool_call: &ToolCall) {
        let Some(mut pending) = self.pending.clone() else {
            return self.changes.push_back(Change::ToolProgress(tool_call.clone()));
        };
        if let Some(known) = pending.iter_mut().find(|known| known.id == tool_call.id) {
            *known = tool_call.clone();
        }
        self.wait_for(&pending);
    }

    /// The turn waits for these calls. A call that was answered stays so: what says otherwise is older.
    fn wait_for(&mut self, calls: &[ToolCall]) {
        let known = self.pending.as_deref().unwrap_or_default();
        let answered = |call: &ToolCall| known.iter().find(|known| known.id == call.id && !needs_answer(known));
        let pending: Vec<_> = calls.iter().map(|call| answered(call).unwrap_or(call).clone()).collect();
        if self.pending.as_ref() != Some(&pending) {
            self.changes.push_back(Change::Waiting(pending.clone()));
            self.pending = Some(pending);
        }
    }

    /// The first update of an attempt carries the question and whether the attempt continues a base text.
    fn apply_question(&mut self, metadata: Option<&AgentMetadata>, question: &ConversationEvent) {
        self.show_question(Some(question));
        let continues = metadata.and_then(|metadata| metadata.continues) == Some(true);
        if !continues {
            self.set_base("");
        }
    }

    fn show_question(&mut self, question: Option<&ConversationEvent>) {
        if self.is_question_shown {
            return;
        }
        if let Some(question) = question {
            self.is_question_shown = true;
            self.changes.push_back(Change::Question(Box::new(question.clone())));
        }
    }

    fn apply_event(&mut self, event: &ConversationEvent) {
        self.events_applied += 1;
        self.clear_reasoning();
        self.changes.extend(self.text.commit(event.text_or_empty()));
        if matches!(self.phase, Phase::AwaitingBase) {
            self.events_after_base.push(event.clone());
        } else {
            self.show_parts(event);
        }
    }

    /// The stored event has all of its reasoning. An event that replaces what a guardrail has blocked has
    /// none.
    fn clear_reasoning(&mut self) {
        if std::mem::take(&mut self.streams_reasoning) {
            self.changes.push_back(Change::ReasoningCleared);
        }
    }

    /// Reports the reasoning, tool calls, results and citations of an event once.
    fn show_parts(&mut self, event: &ConversationEvent) {
        let reasoning: Vec<Reasoning> = event.content.iter().filter_map(|block| block.reasoning.clone()).collect();
        let citations: Vec<Citation> = event.citations().cloned().collect();
        let has_parts = event.has_tool_blocks() || !reasoning.is_empty() || !citations.is_empty();
        if !has_parts || self.shown_events.contains(&event.id) {
            return;
        }
        self.shown_events.push(event.id.clone());
        if !reasoning.is_empty() {
            self.changes.push_back(Change::Reasoned(reasoning));
        }
        self.changes.extend(event.tool_uses().map(|call| Change::ToolCalled(Box::new(call.clone()))));
        self.changes.extend(event.tool_results().map(|result| Change::ToolResult(Box::new(result.clone()))));
        if !citations.is_empty() {
            self.changes.push_back(Change::Cited(citations));
        }
    }

    fn apply_last_event(&mut self, event: &ConversationEvent, status: TurnStatus) {
        self.clear_reasoning();
        self.changes.extend(self.text.finish(event.text_or_empty()));
        self.show_parts(event);
        let end = TurnEnd {
            status,
            stop_reason: event.stop_reason,
            failure: event.failure.clone(),
            usage: event.usage,
            guardrail: event.guardrail.clone(),
        };
        self.end(Phase::EndStored, end);
    }

    fn merge_turn(&mut self, turn: &Turn, has_all_batches: bool) {
        let answer = turn.answer.as_deref().unwrap_or_default();
        let is_of_earlier_run = |event: &ConversationEvent| event.attempt.is_some_and(|attempt| attempt < turn.attempt);
        let (base, own) = answer.split_at(answer.partition_point(is_of_earlier_run));
        let is_end_stored = turn.status.is_end() && own.last().is_some_and(ConversationEvent::ends_answer);
        if is_end_stored {
            self.clear_reasoning();
            self.changes.extend(self.text.replace(joined_text(answer)));
            answer.iter().for_each(|event| self.show_parts(event));
            return self.end(Phase::EndStored, turn_end(turn, own));
        }
        if !self.is_open() {
            return;
        }
        self.set_base(&joined_text(base));
        base.iter().for_each(|event| self.show_parts(event));
        let after_base = std::mem::take(&mut self.events_after_base);
        after_base.iter().for_each(|event| self.show_parts(event));
        self.merge_batches(turn.batches.as_deref().unwrap_or_default(), own);
        let is_waiting = turn.status == TurnStatus::Waiting;
        if (turn.status.is_end() || is_waiting) && has_all_batches {
            for event in own.iter().skip(self.events_applied) {
                self.apply_event(event);
            }
        }
        if is_waiting && has_all_batches {
            // A turn may wait for longer than its batches are kept.
            self.next_sequence = self.next_sequence.max(self.highest_sequence.saturating_add(1));
            self.wait_for(turn.pending.as_deref().unwrap_or_default());
        }
        if turn.status.is_end() && has_all_batches {
            self.end(Phase::EndDerived { rechecks_left: RECHECKS }, turn_end(turn, own));
        }
    }

    /// A sequence missing among the stored batches is that of an agent event: those are stored as events.
    fn merge_batches(&mut self, batches: &[AgentBatch], own_events: &[ConversationEvent]) {
        let attempt = self.attempt;
        for batch in batches.iter().filter(|batch| batch.attempt == attempt) {
            while batch.sequence > self.next_sequence {
                let Some(event) = own_events.get(self.events_applied) else { return };
                self.apply_event(event);
                self.next_sequence += 1;
            }
            if batch.sequence == self.next_sequence {
                self.apply(Some(&batch.metadata), None);
            }
        }
    }

    fn end(&mut self, phase: Phase, end: TurnEnd) {
        self.phase = phase;
        self.pending = None;
        self.request.cancel_retry();
        self.changes.push_back(Change::Ended(end));
    }
}

/// The calls for which the turn begins to wait with this update.
fn pending_calls(metadata: &AgentMetadata) -> Option<&[ToolCall]> {
    let pending = metadata.pending.as_deref()?;
    (metadata.status == TurnStatus::Waiting).then_some(pending)
}

fn needs_answer(call: &ToolCall) -> bool {
    matches!(call.status, ToolStatus::ApprovalNeeded | ToolStatus::ClientNeeded)
}

/// `own_events` are the stored events of the turn's current attempt.
fn turn_end(turn: &Turn, own_events: &[ConversationEvent]) -> TurnEnd {
    let last = own_events.last();
    TurnEnd {
        status: turn.status,
        stop_reason: last.and_then(|event| event.stop_reason),
        failure: turn.failure.clone().or_else(|| last.and_then(|event| event.failure.clone())),
        usage: turn.usage.or_else(|| last.and_then(|event| event.usage)),
        guardrail: last.and_then(|event| event.guardrail.clone()),
    }
}

fn joined_text(events: &[ConversationEvent]) -> String {
    events.iter().map(ConversationEvent::text_or_empty).collect()
}

/// The final status that an update carries, if it ends the turn.
fn end_status(metadata: Option<&AgentMetadata>, event: Option<&ConversationEvent>) -> Option<TurnStatus> {
    let status = metadata.map(|metadata| metadata.status).or_else(|| event.and_then(implied_status));
    status.filter(|status| status.is_end())
}

/// The final status that an event without metadata implies.
fn implied_status(event: &ConversationEvent) -> Option<TurnStatus> {
    if !event.ends_answer() {
        return None;
    }
    Some(match (&event.failure, event.stop_reason) {
        (Some(_), _) => TurnStatus::Failed,
        (None, Some(StopReason::Cancelled)) => TurnStatus::Cancelled,
        (None, _) => TurnStatus::Completed,
    })
}
