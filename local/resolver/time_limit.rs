//! The time limit of a handler.
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The time limit of the running handler, if one is running. Clones share it.
#[derive(Clone, Default)]
pub struct TimeLimit(Rc<Cell<Option<Running>>>);

#[derive(Clone, Copy)]
struct Running {
    started: Instant,
    limit: Duration,
}

impl TimeLimit {
    pub fn start(&self, limit: Duration) {
        self.0.set(Some(Running { started: Instant::now(), limit }));
    }

    pub fn stop(&self) {
        self.0.set(None);
    }

    /// The error message if the handler has exceeded its limit.
    pub fn exceeded(&self) -> Option<String> {
        let Running { started, limit } = self.0.get()?;
        (started.elapsed() > limit).then(|| format!("The handler ran longer than {limit:?}."))
    }
}
