//! The local AppSync over real sockets, with a schema and resolvers for these tests.
mod definition_errors;
mod execution;
mod fixture;
mod http;
mod limits;
#[path = "../support/signer.rs"]
mod signer;
mod signing;
mod socket;
mod subscriptions;
mod tokens;
