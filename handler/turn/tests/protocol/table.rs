//! The turn as the table has it, and the conditions of the writes to it. Of time, only what decides is kept.
use std::hash::{Hash, Hasher};

use api::types::TurnStatus::{self, Cancelling, Queued, Running};
use turn::{claim::StoredTurn, status};

use crate::mutants::Mutant;

pub const NOW: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lease {
    None,
    Live,
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    pub status: TurnStatus,
    pub run: u8,
    pub attempt: u8,
    pub lease: Lease,
    pub is_claimable: bool,
    pub is_announced: bool,
}

impl Item {
    pub fn stored(self) -> StoredTurn {
        StoredTurn {
            status: self.status,
            run: self.run.into(),
            attempt: self.attempt.into(),
            announced: self.is_announced,
            lease_until: match self.lease {
                Lease::None => None,
                Lease::Live => Some(NOW + 1),
                Lease::Dead => Some(NOW),
            },
            claimable_until: if self.is_claimable { NOW + 1 } else { NOW },
            question_position: 1,
            answer_position: 1,
            run_position: 1,
            last_position: 1,
            last_sequence: 0,
            last_event_sequence: 0,
        }
    }

    /// What every reader is told.
    pub fn effective(self) -> TurnStatus {
        status::effective(&self.stored(), NOW)
    }

    pub fn has_ended(self) -> bool {
        self.effective().is_end()
    }

    pub fn is_leased(self) -> bool {
        self.lease == Lease::Live
    }

    pub fn admits_claim(self, run: u8, mutant: Mutant) -> bool {
        (self.run == run || mutant == Mutant::ClaimIgnoresRun)
            && (matches!(self.status, Queued | Running) || mutant == Mutant::ClaimIgnoresStatus)
            && (self.lease != Lease::Live || mutant == Mutant::ClaimIgnoresLease)
            && (self.is_claimable || mutant == Mutant::ClaimIgnoresTime)
    }

    /// The fence of everything an attempt writes.
    pub fn admits_attempt(self, run: u8, attempt: u8, mutant: Mutant) -> bool {
        let is_its_run = self.run == run || mutant.fence_ignores_run();
        let is_its_attempt = self.attempt == attempt || mutant == Mutant::FenceIgnoresAttempt;
        let is_open = matches!(self.status, Running | Cancelling) || mutant == Mutant::FenceIgnoresStatus;
        let is_in_time = match self.status {
            Cancelling => self.lease == Lease::Live || self.is_claimable && mutant == Mutant::FenceLetsTheCancelledGoOn,
            _ => self.lease == Lease::Live || self.is_claimable,
        };
        is_its_run && is_its_attempt && is_open && (is_in_time || mutant == Mutant::FenceIgnoresTime)
    }

    /// The condition of whoever writes what follows from what it has read.
    pub fn is_as(self, read: Item, mutant: Mutant) -> bool {
        let same = (self.run, self.attempt, self.status) == (read.run, read.attempt, read.status);
        same && (self.lease == read.lease || mutant == Mutant::ClosingIgnoresRenewal)
            || mutant == Mutant::ClosingIgnoresWhatWasRead
    }

    pub fn key(self) -> (u8, u8, u8, Lease, bool, bool) {
        (self.status as u8, self.run, self.attempt, self.lease, self.is_claimable, self.is_announced)
    }
}

impl Hash for Item {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}
