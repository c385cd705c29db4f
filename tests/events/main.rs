//! The local Events API over real sockets, with the stack of tests/events/stack.
mod access;
mod fixture;
mod handler_code;
mod limits;
mod namespace_handlers;
mod publishing;
#[path = "../support/signer.rs"]
mod signer;
mod socket;
mod subscriptions;
mod templates;
