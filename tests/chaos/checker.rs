//! Checks the invariants against the stored items of one conversation and what its readers displayed. Each
//! check names its invariant by the number in ARCHITECTURE.md.
use std::collections::{BTreeMap, BTreeSet};

use client::schema::TurnStatus;
use serde_json::Value;

use crate::reader::DisplayedTurn;

/// The observations of a conversation of one turn that has ended.
#[derive(Clone, Debug)]
pub struct Observations<'a> {
    pub question: &'a str,
    /// The model's whole answer.
    pub model_text: &'a str,
    /// The items with the conversation's partition key.
    pub items: &'a [Value],
    /// The items with the turn's partition key.
    pub batches: &'a [Value],
    pub displayed: &'a [DisplayedTurn],
}

/// One sentence for each violation of an invariant.
pub fn check(observations: &Observations) -> Vec<String> {
    let Some(stored) = StoredConversation::classify(observations.items, observations.batches) else {
        return vec!["the conversation, its turn or its question is not stored".into()];
    };
    [
        check_one_answer(&stored),
        check_nothing_lost(&stored, observations),
        check_readers(&stored, observations),
        check_turn_ended(&stored),
        check_order(&stored),
        check_text_unaltered(&stored),
    ]
    .concat()
}

/// The items by kind.
struct StoredConversation<'a> {
    conversation: &'a Value,
    turn: &'a Value,
    /// By position; the question is the first.
    events: Vec<&'a Value>,
    batches: &'a [Value],
}

impl<'a> StoredConversation<'a> {
    fn classify(items: &'a [Value], batches: &'a [Value]) -> Option<Self> {
        let with_sort_key =
            |prefix: &'static str| items.iter().filter(move |item| text(item, "sk").starts_with(prefix));
        let events: Vec<_> = with_sort_key("EVENT#").collect();
        if events.is_empty() {
            return None;
        }
        Some(Self {
            conversation: with_sort_key("META").next()?,
            turn: with_sort_key("TURN#").next()?,
            events,
            batches,
        })
    }

    /// The agent's events that make up the turn's answer.
    fn answer(&self) -> Vec<&'a Value> {
        let answer_position =
            number(self.turn, "answerPosition").or(number(self.turn, "questionPosition")).unwrap_or_default();
        let run_position = number(self.turn, "runPosition").unwrap_or(answer_position);
        let attempt = number(self.turn, "attempt");
        let is_part = |event: &&&Value| {
            let position = number(event, "position").unwrap_or_default();
            text(&event["sender"], "kind") == "AGENT"
                && position > answer_position
                && event["superseded"] != true
                && (position <= run_position || number(event, "attempt") == attempt)
        };
        self.events.iter().filter(is_part).copied().collect()
    }

    fn answer_text(&self) -> String {
        self.answer().iter().map(|event| content(event)).collect()
    }

    /// What the last attempt has added to the answer. Earlier attempts may have stored steps with tool calls.
    fn last_attempt_text(&self) -> String {
        let attempt = number(self.turn, "attempt");
        let answer = self.answer().into_iter();
        answer.filter(|event| number(event, "attempt") == attempt).map(content).collect()
    }

    /// The texts of the last attempt's batches, up to the first missing sequence.
    fn batch_texts(&self) -> Vec<&'a str> {
        let batches = self.last_attempt_batches();
        let contiguous = (1..).map_while(|sequence| batches.get(&sequence).copied());
        contiguous.map(|batch| text(batch, "text")).collect()
    }

    /// By sequence.
    fn last_attempt_batches(&self) -> BTreeMap<u64, &'a Value> {
        let attempt = number(self.turn, "attempt");
        let of_attempt = self.batches.iter().filter(|batch| number(batch, "attempt") == attempt);
        of_attempt.filter_map(|batch| Some((number(batch, "sequence")?, batch))).collect()
    }

    fn status(&self) -> &str {
        text(self.turn, "status")
    }
}

/// 1: there is one answer, of one attempt, with one end, and nothing of a later attempt.
fn check_one_answer(stored: &StoredConversation) -> Vec<String> {
    let attempt = number(stored.turn, "attempt");
    let answer = stored.answer();
    let is_final = |event: &&&Value| !event["stopReason"].is_null() || !event["failure"].is_null();
    let ends = answer.iter().filter(is_final).count();
    let mut violations = Vec::new();
    if ends != 1 {
        violations.push(format!("1: the answer has {ends} ends"));
    }
    if answer.last().is_some_and(|event| number(event, "position") != number(stored.turn, "lastPosition")) {
        violations.push("1: an event was stored after the answer's end".into());
    }
    let ids: BTreeSet<&str> = stored.events.iter().map(|event| text(event, "id")).collect();
    if ids.len() < stored.events.len() {
        violations.push("1: an event is stored twice".into());
    }
    if stored.batches.iter().any(|batch| number(batch, "attempt") > attempt) {
        violations.push("1: a later attempt than the turn's published".into());
    }
    violations
}

/// 2: the question is stored, a completed answer is whole, and any other answer keeps the published text.
fn check_nothing_lost(stored: &StoredConversation, observations: &Observations) -> Vec<String> {
    let mut violations = Vec::new();
    let question = content(stored.events[0]);
    if question != observations.question {
        violations.push(format!("2: the question is {question:?}"));
    }
    let answer = stored.answer_text();
    let model_text = observations.model_text;
    if stored.status() == "COMPLETED" && answer != model_text {
        violations.push(format!("2: of {} bytes {} are stored", model_text.len(), answer.len()));
    }
    if !model_text.starts_with(&answer) {
        violations.push(format!("2: the answer is not the model's text: {answer:?}"));
    }
    let published = stored.batch_texts().concat();
    let stored_text = stored.last_attempt_text();
    if stored_text.len() < published.len() {
        violations.push(format!("2: {published:?} was published, {stored_text:?} is stored"));
    }
    violations
}

/// 3: every reader displays exactly what is stored.
fn check_readers(stored: &StoredConversation, observations: &Observations) -> Vec<String> {
    let answer = stored.answer_text();
    let mut violations = Vec::new();
    for (reader, DisplayedTurn { question, text, status, .. }) in observations.displayed.iter().enumerate() {
        if *text != answer {
            let (displayed, stored) = (text.len(), answer.len());
            violations.push(format!("3: reader {reader} displays {displayed} bytes, {stored} are stored: {text:?}"));
        }
        if status_name(*status) != stored.status() {
            violations.push(format!("3: reader {reader} displays {status:?}, stored is {}", stored.status()));
        }
        if question.as_deref().is_some_and(|question| question != observations.question) {
            violations.push(format!("3: reader {reader} displays the question {question:?}"));
        }
    }
    violations
}

/// 4: the turn has ended, and the conversation is not busy.
fn check_turn_ended(stored: &StoredConversation) -> Vec<String> {
    let mut violations = Vec::new();
    if !["COMPLETED", "CANCELLED", "FAILED"].contains(&stored.status()) {
        violations.push(format!("4: the turn is {}", stored.status()));
    }
    if !stored.conversation["activeTurnId"].is_null() {
        violations.push("4: the conversation is still busy".into());
    }
    violations
}

/// 5: positions are contiguous, and no sequence is beyond the turn's last.
fn check_order(stored: &StoredConversation) -> Vec<String> {
    let mut violations = Vec::new();
    let positions: Vec<u64> = stored.events.iter().filter_map(|event| number(event, "position")).collect();
    if !positions.iter().copied().eq(1..=positions.len() as u64) {
        violations.push(format!("5: the positions are {positions:?}"));
    }
    if number(stored.conversation, "eventCount") != Some(positions.len() as u64) {
        violations.push("5: the conversation counts its events wrongly".into());
    }
    let last_sequence = number(stored.turn, "lastSequence").unwrap_or_default();
    let sequences: Vec<u64> = stored.last_attempt_batches().into_keys().collect();
    if sequences.iter().any(|sequence| *sequence > last_sequence) {
        violations.push(format!("5: the turn's last sequence is {last_sequence}, its batches have {sequences:?}"));
    }
    violations
}

/// 7: the contiguous batches of the last attempt begin the stored answer, byte for byte.
fn check_text_unaltered(stored: &StoredConversation) -> Vec<String> {
    let published = stored.batch_texts().concat();
    let stored_text = stored.last_attempt_text();
    if stored_text.starts_with(&published) {
        return Vec::new();
    }
    vec![format!("7: {published:?} was published, {stored_text:?} is stored")]
}

fn content(event: &Value) -> String {
    let blocks = event["content"].as_array().into_iter().flatten();
    blocks.map(|block| text(block, "text")).collect()
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}

fn number(item: &Value, name: &str) -> Option<u64> {
    item[name].as_u64()
}

fn status_name(status: TurnStatus) -> &'static str {
    match status {
        TurnStatus::Queued => "QUEUED",
        TurnStatus::Running => "RUNNING",
        TurnStatus::Waiting => "WAITING",
        TurnStatus::Cancelling => "CANCELLING",
        TurnStatus::Completed => "COMPLETED",
        TurnStatus::Cancelled => "CANCELLED",
        TurnStatus::Failed => "FAILED",
    }
}

/// Each case breaks one thing of a valid conversation.
mod tests {
    use serde_json::json;

    use super::*;

    fn valid_items() -> Vec<Value> {
        vec![
            json!({ "sk": "EVENT#00000001", "id": "t", "position": 1, "sender": { "kind": "USER" },
                "content": [{ "text": "Why?" }] }),
            json!({ "sk": "EVENT#00000002", "id": "t-2-1", "position": 2, "attempt": 2, "sender": { "kind": "AGENT" },
                "content": [{ "text": "Be" }] }),
            json!({ "sk": "EVENT#00000003", "id": "t-2-2", "position": 3, "attempt": 2, "sender": { "kind": "AGENT" },
                "content": [{ "text": "cause." }], "stopReason": "END_TURN" }),
            json!({ "sk": "META", "eventCount": 3 }),
            json!({ "sk": "TURN#t", "status": "COMPLETED", "attempt": 2, "questionPosition": 1, "answerPosition": 1,
                "runPosition": 1, "lastPosition": 3, "lastSequence": 4 }),
        ]
    }

    fn valid_batches() -> Vec<Value> {
        vec![
            json!({ "attempt": 1, "sequence": 1 }),
            json!({ "attempt": 1, "sequence": 2, "text": "Other" }),
            json!({ "attempt": 2, "sequence": 1 }),
            json!({ "attempt": 2, "sequence": 2, "text": "Be" }),
            json!({ "attempt": 2, "sequence": 3, "text": "cau" }),
        ]
    }

    fn valid_display() -> DisplayedTurn {
        DisplayedTurn {
            question: Some("Why?".into()),
            text: "Because.".into(),
            status: TurnStatus::Completed,
            calls: BTreeMap::new(),
        }
    }

    fn violations(items: &[Value], batches: &[Value], displayed: DisplayedTurn) -> String {
        let observations =
            Observations { question: "Why?", model_text: "Because.", items, batches, displayed: &[displayed] };
        check(&observations).concat()
    }

    #[test]
    fn valid_conversation_has_no_violation() {
        assert_eq!(violations(&valid_items(), &valid_batches(), valid_display()), "");
    }

    #[test]
    fn each_broken_invariant_is_found() {
        let cases: [(&str, &str, Value); 11] = [
            ("1: the answer has 0 ends", "/2/stopReason", Value::Null),
            ("1: the answer has 2 ends", "/1/failure", json!({ "code": "INTERNAL" })),
            ("1: an event is stored twice", "/2/id", json!("t-2-1")),
            ("1: an event was stored after", "/4/lastPosition", json!(4)),
            ("2: the question is", "/0/content/0/text", json!("What?")),
            ("2: of 8 bytes 6 are stored", "/1/content/0/text", json!("")),
            ("2: the answer is not the model's text", "/2/content/0/text", json!("fore.")),
            ("4: the turn is RUNNING", "/4/status", json!("RUNNING")),
            ("4: the conversation is still busy", "/3/activeTurnId", json!("t")),
            ("5: the positions are", "/1/position", json!(7)),
            ("5: the turn's last sequence is 2", "/4/lastSequence", json!(2)),
        ];
        for (expected, pointer, value) in cases {
            let mut items = Value::Array(valid_items());
            let (parent, member) = pointer.rsplit_once('/').unwrap();
            items.pointer_mut(parent).unwrap()[member] = value;
            let found = violations(items.as_array().unwrap(), &valid_batches(), valid_display());
            assert!(found.contains(expected), "{expected}: {found}");
        }
    }

    #[test]
    fn batches_of_later_attempts_and_altered_batches_are_found() {
        let with_batch = |batch: Value| [valid_batches(), vec![batch]].concat();
        let later_attempt = with_batch(json!({ "attempt": 3, "sequence": 1 }));
        let found = violations(&valid_items(), &later_attempt, valid_display());
        assert!(found.contains("1: a later attempt"), "{found}");
        let altered = with_batch(json!({ "attempt": 2, "sequence": 4, "text": "ses" }));
        let found = violations(&valid_items(), &altered, valid_display());
        assert!(found.contains("7: "), "{found}");
    }

    #[test]
    fn reader_with_another_display_is_found() {
        for wrong in [
            DisplayedTurn { text: "Becau".into(), ..valid_display() },
            DisplayedTurn { status: TurnStatus::Failed, ..valid_display() },
            DisplayedTurn { question: Some("What?".into()), ..valid_display() },
        ] {
            let found = violations(&valid_items(), &valid_batches(), wrong.clone());
            assert!(found.contains("3: reader 0 displays"), "{wrong:?}: {found}");
        }
    }
}
