//! Generator of random backend histories for one conversation.
//!
//! Attempts die; turns wait for tool calls, are closed by others, retried, continued, or finished by a direct
//! write.
use client::schema::{
    AgentBatch, AgentMetadata, Citation, ContentBlock, ConversationEvent, ConversationUpdate, Failure, FailureCode,
    Reasoning, Sender, SenderKind, StopReason, ToolCall, ToolResult, ToolStatus, ToolUse, Turn, TurnStatus, Usage,
};
use fastrand::Rng;

use super::percent;

const TEXTS: [&str; 8] = ["Hello", " ", "👩‍👩‍👧", "\r\n", "שלום", "é", "\u{1}", "…and more"];
const MAX_RUNS: u32 = 4;

/// One change of the backend: the turn after it, what it stores, and what it publishes.
#[derive(Clone)]
pub struct Transition {
    /// As getTurn answers it from then on, without batches.
    pub turn: Turn,
    /// The text of a client that has received everything.
    pub text: String,
    pub batch: Option<AgentBatch>,
    pub event: Option<ConversationEvent>,
    pub update: Option<ConversationUpdate>,
}

pub fn generate(rng: &mut Rng) -> Vec<Transition> {
    let last = rng.u32(..5);
    let mut generator = Generator { rng, history: Vec::new(), position: 0 };
    for number in 0..=last {
        generator.turn(&format!("t{number}"), number == last);
    }
    generator.history
}

struct Generator<'a> {
    rng: &'a mut Rng,
    history: Vec<Transition>,
    /// The position of the newest event.
    position: u32,
}

/// A turn as the table holds it.
struct StoredTurn {
    id: String,
    status: TurnStatus,
    run: u32,
    attempt: u32,
    sequence: u32,
    continues: bool,
    /// The answer's events up to this position are kept, whatever attempt stored them.
    run_position: u32,
    question: ConversationEvent,
    answer: Vec<ConversationEvent>,
    /// The calls for which the turn waits, or has waited, and which have no results.
    pending: Vec<ToolCall>,
    /// The text of the attempt after its last event.
    tail: String,
    /// The reasoning of the attempt after its last event.
    reasoning: String,
}

/// What becomes of an attempt that is to wait for tool calls.
#[derive(Clone, Copy)]
enum WaitEnd {
    /// The calls are answered, and the next run goes on.
    Answered,
    /// A new message, a cancellation or the next writer after an expiry closes the turn.
    Closed(TurnStatus),
    /// Nobody answers in time, and no event says so.
    Expired,
    /// The turn waits at the end of the history.
    Open,
    /// The turn was cancelled before it could begin to wait: the attempt goes on.
    NotBegun,
}

#[derive(Clone, Copy)]
enum RunEnd {
    /// The last event is published.
    Published,
    /// Publishing failed. The last event is written directly and may be announced later.
    WrittenDirectly,
    /// The handler died or never started. The closer or a resolver closes the turn and may announce that.
    Closed(TurnStatus),
    /// The handler died and no event says so. A client finds a retry of such a turn only if it is the newest
    /// turn, so later runs of other turns do not end like this.
    Abandoned,
}

impl Generator<'_> {
    fn turn(&mut self, id: &str, is_last_turn: bool) {
        self.position += 1;
        let mut turn = StoredTurn::new(id, self.position);
        let question = turn.question.clone();
        self.history.push(Transition { event: Some(question), ..turn.transition() });
        self.run(&mut turn, is_last_turn);
        while turn.run < MAX_RUNS && self.percent(40) {
            let continues = self.percent(60);
            turn.reopen(self.position, continues);
            self.history.push(turn.transition());
            self.run(&mut turn, is_last_turn);
        }
    }

    fn run(&mut self, turn: &mut StoredTurn, is_last_turn: bool) {
        let mut is_claimed = self.make_attempts(turn);
        while is_claimed && turn.sequence > 0 && self.percent(20) {
            match self.wait(turn, is_last_turn) {
                WaitEnd::Answered => is_claimed = self.make_attempts(turn),
                WaitEnd::NotBegun => break,
                WaitEnd::Closed(_) | WaitEnd::Expired | WaitEnd::Open => return,
            }
        }
        let end = self.choose_end(turn, is_claimed, is_last_turn);
        self.end_run(turn, end);
    }

    /// Returns whether there was an attempt.
    fn make_attempts(&mut self, turn: &mut StoredTurn) -> bool {
        let attempts = self.rng.u32(..4);
        for attempt in 1..=attempts {
            turn.claim();
            self.history.push(turn.transition());
            if self.percent(90) {
                self.stream(turn, attempt == attempts);
            }
        }
        attempts > 0
    }

    /// Ends the attempt with calls that are to be answered.
    fn wait(&mut self, turn: &mut StoredTurn, is_last_turn: bool) -> WaitEnd {
        self.add_unpublished_tail(turn);
        let count = self.rng.u32(1..=2);
        let event = self.store_tool_calls(turn, count);
        turn.pending = event.tool_uses().map(pending_call).collect();
        self.publish_event(turn, event);
        turn.sequence += 1;
        let pending = Some(turn.pending.clone());
        let waiting = AgentMetadata { pending, ..metadata(TurnStatus::Waiting) };
        let batch = AgentBatch { attempt: turn.attempt, sequence: turn.sequence, metadata: waiting.clone() };
        self.history.push(Transition { batch: Some(batch), ..turn.transition() });
        let end = self.choose_wait_end(turn, is_last_turn);
        if let WaitEnd::NotBegun = end {
            turn.pending.clear();
            let update = turn.update(metadata(TurnStatus::Cancelling), None);
            self.history.push(Transition { update: Some(update), ..turn.transition() });
            return end;
        }
        turn.status = TurnStatus::Waiting;
        let update = turn.update(waiting, None);
        self.history.push(Transition { update: Some(update), ..turn.transition() });
        if count > 1 && self.percent(60) {
            self.answer_first_call(turn);
        }
        match end {
            WaitEnd::Answered => {
                turn.reopen(self.position, true);
                self.history.push(turn.transition());
            }
            WaitEnd::Closed(status) => {
                turn.status = status;
                let results = turn.pending.drain(..).map(|call| tool_result(call.id, ToolStatus::Cancelled)).collect();
                let event = self.store_blocks(turn, SenderKind::Tool, results, Some(status));
                self.store_then_announce(turn, event);
            }
            WaitEnd::Expired => self.end_run(turn, RunEnd::Abandoned),
            WaitEnd::Open | WaitEnd::NotBegun => {}
        }
        end
    }

    fn choose_wait_end(&mut self, turn: &StoredTurn, is_last_turn: bool) -> WaitEnd {
        match self.rng.u32(..10) {
            0..=4 => WaitEnd::Answered,
            5 => WaitEnd::Closed(TurnStatus::Failed),
            6 if turn.run == 1 || is_last_turn => WaitEnd::Expired,
            7 if is_last_turn => WaitEnd::Open,
            8 => WaitEnd::NotBegun,
            _ => WaitEnd::Closed(TurnStatus::Cancelled),
        }
    }

    /// The answer is stored with its update, which is published after that.
    fn answer_first_call(&mut self, turn: &mut StoredTurn) {
        turn.sequence += 1;
        turn.pending[0].status = ToolStatus::Running;
        let tool_call = Some(turn.pending[0].clone());
        let answered = AgentMetadata { tool_call, ..metadata(TurnStatus::Waiting) };
        let batch = AgentBatch { attempt: turn.attempt, sequence: turn.sequence, metadata: answered.clone() };
        self.history.push(Transition { batch: Some(batch), ..turn.transition() });
        let update = turn.update(answered, None);
        self.history.push(Transition { update: Some(update), ..turn.transition() });
    }

    fn choose_end(&mut self, turn: &StoredTurn, is_claimed: bool, is_last_turn: bool) -> RunEnd {
        match self.rng.u32(..10) {
            0..=4 if is_claimed && turn.sequence > 0 => RunEnd::Published,
            5 | 6 if is_claimed => RunEnd::WrittenDirectly,
            0..=3 | 7 if turn.run == 1 || is_last_turn => RunEnd::Abandoned,
            8 => RunEnd::Closed(TurnStatus::Cancelled),
            _ => RunEnd::Closed(TurnStatus::Failed),
        }
    }

    /// Publishes some batches and events but no last event. An attempt that is not the last may stop early.
    fn stream(&mut self, turn: &mut StoredTurn, is_last_attempt: bool) {
        let continues = turn.continues.then_some(true);
        let start = AgentMetadata { continues, ..metadata(TurnStatus::Running) };
        self.publish_batch(turn, start, Some(turn.question.clone()));
        if !turn.pending.is_empty() && self.percent(80) {
            let results = turn.pending.drain(..).map(|call| tool_result(call.id, ToolStatus::Succeeded)).collect();
            self.publish_tool_results(turn, results);
        }
        let events = self.rng.u32(..3);
        for part in 0..=events {
            for _ in 0..self.rng.u32(..3) {
                let text = self.text();
                turn.reasoning.push_str(&text);
                self.publish_batch(turn, reasoning_metadata(text), None);
            }
            for _ in 0..self.rng.u32(..6) {
                let text = self.text();
                turn.tail.push_str(&text);
                let note = self.percent(10).then(|| "The model is busy.".to_owned());
                self.publish_batch(turn, AgentMetadata { note, ..text_metadata(text) }, None);
            }
            let dies_here = !is_last_attempt && self.percent(30);
            if part == events || dies_here {
                return;
            }
            self.add_unpublished_tail(turn);
            let is_step = self.percent(50);
            let event = if is_step { self.store_tool_calls(turn, 1) } else { self.store_event(turn, None) };
            let results = event.tool_uses().map(|call| tool_result(call.id.clone(), ToolStatus::Succeeded)).collect();
            self.publish_event(turn, event);
            if is_step && (is_last_attempt || self.percent(70)) {
                self.publish_tool_results(turn, results);
            }
        }
    }

    /// Ends a step with tool calls. Later attempts keep everything up to it.
    fn store_tool_calls(&mut self, turn: &mut StoredTurn, count: u32) -> ConversationEvent {
        let position = self.position + 1;
        let tool_use = |number| ToolUse {
            id: format!("call{position}-{number}"),
            name: "look".to_owned(),
            title: None,
            input: "{}".to_owned(),
        };
        let calls = (1..=count).map(|number| ContentBlock::tool_use(tool_use(number))).collect();
        let event = self.store_blocks(turn, SenderKind::Agent, calls, None);
        turn.keep_events();
        event
    }

    fn publish_tool_results(&mut self, turn: &mut StoredTurn, results: Vec<ContentBlock>) {
        for result in results.iter().filter_map(|block| block.tool_result.as_ref()) {
            if self.percent(30) {
                let tool_call = Some(ended_call(result));
                self.publish_batch(turn, AgentMetadata { tool_call, ..metadata(TurnStatus::Running) }, None);
            }
        }
        let event = self.store_blocks(turn, SenderKind::Tool, results, None);
        turn.keep_events();
        self.publish_event(turn, event);
    }

    fn store_blocks(
        &mut self,
        turn: &mut StoredTurn,
        kind: SenderKind,
        content: Vec<ContentBlock>,
        end: Option<TurnStatus>,
    ) -> ConversationEvent {
        let mut stored = self.store_event(turn, end);
        stored.sender.kind = kind;
        stored.content.extend(content);
        turn.answer.pop();
        turn.answer.push(stored.clone());
        stored
    }

    /// Adds text that no batch carries: it comes with the next event alone.
    fn add_unpublished_tail(&mut self, turn: &mut StoredTurn) {
        if self.percent(50) {
            turn.tail.push_str(&self.text());
        }
    }

    fn end_run(&mut self, turn: &mut StoredTurn, end: RunEnd) {
        match end {
            RunEnd::Published => {
                self.add_unpublished_tail(turn);
                let event = self.store_last_event(turn, TurnStatus::Completed);
                self.publish_event(turn, event);
            }
            RunEnd::WrittenDirectly => {
                self.add_unpublished_tail(turn);
                let skipped_sequences = self.rng.u32(..3);
                turn.sequence += skipped_sequences;
                let event = self.store_last_event(turn, TurnStatus::Completed);
                self.store_then_announce(turn, event);
            }
            RunEnd::Closed(status) => {
                self.store_unpublished_batch(turn);
                let event = self.store_last_event(turn, status);
                self.store_then_announce(turn, event);
            }
            RunEnd::Abandoned => {
                turn.status = TurnStatus::Failed;
                turn.pending.clear();
                self.history.push(turn.transition());
            }
        }
    }

    fn publish_batch(&mut self, turn: &mut StoredTurn, metadata: AgentMetadata, event: Option<ConversationEvent>) {
        turn.sequence += 1;
        let batch = AgentBatch { attempt: turn.attempt, sequence: turn.sequence, metadata: metadata.clone() };
        let update = turn.update(metadata, event);
        self.history.push(Transition { batch: Some(batch), update: Some(update), ..turn.transition() });
    }

    /// A handler that dies while it publishes leaves a batch under the sequence that the closing event takes.
    fn store_unpublished_batch(&mut self, turn: &mut StoredTurn) {
        if turn.sequence == 0 || self.percent(70) {
            return;
        }
        let text = self.text();
        turn.tail.push_str(&text);
        let batch = AgentBatch { attempt: turn.attempt, sequence: turn.sequence + 1, metadata: text_metadata(text) };
        self.history.push(Transition { batch: Some(batch), ..turn.transition() });
    }

    fn store_last_event(&mut self, turn: &mut StoredTurn, status: TurnStatus) -> ConversationEvent {
        turn.status = status;
        self.store_event(turn, Some(status))
    }

    fn store_event(&mut self, turn: &mut StoredTurn, end: Option<TurnStatus>) -> ConversationEvent {
        self.position += 1;
        turn.sequence += 1;
        let text = std::mem::take(&mut turn.tail);
        let mut stored = event(&turn.id, self.position, SenderKind::Agent, &text);
        stored.attempt = Some(turn.attempt);
        let reasoning = std::mem::take(&mut turn.reasoning);
        if !reasoning.is_empty() {
            let reasoning = Reasoning { text: format!("{reasoning} for e{}", self.position), ..Reasoning::default() };
            stored.content.insert(0, ContentBlock::reasoning(reasoning));
        }
        if let Some(block) = stored.content.iter_mut().find(|block| block.text.is_some())
            && self.percent(20)
        {
            block.citations = Some(vec![citation(self.position)]);
        }
        match end {
            Some(TurnStatus::Failed) => stored.failure = Some(interrupted()),
            Some(TurnStatus::Cancelled) => stored.stop_reason = Some(StopReason::Cancelled),
            Some(_) => {
                stored.stop_reason = Some(StopReason::EndTurn);
                stored.usage = Some(Usage { input_tokens: 10, output_tokens: 2, total_tokens: 12, ..Usage::default() });
            }
            None => {}
        }
        turn.answer.push(stored.clone());
        stored
    }

    fn publish_event(&mut self, turn: &StoredTurn, event: ConversationEvent) {
        let update = turn.update(metadata(turn.status), Some(event.clone()));
        self.history.push(Transition { event: Some(event), update: Some(update), ..turn.transition() });
    }

    fn store_then_announce(&mut self, turn: &StoredTurn, event: ConversationEvent) {
        let announcement = turn.update(metadata(turn.status), Some(event.clone()));
        self.history.push(Transition { event: Some(event), ..turn.transition() });
        for _ in 0..self.rng.u32(..3) {
            self.history.push(Transition { update: Some(announcement.clone()), ..turn.transition() });
        }
    }

    fn percent(&mut self, probability: u32) -> bool {
        percent(self.rng, probability)
    }

    fn text(&mut self) -> String {
        let pieces = self.rng.u32(1..=3);
        (0..pieces).map(|_| TEXTS[self.rng.usize(..TEXTS.len())]).collect()
    }
}

impl StoredTurn {
    fn new(id: &str, position: u32) -> Self {
        Self {
            id: id.to_owned(),
            status: TurnStatus::Queued,
            run: 1,
            attempt: 0,
            sequence: 0,
            continues: false,
            run_position: position,
            question: event(id, position, SenderKind::User, "Why?"),
            answer: Vec::new(),
            pending: Vec::new(),
            tail: String::new(),
            reasoning: String::new(),
        }
    }

    /// Retries the turn or continues its answer.
    fn reopen(&mut self, last_position: u32, continues: bool) {
        self.answer = if continues { self.current_answer() } else { Vec::new() };
        if !continues {
            self.pending.clear();
        }
        self.run += 1;
        self.run_position = last_position;
        self.continues = continues;
        self.claim();
        self.status = TurnStatus::Queued;
    }

    fn keep_events(&mut self) {
        self.run_position = self.answer.last().map_or(self.run_position, |event| event.position);
        self.continues = true;
    }

    fn claim(&mut self) {
        // The new attempt marks the other events of attempts that died as superseded.
        self.answer.retain(|event| event.position <= self.run_position);
        self.status = TurnStatus::Running;
        self.attempt += 1;
        self.sequence = 0;
        self.tail.clear();
        self.reasoning.clear();
    }

    /// The kept events and those of this attempt. Other events of attempts of this run that died are no part
    /// of the answer.
    fn current_answer(&self) -> Vec<ConversationEvent> {
        let is_current =
            |event: &&ConversationEvent| event.position <= self.run_position || event.attempt == Some(self.attempt);
        self.answer.iter().filter(is_current).cloned().collect()
    }

    /// A transition to the turn as it is now, which stores and publishes nothing else.
    fn transition(&self) -> Transition {
        let answer = self.current_answer();
        let event_text: String = answer.iter().map(ConversationEvent::text_or_empty).collect();
        let turn = Turn {
            id: self.id.clone(),
            conversation_id: "c".to_owned(),
            status: self.status,
            run: self.run,
            attempt: self.attempt,
            question: Some(self.question.clone()),
            answer: Some(answer),
            batches: None,
            has_more_batches: None,
            pending: (self.status == TurnStatus::Waiting).then(|| self.pending.clone()),
            failure: None,
            usage: None,
        };
        Transition { turn, text: event_text + &self.tail, batch: None, event: None, update: None }
    }

    fn update(&self, metadata: AgentMetadata, event: Option<ConversationEvent>) -> ConversationUpdate {
        ConversationUpdate {
            conversation_id: "c".to_owned(),
            turn_id: Some(self.id.clone()),
            attempt: Some(self.attempt),
            sequence: Some(self.sequence),
            metadata: Some(metadata),
            event,
            title: None,
        }
    }
}

fn metadata(status: TurnStatus) -> AgentMetadata {
    AgentMetadata {
        status,
        content_block_index: Some(0),
        agent_partial_message: None,
        agent_partial_reasoning: None,
        note: None,
        continues: None,
        tool_call: None,
        pending: None,
    }
}

fn pending_call(call: &ToolUse) -> ToolCall {
    let (id, name) = (call.id.clone(), call.name.clone());
    ToolCall { id, name, title: None, status: ToolStatus::ApprovalNeeded, note: None }
}

/// The state of a call whose result follows.
fn ended_call(result: &ToolResult) -> ToolCall {
    let (id, status) = (result.tool_use_id.clone(), result.status);
    ToolCall { id, name: "look".to_owned(), title: None, status, note: None }
}

fn citation(number: u32) -> Citation {
    Citation {
        number,
        title: "leave.md".to_owned(),
        source: None,
        url: None,
        passage: "20 days.".to_owned(),
        score: None,
        page: None,
        start: 0,
        end: 1,
    }
}

fn tool_result(tool_use_id: String, status: ToolStatus) -> ContentBlock {
    ContentBlock::tool_result(ToolResult {
        tool_use_id,
        status,
        json: Some("1".to_owned()),
        text: None,
        truncated: None,
        started_at: None,
        ended_at: None,
    })
}

fn text_metadata(text: String) -> AgentMetadata {
    AgentMetadata { agent_partial_message: Some(text), ..metadata(TurnStatus::Running) }
}

fn reasoning_metadata(text: String) -> AgentMetadata {
    AgentMetadata { agent_partial_reasoning: Some(text), content_block_index: Some(1), ..metadata(TurnStatus::Running) }
}

fn interrupted() -> Failure {
    Failure { code: Some(FailureCode::Interrupted), message: "Interrupted.".to_owned(), retryable: true }
}

fn event(turn_id: &str, position: u32, kind: SenderKind, text: &str) -> ConversationEvent {
    ConversationEvent {
        id: format!("e{position}"),
        conversation_id: "c".to_owned(),
        position,
        turn_id: Some(turn_id.to_owned()),
        attempt: None,
        sender: Sender { kind, id: None, name: None },
        content: (!text.is_empty()).then(|| ContentBlock::text(text)).into_iter().collect(),
        text: Some(text.to_owned()),
        stop_reason: None,
        usage: None,
        failure: None,
        superseded: None,
        replaces_turn_id: None,
        answer_position: None,
        model_id: None,
        guardrail: None,
        created_at: String::new(),
    }
}
