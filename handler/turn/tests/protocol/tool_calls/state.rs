//! A state of the model: the turn with its step, the claims, and everything that may still act on them.
use api::types::ToolStatus;

pub const CALLS: usize = 2;
/// This call waits for an approval. The other one is run at once.
pub const APPROVED_CALL: usize = 1;

/// One call of the step, as it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Call {
    pub claim: Option<Claim>,
    pub answer: Option<Answer>,
    /// How often the tool has taken effect.
    pub effects: u8,
    pub result: Option<Outcome>,
    pub results: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    pub attempt: u8,
    /// Whether the outcome of the call is stored.
    pub has_outcome: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Approved,
    Denied,
}

/// The status of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Succeeded,
    Unknown,
    Denied,
    Cancelled,
    Expired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Turn {
    pub status: Status,
    pub run: u8,
    pub attempt: u8,
    pub is_leased: bool,
    /// Whether the time to answer is over.
    pub is_wait_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Queued,
    Running,
    Cancelling,
    Waiting,
    /// Ended by an attempt, or by somebody who knew the calls.
    Ended,
    /// Ended for an attempt that had died.
    Closed,
}

/// An attempt that runs. A claim whose response was lost is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub run: u8,
    pub number: u8,
    /// The calls without results as the attempt has loaded them.
    pub calls: [LocalCall; CALLS],
    pub knows_cancel: bool,
}

/// A call in the memory of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LocalCall {
    /// Its result is stored.
    Stored,
    Pending,
    Ready,
    Claimed,
    /// The request is sent, and the tool has taken effect.
    Sent,
    Done(Outcome),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub turn: Turn,
    pub calls: [Call; CALLS],
    pub is_step_stored: bool,
    /// The deliveries of the current run that have not claimed the turn.
    pub deliveries: u8,
    /// By number.
    pub attempts: Vec<Attempt>,
    pub answers_left: u8,
    pub can_cancel: bool,
    pub can_continue: bool,
    pub can_send_next: bool,
    pub max_runs: u8,
    pub deliveries_of_run: u8,
}

impl State {
    pub fn initial(max_runs: u8, deliveries_of_run: u8, can_continue: bool) -> Self {
        Self {
            turn: Turn { status: Status::Queued, run: 1, attempt: 0, is_leased: false, is_wait_over: false },
            calls: [Call::default(); CALLS],
            is_step_stored: false,
            deliveries: deliveries_of_run,
            attempts: Vec::new(),
            answers_left: 2,
            can_cancel: true,
            can_continue,
            can_send_next: true,
            max_runs,
            deliveries_of_run,
        }
    }

    /// The stored results of the calls.
    pub fn results(&self) -> [Option<Outcome>; CALLS] {
        self.calls.map(|call| call.result)
    }

    /// Queues the next run. Whatever reopens a turn raises its attempt.
    pub fn with_next_run(mut self) -> Self {
        self.turn.status = Status::Queued;
        self.turn.run += 1;
        self.turn.attempt += 1;
        self.turn.is_leased = false;
        self.turn.is_wait_over = false;
        self.deliveries = self.deliveries_of_run;
        self
    }

    pub fn with_attempt(&self, attempt: Attempt) -> Self {
        let mut state = self.without_attempt(attempt.number);
        let index = state.attempts.partition_point(|other| other.number < attempt.number);
        state.attempts.insert(index, attempt);
        state
    }

    pub fn without_attempt(&self, number: u8) -> Self {
        let mut state = self.clone();
        state.attempts.retain(|attempt| attempt.number != number);
        state
    }

    pub fn store_result(&mut self, call: usize, outcome: Outcome) {
        self.calls[call].result = Some(outcome);
        self.calls[call].results += 1;
    }

    /// Stores a result of each call that has none, and ends the turn.
    pub fn end_with_results(&mut self, outcome: Outcome) {
        for call in 0..CALLS {
            if self.calls[call].result.is_none() {
                let is_denied = self.calls[call].answer == Some(Answer::Denied);
                self.store_result(call, if is_denied { Outcome::Denied } else { outcome });
            }
        }
        self.turn.status = Status::Ended;
    }
}

impl Status {
    pub fn is_end(self) -> bool {
        matches!(self, Self::Ended | Self::Closed)
    }
}

impl Outcome {
    pub fn tool_status(self) -> ToolStatus {
        match self {
            Self::Succeeded => ToolStatus::Succeeded,
            Self::Unknown => ToolStatus::Unknown,
            Self::Denied => ToolStatus::Denied,
            Self::Cancelled => ToolStatus::Cancelled,
            Self::Expired => ToolStatus::Expired,
        }
    }
}
