//! A client of the conversations API.
//!
//! It speaks GraphQL over HTTP and AppSync's realtime protocol, and reassembles numbered updates into text
//! without gaps.
//!
//! [`reassembly`] and the state machine of [`realtime`] are pure: they are given events and the time, and
//! return what to do. [`appsync`], [`follower`] and the sockets of [`realtime`] do the I/O and decide
//! nothing.
pub mod schema;

pub mod documents;
pub mod requests;

pub mod reassembly;

pub mod appsync;
pub mod credentials;
pub mod endpoint;
pub mod errors;
pub mod follower;
pub mod realtime;

pub use appsync::AppSync;
pub use credentials::{Credentials, CredentialsProvider};
pub use errors::Error;
pub use follower::Follower;
