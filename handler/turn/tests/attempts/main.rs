//! Attempts in memory under simulated time: scripted model streams and results go in, effects with their
//! times come out.
mod budgets;
mod golden;
mod interleavings;
mod received_text;
mod script;
mod shared_with_resolvers;
mod simulation;
mod token_counts;
mod transcripts;
