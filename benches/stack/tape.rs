//! What the scripted model and the way to AppSync say of themselves, recorded.
use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Each with the moment it was said.
#[derive(Clone, Default)]
pub struct Tape(Arc<Mutex<Vec<Recorded>>>);

#[derive(Clone)]
pub struct Recorded {
    pub at: Instant,
    pub what: String,
    pub bytes: u64,
}

impl Tape {
    pub fn rewind(&self) {
        self.0.lock().expect("nobody panicked").clear();
    }

    pub fn events(&self) -> Vec<Recorded> {
        self.0.lock().expect("nobody panicked").clone()
    }
}

impl<S: Subscriber> Layer<S> for Tape {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut recorded = Recorded { at: Instant::now(), what: String::new(), bytes: 0 };
        event.record(&mut recorded);
        self.0.lock().expect("nobody panicked").push(recorded);
    }
}

impl Visit for Recorded {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.what = format!("{value:?}");
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "bytes" {
            self.bytes = value;
        }
    }
}
