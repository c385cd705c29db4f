//! Somebody who reads along, by the client's rule, and writes down what was shown.
use std::pin::pin;

use client::{
    AppSync, Follower,
    reassembly::{Change, TurnChange},
    schema::TurnStatus,
};
use futures::FutureExt;
use tokio::{select, time::timeout};

use crate::stage::PATIENCE;

pub struct Reader {
    conversation_id: String,
    turn_id: String,
    follower: Follower,
}

/// What a reader was shown of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub question: Option<String>,
    /// The text that stood at the end.
    pub text: String,
    pub status: TurnStatus,
}

impl Reader {
    /// Returns when the subscription stands.
    pub async fn open(api: &AppSync, conversation_id: &str, turn_id: &str) -> Self {
        let follower = api.follow(conversation_id).await.expect("whoever may follow is let in");
        Self { conversation_id: conversation_id.to_owned(), turn_id: turn_id.to_owned(), follower }
    }

    /// Reads until the turn has ended, which is expected from when it `is_ordered`.
    pub async fn until_end(mut self, is_ordered: impl Future<Output = ()>) -> Seen {
        let mut is_ordered = pin!(is_ordered.fuse());
        let (mut question, mut text) = (None, String::new());
        loop {
            let next = select! {
                () = &mut is_ordered => {
                    self.follower.expect_turn(&self.turn_id);
                    continue;
                }
                next = timeout(PATIENCE, self.follower.next()) => next,
            };
            let Ok(next) = next else {
                panic!("{}: nothing more happens after {text:?}", self.conversation_id);
            };
            let TurnChange { turn_id, change } = next.expect("whoever follows is not sent away");
            assert_eq!(turn_id, self.turn_id);
            match change {
                Change::Question(event) => question = Some(event.text_or_empty().to_owned()),
                Change::Appended(more) => text.push_str(&more),
                Change::Replaced(whole) => text = whole,
                Change::Note(_) | Change::Reopened => {}
                Change::Ended(ending) => return Seen { question, text, status: ending.status },
            }
        }
    }
}
