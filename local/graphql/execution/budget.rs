//! What one execution has used up, and what went wrong in it.
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use apollo_compiler::{Node, executable::Field};
use tokio::{sync::Semaphore, time::Instant};

use crate::graphql::{
    execution::field_context::Site,
    execution::selection::Reading,
    graphql_error::{Detail, GraphqlError, Location},
};
use crate::stack::Limits;

/// AppSync's limit on the calls of `extensions.invalidateSubscriptions` in one request.
pub const INVALIDATIONS_PER_REQUEST: usize = 5;
/// How many resolvers of a request run at once; each of them holds a copy of what its handlers see.
const RESOLVERS_AT_ONCE: usize = 16;
/// What a response may come to, roughly: AppSync documents 5 MB for what one resolver evaluates to, and none for the
/// whole.
pub const ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// What a field or an error weighs beside its own text.
const ENTRY_BYTES: usize = 64;

/// The account of one execution; its fields write into it side by side.
pub struct Ledger<'a> {
    pub reading: Reading<'a>,
    pub deadline: Instant,
    limits: Limits,
    errors: Mutex<Vec<GraphqlError>>,
    resolved: AtomicUsize,
    invalidated: AtomicUsize,
    answered: AtomicUsize,
    pub running: Semaphore,
}

impl<'a> Ledger<'a> {
    pub fn new(reading: Reading<'a>, limits: Limits, deadline: Instant) -> Self {
        Self {
            reading,
            deadline,
            limits,
            errors: Mutex::default(),
            resolved: AtomicUsize::default(),
            invalidated: AtomicUsize::default(),
            answered: AtomicUsize::default(),
            running: Semaphore::new(RESOLVERS_AT_ONCE),
        }
    }

    /// Counts a resolver that is about to run; false when the request has run too many.
    pub fn may_resolve(&self) -> bool {
        self.resolved.fetch_add(1, Ordering::Relaxed) < self.limits.resolvers
    }

    /// Whether a field may stand as deep as it does.
    pub fn may_descend(&self, site: &Site<'_>) -> bool {
        self.limits.query_depth.is_none_or(|deepest| site.path.depth() <= deepest)
    }

    /// Counts an invalidation that is about to be told; false when the request has told too many.
    pub fn may_invalidate(&self) -> bool {
        self.invalidated.fetch_add(1, Ordering::Relaxed) < INVALIDATIONS_PER_REQUEST
    }

    /// Counts an entry of the response with so much text of its own; false when the response is too large already.
    pub fn may_answer(&self, text_bytes: usize) -> bool {
        self.answered.fetch_add(ENTRY_BYTES + text_bytes, Ordering::Relaxed) < ANSWER_BYTES
    }

    pub fn is_too_large(&self) -> bool {
        self.answered.load(Ordering::Relaxed) >= ANSWER_BYTES
    }

    /// Nobody will read an error of a response that is too large.
    pub fn report(&self, error: GraphqlError) {
        if !self.may_answer(error.text_bytes()) {
            return;
        }
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    }

    pub fn report_at(&self, site: &Site<'_>, error_type: &str, sentence: impl Into<String>) {
        let (path, location) = (site.path.segments(), self.location(site.field));
        self.report(GraphqlError::of_field(sentence, Detail::of_type(error_type), path, location));
    }

    pub fn location(&self, field: &Node<Field>) -> Option<Location> {
        Location::of(field.location(), &self.reading.document.sources)
    }

    pub fn into_errors(self) -> Vec<GraphqlError> {
        self.errors.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
