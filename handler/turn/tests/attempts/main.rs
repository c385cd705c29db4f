//! One attempt after the other, in memory and in no time: what the model says and AppSync answers goes in, timed; what
//! is published comes out, timed.
mod budgets;
mod cases;
mod contract;
mod interleavings;
mod script;
mod simulation;
mod transcripts;
