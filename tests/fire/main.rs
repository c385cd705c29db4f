//! Everything that AWS does unkindly, at once and one by one, to the whole backend: real processes, sockets, JavaScript
//! and a real table. Whatever befalls, one checker finds every invariant kept.
//!
//! `FIRE_RUNS` is how many runs the weather gets, 40 unless it says otherwise; in 200 each kind of fault must have befallen.
mod boundaries;
mod checker;
mod crowds;
mod deliveries;
mod kills;
mod reader;
mod stage;
mod weather;
