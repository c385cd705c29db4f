//! The entry points AppSync Events and WebSocket API: the samples' own messages, one conversation over all
//! entry points, and who hears whom.
#[path = "../../support/answer_parts.rs"]
mod answer_parts;
mod authorizer;
mod callers;
mod channels;
mod commands;
#[path = "../../support/entry_clients.rs"]
mod entry_clients;
mod fixture;
mod one_conversation;
mod samples;
mod sharing;
