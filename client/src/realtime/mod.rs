//! AppSync's realtime protocol: subscriptions over one WebSocket, which is reopened when it is lost.
mod subscription;

mod connection;
mod frames;
mod signal_queue;
mod socket;

pub use connection::Signal;
pub use subscription::{Realtime, Subscription};
