//! Code that the handler and the clients of the API share: the API's types, backoff with jitter, and
//! request signing.
//!
//! Without the feature `signing` this crate is pure: no I/O, no clock, no environment.
pub mod errors;
pub mod text;
pub mod types;

pub mod backoff;
#[cfg(feature = "signing")]
pub mod signing;
