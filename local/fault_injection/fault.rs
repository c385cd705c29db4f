//! The list of faults that can be injected.
use std::fmt;

/// A failure that AWS documents, or that its users report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
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
    KnowledgeResuming,
    KnowledgeIndexMissing,
    KnowledgeThrottled,
    EventsLost,
    EventsLate,
    EventsFailed,
    ConnectionsGone,
}

impl Fault {
    /// In the order of declaration.
    pub const ALL: [Self; Self::ConnectionsGone as usize + 1] = [
        Self::TableConflict,
        Self::TableThrottled,
        Self::TableAnswerLost,
        Self::StaleRead,
        Self::PublishRefused,
        Self::PublishUnconfirmed,
        Self::PublishTwice,
        Self::PublishOutage,
        Self::UpdateLost,
        Self::LastUpdateLost,
        Self::SubscriberCut,
        Self::EventTwice,
        Self::EventThrice,
        Self::EventAgain,
        Self::ProcessKilled,
        Self::KnowledgeResuming,
        Self::KnowledgeIndexMissing,
        Self::KnowledgeThrottled,
        Self::EventsLost,
        Self::EventsLate,
        Self::EventsFailed,
        Self::ConnectionsGone,
    ];

    /// The name on the command line: `stale-read`.
    pub fn name(self) -> &'static str {
        self.name_and_description().0
    }

    /// One line of help.
    pub fn description(self) -> &'static str {
        self.name_and_description().1
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }

    fn name_and_description(self) -> (&'static str, &'static str) {
        match self {
            Self::TableConflict => ("table-conflict", "a write is cancelled by a conflicting transaction"),
            Self::TableThrottled => ("table-throttled", "a read or write of the table is throttled"),
            Self::TableAnswerLost => {
                ("table-answer-lost", "a function's table call takes effect; its response is lost")
            }
            Self::StaleRead => ("stale-read", "an eventually consistent read misses the latest writes"),
            Self::PublishRefused => ("publish-refused", "a publish is throttled, fails or times out without effect"),
            Self::PublishUnconfirmed => {
                ("publish-unconfirmed", "a publish takes effect, but fails, times out or is cut off")
            }
            Self::PublishTwice => ("publish-twice", "a publish is executed twice"),
            Self::PublishOutage => ("publish-outage", "AppSync refuses every publish for one minute"),
            Self::UpdateLost => ("update-lost", "a subscriber misses an update"),
            Self::LastUpdateLost => ("last-update-lost", "a subscriber misses the last update of a turn"),
            Self::SubscriberCut => ("subscriber-cut", "a subscriber's connection breaks instead of an update"),
            Self::EventTwice => ("event-twice", "a Lambda event is delivered twice at once"),
            Self::EventThrice => ("event-thrice", "a Lambda event is delivered three times at once"),
            Self::EventAgain => ("event-again", "a Lambda event is delivered again within two minutes"),
            Self::ProcessKilled => ("process-killed", "a function's process is killed at one of its calls"),
            Self::KnowledgeResuming => {
                ("knowledge-resuming", "the database of the documents wakes up from its pause for 15 seconds")
            }
            Self::KnowledgeIndexMissing => {
                ("knowledge-index-missing", "a search finds no index: its table or vector index was deleted")
            }
            Self::KnowledgeThrottled => ("knowledge-throttled", "a search of the documents is throttled"),
            Self::EventsLost => ("events-lost", "a subscription of the Events API misses an event"),
            Self::EventsLate => ("events-late", "a subscription of the Events API starts up to two seconds late"),
            Self::EventsFailed => {
                ("events-failed", "a subscription of the Events API gets a broadcast_error in place of an event")
            }
            Self::ConnectionsGone => {
                ("connections-gone", "a message to a client of the WebSocket API is answered by 410")
            }
        }
    }
}

/// The name on the command line.
impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_fault_once_in_order() {
        for (index, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, index, "{fault}");
            assert_eq!(Fault::from_name(fault.name()), Some(fault));
        }
    }
}
