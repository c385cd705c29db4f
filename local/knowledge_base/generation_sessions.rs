//! The sessions of RetrieveAndGenerate: questions and answers of a conversation, which end after a day.
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::service_error::constraint;
use crate::bedrock::BedrockError;

/// AWS documents that a session lasts 24 hours and cannot be extended.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The session that was begun first is forgotten.
const MAX_SESSIONS: usize = 1_000;
/// The model reads no more exchanges of a session.
const MAX_EXCHANGES: usize = 10;
/// The rest of an answer is not kept, in characters.
const MAX_KEPT_ANSWER: usize = 20_000;

/// They do not outlive the server.
#[derive(Default)]
pub struct Sessions(Mutex<VecDeque<Session>>);

struct Session {
    id: String,
    begun_at: Instant,
    exchanges: VecDeque<Exchange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub question: String,
    pub answer: String,
}

impl Sessions {
    /// The id and the exchanges of a session; a new one without an id.
    pub fn open(&self, id: Option<&str>) -> Result<(String, Vec<Exchange>), BedrockError> {
        let mut sessions = self.lock();
        sessions.retain(|session| session.begun_at.elapsed() < LIFETIME);
        let Some(id) = id else {
            if sessions.len() == MAX_SESSIONS {
                sessions.pop_front();
            }
            let id = Uuid::new_v4().to_string();
            sessions.push_back(Session { id: id.clone(), begun_at: Instant::now(), exchanges: VecDeque::new() });
            return Ok((id, Vec::new()));
        };
        if !(2..=100).contains(&id.len()) {
            return Err(constraint("sessionId", "have length between 2 and 100"));
        }
        let session = sessions.iter().find(|session| session.id == id).ok_or_else(|| unknown_session(id))?;
        Ok((id.to_owned(), session.exchanges.iter().cloned().collect()))
    }

    /// Adds an exchange to a session, unless it has ended.
    pub fn add(&self, id: &str, mut exchange: Exchange) {
        if let Some((index, _)) = exchange.answer.char_indices().nth(MAX_KEPT_ANSWER) {
            exchange.answer.truncate(index);
        }
        let mut sessions = self.lock();
        let Some(session) = sessions.iter_mut().find(|session| session.id == id) else { return };
        if session.exchanges.len() == MAX_EXCHANGES {
            session.exchanges.pop_front();
        }
        session.exchanges.push_back(exchange);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange {
    /// The messages of the model's request.
    pub fn messages(&self) -> [Value; 2] {
        [
            json!({ "role": "user", "content": [{ "text": self.question }] }),
            json!({ "role": "assistant", "content": [{ "text": self.answer }] }),
        ]
    }
}

/// In Bedrock's words, as its users report them.
fn unknown_session(id: &str) -> BedrockError {
    BedrockError::validation(format!("Session with Id {id} is not valid. Please check and try again."))
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    fn exchange(number: usize) -> Exchange {
        Exchange { question: format!("Question {number}?"), answer: format!("Answer {number}.") }
    }

    #[tokio::test]
    async fn session_ends_a_day_after_its_begin() {
        pause();
        let sessions = Sessions::default();
        let (id, _) = sessions.open(None).unwrap();
        advance(LIFETIME - Duration::from_secs(1)).await;
        sessions.add(&id, exchange(1));
        assert_eq!(sessions.open(Some(&id)).unwrap(), (id.clone(), vec![exchange(1)]));
        advance(Duration::from_secs(1)).await;
        let message = format!("Session with Id {id} is not valid. Please check and try again.");
        assert_eq!(sessions.open(Some(&id)).unwrap_err().into_message(), message);
        sessions.add(&id, exchange(2));
    }

    #[tokio::test]
    async fn sessions_and_their_exchanges_are_bounded() {
        let sessions = Sessions::default();
        let (first, _) = sessions.open(None).unwrap();
        let ids: Vec<String> = (0..MAX_SESSIONS).map(|_| sessions.open(None).unwrap().0).collect();
        assert!(sessions.open(Some(&first)).is_err());
        for number in 0..=MAX_EXCHANGES {
            sessions.add(&ids[0], exchange(number));
        }
        let (_, exchanges) = sessions.open(Some(&ids[0])).unwrap();
        assert_eq!((exchanges.len(), &exchanges[0]), (MAX_EXCHANGES, &exchange(1)));
        let long = Exchange { question: "Why?".into(), answer: "é".repeat(MAX_KEPT_ANSWER + 1) };
        sessions.add(&ids[1], long);
        let (_, exchanges) = sessions.open(Some(&ids[1])).unwrap();
        assert_eq!(exchanges[0].answer.chars().count(), MAX_KEPT_ANSWER);
    }
}
