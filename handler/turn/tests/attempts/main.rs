//! Attempts in memory under simulated time: scripted model streams and results go in, effects with their
//! times come out.
mod budgets;
mod contract;
mod golden;
mod interleavings;
mod received_text;
mod script;
mod simulation;
mod transcripts;
