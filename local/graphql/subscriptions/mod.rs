//! Subscriptions: their registry, the index that finds candidates, and their filters.
pub mod filter;
pub mod index;
pub mod registry;
