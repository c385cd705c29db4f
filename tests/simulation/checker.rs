//! Checks the invariants against the observations of a finished run. Each check names its invariant by the
//! number in ARCHITECTURE.md.
use std::{collections::VecDeque, fmt};

use client::schema::{ToolStatus, TurnStatus};
use serde_json::Value;
use turn::model::{Role, TranscriptBlock};

use crate::{
    citation_checks::{self, AttemptCitations, PassageTurns},
    observations::{ModelRequest, Observations, SupersededText, is_batch},
    tool_checks,
};

/// Three pages of 300 events (resolvers/turns/listAnswer.js).
const MAX_ANSWER_EVENTS: usize = 900;
/// Two shorter answers may be equal at random.
const MIN_DISTINCTIVE_BYTES: usize = 17;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: u8,
    message: String,
}

impl Violation {
    pub fn new(invariant: u8, message: String) -> Self {
        Self { invariant, message }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "invariant {}: {}", self.invariant, self.message)
    }
}

/// All violations of one conversation in which nothing is pending.
pub fn check(observations: &Observations) -> Vec<Violation> {
    let items = Items::classify(&observations.items);
    let mut checker = Checker { items, observations, violations: Vec::new() };
    for request in &observations.model_requests {
        checker.check_transcript(request);
    }
    checker.check_writes_per_batch();
    checker.violations.extend(tool_checks::check(observations));
    if checker.items.is_deleted() {
        checker.check_purge();
        return checker.violations;
    }
    let (passages, resent) = PassageTurns::of(observations);
    checker.violations.extend(resent);
    checker.check_read_back();
    checker.check_positions();
    checker.check_acknowledged_messages();
    checker.check_replacements();
    checker.check_conversation_is_free();
    for turn in checker.items.turns.clone() {
        checker.check_turn_ended(turn);
        checker.check_one_answer(turn);
        checker.check_sequences(turn);
        checker.check_batches_match_answer(turn);
        checker.check_received_text_is_stored(turn);
        checker.check_citations(turn, &passages);
        checker.check_subscribers(turn);
    }
    checker.violations
}

/// The texts of superseded events, without those that another event has as well: short answers of one
/// repeated word can be part of one another.
pub fn superseded_texts(items: &[Value]) -> Vec<SupersededText> {
    let items = Items::classify(items);
    let (superseded, current): (Vec<&Value>, Vec<&Value>) =
        items.events.iter().copied().partition(|event| items.is_superseded(event));
    let current: Vec<String> = current.into_iter().map(content).collect();
    let texts = superseded.into_iter().map(|event| {
        let turn = items.turn(event).filter(|turn| is_replaced(turn));
        SupersededText { text: content(event), replaced_turn: turn.map(|turn| text(turn, "id").to_owned()) }
    });
    texts.filter(|superseded| !current.iter().any(|text| text.contains(&superseded.text))).collect()
}

/// The items by kind.
struct Items<'a> {
    conversation: Option<&'a Value>,
    events: Vec<&'a Value>,
    turns: Vec<&'a Value>,
    batches: Vec<&'a Value>,
    /// The items of turns: batches, claims of tool calls, and answers to them.
    turn_items: Vec<&'a Value>,
}

impl<'a> Items<'a> {
    fn classify(items: &'a [Value]) -> Self {
        let with_sort_key =
            |prefix: &'static str| items.iter().filter(move |item| text(item, "sk").starts_with(prefix));
        Self {
            conversation: with_sort_key("META").next(),
            events: with_sort_key("EVENT#").collect(),
            turns: with_sort_key("TURN#").collect(),
            batches: items.iter().filter(|item| is_batch(item)).collect(),
            turn_items: items.iter().filter(|item| text(item, "pk").starts_with("TURN#")).collect(),
        }
    }

    /// Only a tombstone is left of a purged conversation.
    fn is_deleted(&self) -> bool {
        self.conversation.is_some_and(|conversation| conversation["deletedAt"].is_string())
    }

    /// The turn of an event.
    fn turn(&self, event: &Value) -> Option<&'a Value> {
        self.turns.iter().copied().find(|turn| turn["id"] == event["turnId"])
    }

    /// Whether an attempt or a retry has replaced an event of the agent, or another message its turn.
    fn is_superseded(&self, event: &Value) -> bool {
        let is_answer = event["sender"]["kind"] != "USER";
        let is_before_answer = |turn: &Value| is_answer && number(event, "position") <= number(turn, "answerPosition");
        let turn = self.turn(event);
        event["superseded"] == true || turn.is_some_and(|turn| is_replaced(turn) || is_before_answer(turn))
    }

    /// All events of the agent and its tools in a turn, by position.
    fn agent_events(&self, turn: &Value) -> impl Iterator<Item = &'a Value> {
        let id = text(turn, "id").to_owned();
        self.events
            .iter()
            .copied()
            .filter(move |event| text(event, "turnId") == id && event["sender"]["kind"] != "USER")
    }

    /// The events of the turn's answer: those kept from earlier runs, and those of the current attempt.
    fn answer(&self, turn: &'a Value) -> impl Iterator<Item = &'a Value> {
        let answer_position = number(turn, "answerPosition").max(number(turn, "questionPosition"));
        let run_position = run_position(turn);
        let attempt = number(turn, "attempt");
        self.agent_events(turn).filter(move |event| {
            let position = number(event, "position");
            position > answer_position
                && event["superseded"] != true
                && (position <= run_position || number(event, "attempt") == attempt)
        })
    }

    /// The part of the answer that the last attempt added.
    fn last_attempt_answer(&self, turn: &'a Value) -> impl Iterator<Item = &'a Value> {
        let attempt = number(turn, "attempt");
        self.answer(turn).filter(move |event| number(event, "attempt") == attempt)
    }

    fn final_event(&self, turn: &'a Value) -> Option<&'a Value> {
        self.last_attempt_answer(turn).find(|event| is_final(event))
    }

    /// The stored batches of the turn's current attempt, by sequence.
    fn batches(&self, turn: &Value) -> Vec<&'a Value> {
        let (id, attempt) = (text(turn, "id"), number(turn, "attempt"));
        let is_of_attempt = |batch: &&&Value| text(batch, "turnId") == id && number(batch, "attempt") == attempt;
        let mut batches: Vec<_> = self.batches.iter().filter(is_of_attempt).copied().collect();
        batches.sort_by_key(|batch| number(batch, "sequence"));
        batches
    }

    /// The stored text of the answer: its events, then the batches that no event contains yet.
    fn stored_text(&self, turn: &'a Value) -> String {
        let mut text: String = self.answer(turn).map(content).collect();
        if self.final_event(turn).is_none() {
            let last_event_sequence = number(turn, "lastEventSequence");
            for batch in self.batches(turn) {
                if number(batch, "sequence") > last_event_sequence {
                    text.push_str(batch["text"].as_str().unwrap_or_default());
                }
            }
        }
        text
    }
}

struct Checker<'a> {
    observations: &'a Observations,
    items: Items<'a>,
    violations: Vec<Violation>,
}

impl<'a> Checker<'a> {
    fn violation(&mut self, invariant: u8, message: String) {
        self.violations.push(Violation::new(invariant, message));
    }

    /// 6: a successful purge leaves the tombstone, and batches that were published after purging began: these
    /// expire.
    fn check_purge(&mut self) {
        let Some(purge_began) = self.observations.purge.began_ms else { return };
        let (events, turns) = (self.items.events.len(), self.items.turns.len());
        let is_tombstone = self.items.conversation.is_some_and(|conversation| conversation["owner"].is_null());
        if events + turns > 0 || !is_tombstone {
            self.violation(6, format!("a purge left {events} events and {turns} turns, tombstone: {is_tombstone}"));
        }
        let written_at = |batch: &Value| {
            let key = (text(batch, "pk").to_owned(), text(batch, "sk").to_owned());
            self.observations.purge.batch_writes.get(&key).copied().unwrap_or_default()
        };
        let old_items = self.items.turn_items.iter().filter(|item| written_at(item) < purge_began).count();
        if old_items > 0 {
            self.violation(6, format!("a purge left {old_items} items of turns"));
        }
    }

    /// 3: whoever comes back reads the stored text: in the conversation's events, and in the answer of each
    /// turn. An answer has at most so many events; later ones are only among the conversation's events.
    fn check_read_back(&mut self) {
        let Some(read_back) = &self.observations.read_back else { return };
        for error in &read_back.errors {
            self.violation(3, format!("what is stored cannot be read: {error}"));
        }
        let items = &self.items;
        let stored = items.events.iter();
        let stored: Vec<_> =
            stored.map(|event| (number(event, "position"), content(event), items.is_superseded(event))).collect();
        let read = read_back.events.iter();
        let read: Vec<_> = read
            .map(|event| (number(event, "position"), text(event, "text").to_owned(), event["superseded"] == true))
            .collect();
        if stored != read {
            self.violation(3, format!("{} events are read, {} are stored, or others", read.len(), stored.len()));
        }
        for turn in self.items.turns.clone() {
            let id = text(turn, "id");
            let stored: Vec<_> = self.items.answer(turn).map(content).take(MAX_ANSWER_EVENTS).collect();
            let Some(read) = read_back.answers.get(id) else { continue };
            if stored != *read {
                let (read, stored) = (read.len(), stored.len());
                self.violation(
                    3,
                    format!("{read} events of {id}'s answer are read, {stored} are stored, or other text"),
                );
            }
        }
    }

    /// 5: positions are contiguous from 1.
    fn check_positions(&mut self) {
        let positions: Vec<u64> = self.items.events.iter().map(|event| number(event, "position")).collect();
        let count = self.items.conversation.map_or(0, |conversation| number(conversation, "eventCount"));
        if positions != (1..=count).collect::<Vec<_>>() {
            self.violation(5, format!("the events have positions {positions:?}, the conversation counts {count}"));
        }
    }

    /// 2: every acknowledged message is stored, and replaces the turn that it was to replace.
    fn check_acknowledged_messages(&mut self) {
        for (turn_id, message) in &self.observations.acknowledged {
            let stored = self.items.events.iter().copied().find(|event| text(event, "id") == turn_id);
            if stored.is_none_or(|event| content(event) != *message) {
                self.violation(2, format!("the message {turn_id} was acknowledged and is not stored"));
            }
            let replaced = self.observations.replacements.get(turn_id).map(String::as_str);
            if stored.is_some_and(|event| event["replacesTurnId"].as_str() != replaced) {
                self.violation(2, format!("the message {turn_id} replaces another turn than {replaced:?}"));
            }
        }
    }

    /// 1: a turn is replaced by one message, which follows its last event.
    fn check_replacements(&mut self) {
        for turn in self.items.turns.clone() {
            let id = text(turn, "id");
            let messages = self.items.events.iter().copied().filter(|event| text(event, "replacesTurnId") == id);
            let messages: Vec<_> = messages.map(|event| (text(event, "id"), number(event, "position"))).collect();
            let expected = turn["replacedBy"].as_str().map(|message| (message, number(turn, "lastPosition") + 1));
            if messages != Vec::from_iter(expected) {
                self.violation(1, format!("turn {id} is replaced by {expected:?}, says the turn, and by {messages:?}"));
            }
            let question = self.items.events.iter().copied().find(|event| text(event, "id") == id);
            if question.is_some_and(|question| (question["superseded"] == true) != is_replaced(turn)) {
                self.violation(1, format!("the question of {id} contradicts its turn, which {expected:?} replaces"));
            }
        }
    }

    /// 4: the conversation is not busy with an open turn.
    fn check_conversation_is_free(&mut self) {
        let Some(conversation) = self.items.conversation else { return };
        let active_turn_id = text(conversation, "activeTurnId");
        let active_turn = self.items.turns.iter().find(|turn| text(turn, "id") == active_turn_id);
        if active_turn.is_some_and(|turn| !self.effective_status(turn).is_end()) {
            self.violation(4, format!("the conversation is busy with {active_turn_id}"));
        }
    }

    /// 4: every turn ends. Its end is stored unless every handler and closer of the turn was killed.
    fn check_turn_ended(&mut self, turn: &Value) {
        let id = text(turn, "id");
        let effective_status = self.effective_status(turn);
        if !effective_status.is_end() {
            self.violation(4, format!("turn {id} is still {effective_status:?}"));
        }
        let is_settled = self.observations.settled_turns.iter().any(|settled| settled == id);
        // Nothing is pending for a turn whose calls nobody has answered: its end is derived.
        if is_settled && !stored_status(turn).is_end() && stored_status(turn) != TurnStatus::Waiting {
            self.violation(4, format!("turn {id} has no pending event and is stored as {}", text(turn, "status")));
        }
    }

    /// 1: each run has one answer, of one attempt, with one end at its last position.
    fn check_one_answer(&mut self, turn: &'a Value) {
        let id = text(turn, "id");
        let final_events = self.items.agent_events(turn).filter(|event| is_final(event)).count() as u64;
        if final_events > number(turn, "run") {
            self.violation(1, format!("turn {id} has {final_events} ends in {} runs", number(turn, "run")));
        }

        let run_position = run_position(turn);
        let run_events: Vec<_> =
            self.items.agent_events(turn).filter(|event| number(event, "position") > run_position).collect();
        let end_positions: Vec<u64> =
            run_events.iter().filter(|event| is_final(event)).map(|event| number(event, "position")).collect();
        let is_misplaced = end_positions.first().is_some_and(|position| *position != number(turn, "lastPosition"));
        if end_positions.len() > 1 || is_misplaced {
            self.violation(1, format!("turn {id}'s last run ends at {end_positions:?}, not once at its last position"));
        }

        // The results of tools may be the end. Their event is before the run position, which is its own.
        let has_end = !end_positions.is_empty() || self.items.final_event(turn).is_some();
        let is_stored_as_ended = stored_status(turn).is_end();
        let has_other_attempts = run_events
            .iter()
            .any(|event| event["superseded"] != true && number(event, "attempt") != number(turn, "attempt"));
        if has_end && is_stored_as_ended && has_other_attempts {
            self.violation(1, format!("turn {id}'s answer has events of several attempts"));
        }
        if has_end && !is_stored_as_ended {
            self.violation(1, format!("turn {id} has its final event and is stored as {}", text(turn, "status")));
        }
    }

    /// 5: sequences are contiguous within an attempt. One may be missing before an end that was written
    /// directly.
    fn check_sequences(&mut self, turn: &'a Value) {
        let batches = self.items.batches(turn);
        let attempt = number(turn, "attempt");
        let events = self.items.agent_events(turn).filter(|event| number(event, "attempt") == attempt).count();
        let stored_updates = batches.len() as u64 + events as u64;
        let sequences: Vec<u64> = batches.iter().map(|batch| number(batch, "sequence")).collect();
        let highest = sequences.last().copied().unwrap_or_default().max(number(turn, "lastSequence"));
        if highest > stored_updates + 1 {
            let id = text(turn, "id");
            self.violation(5, format!("turn {id} counts to sequence {highest} and has batches {sequences:?}"));
        }
    }

    /// 7: the batches of the last attempt begin the stored answer, byte for byte.
    ///
    /// If another process closed the turn, the last batch may have been refused and stored all the same.
    fn check_batches_match_answer(&mut self, turn: &'a Value) {
        let Some(final_event) = self.items.final_event(turn) else { return };
        let is_closed_by_other = text(final_event, "id").contains("-closed-");
        let sequence_limit = if is_closed_by_other { number(turn, "lastSequence") } else { u64::MAX };
        let batches = self.items.batches(turn);
        // A sequence that no batch has is that of an event. Each step numbers its blocks from 0.
        let step_and_block = |(index, batch): (usize, &&Value)| {
            (number(batch, "sequence").saturating_sub(index as u64), number(batch, "contentBlockIndex"))
        };
        let with_text = batches.iter().enumerate().filter(|(_, batch)| !text(batch, "text").is_empty());
        if !with_text.map(step_and_block).is_sorted() {
            return self.check_interleaved_batches(turn, &batches, sequence_limit);
        }
        let answer: String = self.items.last_attempt_answer(turn).map(content).collect();
        let mut rest = answer.as_str();
        let mut next_sequence = 1;
        let mut has_gap = false;
        for batch in batches {
            let (sequence, batch_text) = (number(batch, "sequence"), text(batch, "text"));
            if sequence >= sequence_limit {
                break;
            }
            has_gap |= sequence != next_sequence;
            let start = if has_gap { rest.find(batch_text) } else { rest.starts_with(batch_text).then_some(0) };
            let Some(start) = start else {
                let id = text(turn, "id");
                return self.violation(7, format!("batch {sequence} of {id} is not in its answer"));
            };
            rest = &rest[start + batch_text.len()..];
            next_sequence = sequence + 1;
        }
    }

    /// 7: each batch of interleaved blocks is in a stored block. The blocks of an event follow each other in
    /// the answer, whatever the order of their batches.
    fn check_interleaved_batches(&mut self, turn: &'a Value, batches: &[&'a Value], sequence_limit: u64) {
        let blocks: Vec<&str> = self.items.last_attempt_answer(turn).flat_map(block_texts).collect();
        let is_missing = |batch: &&&Value| !blocks.iter().any(|block| block.contains(text(batch, "text")));
        let decided = batches.iter().filter(|batch| number(batch, "sequence") < sequence_limit);
        let missing = decided.filter(is_missing).count();
        if missing > 0 {
            self.violation(7, format!("{missing} batches of {} are not in its answer", text(turn, "id")));
        }
    }

    /// 7: the citations of the last attempt, as far as its batches were decided.
    fn check_citations(&mut self, turn: &'a Value, passages: &PassageTurns) {
        let final_event = self.items.final_event(turn);
        let is_closed_by_other = final_event.is_none_or(|event| text(event, "id").contains("-closed-"));
        let sequence_limit = if is_closed_by_other { number(turn, "lastSequence") } else { u64::MAX };
        let mut batches = self.items.batches(turn);
        batches.retain(|batch| final_event.is_some() && number(batch, "sequence") < sequence_limit);
        let events = self.items.last_attempt_answer(turn).collect();
        let attempt = AttemptCitations { turn_id: text(turn, "id"), events, batches };
        self.violations.extend(citation_checks::check_attempt(&attempt, passages));
    }

    /// 2: the text that the deciding attempt received from the model before its end is stored.
    fn check_received_text_is_stored(&mut self, turn: &'a Value) {
        let (id, attempt) = (text(turn, "id"), number(turn, "attempt"));
        let Some(deltas) = self.observations.received_deltas.get(&(id.to_owned(), attempt)) else { return };
        let Some(final_event) = self.items.final_event(turn) else { return };
        let is_closed_by_attempt = text(final_event, "id").starts_with(&format!("{id}-{attempt}-"));
        let events: Vec<&Value> = self.items.last_attempt_answer(turn).collect();
        if !has_received_text(&events, deltas, is_closed_by_attempt) {
            let stored: usize = events.iter().map(|event| content(event).len()).sum();
            let received: usize = deltas.iter().map(|(_, text)| text.len()).sum();
            self.violation(2, format!("turn {id} received {received} bytes and stored {stored}, or other text"));
        }
    }

    /// 3: every subscriber displays the stored text. Only the first subscriber was connected during all
    /// turns.
    fn check_subscribers(&mut self, turn: &'a Value) {
        let id = text(turn, "id");
        let stored_text = self.items.stored_text(turn);
        let status = self.effective_status(turn);
        let results: Vec<(String, ToolStatus)> = self.items.answer(turn).flat_map(tool_results).collect();
        for (subscriber, turns) in self.observations.subscribers.iter().enumerate() {
            match turns.get(id) {
                Some(displayed) if displayed.text == stored_text && displayed.end == Some(status) => {
                    let displayed_status = |id: &str| displayed.calls.get(id).copied();
                    let wrong = results.iter().find(|(id, status)| displayed_status(id) != Some(*status));
                    if let Some((id, status)) = wrong {
                        let displayed_status = displayed_status(id);
                        let message = format!(
                            "subscriber {subscriber} displays {displayed_status:?} of {id}, which is {status:?}"
                        );
                        self.violation(3, message);
                    }
                }
                Some(displayed) => {
                    let (shown, stored) = (displayed.text.len(), stored_text.len());
                    let end = displayed.end;
                    self.violation(
                        3,
                        format!(
                            "subscriber {subscriber} displays {shown} bytes of {id} ({end:?}); \
                             {stored} bytes are stored ({status:?})"
                        ),
                    );
                }
                None if subscriber > 0 => {}
                None => self.violation(3, format!("subscriber {subscriber} does not display {id}")),
            }
        }
    }

    /// 8: a transcript starts and ends with the user, alternates, and has no blank and no superseded text.
    fn check_transcript(&mut self, request: &ModelRequest) {
        let roles: Vec<Role> = request.transcript.iter().map(|message| message.role).collect();
        let alternates = roles.iter().enumerate().all(|(index, role)| (*role == Role::User) == index.is_multiple_of(2));
        if !alternates || roles.len().is_multiple_of(2) {
            self.violation(8, format!("a transcript has the roles {roles:?}"));
        }
        let blocks = || request.transcript.iter().flat_map(|message| &message.content);
        let texts = || {
            blocks().filter_map(|block| match block {
                TranscriptBlock::Text(text) => Some(text),
                TranscriptBlock::SearchResult(_)
                | TranscriptBlock::Reasoning(_)
                | TranscriptBlock::ToolUse(_)
                | TranscriptBlock::ToolResult { .. }
                | TranscriptBlock::FoundSearchResults { .. } => None,
            })
        };
        let has_empty_message = request.transcript.iter().any(|message| message.content.is_empty());
        if has_empty_message || texts().any(|text| text.trim().is_empty()) {
            self.violation(8, "a transcript has a blank text".into());
        }
        // A late attempt of a replaced turn may still ask.
        let is_of_other = |superseded: &&SupersededText| {
            let replaced = &superseded.replaced_turn;
            replaced.is_none() || (request.turn_id.is_some() && request.turn_id != *replaced)
        };
        for SupersededText { text, .. } in request.superseded_texts.iter().filter(is_of_other) {
            if text.len() >= MIN_DISTINCTIVE_BYTES && texts().any(|other| other.contains(text.as_str())) {
                let start: String = text.chars().take(20).collect();
                self.violation(8, format!("a transcript has the superseded text {start:?}"));
            }
        }
    }

    /// 9: a batch takes at most two writes.
    fn check_writes_per_batch(&mut self) {
        let writes = self.observations.max_writes_per_batch;
        if writes > 2 {
            self.violation(9, format!("a published batch took {writes} writes"));
        }
    }

    fn effective_status(&self, turn: &Value) -> TurnStatus {
        let stored = stored_status(turn);
        let now = self.observations.now_ms;
        if stored.is_end() || number(turn, "leaseUntil") > now {
            return stored;
        }
        if stored == TurnStatus::Waiting {
            return if number(turn, "pendingUntil") > now { stored } else { TurnStatus::Failed };
        }
        if stored == TurnStatus::Cancelling {
            return TurnStatus::Cancelled;
        }
        if number(turn, "claimableUntil") > now { TurnStatus::Queued } else { TurnStatus::Failed }
    }
}

fn content(event: &Value) -> String {
    block_texts(event).collect()
}

/// The ids of the calls and the statuses of their results.
fn tool_results(event: &Value) -> impl Iterator<Item = (String, ToolStatus)> {
    let blocks = event["content"].as_array().into_iter().flatten();
    let results = blocks.map(|block| &block["toolResult"]).filter(|result| result.is_object());
    results.map(|result| {
        let status = serde_json::from_value(result["status"].clone()).unwrap_or(ToolStatus::Unknown);
        (text(result, "toolUseId").to_owned(), status)
    })
}

fn block_texts(event: &Value) -> impl Iterator<Item = &str> {
    event["content"].as_array().into_iter().flatten().filter_map(|block| block["text"].as_str())
}

/// Whether each event has the next part of the received text, joined by block. An event of another process
/// has the beginning of each block that was published.
fn has_received_text(events: &[&Value], deltas: &[(u32, String)], is_closed_by_attempt: bool) -> bool {
    let mut rest: VecDeque<(u32, &str)> = deltas.iter().map(|(block, text)| (*block, text.as_str())).collect();
    for (index, event) in events.iter().enumerate() {
        let is_last = index + 1 == events.len();
        if is_last && !is_closed_by_attempt {
            let blocks = join_blocks(rest.drain(..));
            return block_texts(event).all(|stored| blocks.iter().any(|(_, text)| text.starts_with(stored)));
        }
        let Some(part) = take_bytes(&mut rest, content(event).len()) else { return false };
        if !join_blocks(part.into_iter()).iter().map(|(_, text)| text.as_str()).eq(block_texts(event)) {
            return false;
        }
    }
    rest.iter().all(|(_, text)| text.is_empty())
}

/// Removes so many bytes of text from the start; `None` if there are fewer or a character would be split.
fn take_bytes<'a>(rest: &mut VecDeque<(u32, &'a str)>, mut bytes: usize) -> Option<Vec<(u32, &'a str)>> {
    let mut taken = Vec::new();
    while bytes > 0 {
        let (block, text) = rest.pop_front()?;
        let (head, tail) = text.split_at_checked(bytes.min(text.len()))?;
        taken.push((block, head));
        bytes -= head.len();
        if !tail.is_empty() {
            rest.push_front((block, tail));
        }
    }
    Some(taken)
}

/// One text for each block, in order of the first delta of each.
fn join_blocks<'a>(deltas: impl Iterator<Item = (u32, &'a str)>) -> Vec<(u32, String)> {
    let mut blocks: Vec<(u32, String)> = Vec::new();
    for (block, text) in deltas.filter(|(_, text)| !text.is_empty()) {
        match blocks.iter_mut().find(|(index, _)| *index == block) {
            Some((_, joined)) => joined.push_str(text),
            None => blocks.push((block, text.to_owned())),
        }
    }
    blocks
}

/// Whether another message has replaced the turn.
fn is_replaced(turn: &Value) -> bool {
    turn["replacedBy"].is_string()
}

/// Whether an event of the agent or its tools ends an answer.
fn is_final(event: &Value) -> bool {
    event["stopReason"].is_string() || event["failure"].is_object()
}

/// The position after which the events of the turn's last run follow.
fn run_position(turn: &Value) -> u64 {
    number(turn, "runPosition").max(number(turn, "questionPosition"))
}

fn stored_status(turn: &Value) -> TurnStatus {
    serde_json::from_value(turn["status"].clone()).unwrap_or(TurnStatus::Queued)
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}

/// 0 if the attribute is absent or null. The database returns numbers as JSON integers or floats.
fn number(item: &Value, name: &str) -> u64 {
    let value = &item[name];
    value.as_u64().or_else(|| value.as_f64().map(|number| number as u64)).unwrap_or_default()
}
