//! Keys of the table's items.
use super::attributes::{Item, string};

/// The sort key of a conversation's own item.
pub const META: &str = "META";
/// Starts the sort key of a turn.
pub const TURN_PREFIX: &str = "TURN#";
/// Starts the sort key of a participant.
pub const PARTICIPANT_PREFIX: &str = "PARTICIPANT#";

pub fn conversation_key(conversation_id: &str) -> Item {
    key(&conversation_partition(conversation_id), META)
}

pub fn turn_key(conversation_id: &str, turn_id: &str) -> Item {
    key(&conversation_partition(conversation_id), &format!("{TURN_PREFIX}{turn_id}"))
}

pub fn participant_key(conversation_id: &str, user_id: &str) -> Item {
    key(&conversation_partition(conversation_id), &format!("{PARTICIPANT_PREFIX}{user_id}"))
}

pub fn event_key(conversation_id: &str, position: u32) -> Item {
    key(&conversation_partition(conversation_id), &event_sort_key(position))
}

/// The key of what a user has used of the daily quota. `day`: `2026-11-21`.
pub fn usage_key(user_id: &str, day: &str) -> Item {
    key(&format!("USAGE#{user_id}"), &format!("DAY#{day}"))
}

/// The key of a user's connection to the WebSocket API.
pub fn connection_key(user_id: &str, connection_id: &str) -> Item {
    key(&format!("CONNECTIONS#{user_id}"), connection_id)
}

/// The partition of a conversation with its events and turns.
pub fn conversation_partition(conversation_id: &str) -> String {
    format!("CONVERSATION#{conversation_id}")
}

/// The partition of a turn's batches, claimed tool calls and answers to waiting ones.
pub fn batches_partition(conversation_id: &str, turn_id: &str) -> String {
    format!("TURN#{conversation_id}#{turn_id}")
}

pub fn event_sort_key(position: u32) -> String {
    format!("EVENT#{position:08}")
}

pub fn batch_sort_key(attempt: u32, sequence: u32) -> String {
    format!("{attempt:06}#{sequence:06}")
}

/// The key of a claimed tool call. `position` is that of the event with the call.
pub fn tool_claim_key(conversation_id: &str, turn_id: &str, position: u32, tool_use_id: &str) -> Item {
    key(&batches_partition(conversation_id, turn_id), &format!("TOOL#{position:08}#{tool_use_id}"))
}

/// The sort key of the answer to a waiting tool call. `position` is that of the event with the call.
pub fn answer_sort_key(position: u32, tool_use_id: &str) -> String {
    format!("ANSWER#{tool_use_id}#{position:08}")
}

fn key(partition: &str, sort: &str) -> Item {
    Item::from([("pk".to_owned(), string(partition)), ("sk".to_owned(), string(sort))])
}
