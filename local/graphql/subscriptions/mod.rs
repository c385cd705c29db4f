//! Subscriptions: their registry, the index that finds candidates for a payload, and their filters.
pub mod filter;
mod index;
pub mod registry;

use super::{request::CallContext, validation::operation::PreparedOperation};

/// An accepted subscription: its field, its caller and its selection.
pub struct Subscription {
    pub field: String,
    pub prepared: PreparedOperation,
    pub call: CallContext,
}
