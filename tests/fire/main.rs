//! Everything that AWS does unkindly, at once and one by one, to the whole backend: real processes, sockets, JavaScript
//! and a real table. Whatever befalls, one checker finds every invariant kept.
//!
//! `FIRE_RUNS` is how many runs the weather gets, 200 unless it says otherwise.
mod boundaries;
mod checker;
mod crowds;
mod deliveries;
mod kills;
mod reader;
mod stage;
mod weather;
