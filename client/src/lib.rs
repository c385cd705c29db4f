//! A client of the conversations API: GraphQL over HTTP, AppSync's realtime protocol, and the rule that turns numbered
//! updates into text without gaps.
//!
//! [`rule`] and [`realtime::session`] are pure: they are handed what happened and the time, and are asked what to do.
//! [`appsync`], [`follower`] and [`realtime`] are their edges and decide nothing.
pub mod schema;

pub mod documents;
pub mod requests;

pub mod rule;

pub mod appsync;
pub mod credentials;
pub mod endpoint;
pub mod errors;
pub mod follower;
pub mod realtime;

pub use appsync::AppSync;
pub use credentials::Credentials;
pub use errors::Error;
pub use follower::Follower;
