//! Writes to the table that bypass AppSync.
use std::sync::Arc;

use crate::{claim::Claim, mutation::Mutation};

/// One idempotent write. The table refuses it once the attempt no longer owns the turn.
#[derive(Clone, Debug, PartialEq)]
pub enum DirectWrite {
    /// Extends the attempt's lease and returns the turn's status.
    RenewLease(Claim),
    /// Stores an agent's event as AppSync's resolvers would. A closing event is stored as not announced.
    StoreEvent(Arc<Mutation>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFailure {
    /// The write may have been done or not: the same write is sent again.
    Retryable,
    /// Another attempt owns the turn, or the turn has ended.
    Stale,
}
