//! The limits of one execution and how much of them is used.
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::{sync::Semaphore, time::Instant};

use crate::stack::Limits;

/// AppSync's limit on the calls of `extensions.invalidateSubscriptions` in one request.
pub const MAX_INVALIDATIONS: usize = 5;
/// The number of resolvers of a request that run concurrently. Each of them holds a copy of the context that
/// its handlers see.
const MAX_CONCURRENT_RESOLVERS: usize = 16;
/// The approximate largest size of a response. AppSync documents 5 MB for what one resolver evaluates to, and
/// no limit for a whole response.
pub const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;
/// The size of a field or an error in addition to its text.
const ENTRY_BYTES: usize = 64;

/// Counters that the concurrent fields of one execution share.
pub struct ExecutionBudget {
    pub deadline: Instant,
    /// A permit for each resolver that may run concurrently.
    pub resolver_permits: Semaphore,
    limits: Limits,
    resolver_runs: AtomicUsize,
    invalidations: AtomicUsize,
    response_bytes: AtomicUsize,
}

impl ExecutionBudget {
    pub fn new(limits: Limits, deadline: Instant) -> Self {
        Self {
            deadline,
            resolver_permits: Semaphore::new(MAX_CONCURRENT_RESOLVERS),
            limits,
            resolver_runs: AtomicUsize::default(),
            invalidations: AtomicUsize::default(),
            response_bytes: AtomicUsize::default(),
        }
    }

    pub fn allows_depth(&self, depth: usize) -> bool {
        self.limits.query_depth.is_none_or(|limit| depth <= limit)
    }

    /// Counts a resolver run. Returns false if the request has no run left.
    pub fn try_run_resolver(&self) -> bool {
        self.resolver_runs.fetch_add(1, Ordering::Relaxed) < self.limits.resolvers
    }

    /// Counts an invalidation. Returns false if the request has no invalidation left.
    pub fn try_invalidate(&self) -> bool {
        self.invalidations.fetch_add(1, Ordering::Relaxed) < MAX_INVALIDATIONS
    }

    /// Counts an entry of the response with the given size of its own text. Returns false if the response was
    /// already too large.
    pub fn try_add_response_entry(&self, text_bytes: usize) -> bool {
        self.response_bytes.fetch_add(ENTRY_BYTES + text_bytes, Ordering::Relaxed) < MAX_RESPONSE_BYTES
    }

    pub fn is_response_too_large(&self) -> bool {
        self.response_bytes.load(Ordering::Relaxed) >= MAX_RESPONSE_BYTES
    }
}
