//! What a backend stores and publishes for a few turns, written down beforehand: answers that die, are closed by others,
//! retried, continued, or finished behind AppSync's back.
use super::dice::Dice;
use crate::schema::{
    AgentBatch, AgentMetadata, ConversationEvent, ConversationUpdate, Failure, FailureCode, Sender, SenderKind,
    StopReason, Turn, TurnStatus,
};

/// One step of the backend: what it stores, what it publishes, and what getTurn tells from then on.
#[derive(Clone)]
pub struct Moment {
    /// Without batches.
    pub turn: Turn,
    /// What a reader of the whole turn has read.
    pub text: String,
    pub batch: Option<AgentBatch>,
    pub event: Option<ConversationEvent>,
    pub update: Option<ConversationUpdate>,
}

pub struct Script<'a> {
    dice: &'a mut Dice,
    moments: Vec<Moment>,
    position: u32,
}

/// A turn as the table has it.
struct Item {
    id: String,
    status: TurnStatus,
    run: u32,
    attempt: u32,
    sequence: u32,
    continues: bool,
    /// The answer's events come after it.
    answer_position: u32,
    /// The run's events come after it.
    run_position: u32,
    question: ConversationEvent,
    answer: Vec<ConversationEvent>,
    /// What the attempt has said since its last event.
    tail: String,
}

#[derive(Clone, Copy)]
enum End {
    /// The last event is published.
    Published,
    /// Some numbers were given up, the event is written directly and announced later, if ever.
    Direct,
    /// The handler is dead, perhaps never lived: somebody else closes the turn, and announces that, if ever.
    Closed(TurnStatus),
    /// The handler is dead, and nobody says so. Where a retry leaves no event and no update came through, only the newest turn
    /// is asked about again: so later runs of others do not end like this.
    Abandoned,
}

pub fn conversation(dice: &mut Dice) -> Vec<Moment> {
    let turns = dice.below(5);
    let mut script = Script { dice, moments: Vec::new(), position: 0 };
    for turn in 0..=turns {
        script.turn(&format!("t{turn}"), turn == turns);
    }
    script.moments
}

impl Script<'_> {
    fn turn(&mut self, id: &str, last: bool) {
        self.position += 1;
        let mut item = Item::new(id, self.position);
        let question = item.question.clone();
        self.moments.push(Moment { event: Some(question), ..item.moment() });
        self.run(&mut item, last);
        while item.run < 4 && self.dice.percent(40) {
            item.reopen(self.position, self.dice.percent(60));
            self.moments.push(item.moment());
            self.run(&mut item, last);
        }
    }

    fn run(&mut self, item: &mut Item, last: bool) {
        let attempts = self.dice.below(4);
        for attempt in 1..=attempts {
            item.claim();
            self.moments.push(item.moment());
            if self.dice.percent(90) {
                self.speak(item, attempt == attempts);
            }
        }
        let end = self.end(item, attempts > 0, last);
        self.finish(item, end);
    }

    fn end(&mut self, item: &Item, claimed: bool, last: bool) -> End {
        match self.dice.below(10) {
            0..=4 if claimed && item.sequence > 0 => End::Published,
            5 | 6 if claimed => End::Direct,
            0..=3 | 7 if item.run == 1 || last => End::Abandoned,
            8 => End::Closed(TurnStatus::Cancelled),
            _ => End::Closed(TurnStatus::Failed),
        }
    }

    /// Some batches, some events; the last attempt stops before its last event, others anywhere.
    fn speak(&mut self, item: &mut Item, last: bool) {
        let begun = AgentMetadata { continues: item.continues.then_some(true), ..metadata(TurnStatus::Running) };
        self.batch(item, begun, Some(item.question.clone()));
        let events = self.dice.below(3);
        for part in 0..=events {
            for _ in 0..self.dice.below(6) {
                let text = self.dice.text();
                item.tail.push_str(&text);
                let said = AgentMetadata { agent_partial_message: Some(text), ..metadata(TurnStatus::Running) };
                self.batch(item, said, None);
            }
            if part == events || !last && self.dice.percent(30) {
                return;
            }
            self.tail_without_batch(item);
            let event = self.event(item, None);
            self.publish(item, Some(event));
        }
    }

    fn tail_without_batch(&mut self, item: &mut Item) {
        if self.dice.percent(50) {
            item.tail.push_str(&self.dice.text());
        }
    }

    fn batch(&mut self, item: &mut Item, metadata: AgentMetadata, event: Option<ConversationEvent>) {
        item.sequence += 1;
        let batch = AgentBatch { attempt: item.attempt, sequence: item.sequence, metadata: metadata.clone() };
        let update = item.update(metadata, event);
        self.moments.push(Moment { batch: Some(batch), update: Some(update), ..item.moment() });
    }

    fn finish(&mut self, item: &mut Item, end: End) {
        match end {
            End::Published => {
                self.tail_without_batch(item);
                let event = self.last_event(item, TurnStatus::Completed);
                self.publish(item, Some(event));
            }
            End::Direct => {
                self.tail_without_batch(item);
                item.sequence += u32::try_from(self.dice.below(3)).unwrap();
                let event = self.last_event(item, TurnStatus::Completed);
                self.store_then_announce(item, event);
            }
            End::Closed(status) => {
                self.orphan(item);
                let event = self.last_event(item, status);
                self.store_then_announce(item, event);
            }
            End::Abandoned => {
                item.status = TurnStatus::Failed;
                self.moments.push(item.moment());
            }
        }
    }

    /// A dying handler's batch is stored under the number that the closing event will take.
    fn orphan(&mut self, item: &mut Item) {
        if item.sequence == 0 || self.dice.percent(70) {
            return;
        }
        let text = self.dice.text();
        item.tail.push_str(&text);
        let metadata = AgentMetadata { agent_partial_message: Some(text), ..metadata(TurnStatus::Running) };
        let batch = AgentBatch { attempt: item.attempt, sequence: item.sequence + 1, metadata };
        self.moments.push(Moment { batch: Some(batch), ..item.moment() });
    }

    fn last_event(&mut self, item: &mut Item, status: TurnStatus) -> ConversationEvent {
        item.status = status;
        self.event(item, Some(status))
    }

    fn event(&mut self, item: &mut Item, end: Option<TurnStatus>) -> ConversationEvent {
        self.position += 1;
        item.sequence += 1;
        let mut said = event(&item.id, self.position, SenderKind::Agent, &std::mem::take(&mut item.tail));
        said.attempt = Some(item.attempt);
        match end {
            Some(TurnStatus::Failed) => said.failure = Some(interrupted()),
            Some(TurnStatus::Cancelled) => said.stop_reason = Some(StopReason::Cancelled),
            Some(_) => said.stop_reason = Some(StopReason::EndTurn),
            None => {}
        }
        item.answer.push(said.clone());
        said
    }

    fn publish(&mut self, item: &Item, event: Option<ConversationEvent>) {
        let update = item.update(metadata(item.status), event.clone());
        self.moments.push(Moment { event, update: Some(update), ..item.moment() });
    }

    fn store_then_announce(&mut self, item: &Item, event: ConversationEvent) {
        let announcement = item.update(metadata(item.status), Some(event.clone()));
        self.moments.push(Moment { event: Some(event), ..item.moment() });
        for _ in 0..self.dice.below(3) {
            self.moments.push(Moment { update: Some(announcement.clone()), ..item.moment() });
        }
    }
}

impl Item {
    fn new(id: &str, position: u32) -> Self {
        Self {
            id: id.to_owned(),
            status: TurnStatus::Queued,
            run: 1,
            attempt: 0,
            sequence: 0,
            continues: false,
            answer_position: position,
            run_position: position,
            question: event(id, position, SenderKind::User, "Why?"),
            answer: Vec::new(),
            tail: String::new(),
        }
    }

    fn reopen(&mut self, last_position: u32, continues: bool) {
        self.answer = self.standing_and_own();
        if !continues {
            self.answer.clear();
            self.answer_position = last_position;
        }
        self.run += 1;
        self.run_position = last_position;
        self.continues = continues;
        self.claim();
        self.status = TurnStatus::Queued;
    }

    fn claim(&mut self) {
        self.status = TurnStatus::Running;
        self.attempt += 1;
        self.sequence = 0;
        self.tail.clear();
    }

    /// What dead attempts of the run have left is no part of the answer.
    fn standing_and_own(&self) -> Vec<ConversationEvent> {
        let counts =
            |event: &&ConversationEvent| event.position <= self.run_position || event.attempt == Some(self.attempt);
        self.answer.iter().filter(counts).cloned().collect()
    }

    fn moment(&self) -> Moment {
        let answer = self.standing_and_own();
        let said: String = answer.iter().map(ConversationEvent::said).collect();
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
        Moment { turn, text: said + &self.tail, batch: None, event: None, update: None }
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
    AgentMetadata { status, content_block_index: Some(0), agent_partial_message: None, note: None, continues: None }
}

fn interrupted() -> Failure {
    Failure { code: FailureCode::Interrupted, message: "Broken off.".to_owned(), retryable: true }
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
        created_at: String::new(),
    }
}
