//! Who may read and write the conversation, as far as acknowledged responses tell, and what violates that.
use std::sync::Arc;

use crate::{checker::Violation, environment::Environment, people::Person};

/// What the acknowledged changes allow a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    None,
    Read,
    Write,
    /// A change is in progress, or its outcome is unknown.
    Unknown,
}

pub struct AccessState {
    participant: Access,
    /// The owner's access: none once the conversation is deleted.
    conversation: Access,
    changes: u64,
}

/// The access of a person at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessStamp {
    pub access: Access,
    /// Equal stamps of two times mean that the access did not change in between.
    changes: u64,
}

impl Default for AccessState {
    fn default() -> Self {
        Self { participant: Access::None, conversation: Access::Write, changes: 0 }
    }
}

impl AccessState {
    pub fn set_participant(&mut self, access: Access) {
        self.participant = access;
        self.changes += 1;
    }

    pub fn set_conversation(&mut self, access: Access) {
        self.conversation = access;
        self.changes += 1;
    }

    pub fn is_deletion_attempted(&self) -> bool {
        self.conversation != Access::Write
    }

    pub fn stamp(&self, person: Person) -> AccessStamp {
        let access = match (self.conversation, person) {
            (Access::None, _) | (_, Person::Stranger) => Access::None,
            (Access::Unknown, Person::Owner) => Access::Unknown,
            (_, Person::Owner) => Access::Write,
            // A shut-out participant stays shut out whether the conversation is being deleted or not.
            (_, Person::Participant) if self.participant == Access::None => Access::None,
            (Access::Unknown, Person::Participant) => Access::Unknown,
            (_, Person::Participant) => self.participant,
        };
        AccessStamp { access, changes: self.changes }
    }
}

impl Environment {
    pub fn access_stamp(&self, person: Person) -> AccessStamp {
        self.with_access(|access| access.stamp(person))
    }

    /// Records a violation if a person that might not read was shown something. `before` is its access when
    /// its request began; what began while access changed proves nothing.
    pub fn check_reading(self: &Arc<Self>, person: Person, before: AccessStamp, what: &str) {
        let is_certain = before.access == Access::None && self.access_stamp(person) == before;
        if is_certain && !self.is_stored_participant(person) {
            let message = format!("{person:?} was shown {what} of a conversation that it may not read");
            self.with_recorder(|recorder| recorder.violations.push(Violation::new(6, message)));
        }
    }

    /// As `check_reading`, for a person that may read and has changed something.
    pub fn check_writing(self: &Arc<Self>, person: Person, before: AccessStamp, what: &str) {
        let is_certain = before.access == Access::Read && self.access_stamp(person) == before;
        if is_certain && !self.is_stored_writer(person) {
            let message = format!("{person:?} may only read and was allowed {what}");
            self.with_recorder(|recorder| recorder.violations.push(Violation::new(6, message)));
        }
    }

    /// A request to share that took effect late, or twice, may share again what its owner has stopped
    /// sharing.
    pub fn is_stored_participant(&self, person: Person) -> bool {
        person == Person::Participant && self.stored_access().is_some()
    }

    fn is_stored_writer(&self, person: Person) -> bool {
        person == Person::Participant && self.stored_access().as_deref() == Some("WRITE")
    }

    fn stored_access(&self) -> Option<String> {
        let items = self.fixture.items(&format!("CONVERSATION#{}", self.conversation_id()));
        let is_deleted = items.iter().any(|item| item["sk"] == "META" && item["deletedAt"].is_string());
        let mut participants =
            items.iter().filter(|item| item["sk"].as_str().is_some_and(|key| key.starts_with("PARTICIPANT#")));
        let participant = participants.next().filter(|_| !is_deleted)?;
        participant["access"].as_str().map(str::to_owned)
    }
}
