//! What the API sends, with the members that the cases leave out.
use client::schema::{ConversationEvents, ConversationUpdate, Turn};
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json};

/// The turn of a case that is about one.
pub const TURN_ID: &str = "t";

pub fn id(id: Value) -> Result<String, String> {
    parse(id)
}

pub fn update(mut update: Value) -> Result<ConversationUpdate, String> {
    set_defaults(&mut update, json!({ "conversationId": "c", "turnId": TURN_ID, "attempt": 1, "metadata": {} }));
    let owner = Owner { turn_id: update["turnId"].clone(), attempt: update["attempt"].clone() };
    set_metadata_defaults(member(&mut update, "metadata"));
    owner.set_event_defaults(member(&mut update, "event"));
    parse(update)
}

/// The answer of getTurn.
pub fn answered_turn(mut turn: Value) -> Result<Turn, String> {
    let defaults = json!({ "id": TURN_ID, "conversationId": "c", "status": "RUNNING", "run": 1, "attempt": 1,
        "hasMoreBatches": false });
    set_defaults(&mut turn, defaults);
    let owner = Owner { turn_id: turn["id"].clone(), attempt: turn["attempt"].clone() };
    owner.set_event_defaults(member(&mut turn, "question"));
    for event in items(&mut turn, "answer") {
        owner.set_event_defaults(Some(event));
    }
    for batch in items(&mut turn, "batches") {
        set_defaults(batch, json!({ "attempt": owner.attempt, "metadata": {} }));
        set_metadata_defaults(member(batch, "metadata"));
    }
    set_call_defaults(&mut turn);
    parse(turn)
}

/// The answer of getConversation.
pub fn events(mut response: Value) -> Result<ConversationEvents, String> {
    let owner = Owner { turn_id: TURN_ID.into(), attempt: 1.into() };
    if let Some(turn) = member(&mut response, "activeTurn") {
        set_defaults(turn, json!({ "status": "RUNNING" }));
    }
    if let Some(page) = member(&mut response, "events") {
        set_defaults(page, json!({ "hasMore": false }));
        for event in items(page, "items") {
            owner.set_event_defaults(Some(event));
        }
    }
    parse(response)
}

/// The turn and the attempt of what an event is in.
struct Owner {
    turn_id: Value,
    attempt: Value,
}

impl Owner {
    fn set_event_defaults(&self, event: Option<&mut Value>) {
        let Some(event) = event else { return };
        let is_user = event["sender"]["kind"] == "USER";
        let id = if is_user { self.turn_id.clone() } else { format!("e{}", event["position"]).into() };
        let attempt = if is_user { Value::Null } else { self.attempt.clone() };
        let content = match &event["text"] {
            Value::Null => json!([]),
            text => json!([{ "text": text }]),
        };
        let defaults = json!({ "id": id, "conversationId": "c", "turnId": self.turn_id, "attempt": attempt,
            "sender": { "kind": "AGENT" }, "content": content, "createdAt": "2026-01-01T00:00:00Z" });
        set_defaults(event, defaults);
        for block in items(event, "content") {
            if let Some(tool_use) = member(block, "toolUse") {
                set_defaults(tool_use, json!({ "name": "tool", "input": "{}" }));
            }
        }
    }
}

fn set_metadata_defaults(metadata: Option<&mut Value>) {
    let Some(metadata) = metadata else { return };
    set_defaults(metadata, json!({ "status": "RUNNING" }));
    if let Some(call) = member(metadata, "toolCall") {
        set_defaults(call, json!({ "name": "tool" }));
    }
    set_call_defaults(metadata);
}

fn set_call_defaults(owner: &mut Value) {
    for call in items(owner, "pending") {
        set_defaults(call, json!({ "name": "tool" }));
    }
}

/// A member that is an object.
fn member<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    value.get_mut(name).filter(|member| member.is_object())
}

/// The items of a member that is a list.
fn items<'a>(value: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Sets the members that an object does not have.
fn set_defaults(value: &mut Value, defaults: Value) {
    let (Value::Object(object), Value::Object(defaults)) = (value, defaults) else { return };
    for (name, default) in defaults {
        object.entry(name).or_insert(default);
    }
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    from_value(value).map_err(|error| error.to_string())
}
