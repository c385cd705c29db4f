//! The client rule: numbered updates, some of them lost, doubled or late, become exactly the stored text.
//!
//! Keep (attempt, next). A lower attempt: drop. A higher one: start at 1, with what stands from earlier runs if the attempt
//! continues them, else with nothing. The next sequence: apply. One beyond: ask getTurn for what lies between. Ask it also
//! for what stands, on subscribing, on reconnecting, and after ten seconds of silence while a turn is open. No clock and no
//! socket here: hand in what happened, then drain what to ask and what to show.
mod asking;
mod conversation;
mod page;
mod turn;

pub use conversation::{Ask, ConversationRule, Progress};
pub use turn::{Change, Ending, Refill, TurnRule};

#[cfg(test)]
mod simulation;
