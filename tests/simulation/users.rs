//! The users of a conversation: they send, cancel, retry and continue at random.
use std::{sync::Arc, time::Duration};

use client::requests::{CreateConversation, Request, SendMessage};
use local::identity::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{aws::api, environment::Environment, fault_profile::Link, subscriber::SubscriberHandle};

/// How often a user repeats a failed request before giving up.
const MAX_TRIES: u32 = 12;

#[derive(Clone)]
pub struct User {
    environment: Arc<Environment>,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// There was no response. The request may have taken effect.
    NoResponse,
    /// The response has an error of this type.
    Refused(String),
}

#[derive(Debug, Deserialize)]
struct TurnSummary {
    status: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TurnVariables<'a> {
    conversation_id: String,
    id: &'a str,
}

impl User {
    pub fn new(environment: &Arc<Environment>) -> Self {
        Self { environment: Arc::clone(environment) }
    }

    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Answer, RequestError> {
        let data = self.execute(R::DOCUMENT, R::FIELD, &request.variables()).await?;
        Ok(serde_json::from_value(data).unwrap_or_else(|error| panic!("{} has another type: {error}", R::FIELD)))
    }

    async fn execute(&self, document: &str, field: &str, variables: &Value) -> Result<Value, RequestError> {
        let body = json!({ "query": document, "variables": variables }).to_string();
        let response = api::request(&self.environment, Link::UserToApi, Caller::from_api_key(), body).await;
        let Ok(response) = response else { return Err(RequestError::NoResponse) };
        let mut response: Value = serde_json::from_slice(&response).expect("AppSync responds with JSON");
        match response["errors"][0]["errorType"].as_str() {
            Some("Code") => panic!("a resolver failed: {document} with {variables}: {}", response["errors"]),
            Some(error_type) => Err(RequestError::Refused(error_type.to_owned())),
            None if response["errors"].is_array() => Err(RequestError::Refused(response["errors"].to_string())),
            None => Ok(response["data"][field].take()),
        }
    }

    /// Repeats a request until it succeeds or fails for good.
    async fn with_retries<T>(
        &self,
        name: &str,
        request: impl AsyncFn() -> Result<T, RequestError>,
    ) -> Result<T, RequestError> {
        let mut last_error = RequestError::NoResponse;
        for _ in 0..MAX_TRIES {
            let result = request().await;
            self.environment.trace(|| format!("{name}: {:?}", result.as_ref().err()));
            match result {
                Err(error) if error.is_transient() => last_error = error,
                result => return result,
            }
            sleep(self.environment.with_rng(|rng| rng.milliseconds(50..8_000))).await;
        }
        Err(last_error)
    }

    async fn create_conversation(&self) {
        let request = CreateConversation { id: Some(self.environment.conversation_id()), title: None, agent_id: None };
        while self.with_retries("create", async || self.call(&request).await).await.is_err() {}
    }

    /// An `Ok` is recorded as acknowledged.
    async fn send(&self, turn_id: &str, text: &str) -> Result<(), RequestError> {
        let request = SendMessage {
            conversation_id: Some(self.environment.conversation_id()),
            id: Some(turn_id.to_owned()),
            text: text.to_owned(),
        };
        self.with_retries(&format!("send {turn_id}"), async || self.call(&request).await).await?;
        self.environment.with_recorder(|recorder| recorder.acknowledged.insert(turn_id.to_owned(), text.to_owned()));
        Ok(())
    }

    async fn cancel(&self, turn_id: &str) -> Result<TurnSummary, RequestError> {
        self.execute_on_turn("mutation", "cancelTurn", turn_id).await
    }

    /// `getTurn` or a mutation that takes the same arguments.
    async fn execute_on_turn(&self, operation: &str, field: &str, turn_id: &str) -> Result<TurnSummary, RequestError> {
        let document = format!(
            "{operation} Op($conversationId: ID!, $id: ID!) \
             {{ {field}(conversationId: $conversationId, id: $id) {{ status }} }}"
        );
        let variables = json!(TurnVariables { conversation_id: self.environment.conversation_id(), id: turn_id });
        let name = format!("{field} {turn_id}");
        let turn = self.with_retries(&name, async || self.execute(&document, field, &variables).await).await?;
        serde_json::from_value(turn).map_err(|_| RequestError::Refused("the turn is null".into()))
    }

    /// Polls the turn until it has ended, for at most 21 minutes.
    async fn wait_for_end(&self, turn_id: &str) {
        for poll in 1..16 {
            if let Ok(turn) = self.execute_on_turn("query", "getTurn", turn_id).await
                && matches!(turn.status.as_str(), "COMPLETED" | "CANCELLED" | "FAILED")
            {
                return;
            }
            sleep(Duration::from_secs(poll * poll)).await;
        }
    }
}

impl RequestError {
    fn is_transient(&self) -> bool {
        const TRANSIENT_TYPES: [&str; 4] =
            ["TryAgain", "ExecutionTimeout", "InternalFailure", "Lambda:ServiceException"];
        match self {
            Self::NoResponse => true,
            Self::Refused(error_type) => TRANSIENT_TYPES.contains(&error_type.as_str()),
        }
    }
}

/// A conversation of up to three messages.
pub async fn converse(environment: Arc<Environment>, subscriber: SubscriberHandle) {
    let conversation =
        Conversation { user: User::new(&environment), other_user: User::new(&environment), environment, subscriber };
    conversation.user.create_conversation().await;
    conversation.subscriber.wait_until_synchronized().await;
    let messages = conversation.environment.with_rng(|rng| rng.choose(&[1, 1, 1, 2, 2, 3]));
    for number in 1..=messages {
        conversation.play_turn(number).await;
    }
}

struct Conversation {
    environment: Arc<Environment>,
    user: User,
    other_user: User,
    subscriber: SubscriberHandle,
}

impl Conversation {
    async fn play_turn(&self, number: u64) {
        let turn_id = format!("t{number}");
        let text = format!("«question {number}» {}", self.environment.with_rng(|rng| rng.number()));
        if self.send(&turn_id, &text).await.is_err() {
            return;
        }
        self.subscriber.expect_turn(&turn_id);
        self.interfere(&turn_id, &text).await;
        if self.environment.with_rng(|rng| rng.percent(85)) {
            self.user.wait_for_end(&turn_id).await;
        }
        self.retry_and_continue(&turn_id).await;
    }

    /// Sends a message once, twice at once, or at the same time as another message.
    async fn send(&self, turn_id: &str, text: &str) -> Result<(), RequestError> {
        match self.environment.with_rng(|rng| rng.below(10)) {
            0..2 => {
                let (first, second) = tokio::join!(self.user.send(turn_id, text), self.other_user.send(turn_id, text));
                first.or(second)
            }
            2..4 => self.send_against_rival(turn_id, text).await,
            _ => self.user.send(turn_id, text).await,
        }
    }

    /// Sends two messages at once, of which the conversation accepts one at a time.
    async fn send_against_rival(&self, turn_id: &str, text: &str) -> Result<(), RequestError> {
        let rival_id = format!("{turn_id}-rival");
        let (result, rival_result) =
            tokio::join!(self.user.send(turn_id, text), self.other_user.send(&rival_id, "«rival»"));
        if rival_result.is_ok() {
            self.subscriber.expect_turn(&rival_id);
            self.user.wait_for_end(&rival_id).await;
        }
        match result {
            Err(RequestError::Refused(_)) => self.user.send(turn_id, text).await,
            result => result,
        }
    }

    /// While the turn is being answered: a cancel, a repeated send, or the same id with another text.
    async fn interfere(&self, turn_id: &str, text: &str) {
        let (pause, action) = self.environment.with_rng(|rng| {
            let pause = if rng.percent(60) { rng.milliseconds(0..1_500) } else { rng.seconds(0..90) };
            (pause, rng.below(10))
        });
        if action < 5 {
            sleep(pause).await;
        }
        match action {
            0..3 => drop(self.other_user.cancel(turn_id).await),
            3 => {
                let accepted = self.other_user.send(turn_id, text).await.is_ok();
                if accepted {
                    self.subscriber.expect_turn(turn_id);
                }
            }
            4 => {
                let accepted = self.other_user.send(turn_id, "another text").await.is_ok();
                if accepted {
                    let violation = format!("invariant 2: {turn_id} was accepted with another text");
                    self.environment.with_recorder(|recorder| recorder.violations.push(violation));
                }
            }
            _ => {}
        }
    }

    /// Runs an ended turn again, some of the runs cancelled.
    async fn retry_and_continue(&self, turn_id: &str) {
        while self.environment.with_rng(|rng| rng.percent(30)) {
            let field = self.environment.with_rng(|rng| rng.choose(&["retryTurn", "continueTurn"]));
            let result = self.user.execute_on_turn("mutation", field, turn_id).await;
            self.subscriber.expect_turn(turn_id);
            if result.is_err() {
                return;
            }
            if self.environment.with_rng(|rng| rng.percent(25)) {
                sleep(self.environment.with_rng(|rng| rng.milliseconds(0..4_000))).await;
                drop(self.other_user.cancel(turn_id).await);
            }
            self.user.wait_for_end(turn_id).await;
        }
    }
}
