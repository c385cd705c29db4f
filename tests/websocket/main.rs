//! The local WebSocket API over real sockets, with the stack of tests/websocket/stack.
mod authorizer;
mod connecting;
mod fixture;
mod functions;
mod limits;
mod management;
mod messages;
#[path = "../support/signer.rs"]
mod signer;
mod socket;
mod templates;
