//! Everything there is: the turn, and everybody who may still do something about it.
use api::types::TurnStatus;

use crate::table::{Item, Lease};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub turn: Item,
    /// Whether the conversation names this turn as its active one.
    pub is_active: bool,
    /// How many closing events each run has.
    pub answers: [u8; 2],
    pub deliveries: Vec<Delivery>,
    pub may: May,
    /// Of each run. The first one reads and writes at different times.
    pub closers: [Closer; 2],
}

/// What callers of the API may still do, once each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct May {
    pub cancel: bool,
    /// Send the message again.
    pub repeat: bool,
    pub retry: bool,
    /// Send the conversation's next message.
    pub go_on: bool,
}

/// One invocation of the handler, until it is over. Waiting, Lambda will start it, or start it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Delivery {
    Waiting {
        run: u8,
    },
    Answering {
        run: u8,
        attempt: u8,
        heard_cancel: bool,
    },
    /// It has written the last event without AppSync.
    Finished {
        run: u8,
        attempt: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closer {
    Ready,
    Read(Item),
}

impl World {
    pub fn begin(deliveries: usize, may: May) -> Self {
        let turn = Item {
            status: TurnStatus::Queued,
            run: 1,
            attempt: 0,
            lease: Lease::None,
            is_claimable: true,
            is_announced: false,
        };
        let deliveries = vec![Delivery::Waiting { run: 1 }; deliveries];
        Self { turn, is_active: true, answers: [0, 0], deliveries, may, closers: [Closer::Ready; 2] }
    }

    pub fn with(&self, turn: Item) -> Self {
        Self { turn, ..self.clone() }
    }

    /// Equal deliveries are interchangeable: in order, they make equal worlds.
    pub fn without(&self, delivery: Delivery) -> Self {
        let mut world = self.clone();
        if let Some(index) = world.deliveries.iter().position(|one| *one == delivery) {
            world.deliveries.remove(index);
        }
        world
    }

    pub fn and(mut self, delivery: Delivery) -> Self {
        let index = self.deliveries.partition_point(|one| *one < delivery);
        self.deliveries.insert(index, delivery);
        self
    }

    /// A run's closing event is stored; it ends the turn and frees the conversation.
    pub fn ended(&self, run: u8, status: TurnStatus) -> Self {
        let mut world = self.with(Item { status, is_announced: false, ..self.turn });
        world.answers[usize::from(run) - 1] += 1;
        world.is_active = false;
        world
    }
}
