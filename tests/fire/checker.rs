//! The invariants, asserted from what lies in the table and what readers saw. It knows the data, not the code.
use std::collections::{BTreeMap, BTreeSet};

use client::schema::TurnStatus;
use serde_json::Value;

use crate::reader::Seen;

/// What is known of a conversation of one turn.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// What the user said.
    pub question: &'a str,
    /// What the model says when nothing interrupts it.
    pub said: &'a str,
    /// Everything under the conversation's key.
    pub items: &'a [Value],
    /// Everything under the turn's key.
    pub batches: &'a [Value],
    pub seen: &'a [Seen],
}

/// One sentence for each invariant that does not hold.
pub fn check(evidence: &Evidence) -> Vec<String> {
    let Some(records) = Records::sorted(evidence.items) else {
        return vec!["the conversation, its turn or its question is not stored".into()];
    };
    [
        one_answer(&records, evidence.batches),
        nothing_lost(&records, evidence),
        readers_know(&records, evidence),
        it_ended(&records),
        in_order(&records, evidence.batches),
        unaltered(&records, evidence.batches),
    ]
    .concat()
}

/// The items by what they are.
struct Records<'a> {
    conversation: &'a Value,
    turn: &'a Value,
    /// In order of their keys.
    events: Vec<&'a Value>,
}

impl<'a> Records<'a> {
    fn sorted(items: &'a [Value]) -> Option<Self> {
        let with = |prefix: &'static str| items.iter().filter(move |item| text(item, "sk").starts_with(prefix));
        Some(Self { conversation: with("META").next()?, turn: with("TURN#").next()?, events: with("EVENT#").collect() })
            .filter(|records| !records.events.is_empty())
    }

    /// The agent's events that are the answer of the turn's last run.
    fn answer(&self) -> Vec<&'a Value> {
        let begins = number(self.turn, "answerPosition").or(number(self.turn, "questionPosition")).unwrap_or_default();
        let run_begins = number(self.turn, "runPosition").unwrap_or(begins);
        let attempt = number(self.turn, "attempt");
        let stands = |event: &&&Value| {
            let position = number(event, "position").unwrap_or_default();
            text(&event["sender"], "kind") == "AGENT"
                && position > begins
                && event["superseded"] != true
                && (position <= run_begins || number(event, "attempt") == attempt)
        };
        self.events.iter().filter(stands).copied().collect()
    }

    fn answered(&self) -> String {
        self.answer().iter().map(|event| said(event)).collect()
    }

    fn status(&self) -> &str {
        text(self.turn, "status")
    }
}

/// 1: one answer, by one attempt, closed once; nothing of a later one.
fn one_answer(records: &Records, batches: &[Value]) -> Vec<String> {
    let attempt = number(records.turn, "attempt");
    let answer = records.answer();
    let closings = answer.iter().filter(|event| !event["stopReason"].is_null() || !event["failure"].is_null()).count();
    let mut violations = Vec::new();
    if closings != 1 {
        violations.push(format!("1: the answer is closed {closings} times"));
    }
    if answer.last().is_some_and(|event| number(event, "position") != number(records.turn, "lastPosition")) {
        violations.push("1: something was stored after the answer's end".into());
    }
    let ids: BTreeSet<&str> = records.events.iter().map(|event| text(event, "id")).collect();
    if ids.len() < records.events.len() {
        violations.push("1: an event is stored twice".into());
    }
    if batches.iter().any(|batch| number(batch, "attempt") > attempt) {
        violations.push("1: an attempt published that is not the turn's".into());
    }
    violations
}

/// 2: the question is stored, a finished answer is whole, and another keeps what was said.
fn nothing_lost(records: &Records, evidence: &Evidence) -> Vec<String> {
    let mut violations = Vec::new();
    if said(records.events[0]) != evidence.question {
        violations.push(format!("2: the question is {:?}", said(records.events[0])));
    }
    let answered = records.answered();
    if records.status() == "COMPLETED" && answered != evidence.said {
        violations.push(format!("2: of {} bytes {} are stored", evidence.said.len(), answered.len()));
    }
    if !evidence.said.starts_with(&answered) {
        violations.push(format!("2: the answer is not what the model said: {answered:?}"));
    }
    let streamed = streamed(records, evidence.batches);
    if answered.len() < streamed.concat().len() {
        violations.push(format!("2: {streamed:?} was said and {answered:?} is stored"));
    }
    violations
}

/// 3: whatever a reader's connection went through, it knows exactly what is stored.
fn readers_know(records: &Records, evidence: &Evidence) -> Vec<String> {
    let answered = records.answered();
    let mut violations = Vec::new();
    for (reader, Seen { question, text, status }) in evidence.seen.iter().enumerate() {
        if *text != answered {
            violations.push(format!(
                "3: reader {reader} saw {} bytes, {} are stored: {text:?}",
                text.len(),
                answered.len()
            ));
        }
        if word(*status) != records.status() {
            violations.push(format!("3: reader {reader} saw it end {status:?}, it is {}", records.status()));
        }
        if question.as_deref().is_some_and(|question| question != evidence.question) {
            violations.push(format!("3: reader {reader} saw the question {question:?}"));
        }
    }
    violations
}

/// 4: the turn has ended, and the conversation is free.
fn it_ended(records: &Records) -> Vec<String> {
    let mut violations = Vec::new();
    if !["COMPLETED", "CANCELLED", "FAILED"].contains(&records.status()) {
        violations.push(format!("4: the turn is {}", records.status()));
    }
    if !records.conversation["activeTurnId"].is_null() {
        violations.push("4: the conversation is still busy".into());
    }
    violations
}

/// 5: positions are contiguous, sequences are told apart and none is beyond the last.
fn in_order(records: &Records, batches: &[Value]) -> Vec<String> {
    let mut violations = Vec::new();
    let positions: Vec<u64> = records.events.iter().filter_map(|event| number(event, "position")).collect();
    if !positions.iter().copied().eq(1..=positions.len() as u64) {
        violations.push(format!("5: the positions are {positions:?}"));
    }
    if number(records.conversation, "eventCount") != Some(positions.len() as u64) {
        violations.push("5: the conversation counts its events wrongly".into());
    }
    let last = number(records.turn, "lastSequence").unwrap_or_default();
    let attempt = number(records.turn, "attempt");
    let sequences: Vec<u64> = of_attempt(batches, attempt).keys().copied().collect();
    if sequences.iter().any(|sequence| *sequence > last) {
        violations.push(format!("5: the turn's last sequence is {last}, its batches have {sequences:?}"));
    }
    violations
}

/// 7: the batches of the last attempt, as far as they are without a gap, begin its text byte for byte.
fn unaltered(records: &Records, batches: &[Value]) -> Vec<String> {
    let streamed = streamed(records, batches).concat();
    let answered = records.answered();
    if answered.starts_with(&streamed) {
        return Vec::new();
    }
    vec![format!("7: {streamed:?} was published and {answered:?} is stored")]
}

/// The texts of the last attempt's batches, up to the first number that is missing.
fn streamed<'a>(records: &Records, batches: &'a [Value]) -> Vec<&'a str> {
    let batches = of_attempt(batches, number(records.turn, "attempt"));
    let contiguous = (1..).map_while(|sequence| batches.get(&sequence).copied());
    contiguous.map(|batch| text(batch, "text")).collect()
}

fn of_attempt(batches: &[Value], attempt: Option<u64>) -> BTreeMap<u64, &Value> {
    let own = batches.iter().filter(|batch| number(batch, "attempt") == attempt);
    own.filter_map(|batch| Some((number(batch, "sequence")?, batch))).collect()
}

fn said(event: &Value) -> String {
    let blocks = event["content"].as_array().into_iter().flatten();
    blocks.map(|block| text(block, "text")).collect()
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}

fn number(item: &Value, name: &str) -> Option<u64> {
    item[name].as_u64()
}

fn word(status: TurnStatus) -> &'static str {
    match status {
        TurnStatus::Queued => "QUEUED",
        TurnStatus::Running => "RUNNING",
        TurnStatus::Cancelling => "CANCELLING",
        TurnStatus::Completed => "COMPLETED",
        TurnStatus::Cancelled => "CANCELLED",
        TurnStatus::Failed => "FAILED",
    }
}

/// The checker finds what is broken: each case breaks one thing of a conversation that is as it should be.
mod tests {
    use serde_json::json;

    use super::*;

    fn items() -> Vec<Value> {
        vec![
            json!({ "sk": "EVENT#00000001", "id": "t", "position": 1, "sender": { "kind": "USER" }, "content": [{ "text": "Why?" }] }),
            json!({ "sk": "EVENT#00000002", "id": "t-2-1", "position": 2, "attempt": 2, "sender": { "kind": "AGENT" },
                "content": [{ "text": "Be" }] }),
            json!({ "sk": "EVENT#00000003", "id": "t-2-2", "position": 3, "attempt": 2, "sender": { "kind": "AGENT" },
                "content": [{ "text": "cause." }], "stopReason": "END_TURN" }),
            json!({ "sk": "META", "eventCount": 3 }),
            json!({ "sk": "TURN#t", "status": "COMPLETED", "attempt": 2, "questionPosition": 1, "answerPosition": 1,
                "runPosition": 1, "lastPosition": 3, "lastSequence": 4 }),
        ]
    }

    fn batches() -> Vec<Value> {
        vec![
            json!({ "attempt": 1, "sequence": 1 }),
            json!({ "attempt": 1, "sequence": 2, "text": "Other" }),
            json!({ "attempt": 2, "sequence": 1 }),
            json!({ "attempt": 2, "sequence": 2, "text": "Be" }),
            json!({ "attempt": 2, "sequence": 3, "text": "cau" }),
        ]
    }

    fn seen() -> Seen {
        Seen { question: Some("Why?".into()), text: "Because.".into(), status: TurnStatus::Completed }
    }

    fn violations(items: &[Value], batches: &[Value], seen: Seen) -> String {
        check(&Evidence { question: "Why?", said: "Because.", items, batches, seen: &[seen] }).concat()
    }

    #[test]
    fn a_conversation_as_it_should_be_passes() {
        assert_eq!(violations(&items(), &batches(), seen()), "");
    }

    #[test]
    fn each_broken_invariant_is_found() {
        let broken: [(&str, &str, Value); 11] = [
            ("1: the answer is closed 0 times", "/2/stopReason", Value::Null),
            ("1: the answer is closed 2 times", "/1/failure", json!({ "code": "INTERNAL" })),
            ("1: an event is stored twice", "/2/id", json!("t-2-1")),
            ("1: something was stored after", "/4/lastPosition", json!(4)),
            ("2: the question is", "/0/content/0/text", json!("What?")),
            ("2: of 8 bytes 6 are stored", "/1/content/0/text", json!("")),
            ("2: the answer is not what the model said", "/2/content/0/text", json!("fore.")),
            ("4: the turn is RUNNING", "/4/status", json!("RUNNING")),
            ("4: the conversation is still busy", "/3/activeTurnId", json!("t")),
            ("5: the positions are", "/1/position", json!(7)),
            ("5: the turn's last sequence is 2", "/4/lastSequence", json!(2)),
        ];
        for (complaint, place, value) in broken {
            let mut items = Value::Array(items());
            let (parent, member) = place.rsplit_once('/').unwrap();
            items.pointer_mut(parent).unwrap()[member] = value;
            let found = violations(items.as_array().unwrap(), &batches(), seen());
            assert!(found.contains(complaint), "{complaint}: {found}");
        }
    }

    #[test]
    fn batches_that_are_foreign_or_altered_are_found() {
        let with = |batch: Value| [batches(), vec![batch]].concat();
        let foreign = violations(&items(), &with(json!({ "attempt": 3, "sequence": 1 })), seen());
        assert!(foreign.contains("1: an attempt published that is not the turn's"), "{foreign}");
        let altered = violations(&items(), &with(json!({ "attempt": 2, "sequence": 4, "text": "ses" })), seen());
        assert!(altered.contains("7: "), "{altered}");
    }

    #[test]
    fn a_reader_who_saw_something_else_is_found() {
        for wrong in [
            Seen { text: "Becau".into(), ..seen() },
            Seen { status: TurnStatus::Failed, ..seen() },
            Seen { question: Some("What?".into()), ..seen() },
        ] {
            let found = violations(&items(), &batches(), wrong.clone());
            assert!(found.contains("3: reader 0 saw"), "{wrong:?}: {found}");
        }
    }
}
