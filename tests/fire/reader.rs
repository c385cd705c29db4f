//! Somebody who reads along, by the client's rule, and writes down what was shown.
use client::{
    AppSync, Follower,
    rule::{Change, Progress},
    schema::TurnStatus,
};
use tokio::time::timeout;

use crate::stage::PATIENCE;

pub struct Reader {
    api: AppSync,
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
        let follower = follow(api, conversation_id, turn_id).await;
        let (api, conversation_id, turn_id) = (api.clone(), conversation_id.to_owned(), turn_id.to_owned());
        Self { api, conversation_id, turn_id, follower }
    }

    /// Reads until the turn has ended.
    pub async fn until_end(mut self) -> Seen {
        let (mut question, mut text) = (None, String::new());
        loop {
            let Ok(next) = timeout(PATIENCE, self.follower.next()).await else {
                panic!("{}: nothing more happens after {text:?}", self.conversation_id);
            };
            let Ok(Progress { turn_id, change }) = next else {
                self.follower = follow(&self.api, &self.conversation_id, &self.turn_id).await;
                text.clear();
                continue;
            };
            assert_eq!(turn_id, self.turn_id);
            match change {
                Change::Question(event) => question = Some(event.said().to_owned()),
                Change::Text(more) => text.push_str(&more),
                Change::Replaced(whole) => text = whole,
                Change::Note(_) | Change::Reopened => {}
                Change::Ended(ending) => return Seen { question, text, status: ending.status },
            }
        }
    }
}

/// Again and again, as long as it is refused: who follows anew is shown everything anew.
async fn follow(api: &AppSync, conversation_id: &str, turn_id: &str) -> Follower {
    loop {
        if let Ok(mut follower) = api.follow(conversation_id).await {
            follower.expect(turn_id);
            return follower;
        }
    }
}
