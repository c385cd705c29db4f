//! Which events of a publish are broadcast, and the response to the publisher.
use std::{collections::BTreeSet, sync::Arc};

use serde::Serialize;
use serde_json::{Value, json};

use super::publish_input::MAX_EVENT_BYTES;
use crate::{json_input::JsonDocument, lone_surrogates};

/// An event of a publish that is JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct IncomingEvent {
    /// The identifier in the response, and the id that a handler sees.
    pub id: String,
    /// The event's position among all events of the publish.
    pub index: usize,
    /// As it was published.
    pub text: String,
    payload: Value,
}

/// The outcome of a publish: the members of the response, and what is broadcast.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct PublishOutcome {
    pub failed: Vec<FailedEvent>,
    pub successful: Vec<SuccessfulEvent>,
    /// The events for the subscribers, in order.
    #[serde(skip)]
    pub broadcast: Vec<Arc<str>>,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct SuccessfulEvent {
    pub identifier: String,
    pub index: usize,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct FailedEvent {
    pub code: &'static str,
    pub identifier: String,
    pub index: usize,
    pub message: String,
}

/// Whether a handler may change the events before their size is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeCheck {
    Now,
    AfterHandler,
}

impl PublishOutcome {
    /// Separates the events that are JSON from those that fail at once. `next_id` makes identifiers.
    pub fn begin(
        texts: Vec<String>,
        size_check: SizeCheck,
        mut next_id: impl FnMut() -> String,
    ) -> (Self, Vec<IncomingEvent>) {
        let (mut outcome, mut events) = (Self::default(), Vec::new());
        for (index, text) in texts.into_iter().enumerate() {
            let id = next_id();
            if size_check == SizeCheck::Now && text.len() > MAX_EVENT_BYTES {
                outcome.fail_too_large(id, index);
            } else if let Some(payload) = parse_payload(&text) {
                events.push(IncomingEvent { id, index, text, payload });
            } else {
                outcome.fail(id, index, "BadRequestException", "The event is not JSON.".into());
            }
        }
        (outcome, events)
    }

    /// Broadcasts the events as they were published.
    pub fn broadcast_unchanged(mut self, events: Vec<IncomingEvent>) -> Self {
        for IncomingEvent { id, index, text, .. } in events {
            self.add(id, index, text);
        }
        self
    }

    /// Broadcasts the events that a handler returned: a list of `{id, payload}` and `{id, error}`, or null.
    /// Events that are not in the list are neither broadcast nor part of the response. Fails if the list is
    /// not one.
    pub fn broadcast_returned(mut self, events: &[IncomingEvent], returned: &Value) -> Result<Self, String> {
        let items = match returned {
            Value::Null => &[],
            Value::Array(items) => items.as_slice(),
            other => return Err(format!("it returned {}, not a list of events", kind_of(other))),
        };
        let mut seen_ids = BTreeSet::new();
        for item in items.iter().filter(|item| !item.is_null()) {
            let id = item["id"].as_str().ok_or("it returned an event without an id")?;
            let event = events.iter().find(|event| event.id == id);
            let event = event.ok_or_else(|| format!("it returned an event with the unknown id {id}"))?;
            if !seen_ids.insert(id) {
                return Err(format!("it returned two events with the id {id}"));
            }
            match item.get("error").filter(|error| !error.is_null()) {
                Some(error) => self.fail(id.to_owned(), event.index, "BadRequestException", to_text(error)),
                None => self.add(id.to_owned(), event.index, item["payload"].to_string()),
            }
        }
        self.successful.sort_by_key(|event| event.index);
        self.failed.sort_by_key(|event| event.index);
        Ok(self)
    }

    fn add(&mut self, identifier: String, index: usize, text: String) {
        if text.len() > MAX_EVENT_BYTES {
            return self.fail_too_large(identifier, index);
        }
        self.successful.push(SuccessfulEvent { identifier, index });
        self.broadcast.push(text.into());
    }

    fn fail_too_large(&mut self, identifier: String, index: usize) {
        self.fail(identifier, index, "EventTooLargeException", "Transformed event is larger than 240KB".into());
    }

    /// AWS does not document the code of an event that a handler refuses.
    fn fail(&mut self, identifier: String, index: usize, code: &'static str, message: String) {
        self.failed.push(FailedEvent { code, identifier, index, message });
    }
}

/// `ctx.events` of a handler.
pub fn context_events(events: &[IncomingEvent]) -> Value {
    events.iter().map(|event| json!({ "id": event.id, "payload": event.payload })).collect()
}

/// Each lone surrogate is a question mark, as Java encodes it.
fn parse_payload(text: &str) -> Option<Value> {
    let document = JsonDocument::parse(text)?;
    let payload = document.value.to_json();
    Some(if document.has_lone_surrogates { lone_surrogates::decode_value_lossy(&payload) } else { payload })
}

fn to_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(texts: &[&str], size_check: SizeCheck) -> (PublishOutcome, Vec<IncomingEvent>) {
        let mut count = 0;
        PublishOutcome::begin(texts.iter().map(|text| (*text).to_owned()).collect(), size_check, || {
            count += 1;
            format!("u{count}")
        })
    }

    fn texts(outcome: &PublishOutcome) -> Vec<&str> {
        outcome.broadcast.iter().map(|event| &**event).collect()
    }

    #[test]
    fn events_without_handler_are_broadcast_as_published() {
        let (outcome, events) = begin(&["{ \"b\": 1, \"a\": 1.0 }", "\"txt\"", "7"], SizeCheck::Now);
        let outcome = outcome.broadcast_unchanged(events);
        assert_eq!(texts(&outcome), ["{ \"b\": 1, \"a\": 1.0 }", "\"txt\"", "7"]);
        let response = serde_json::to_string(&outcome).unwrap();
        let successful =
            r#"[{"identifier":"u1","index":0},{"identifier":"u2","index":1},{"identifier":"u3","index":2}]"#;
        assert_eq!(response, format!(r#"{{"failed":[],"successful":{successful}}}"#));
    }

    #[test]
    fn event_of_more_than_240_kilobytes_fails_alone() {
        let (largest, too_large) = ("1".repeat(MAX_EVENT_BYTES), "x".repeat(MAX_EVENT_BYTES + 1));
        // Numbers have at most 1,000 digits, so that only texts are this long.
        let largest = format!("\"{}\"", &largest[2..]);
        let (outcome, events) = begin(&[&too_large, &largest], SizeCheck::Now);
        let outcome = outcome.broadcast_unchanged(events);
        let failed = FailedEvent {
            code: "EventTooLargeException",
            identifier: "u1".into(),
            index: 0,
            message: "Transformed event is larger than 240KB".into(),
        };
        assert_eq!(outcome.failed, [failed]);
        assert_eq!(outcome.successful, [SuccessfulEvent { identifier: "u2".into(), index: 1 }]);

        let (outcome, events) = begin(&[&format!("\"{too_large}\"")], SizeCheck::AfterHandler);
        let shortened = outcome.broadcast_returned(&events, &json!([{ "id": "u1", "payload": "short" }])).unwrap();
        assert_eq!(texts(&shortened), ["\"short\""]);
        let (outcome, events) = begin(&["1"], SizeCheck::AfterHandler);
        let lengthened = outcome.broadcast_returned(&events, &json!([{ "id": "u1", "payload": too_large }])).unwrap();
        assert_eq!(lengthened.failed[0].code, "EventTooLargeException");
    }

    #[test]
    fn event_that_is_not_json_fails_alone() {
        let (outcome, events) = begin(&["hello", "[1]"], SizeCheck::Now);
        let outcome = outcome.broadcast_unchanged(events);
        assert_eq!(texts(&outcome), ["[1]"]);
        assert_eq!((outcome.failed[0].index, outcome.failed[0].message.as_str()), (0, "The event is not JSON."));
    }

    #[test]
    fn handler_selects_changes_and_refuses_events() {
        let (outcome, events) = begin(&["{\"a\":1}", "{\"b\":2}", "3", "4"], SizeCheck::AfterHandler);
        assert_eq!(context_events(&events)[1], json!({ "id": "u2", "payload": { "b": 2 } }));
        let returned = json!([
            { "id": "u4", "payload": { "c": 3 } }, null, { "id": "u1", "error": "bad" },
            { "id": "u3", "payload": 3, "error": null }
        ]);
        let outcome = outcome.broadcast_returned(&events, &returned).unwrap();
        assert_eq!(texts(&outcome), ["{\"c\":3}", "3"]);
        let indexes: Vec<usize> = outcome.successful.iter().map(|event| event.index).collect();
        assert_eq!(indexes, [2, 3]);
        assert_eq!((outcome.failed[0].index, outcome.failed[0].message.as_str()), (0, "bad"));
        for nothing in [json!(null), json!([])] {
            let (outcome, events) = begin(&["1"], SizeCheck::AfterHandler);
            assert_eq!(outcome.broadcast_returned(&events, &nothing), Ok(PublishOutcome::default()));
        }
    }

    #[test]
    fn invalid_result_of_a_handler_is_an_error() {
        for (returned, error) in [
            (json!({}), "it returned an object, not a list of events"),
            (json!("x"), "it returned a text, not a list of events"),
            (json!([7]), "it returned an event without an id"),
            (json!([{ "payload": 1 }]), "it returned an event without an id"),
            (json!([{ "id": "u2", "payload": 1 }]), "it returned an event with the unknown id u2"),
            (json!([{ "id": "u1" }, { "id": "u1" }]), "it returned two events with the id u1"),
        ] {
            let (outcome, events) = begin(&["1"], SizeCheck::AfterHandler);
            assert_eq!(outcome.broadcast_returned(&events, &returned), Err(error.to_owned()), "{returned}");
        }
    }
}
