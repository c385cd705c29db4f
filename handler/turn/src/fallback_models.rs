//! The models that are asked in turn where the agent's model cannot answer.
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{deadlines::Deadlines, limits::Limits};

#[derive(Debug)]
pub struct FallbackModels {
    /// At most three.
    remaining: VecDeque<String>,
    /// How long a throttled model is called again while there is another one.
    delay: Duration,
}

impl FallbackModels {
    pub fn new(model_ids: &[String], limits: &Limits) -> Self {
        Self { remaining: model_ids.iter().cloned().collect(), delay: limits.fallback_model_delay }
    }

    pub fn take_next(&mut self) -> Option<String> {
        self.remaining.pop_front()
    }

    /// The answer has begun: no other model is asked any more.
    pub fn clear(&mut self) {
        self.remaining.clear();
    }

    /// The deadlines of a call that begins now.
    pub fn deadlines(&self, deadlines: Deadlines, now: Instant) -> Deadlines {
        if self.remaining.is_empty() {
            return deadlines;
        }
        Deadlines { retry_model_until: deadlines.retry_model_until.min(now + self.delay), ..deadlines }
    }
}
