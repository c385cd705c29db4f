//! Runs the shared cases of tests/client-rule. Its README.md describes their format.
mod input;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use client::reassembly::{ConversationReassembly, TurnReassembly};
use input::TURN_ID;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::case_json;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/client-rule");
const EXPECTATIONS: [&str; 6] = ["changes", "requests", "text", "reasoning", "wakeIn", "isOpen"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    behavior: String,
    of: Subject,
    steps: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Subject {
    Turn,
    Conversation,
}

/// What a case is about, and its clock.
struct Runner {
    rule: Rule,
    now: Instant,
    /// The displayed texts by turn.
    texts: BTreeMap<String, String>,
    /// The displayed reasoning that no stored event has, by turn.
    reasoning: BTreeMap<String, String>,
}

enum Rule {
    Turn(Box<TurnReassembly>),
    Conversation(Box<ConversationReassembly>),
}

/// Runs every case. Panics with all steps that do not give what is expected.
pub fn check_all() {
    let files = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    assert!(files.len() >= 60, "{} cases in {FOLDER}", files.len());
    let failures: Vec<String> = files.iter().filter_map(|path| check(path).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Runs the steps of a case that is about a conversation.
pub fn check_conversation(steps: &[Value]) -> Result<(), String> {
    check_steps(&Subject::Conversation, steps)
}

fn check(path: &Path) -> Result<(), String> {
    let name = path.file_stem().unwrap().to_string_lossy();
    let text = fs::read_to_string(path).unwrap();
    let case: Case = serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
    check_steps(&case.of, &case.steps).map_err(|error| format!("{name}, {error}\n{}", case.behavior))
}

fn check_steps(subject: &Subject, steps: &[Value]) -> Result<(), String> {
    let mut runner = Runner::new(subject);
    for (number, step) in (1..).zip(steps.iter().flat_map(unrolled)) {
        runner.run(step).map_err(|error| format!("step {number}: {error}"))?;
    }
    Ok(())
}

/// A step, or the steps of a repetition.
fn unrolled(step: &Value) -> Vec<&Map<String, Value>> {
    let Some(times) = step["repeat"]["times"].as_u64() else { return step.as_object().into_iter().collect() };
    let steps = step["repeat"]["steps"].as_array().into_iter().flatten();
    let steps: Vec<_> = steps.filter_map(Value::as_object).collect();
    (0..times).flat_map(|_| steps.iter().copied()).collect()
}

impl Runner {
    fn new(subject: &Subject) -> Self {
        let now = Instant::now();
        let rule = match subject {
            Subject::Turn => Rule::Turn(Box::new(TurnReassembly::new(now))),
            Subject::Conversation => Rule::Conversation(Box::default()),
        };
        let texts = match subject {
            Subject::Turn => BTreeMap::from([(TURN_ID.to_owned(), String::new())]),
            Subject::Conversation => BTreeMap::new(),
        };
        Self { rule, now, reasoning: texts.clone(), texts }
    }

    /// Takes the step's action and compares what follows with what the step expects.
    fn run(&mut self, step: &Map<String, Value>) -> Result<(), String> {
        let actions: Vec<_> = step.iter().filter(|(name, _)| !EXPECTATIONS.contains(&name.as_str())).collect();
        let [(action, argument)] = actions.as_slice() else { return Err(format!("one action a step: {actions:?}")) };
        self.act(action, (*argument).clone())?;
        let requests = self.drain_requests();
        let changes = self.drain_changes();
        let none = json!([]);
        compare("requests", step.get("requests").unwrap_or(&none), &requests)?;
        compare("changes", step.get("changes").unwrap_or(&none), &changes)?;
        if let Some(expected) = step.get("wakeIn") {
            compare("wakeIn", expected, &self.wake_in())?;
        }
        if let Some(expected) = step.get("isOpen") {
            compare("isOpen", expected, &self.is_open())?;
        }
        compare_texts("text", step.get("text"), &self.texts)?;
        compare_texts("reasoning", step.get("reasoning"), &self.reasoning)
    }

    fn act(&mut self, action: &str, argument: Value) -> Result<(), String> {
        let now = self.now;
        match (&mut self.rule, action) {
            (_, "advance") => {
                self.now += Duration::from_millis(argument.as_u64().ok_or("advance takes milliseconds")?);
                match &mut self.rule {
                    Rule::Turn(turn) => turn.advance(self.now),
                    Rule::Conversation(conversation) => conversation.advance(self.now),
                }
            }
            (Rule::Turn(turn), "update") => turn.on_update(&input::update(argument)?, now),
            (Rule::Turn(turn), "turn") => turn.on_turn(&input::answered_turn(argument)?, now),
            (Rule::Turn(turn), "turnFailed") => turn.on_turn_failed(now),
            (Rule::Turn(turn), "stale") => turn.mark_stale(),
            (Rule::Conversation(conversation), "subscribed") => conversation.on_subscribed(),
            (Rule::Conversation(conversation), "expectTurn") => conversation.expect_turn(&input::id(argument)?, now),
            (Rule::Conversation(conversation), "update") => conversation.on_update(&input::update(argument)?, now),
            (Rule::Conversation(conversation), "turn") => conversation.on_turn(&input::answered_turn(argument)?, now),
            (Rule::Conversation(conversation), "turnFailed") => conversation.on_turn_failed(&input::id(argument)?, now),
            (Rule::Conversation(conversation), "events") => conversation.on_events(&input::events(argument)?, now),
            (Rule::Conversation(conversation), "eventsFailed") => conversation.on_events_failed(now),
            _ => return Err(format!("{action} is no action of this rule")),
        }
        Ok(())
    }

    fn drain_requests(&mut self) -> Value {
        match &mut self.rule {
            Rule::Turn(turn) => {
                std::iter::from_fn(|| turn.poll_query()).map(|query| case_json::query(&query)).collect()
            }
            Rule::Conversation(conversation) => {
                std::iter::from_fn(|| conversation.poll_fetch()).map(|fetch| case_json::fetch(&fetch)).collect()
            }
        }
    }

    fn drain_changes(&mut self) -> Value {
        let changes: Vec<Value> = match &mut self.rule {
            Rule::Turn(turn) => {
                std::iter::from_fn(|| turn.poll_change()).map(|change| case_json::change(&change)).collect()
            }
            Rule::Conversation(conversation) => std::iter::from_fn(|| conversation.poll_change())
                .map(|change| case_json::conversation_change(&change))
                .collect(),
        };
        for change in changes.iter().filter(|change| change.get("titled").is_none()) {
            let turn_id = change["turnId"].as_str().unwrap_or(TURN_ID);
            let text = self.texts.entry(turn_id.to_owned()).or_default();
            if let Some(appended) = change["appended"].as_str() {
                text.push_str(appended);
            }
            if let Some(replaced) = change["replaced"].as_str() {
                replaced.clone_into(text);
            }
            let reasoning = self.reasoning.entry(turn_id.to_owned()).or_default();
            if let Some(appended) = change["reasoningAppended"].as_str() {
                reasoning.push_str(appended);
            }
            if change["reasoningCleared"] == true {
                reasoning.clear();
            }
        }
        changes.into()
    }

    fn wake_in(&self) -> Value {
        let wake_at = match &self.rule {
            Rule::Turn(turn) => turn.wake_at(),
            Rule::Conversation(conversation) => conversation.wake_at(),
        };
        case_json::wake_in(wake_at, self.now)
    }

    /// Null for a conversation.
    fn is_open(&self) -> Value {
        match &self.rule {
            Rule::Turn(turn) => turn.is_open().into(),
            Rule::Conversation(_) => Value::Null,
        }
    }
}

/// Compares the texts of turns with what a step expects: of the one turn, or by turn.
fn compare_texts(what: &str, expected: Option<&Value>, actual: &BTreeMap<String, String>) -> Result<(), String> {
    match expected {
        None => Ok(()),
        Some(Value::String(text)) => compare(what, &json!({ TURN_ID: text }), &json!(actual)),
        Some(texts) => compare(what, texts, &json!(actual)),
    }
}

fn compare(what: &str, expected: &Value, actual: &Value) -> Result<(), String> {
    if contains(actual, expected) { Ok(()) } else { Err(format!("expected {what} {expected}, got {actual}")) }
}

/// Whether the value has all that is expected. It may have more members, and lists have all items.
fn contains(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => {
            expected.iter().all(|(name, expected)| contains(actual.get(name).unwrap_or(&Value::Null), expected))
        }
        (Value::Array(actual), Value::Array(expected)) => {
            actual.len() == expected.len()
                && actual.iter().zip(expected).all(|(actual, expected)| contains(actual, expected))
        }
        _ => actual == expected,
    }
}
