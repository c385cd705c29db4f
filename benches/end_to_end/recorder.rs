//! A tracing layer that records the events of the scripted model and of the publish path with their times.
use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<RecordedEvent>>>);

#[derive(Clone)]
pub struct RecordedEvent {
    pub at: Instant,
    pub message: String,
    /// The field `bytes`, or zero.
    pub bytes: u64,
}

impl Recorder {
    /// Forgets all events recorded so far.
    pub fn clear(&self) {
        self.0.lock().expect("the mutex is not poisoned").clear();
    }

    pub fn events(&self) -> Vec<RecordedEvent> {
        self.0.lock().expect("the mutex is not poisoned").clone()
    }

    pub fn first(&self, message: &str) -> Option<RecordedEvent> {
        self.events().into_iter().find(|event| event.message == message)
    }
}

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut recorded = RecordedEvent { at: Instant::now(), message: String::new(), bytes: 0 };
        event.record(&mut recorded);
        self.0.lock().expect("the mutex is not poisoned").push(recorded);
    }
}

impl Visit for RecordedEvent {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "bytes" {
            self.bytes = value;
        }
    }
}
