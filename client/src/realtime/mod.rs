//! AppSync's realtime protocol: several subscriptions over one WebSocket, which is made anew whenever it is lost.
pub mod backoff;
pub mod frames;
pub mod session;

mod mailbox;
mod socket;
mod subscription;

pub use subscription::{Realtime, Subscription};
