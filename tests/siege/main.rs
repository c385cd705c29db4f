//! A backend under siege: bytes that nobody would send, and clients that nobody would want.
//!
//! Fuzzing: each target takes a few hundred inputs of a fixed seed. `FUZZ_SECONDS=60 cargo test --test siege fuzz --
//! --nocapture` gives each target a minute of a fresh seed; `FUZZ_SEED=…` repeats one, `FUZZ_INPUT=file` one input.
//! Abuse: a well-behaved user has to be served meanwhile, and memory stays within bounds.

mod abuse;
mod besieged;
mod bystander;
mod dice;
mod fuzz;
mod wire;
