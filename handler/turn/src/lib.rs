//! The pure core of the handler: the state machine of one attempt at a turn, without async, clock,
//! environment or AWS.
//!
//! An [`attempt::Attempt`] takes [`attempt::Input`]s and returns [`effect::Effect`]s. Its caller performs the
//! effects, owns the sockets and the clock, and decides nothing. Time is always an argument.
pub mod model;
pub mod request;

pub mod capabilities;
pub mod citations;
pub mod claim;
pub mod closing_decision;
pub mod deadlines;
pub mod direct_write;
pub mod effective_status;
pub mod failures;
pub mod history;
pub mod knowledge;
pub mod knowledge_filter;
pub mod knowledge_tool;
pub mod limits;
pub mod model_settings;
pub mod mutation;
pub mod one_shot;
pub mod replies;
pub mod title;
pub mod tool;
pub mod tool_runs;
pub mod transcript;
pub mod transcript_size;

pub mod answer;
pub mod attempt;
pub mod effect;
pub mod outbox;
pub mod pacing;
pub mod retrieval;

mod citation_markers;
mod delivery;
mod fallback_models;
mod guardrail;
mod model_call;
mod query_rewriting;
mod search_results;
#[cfg(test)]
mod test_support;
mod token_estimate;
mod tool_calls;
