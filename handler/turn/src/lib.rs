//! Answering a turn, without the world: no async, no clock, no environment, no AWS.
//!
//! An [`attempt::Attempt`] is handed inputs and drained of steps; whoever runs it owns the sockets and the clock, asks
//! it when it wants to be woken, and decides nothing. Time is an argument everywhere.
pub mod request;
pub mod types;

pub mod claim;
pub mod closing_decision;
pub mod deadlines;
pub mod direct_write;
pub mod failures;
pub mod limits;
pub mod mutation;
pub mod status;
pub mod transcript;

pub mod answer;
pub mod attempt;
pub mod outbox;
pub mod pacing;

mod delivery;
mod json_size;
mod model_call;
mod token_estimate;
