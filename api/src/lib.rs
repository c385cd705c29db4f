//! Code that the handler, the gateway and the clients of the API share: the API's types, backoff with jitter,
//! request signing, signed requests, and the limits of messages to clients.
//!
//! Without the features `signing` and `http` this crate is pure: no I/O, no clock, no environment.
pub mod errors;
pub mod json_size;
pub mod message_limits;
pub mod object_only;
pub mod text;
pub mod types;

pub mod backoff;
#[cfg(feature = "http")]
pub mod delivery;
#[cfg(feature = "http")]
pub mod limited_body;
#[cfg(feature = "http")]
pub mod retry;
#[cfg(feature = "http")]
pub mod signed_http;
#[cfg(feature = "signing")]
pub mod signing;
