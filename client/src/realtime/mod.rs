//! AppSync's realtime protocol: subscriptions that share one WebSocket, which is reconnected whenever it is lost.
mod subscription;

mod connection;
mod frames;
mod signal_queue;
mod socket;

pub use connection::Signal;
pub use subscription::{Realtime, Subscription};
