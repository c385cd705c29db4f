//! The turn's item in the table and the conditions of writes to it. Times are reduced to what the conditions
//! compare.
use std::hash::{Hash, Hasher};

use api::types::TurnStatus::{self, Cancelling, Queued, Running};
use turn::{claim::StoredTurn, effective_status::effective_status};

use crate::mutants::Mutant;

pub const NOW: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lease {
    None,
    Live,
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnItem {
    pub status: TurnStatus,
    pub run: u8,
    pub attempt: u8,
    pub lease: Lease,
    pub is_claimable: bool,
    pub is_announced: bool,
}

impl TurnItem {
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
            pending_until: None,
            question_position: 1,
            answer_position: 1,
            run_position: 1,
            last_position: 1,
            last_sequence: 0,
            last_event_sequence: 0,
            claimed_start: None,
        }
    }

    pub fn effective_status(self) -> TurnStatus {
        effective_status(&self.stored(), NOW)
    }

    pub fn has_ended(self) -> bool {
        self.effective_status().is_end()
    }

    pub fn is_leased(self) -> bool {
        self.lease == Lease::Live
    }

    /// The condition of a claim.
    pub fn admits_claim(self, run: u8, mutant: Mutant) -> bool {
        let is_its_run = self.run == run || mutant == Mutant::ClaimIgnoresRun;
        let is_open = matches!(self.status, Queued | Running) || mutant == Mutant::ClaimIgnoresStatus;
        let is_unleased = !self.is_leased() || mutant == Mutant::ClaimIgnoresLease;
        let is_in_time = self.is_claimable || mutant == Mutant::ClaimIgnoresClaimableUntil;
        is_its_run && is_open && is_unleased && is_in_time
    }

    /// The fence: the condition of everything that an attempt writes.
    pub fn admits_attempt(self, run: u8, attempt: u8, mutant: Mutant) -> bool {
        let is_its_run = self.run == run || mutant.fence_ignores_run();
        let is_its_attempt = self.attempt == attempt || mutant == Mutant::FenceIgnoresAttempt;
        let is_open = matches!(self.status, Running | Cancelling) || mutant == Mutant::FenceIgnoresStatus;
        let needs_live_lease = self.status == Cancelling && mutant != Mutant::FenceIgnoresCancelUnderDeadLease;
        let is_in_time =
            self.is_leased() || (self.is_claimable && !needs_live_lease) || mutant == Mutant::FenceIgnoresTime;
        is_its_run && is_its_attempt && is_open && is_in_time
    }

    /// The condition of a close: the turn is as the closer has read it.
    pub fn admits_close(self, read: Self, mutant: Mutant) -> bool {
        if mutant == Mutant::CloseWriteIsUnconditional {
            return true;
        }
        let is_same = (self.run, self.attempt, self.status) == (read.run, read.attempt, read.status);
        let is_not_renewed = self.lease == read.lease || mutant == Mutant::CloseWriteIgnoresRenewal;
        is_same && is_not_renewed
    }
}

/// `TurnStatus` has no `Hash`, so its number is hashed.
impl Hash for TurnItem {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.status as u8, self.run, self.attempt, self.lease, self.is_claimable, self.is_announced).hash(state);
    }
}
