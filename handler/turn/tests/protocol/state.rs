//! A state of the model: the turn, and everything that may still act on it.
use api::types::TurnStatus;

use crate::turn_item::{Lease, TurnItem};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub turn: TurnItem,
    /// Whether the conversation names this turn as its active one.
    pub is_active: bool,
    /// The number of closing events of each run.
    pub answers: [u8; 2],
    pub deliveries: Vec<Delivery>,
    pub client: ClientActions,
    /// One closer for each run. The first one reads and writes at different times.
    pub closers: [Closer; 2],
}

/// The client's remaining actions, each possible once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientActions {
    pub cancel: bool,
    pub repeat_send: bool,
    pub retry: bool,
    pub send_next: bool,
}

/// One invocation of the handler that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Delivery {
    /// Lambda will start the invocation, or start it again.
    Waiting {
        run: u8,
    },
    Answering {
        run: u8,
        attempt: u8,
        knows_cancel: bool,
    },
    /// The attempt has written its closing event directly and has not announced it.
    Finished {
        run: u8,
        attempt: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closer {
    Ready,
    /// The closer has read the turn and will write later.
    HasRead(TurnItem),
}

impl State {
    pub fn initial(deliveries: usize, client: ClientActions) -> Self {
        let turn = TurnItem {
            status: TurnStatus::Queued,
            run: 1,
            attempt: 0,
            lease: Lease::None,
            is_claimable: true,
            is_announced: false,
        };
        Self {
            turn,
            is_active: true,
            answers: [0, 0],
            deliveries: vec![Delivery::Waiting { run: 1 }; deliveries],
            client,
            closers: [Closer::Ready; 2],
        }
    }

    pub fn with_turn(&self, turn: TurnItem) -> Self {
        Self { turn, ..self.clone() }
    }

    pub fn without_delivery(&self, delivery: Delivery) -> Self {
        let mut state = self.clone();
        if let Some(index) = state.deliveries.iter().position(|other| *other == delivery) {
            state.deliveries.remove(index);
        }
        state
    }

    /// Keeps the deliveries sorted, so that states that differ only in their order are equal.
    pub fn with_delivery(mut self, delivery: Delivery) -> Self {
        let index = self.deliveries.partition_point(|other| *other < delivery);
        self.deliveries.insert(index, delivery);
        self
    }

    /// Stores the closing event of a run, which ends the turn and frees the conversation.
    pub fn with_closing_event(&self, run: u8, status: TurnStatus) -> Self {
        let mut state = self.with_turn(TurnItem { status, is_announced: false, ..self.turn });
        state.answers[usize::from(run) - 1] += 1;
        state.is_active = false;
        state
    }
}
