//! Queues that keep the failure records of functions. Nothing receives from them.
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

/// The records of each queue, oldest first, by the queue's ARN.
#[derive(Default)]
pub(super) struct FailureQueues(Mutex<BTreeMap<String, Vec<Value>>>);

impl FailureQueues {
    /// Returns how many records the queue has now.
    pub fn send(&self, queue_arn: &str, record: Value) -> usize {
        let mut queues = self.lock();
        let records = queues.entry(queue_arn.to_owned()).or_default();
        records.push(record);
        records.len()
    }

    pub fn records(&self, queue_arn: &str) -> Vec<Value> {
        self.lock().get(queue_arn).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Value>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
