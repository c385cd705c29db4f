//! Where each item is.
use super::items::{Item, text};

pub const META: &str = "META";

pub fn meta_key(conversation: &str) -> Item {
    key(&conversation_partition(conversation), META)
}

pub fn turn_key(conversation: &str, turn: &str) -> Item {
    key(&conversation_partition(conversation), &format!("TURN#{turn}"))
}

pub fn event_key(conversation: &str, position: u32) -> Item {
    key(&conversation_partition(conversation), &event_sort(position))
}

pub fn event_sort(position: u32) -> String {
    format!("EVENT#{position:08}")
}

pub fn batch_sort(attempt: u32, sequence: u32) -> String {
    format!("{attempt:06}#{sequence:06}")
}

pub fn conversation_partition(conversation: &str) -> String {
    format!("CONVERSATION#{conversation}")
}

pub fn batches_partition(conversation: &str, turn: &str) -> String {
    format!("TURN#{conversation}#{turn}")
}

/// What a user has used on a day: `2026-11-21`.
pub fn day_key(user: &str, day: &str) -> Item {
    key(&format!("USAGE#{user}"), &format!("DAY#{day}"))
}

fn key(partition: &str, sort: &str) -> Item {
    Item::from([("pk".to_owned(), text(partition)), ("sk".to_owned(), text(sort))])
}
