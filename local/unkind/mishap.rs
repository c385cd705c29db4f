//! The closed list of what can befall.
use std::{fmt, str::FromStr};

/// Each has been seen of AWS, and is documented or reported as what may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mishap {
    TableConflict,
    TableThrottled,
    TableAnswerLost,
    StaleRead,
    PublishRefused,
    PublishUnconfirmed,
    PublishTwice,
    PublishOutage,
    UpdateLost,
    LastUpdateLost,
    SubscriberCut,
    EventTwice,
    EventThrice,
    EventAgain,
    ProcessKilled,
}

use Mishap::{
    EventAgain, EventThrice, EventTwice, LastUpdateLost, ProcessKilled, PublishOutage, PublishRefused, PublishTwice,
    PublishUnconfirmed, StaleRead, SubscriberCut, TableAnswerLost, TableConflict, TableThrottled, UpdateLost,
};

impl Mishap {
    pub const ALL: [Self; 15] = [
        TableConflict,
        TableThrottled,
        TableAnswerLost,
        StaleRead,
        PublishRefused,
        PublishUnconfirmed,
        PublishTwice,
        PublishOutage,
        UpdateLost,
        LastUpdateLost,
        SubscriberCut,
        EventTwice,
        EventThrice,
        EventAgain,
        ProcessKilled,
    ];

    /// As the command line writes it.
    pub fn name(self) -> &'static str {
        match self {
            TableConflict => "table-conflict",
            TableThrottled => "table-throttled",
            TableAnswerLost => "table-answer-lost",
            StaleRead => "stale-read",
            PublishRefused => "publish-refused",
            PublishUnconfirmed => "publish-unconfirmed",
            PublishTwice => "publish-twice",
            PublishOutage => "publish-outage",
            UpdateLost => "update-lost",
            LastUpdateLost => "last-update-lost",
            SubscriberCut => "subscriber-cut",
            EventTwice => "event-twice",
            EventThrice => "event-thrice",
            EventAgain => "event-again",
            ProcessKilled => "process-killed",
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            TableConflict => "a write meets another transaction and is cancelled",
            TableThrottled => "a read or write is throttled",
            TableAnswerLost => "a function's call is carried out and its answer lost",
            StaleRead => "a read that is not strongly consistent misses the newest writes",
            PublishRefused => "a publish is throttled, fails or times out without effect",
            PublishUnconfirmed => "a publish takes effect and fails, times out or is cut off all the same",
            PublishTwice => "a publish is executed twice",
            PublishOutage => "from a publish on, AppSync is down for a minute",
            UpdateLost => "a subscriber misses an update",
            LastUpdateLost => "a subscriber misses the last update of a turn",
            SubscriberCut => "a subscriber's connection is cut instead of an update",
            EventTwice => "an event is delivered twice at once",
            EventThrice => "an event is delivered three times at once",
            EventAgain => "an event is delivered again later",
            ProcessKilled => "a function's process is killed at one of its calls",
        }
    }
}

/// A name that is not on the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no mishap '{0}'; choose from {all}", all = Mishap::ALL.map(Mishap::name).join(", "))]
pub struct UnknownMishap(String);

impl FromStr for Mishap {
    type Err = UnknownMishap;

    fn from_str(name: &str) -> Result<Self, UnknownMishap> {
        Self::ALL.into_iter().find(|mishap| mishap.name() == name).ok_or_else(|| UnknownMishap(name.to_owned()))
    }
}

impl fmt::Display for Mishap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mishap_is_found_by_its_name_and_no_other_is() {
        for mishap in Mishap::ALL {
            assert_eq!(mishap.name().parse(), Ok(mishap));
        }
        let unknown = "bad-luck".parse::<Mishap>().unwrap_err().to_string();
        assert!(unknown.starts_with("there is no mishap 'bad-luck'; choose from table-conflict, "), "{unknown}");
    }
}
