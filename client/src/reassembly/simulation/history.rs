//! Generator of random backend histories for one conversation.
//!
//! Attempts die; turns are closed by others, retried, continued, or finished by a direct write.
use fastrand::Rng;

use super::percent;
use crate::schema::{
    AgentBatch, AgentMetadata, ContentBlock, ConversationEvent, ConversationUpdate, Failure, FailureCode, Sender,
    SenderKind, StopReason, ToolResult, ToolStatus, ToolUse, Turn, TurnStatus,
};

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
    /// The text of the attempt after its last event.
    tail: String,
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
        let attempts = self.rng.u32(..4);
        for attempt in 1..=attempts {
            turn.claim();
            self.history.push(turn.transition());
            if self.percent(90) {
                self.stream(turn, attempt == attempts);
            }
        }
        let end = self.choose_end(turn, attempts > 0, is_last_turn);
        self.end_run(turn, end);
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
        let events = self.rng.u32(..3);
        for part in 0..=events {
            for _ in 0..self.rng.u32(..6) {
                let text = self.text();
                turn.tail.push_str(&text);
                self.publish_batch(turn, text_metadata(text), None);
            }
            let dies_here = !is_last_attempt && self.percent(30);
            if part == events || dies_here {
                return;
            }
            self.add_unpublished_tail(turn);
            let is_step = self.percent(50);
            let event = if is_step { self.store_tool_call(turn) } else { self.store_event(turn, None) };
            self.publish_event(turn, event);
            if is_step && (is_last_attempt || self.percent(70)) {
                self.publish_tool_result(turn);
            }
        }
    }

    /// Ends a step with a tool call. Later attempts keep everything up to it.
    fn store_tool_call(&mut self, turn: &mut StoredTurn) -> ConversationEvent {
        let id = format!("call{}", self.position + 1);
        let tool_use = ToolUse { id, name: "look".to_owned(), title: None, input: "{}".to_owned() };
        let event = self.store_blocks(turn, SenderKind::Agent, vec![ContentBlock::tool_use(tool_use)]);
        turn.keep_events();
        event
    }

    fn publish_tool_result(&mut self, turn: &mut StoredTurn) {
        let result = ToolResult {
            tool_use_id: format!("call{}", self.position),
            status: ToolStatus::Succeeded,
            json: Some("1".to_owned()),
            text: None,
            truncated: None,
            started_at: None,
            ended_at: None,
        };
        let event = self.store_blocks(turn, SenderKind::Tool, vec![ContentBlock::tool_result(result)]);
        turn.keep_events();
        self.publish_event(turn, event);
    }

    fn store_blocks(
        &mut self,
        turn: &mut StoredTurn,
        kind: SenderKind,
        content: Vec<ContentBlock>,
    ) -> ConversationEvent {
        let mut stored = self.store_event(turn, None);
        stored.sender.kind = kind;
        stored.content = content;
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
        match end {
            Some(TurnStatus::Failed) => stored.failure = Some(interrupted()),
            Some(TurnStatus::Cancelled) => stored.stop_reason = Some(StopReason::Cancelled),
            Some(_) => stored.stop_reason = Some(StopReason::EndTurn),
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
            tail: String::new(),
        }
    }

    /// Retries the turn or continues its answer.
    fn reopen(&mut self, last_position: u32, continues: bool) {
        self.answer = if continues { self.current_answer() } else { Vec::new() };
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
        }
    }
}

fn metadata(status: TurnStatus) -> AgentMetadata {
    AgentMetadata {
        status,
        content_block_index: Some(0),
        agent_partial_message: None,
        note: None,
        continues: None,
        tool_call: None,
    }
}

fn text_metadata(text: String) -> AgentMetadata {
    AgentMetadata { agent_partial_message: Some(text), ..metadata(TurnStatus::Running) }
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
        content: Vec::new(),
        text: Some(text.to_owned()),
        stop_reason: None,
        usage: None,
        failure: None,
        superseded: None,
        answer_position: None,
        created_at: String::new(),
    }
}
