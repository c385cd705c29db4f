//! One message and its answer, then the next.
use std::{io::Write, time::Duration};

use client::{
    AppSync, Error, Follower,
    errors::ErrorType,
    requests::{CancelTurn, ContinueTurn, GetEvents, Request, RetryTurn, SendMessage},
    rule::{Change, Ending},
    schema::{Turn, TurnStatus},
};
use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{BoxStream, FuturesUnordered},
};
use uuid::Uuid;

use super::{ChatError, Outcome, paper::Paper};

/// How often an order is repeated when it is unknown whether it arrived.
const REPEATS: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(250);

pub(super) struct Talk<O> {
    api: AppSync,
    conversation_id: String,
    follower: Follower,
    paper: Paper<O>,
    interrupts: BoxStream<'static, ()>,
    /// Whether the answer awaited has been asked to stop.
    is_interrupted: bool,
    cancelling: FuturesUnordered<BoxFuture<'static, Result<Turn, Error>>>,
}

impl<O: Write> Talk<O> {
    pub fn new(
        api: AppSync,
        conversation_id: String,
        follower: Follower,
        paper: Paper<O>,
        interrupts: BoxStream<'static, ()>,
    ) -> Self {
        let (is_interrupted, cancelling) = (false, FuturesUnordered::new());
        Self { api, conversation_id, follower, paper, interrupts, is_interrupted, cancelling }
    }

    pub fn invite(&mut self) -> Result<(), ChatError> {
        Ok(self.paper.prompt()?)
    }

    /// Until the person leaves. What others say meanwhile is not printed.
    pub async fn idle(&mut self) -> Result<(), ChatError> {
        loop {
            tokio::select! {
                progress = self.follower.next() => drop(progress?),
                Some(()) = self.interrupts.next() => return Ok(()),
            }
        }
    }

    pub async fn say(&mut self, text: &str) -> Result<Outcome, ChatError> {
        let Some(turn_id) = self.order(text).await? else {
            self.paper.note("Nothing has been said yet.")?;
            return Ok(Outcome::Answered);
        };
        self.follower.expect(&turn_id);
        let ending = self.print_answer(&turn_id).await?;
        self.paper.end(&ending)?;
        Ok(match ending.status {
            TurnStatus::Failed => Outcome::Failed,
            _ => Outcome::Answered,
        })
    }

    /// The turn that will be answered. A message keeps its id, so that it is one message however often it is sent.
    async fn order(&mut self, text: &str) -> Result<Option<String>, ChatError> {
        let conversation_id = self.conversation_id.clone();
        if !matches!(text, "/retry" | "/continue") {
            let id = Uuid::new_v4().to_string();
            let message =
                SendMessage { conversation_id: Some(conversation_id), id: Some(id.clone()), text: text.to_owned() };
            return self.insist(&message, &id).await.map(Some);
        }
        let Some(id) = self.last_turn().await? else { return Ok(None) };
        if text == "/retry" {
            self.insist(&RetryTurn { conversation_id, id: id.clone() }, &id).await?;
        } else {
            self.insist(&ContinueTurn { conversation_id, id: id.clone() }, &id).await?;
        }
        Ok(Some(id))
    }

    async fn last_turn(&self) -> Result<Option<String>, ChatError> {
        let conversation_id = self.conversation_id.clone();
        let newest = self.api.call(&GetEvents { conversation_id, limit: Some(1), ..GetEvents::default() }).await?;
        Ok(newest.events.and_then(|events| events.items.into_iter().next_back()?.turn_id))
    }

    /// Until the API has taken the order. Busy with this very turn, it has taken an order whose answer was lost.
    async fn insist<R>(&mut self, order: &R, turn_id: &str) -> Result<String, ChatError>
    where
        R: Request<Answer = Turn>,
    {
        let mut repeats = 0;
        loop {
            let answer = tokio::select! {
                answer = self.api.call(order) => answer,
                Some(()) = self.interrupts.next() => return Err(ChatError::Left),
            };
            let error = match answer {
                Ok(turn) => return Ok(turn.id),
                Err(error) => error,
            };
            match busy_with(&error) {
                Some(busy) if busy == turn_id => return Ok(busy),
                Some(busy) => self.wait_for(&busy).await?,
                None if error.is_transient() && repeats < REPEATS => wait_before(&mut repeats).await,
                None => return Err(error.into()),
            }
        }
    }

    async fn wait_for(&mut self, turn_id: &str) -> Result<(), ChatError> {
        self.paper.note("An earlier message is still being answered.")?;
        self.follower.expect(turn_id);
        self.forget_interrupts();
        while !matches!(self.next_change(turn_id).await?, Change::Ended(_)) {}
        Ok(())
    }

    async fn print_answer(&mut self, turn_id: &str) -> Result<Ending, ChatError> {
        self.forget_interrupts();
        loop {
            match self.next_change(turn_id).await? {
                Change::Text(text) => self.paper.append(&text)?,
                Change::Replaced(text) => self.paper.replace(&text)?,
                Change::Note(note) => self.paper.note(&note)?,
                Change::Ended(ending) => return Ok(ending),
                Change::Question(_) | Change::Reopened => {}
            }
        }
    }

    /// What was cancelled before is another turn's.
    fn forget_interrupts(&mut self) {
        self.is_interrupted = false;
        self.cancelling.clear();
    }

    async fn next_change(&mut self, turn_id: &str) -> Result<Change, ChatError> {
        loop {
            tokio::select! {
                progress = self.follower.next() => match progress? {
                    progress if progress.turn_id == turn_id => return Ok(progress.change),
                    _ => {}
                },
                Some(()) = self.interrupts.next() => self.cancel(turn_id)?,
                Some(cancelled) = self.cancelling.next() => match cancelled {
                    Ok(turn) => self.follower.expect(&turn.id),
                    Err(error) => {
                        self.is_interrupted = false;
                        self.paper.note(&format!("It cannot be cancelled: {error}"))?;
                    }
                },
            }
        }
    }

    fn cancel(&mut self, turn_id: &str) -> Result<(), ChatError> {
        if self.is_interrupted {
            return Err(ChatError::Left);
        }
        self.is_interrupted = true;
        self.paper.note("Cancelling. Ctrl-C again leaves.")?;
        let (api, conversation_id, id) = (self.api.clone(), self.conversation_id.clone(), turn_id.to_owned());
        self.cancelling.push(cancelled(api, CancelTurn { conversation_id, id }).boxed());
        Ok(())
    }
}

async fn cancelled(api: AppSync, order: CancelTurn) -> Result<Turn, Error> {
    let mut repeats = 0;
    loop {
        match api.call(&order).await {
            Err(error) if error.is_transient() && repeats < REPEATS => wait_before(&mut repeats).await,
            answer => return answer,
        }
    }
}

async fn wait_before(repeats: &mut u32) {
    tokio::time::sleep(FIRST_WAIT * 2_u32.pow(*repeats)).await;
    *repeats += 1;
}

fn busy_with(error: &Error) -> Option<String> {
    let named = error.named().filter(|named| named.error_type == Some(ErrorType::ConversationBusy))?;
    named.error_info.as_ref()?.get("turnId")?.as_str().map(str::to_owned)
}
