//! One message and its answer, then the next.
use std::{io::Write, time::Duration};

use client::{
    AppSync, Error, Follower,
    errors::ErrorType,
    requests::SendMessage,
    rule::{Change, Ending},
    schema::TurnStatus,
};
use uuid::Uuid;

use super::{ChatError, Outcome, paper::Paper};

/// How often a message is sent again when it is unknown whether it arrived.
const RESENDS: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(250);

pub(super) struct Talk<O> {
    api: AppSync,
    conversation_id: String,
    follower: Follower,
    paper: Paper<O>,
}

impl<O: Write> Talk<O> {
    /// Subscribes, so that nothing said from now on is missed.
    pub async fn begin(api: AppSync, conversation_id: String, paper: Paper<O>) -> Result<Self, ChatError> {
        let follower = api.follow(&conversation_id).await?;
        Ok(Self { api, conversation_id, follower, paper })
    }

    pub fn invite(&mut self) -> Result<(), ChatError> {
        Ok(self.paper.prompt()?)
    }

    pub async fn say(&mut self, text: &str) -> Result<Outcome, ChatError> {
        let turn_id = self.send(text).await?;
        self.follower.expect(&turn_id);
        let ending = self.print_answer(&turn_id).await?;
        self.paper.end(&ending)?;
        Ok(match ending.status {
            TurnStatus::Failed => Outcome::Failed,
            _ => Outcome::Answered,
        })
    }

    /// The message keeps its id, so that it is one message however often it is sent.
    async fn send(&mut self, text: &str) -> Result<String, ChatError> {
        let message = SendMessage {
            conversation_id: Some(self.conversation_id.clone()),
            id: Some(Uuid::new_v4().to_string()),
            text: text.to_owned(),
        };
        let mut resends = 0;
        loop {
            let error = match self.api.call(&message).await {
                Ok(turn) => return Ok(turn.id),
                Err(error) => error,
            };
            if let Some(turn_id) = busy_with(&error) {
                self.wait_for(&turn_id).await?;
            } else if error.is_transient() && resends < RESENDS {
                tokio::time::sleep(FIRST_WAIT * 2_u32.pow(resends)).await;
                resends += 1;
            } else {
                return Err(error.into());
            }
        }
    }

    async fn wait_for(&mut self, turn_id: &str) -> Result<(), ChatError> {
        self.paper.note("An earlier message is still being answered.")?;
        self.follower.expect(turn_id);
        loop {
            let progress = self.follower.next().await?;
            if progress.turn_id == turn_id && matches!(progress.change, Change::Ended(_)) {
                return Ok(());
            }
        }
    }

    async fn print_answer(&mut self, turn_id: &str) -> Result<Ending, ChatError> {
        loop {
            let progress = self.follower.next().await?;
            if progress.turn_id != turn_id {
                continue;
            }
            match progress.change {
                Change::Text(text) => self.paper.append(&text)?,
                Change::Replaced(text) => self.paper.replace(&text)?,
                Change::Note(note) => self.paper.note(&note)?,
                Change::Ended(ending) => return Ok(ending),
                Change::Question(_) | Change::Reopened => {}
            }
        }
    }
}

fn busy_with(error: &Error) -> Option<String> {
    let named = error.named().filter(|named| named.error_type == Some(ErrorType::ConversationBusy))?;
    named.error_info.as_ref()?.get("turnId")?.as_str().map(str::to_owned)
}
