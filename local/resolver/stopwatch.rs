//! Ends a handler that takes too long.
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The time of the handler that is running, if one is. Clones share it.
#[derive(Clone, Default)]
pub struct Stopwatch(Rc<Cell<Option<Running>>>);

#[derive(Clone, Copy)]
struct Running {
    since: Instant,
    most: Duration,
}

impl Stopwatch {
    pub fn start(&self, most: Duration) {
        self.0.set(Some(Running { since: Instant::now(), most }));
    }

    pub fn stop(&self) {
        self.0.set(None);
    }

    /// What to say of a handler that has used its time up.
    pub fn overrun(&self) -> Option<String> {
        let Running { since, most } = self.0.get()?;
        (since.elapsed() > most).then(|| format!("The handler ran longer than {most:?}."))
    }
}
