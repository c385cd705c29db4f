//! A client that follows one turn and keeps what it displays.
use std::{collections::BTreeMap, pin::pin};

use client::{
    AppSync, Follower,
    reassembly::{Change, ConversationChange, TurnChange},
    schema::{ToolStatus, TurnStatus},
};
use futures::FutureExt;
use tokio::{select, time::timeout};

use crate::fixture::SCENARIO_TIMEOUT;

pub struct Reader {
    conversation_id: String,
    turn_id: String,
    follower: Follower,
}

/// What a reader displays of a turn at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayedTurn {
    pub question: Option<String>,
    pub text: String,
    pub status: TurnStatus,
    /// The last state of each tool call, by its id.
    pub calls: BTreeMap<String, ToolStatus>,
}

impl Reader {
    /// Returns once the subscription is acknowledged.
    pub async fn open(api: &AppSync, conversation_id: &str, turn_id: &str) -> Self {
        let follower = api.follow(conversation_id).await.expect("the subscription is accepted");
        Self { conversation_id: conversation_id.to_owned(), turn_id: turn_id.to_owned(), follower }
    }

    /// Reads until the turn has ended. The client expects the turn once `sent` completes.
    pub async fn read_to_end(mut self, sent: impl Future<Output = ()>) -> DisplayedTurn {
        let mut sent = pin!(sent.fuse());
        let (mut question, mut text, mut calls) = (None, String::new(), BTreeMap::new());
        loop {
            let next = select! {
                () = &mut sent => {
                    self.follower.expect_turn(&self.turn_id);
                    continue;
                }
                next = timeout(SCENARIO_TIMEOUT, self.follower.next()) => next,
            };
            let next = next.unwrap_or_else(|_| panic!("{}: no change after {text:?}", self.conversation_id));
            let next = next.expect("the follower keeps its access");
            let ConversationChange::Turn(TurnChange { turn_id, change }) = next else { continue };
            assert_eq!(turn_id, self.turn_id);
            match change {
                Change::Question(event) => question = Some(event.text_or_empty().to_owned()),
                Change::Appended(appended) => text.push_str(&appended),
                Change::Replaced(replacement) => text = replacement,
                Change::ToolCalled(call) => drop(calls.insert(call.id, ToolStatus::Running)),
                Change::ToolProgress(call) => drop(calls.insert(call.id, call.status)),
                Change::ToolResult(result) => drop(calls.insert(result.tool_use_id, result.status)),
                Change::ReasoningAppended { .. } | Change::ReasoningCleared | Change::Reasoned(_) => {}
                Change::Waiting(_) | Change::Note(_) | Change::Cited(_) | Change::Reopened => {}
                Change::Ended(end) => return DisplayedTurn { question, text, status: end.status, calls },
            }
        }
    }
}
