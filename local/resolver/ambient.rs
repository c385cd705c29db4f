//! The world around handlers.
use std::rc::Rc;
use std::time::Duration;

/// Where handlers get the time and their chance from, and how long they may take.
#[derive(Clone)]
pub struct Ambient {
    pub now: Rc<dyn Fn() -> jiff::Timestamp>,
    pub random: Rc<dyn Fn() -> u64>,
    /// How long a handler may run. AppSync documents only that a request as a whole has 30 seconds.
    pub handler_time: Duration,
}

impl Default for Ambient {
    fn default() -> Self {
        Ambient {
            now: Rc::new(jiff::Timestamp::now),
            random: Rc::new(system_random),
            handler_time: Duration::from_secs(10),
        }
    }
}

/// The random bits of two version 4 UUIDs, whose fixed bits are left out.
fn system_random() -> u64 {
    let (high, low) = (uuid::Uuid::new_v4().as_u128(), uuid::Uuid::new_v4().as_u128());
    ((high >> 96) as u64) << 32 | (low >> 96) as u64
}
