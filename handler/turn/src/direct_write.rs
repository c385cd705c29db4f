//! What is written to the table directly, where AppSync does not serve.
use std::sync::Arc;

use crate::{claim::Claim, mutation::Mutation};

/// One write, under the fence of its attempt. Doing it twice is doing it once.
#[derive(Clone, Debug, PartialEq)]
pub enum DirectWrite {
    /// Extends the attempt's lease, and tells the turn's status.
    RenewLease(Claim),
    /// Stores an agent's event exactly as AppSync's resolvers would; a closing one has been announced to nobody.
    StoreEvent(Arc<Mutation>),
}

/// Why a write did not succeed, as far as an attempt branches on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFailure {
    /// It may have been done or not: do the same again.
    Again,
    /// Another attempt owns the turn, or it has ended.
    Stale,
}
