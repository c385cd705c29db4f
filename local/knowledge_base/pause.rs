//! The pause of a database that scales to zero: its first search wakes it up, and fails until it is awake.
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::fault_injection::{Fault, FaultInjector};

pub struct Pause {
    resume_time: Duration,
    faults: FaultInjector,
    /// When the database is awake.
    awake_at: Mutex<Option<Instant>>,
}

impl Pause {
    pub fn new(resume_time: Duration, faults: FaultInjector) -> Self {
        Self { resume_time, faults, awake_at: Mutex::default() }
    }

    /// Whether a search finds the database waking up.
    pub fn is_resuming(&self) -> bool {
        let now = Instant::now();
        let mut awake_at = self.awake_at.lock().unwrap_or_else(PoisonError::into_inner);
        if awake_at.take_if(|moment| *moment <= now).is_some() {
            // The search after the pause succeeds.
            return false;
        }
        if awake_at.is_none() && self.faults.should_inject(Fault::KnowledgeResuming) {
            *awake_at = Some(now + self.resume_time);
        }
        awake_at.is_some()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;
    use crate::fault_injection::FaultPlan;

    #[tokio::test]
    async fn database_is_awake_after_its_resume_time() {
        pause();
        let on_hits = [(Fault::KnowledgeResuming, 2)].into();
        let faults = FaultInjector::new(&FaultPlan { on_hits, ..FaultPlan::default() });
        let database = Pause::new(Duration::from_secs(15), faults);
        assert!(!database.is_resuming());
        assert!(database.is_resuming() && database.is_resuming());
        advance(Duration::from_secs(14)).await;
        assert!(database.is_resuming());
        advance(Duration::from_secs(1)).await;
        assert!(!database.is_resuming() && !database.is_resuming());
    }

    #[tokio::test]
    async fn search_after_a_pause_succeeds_even_if_every_search_finds_one() {
        pause();
        let rates = [(Fault::KnowledgeResuming, 1.0)].into();
        let faults = FaultInjector::new(&FaultPlan { rates, ..FaultPlan::default() });
        let database = Pause::new(Duration::from_secs(15), faults);
        assert!(database.is_resuming());
        advance(Duration::from_secs(15)).await;
        assert!(!database.is_resuming());
        assert!(database.is_resuming());
    }
}
