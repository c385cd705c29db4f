//! Chaos tests: the whole local server with real processes and sockets, under every fault of
//! `fault_injection`. After each scenario the checker asserts the invariants.
//!
//! `CHAOS_RUNS` is the number of turns under random faults, and of turns with tools. From 200 on, every fault
//! must have been injected.
mod agent_tools;
#[path = "../support/answer_parts.rs"]
mod answer_parts;
mod checker;
mod concurrency;
mod deliveries;
#[path = "../support/entry_clients.rs"]
mod entry_clients;
mod entry_points;
mod fixture;
mod kills;
#[path = "../support/lambda_function.rs"]
mod lambda_function;
mod random_faults;
mod reader;
mod reader_boundaries;
