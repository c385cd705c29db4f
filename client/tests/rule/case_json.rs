//! Changes and requests of the rule as the shared cases write them.
use std::time::Instant;

use client::reassembly::{Change, ConversationChange, Fetch, TurnChange, TurnQuery};
use serde_json::{Value, json};

pub fn change(change: &Change) -> Value {
    match change {
        Change::Question(event) => json!({ "question": event }),
        Change::Appended(text) => json!({ "appended": text }),
        Change::Replaced(text) => json!({ "replaced": text }),
        Change::ReasoningAppended { content_block_index, text } => {
            json!({ "reasoningAppended": text, "contentBlockIndex": content_block_index })
        }
        Change::ReasoningCleared => json!({ "reasoningCleared": true }),
        Change::Reasoned(reasoning) => json!({ "reasoned": reasoning }),
        Change::ToolCalled(tool_use) => json!({ "toolCalled": tool_use }),
        Change::ToolProgress(call) => json!({ "toolProgress": call }),
        Change::Waiting(calls) => json!({ "waiting": calls }),
        Change::ToolResult(result) => json!({ "toolResult": result }),
        Change::Cited(citations) => json!({ "cited": citations }),
        Change::Note(note) => json!({ "note": note }),
        Change::Ended(end) => json!({ "ended": { "status": end.status, "stopReason": end.stop_reason,
            "failure": end.failure, "usage": end.usage } }),
        Change::Reopened => json!({ "reopened": true }),
    }
}

pub fn conversation_change(change: &ConversationChange) -> Value {
    match change {
        ConversationChange::Turn(TurnChange { turn_id, change }) => {
            let mut json = self::change(change);
            json["turnId"] = turn_id.as_str().into();
            json
        }
        ConversationChange::Titled(title) => json!({ "titled": title }),
    }
}

/// The arguments of getTurn. The attempt is null where it is the turn's current one.
pub fn query(query: &TurnQuery) -> Value {
    json!({ "getTurn": { "attempt": query.attempt, "afterSequence": query.after_sequence } })
}

pub fn fetch(fetch: &Fetch) -> Value {
    match fetch {
        Fetch::Events { after } => json!({ "getEvents": { "after": after } }),
        Fetch::Turn { turn_id, query } => {
            let mut json = self::query(query);
            json["getTurn"]["id"] = turn_id.as_str().into();
            json
        }
    }
}

/// In milliseconds from now: negative where the time has passed, null where nothing is to be done.
pub fn wake_in(wake_at: Option<Instant>, now: Instant) -> Value {
    wake_at.map_or(Value::Null, |at| match at.checked_duration_since(now) {
        Some(later) => (later.as_millis() as i64).into(),
        None => (-((now - at).as_millis() as i64)).into(),
    })
}
