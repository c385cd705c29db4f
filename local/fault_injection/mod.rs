//! Fault injection: reproduces failures that AWS documents, at a configured rate or at an exact point.
//!
//! The database (`dynamodb`), the event queue (`lambda`) and the subscriptions (`graphql`) ask the
//! `FaultInjector` whenever they reach one of their injection points. Publish faults and process kills are
//! injected here, by middleware around the HTTP routes. Without a plan nothing is injected, and no middleware
//! is added.
mod fault;
mod injector;
mod plan;
mod process_kills;
mod publish_faults;

pub use fault::Fault;
pub use injector::FaultInjector;
pub use plan::{FaultPlan, UpdatePosition};
pub use process_kills::{Call, CallPhase, CallRecorder, KillPoint};
pub use publish_faults::wrap_router as with_publish_faults;
