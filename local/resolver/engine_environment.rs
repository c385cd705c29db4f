//! The clock, the random numbers and the time limit of handlers.
use std::rc::Rc;
use std::time::Duration;

/// Replaceable in tests; the default is the system's clock and randomness.
#[derive(Clone)]
pub struct EngineEnvironment {
    pub now: Rc<dyn Fn() -> jiff::Timestamp>,
    pub random: Rc<dyn Fn() -> u64>,
    /// The time limit of one handler. AppSync documents a limit of 30 seconds for a whole request only.
    pub handler_timeout: Duration,
}

impl Default for EngineEnvironment {
    fn default() -> Self {
        Self {
            now: Rc::new(jiff::Timestamp::now),
            random: Rc::new(system_random),
            handler_timeout: Duration::from_secs(10),
        }
    }
}

/// Random bits of two version 4 UUIDs, without their fixed bits.
fn system_random() -> u64 {
    let (high, low) = (uuid::Uuid::new_v4().as_u128(), uuid::Uuid::new_v4().as_u128());
    ((high >> 96) as u64) << 32 | (low >> 96) as u64
}
