//! The closed list of what can befall.
use std::fmt;

use clap::ValueEnum;

/// Each has been seen of AWS, and is documented or reported as what may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Mishap {
    /// a write meets another transaction and is cancelled
    TableConflict,
    /// a read or write is throttled
    TableThrottled,
    /// a function's call is carried out and its answer lost
    TableAnswerLost,
    /// a read that is not strongly consistent misses the newest writes
    StaleRead,
    /// a publish is throttled, fails or times out without effect
    PublishRefused,
    /// a publish takes effect and fails, times out or is cut off all the same
    PublishUnconfirmed,
    /// a publish is executed twice
    PublishTwice,
    /// from a publish on, AppSync is down for a minute
    PublishOutage,
    /// a subscriber misses an update
    UpdateLost,
    /// a subscriber misses the last update of a turn
    LastUpdateLost,
    /// a subscriber's connection is cut instead of an update
    SubscriberCut,
    /// an event is delivered twice at once
    EventTwice,
    /// an event is delivered three times at once
    EventThrice,
    /// an event is delivered again later
    EventAgain,
    /// a function's process is killed at one of its calls
    ProcessKilled,
}

impl Mishap {
    /// As the command line writes it: `stale-read`.
    pub fn named(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }
}

/// As the command line writes it.
impl fmt::Display for Mishap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}
