//! The users of a conversation and their requests.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use client::{
    requests::{
        AnswerToolCall, CreateConversation, DeleteConversation, ListConversations, PutAgent, Request, SendMessage,
    },
    schema::Access as GrantedAccess,
};
use local::identity::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    access::{Access, AccessStamp},
    aws::api,
    environment::Environment,
    fault_profile::Link,
    long_run::LongRun,
    people::Person,
    rng::Rng,
    tools::agent_id,
};

/// How often a user repeats a failed request before giving up.
const MAX_TRIES: u32 = 12;
/// How the users of a run behave. Probabilities are percent.
pub struct UserProfile {
    pub messages: u64,
    /// That an ended turn is retried, continued or replaced, again after each of these runs.
    pub reruns: u64,
    /// That the owner deletes the conversation.
    pub deletes: u64,
    /// How often the owner shares the conversation, if there is a participant.
    pub shares: u64,
    /// That the agent loses its tools, and gets them back.
    pub agent_changes: u64,
}

/// What users have answered to each tool call, by turn and id of the call.
pub type ToolAnswers = BTreeMap<(String, String), CallAnswers>;

/// The answers to one tool call. Those that were sent may have been accepted.
#[derive(Clone, Debug, Default)]
pub struct CallAnswers {
    pub sent: Vec<Answer>,
    pub accepted: Vec<Answer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Approval,
    Denial { reason: Option<String> },
    Result { json: String, is_error: bool },
}

impl Answer {
    /// What the model is told of a denial.
    pub fn denial_text(&self) -> Option<String> {
        match self {
            Self::Denial { reason: Some(reason) } => Some(format!("The user denied this call. Reason: {reason}")),
            Self::Denial { reason: None } => Some("The user denied this call.".to_owned()),
            Self::Approval | Self::Result { .. } => None,
        }
    }
}

#[derive(Clone)]
pub struct User {
    environment: Arc<Environment>,
    pub person: Person,
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
pub struct TurnSummary {
    status: String,
    #[serde(default)]
    pending: Option<Vec<PendingCall>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PendingCall {
    pub id: String,
    pub status: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TurnVariables<'a> {
    conversation_id: String,
    id: &'a str,
}

impl UserProfile {
    pub fn random(rng: &mut Rng, long_run: Option<LongRun>) -> Self {
        match long_run {
            None => Self {
                messages: rng.choose(&[1, 1, 1, 2, 2, 3]),
                reruns: 30,
                deletes: 15,
                shares: rng.below(4),
                agent_changes: 8,
            },
            Some(_) => Self { messages: 0, reruns: 0, deletes: 30, shares: 0, agent_changes: 0 },
        }
    }
}

impl User {
    pub fn new(environment: &Arc<Environment>, person: Person) -> Self {
        Self { environment: Arc::clone(environment), person }
    }

    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Answer, RequestError> {
        let data = self.execute(R::DOCUMENT, R::FIELD, &request.variables()).await?;
        Ok(serde_json::from_value(data).unwrap_or_else(|error| panic!("{} has another type: {error}", R::FIELD)))
    }

    pub async fn execute(&self, document: &str, field: &str, variables: &Value) -> Result<Value, RequestError> {
        let body = json!({ "query": document, "variables": variables }).to_string();
        let access = self.environment.access_stamp(self.person);
        let caller = self.environment.people.caller(self.person);
        let response = api::request(&self.environment, Link::UserToApi, caller, body).await;
        let Ok(response) = response else { return Err(RequestError::NoResponse) };
        let mut response: Value = serde_json::from_slice(&response).expect("AppSync responds with JSON");
        self.check_access(access, document, field, &response["data"][field]);
        match response["errors"][0]["errorType"].as_str() {
            Some(error_type) => Err(RequestError::Refused(error_type.to_owned())),
            None if response["errors"].is_array() => Err(RequestError::Refused(response["errors"].to_string())),
            None => Ok(response["data"][field].take()),
        }
    }

    /// Puts the run's agent, with its tools or without, as the administrator.
    pub async fn put_agent(&self, has_tools: bool) {
        let agent = self.environment.agent.put(&self.environment, has_tools);
        let body = json!({ "query": PutAgent::DOCUMENT, "variables": agent.variables() }).to_string();
        let caller: Caller = self.environment.people.administrator();
        let put = async || {
            let request = api::request(&self.environment, Link::UserToApi, caller.clone(), body.clone());
            let Ok(response) = request.await else { return Err(RequestError::NoResponse) };
            let response: Value = serde_json::from_slice(&response).expect("AppSync responds with JSON");
            let error = response["errors"][0]["errorType"].as_str();
            assert!(error != Some("InvalidInput"), "the agent is refused: {response}");
            error.map_or(Ok(()), |error| Err(RequestError::Refused(error.to_owned())))
        };
        drop(self.with_retries("put the agent", put).await);
    }

    /// A request that returns something about the conversation was allowed.
    fn check_access(&self, access: AccessStamp, document: &str, field: &str, data: &Value) {
        let is_allowed = match field {
            // The index of an owner's own conversations is eventually consistent.
            "listConversations" if self.person == Person::Owner => false,
            "listConversations" => {
                let mut items = data["items"].as_array().into_iter().flatten();
                items.any(|item| item["id"] == self.environment.conversation_id())
            }
            "deleteConversation" => false,
            _ => !data.is_null(),
        };
        if is_allowed {
            self.environment.check_reading(self.person, access, field);
        }
        if is_allowed && document.starts_with("mutation") {
            self.environment.check_writing(self.person, access, field);
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

    /// Creates the conversation, however often that takes.
    pub async fn create_conversation(&self) {
        let agent_id = self.environment.agent.has_tools.then(|| agent_id(&self.environment));
        let request = CreateConversation { id: Some(self.environment.conversation_id()), title: None, agent_id };
        while self.with_retries("create", async || self.call(&request).await).await.is_err() {}
    }

    /// An `Ok` is recorded as acknowledged.
    pub async fn send(&self, turn_id: &str, text: &str) -> Result<(), RequestError> {
        self.send_message(turn_id, text, None).await
    }

    /// Sends a message that replaces a turn.
    pub async fn replace(&self, replaced: &str, turn_id: &str, text: &str) -> Result<(), RequestError> {
        let replacement = (turn_id.to_owned(), replaced.to_owned());
        self.environment.with_recorder(|recorder| recorder.replacements.extend([replacement]));
        self.send_message(turn_id, text, Some(replaced)).await
    }

    async fn send_message(&self, turn_id: &str, text: &str, replaced: Option<&str>) -> Result<(), RequestError> {
        let request = SendMessage {
            conversation_id: Some(self.environment.conversation_id()),
            id: Some(turn_id.to_owned()),
            text: text.to_owned(),
            replaces_turn_id: replaced.map(str::to_owned),
        };
        let name = replaced.map_or_else(String::new, |replaced| format!(" in place of {replaced}"));
        self.with_retries(&format!("send {turn_id}{name}"), async || self.call(&request).await).await?;
        self.environment.with_recorder(|recorder| recorder.acknowledged.insert(turn_id.to_owned(), text.to_owned()));
        Ok(())
    }

    /// Deletes the conversation. A deletion that is not acknowledged may have happened.
    pub async fn delete_conversation(&self) {
        self.environment.with_access(|access| access.set_conversation(Access::Unknown));
        let request = DeleteConversation { id: self.environment.conversation_id() };
        let result = self.with_retries("delete", async || self.call(&request).await).await;
        if result.is_ok() {
            self.environment.with_access(|access| access.set_conversation(Access::None));
        }
    }

    /// Shares the conversation with the participant.
    pub async fn share(&self, participant_id: &str, granted: GrantedAccess) -> Result<(), RequestError> {
        self.environment.with_access(|access| access.set_participant(Access::Unknown));
        let variables = json!({
            "input": { "conversationId": self.environment.conversation_id(), "userId": participant_id, "access": granted }
        });
        let document = "mutation Op($input: ShareConversationInput!) { shareConversation(input: $input) { access } }";
        let share = async || self.execute(document, "shareConversation", &variables).await;
        self.with_retries("share", share).await?;
        let access = if granted == GrantedAccess::Read { Access::Read } else { Access::Write };
        self.environment.with_access(|state| state.set_participant(access));
        Ok(())
    }

    pub async fn unshare(&self, participant_id: &str) -> Result<(), RequestError> {
        self.environment.with_access(|access| access.set_participant(Access::Unknown));
        let variables = json!({ "conversationId": self.environment.conversation_id(), "userId": participant_id });
        let document = "mutation Op($conversationId: ID!, $userId: ID!) \
             { unshareConversation(conversationId: $conversationId, userId: $userId) { userId } }";
        let unshare = async || self.execute(document, "unshareConversation", &variables).await;
        self.with_retries("unshare", unshare).await?;
        self.environment.with_access(|access| access.set_participant(Access::None));
        Ok(())
    }

    /// Reads and writes as if the user had access; whether it was let is checked with each response.
    pub async fn probe(&self) {
        let list = ListConversations::default();
        drop(self.with_retries("list", async || self.call(&list).await).await);
        drop(self.execute_on_turn("query", "getTurn", "t1").await);
        let (field, id) = self.environment.with_rng(|rng| rng.choose(&[("cancelTurn", "t1"), ("retryTurn", "t1")]));
        if self.environment.access_stamp(self.person).access != Access::Write {
            drop(self.execute_on_turn("mutation", field, id).await);
        }
    }

    /// Answers a tool call. What is sent, and what is acknowledged, is recorded.
    pub async fn answer(&self, turn_id: &str, tool_use_id: &str, answer: Answer) -> Result<(), RequestError> {
        let key = (turn_id.to_owned(), tool_use_id.to_owned());
        let record = |change: &dyn Fn(&mut CallAnswers)| {
            self.environment.with_recorder(|recorder| change(recorder.tool_answers.entry(key.clone()).or_default()));
        };
        record(&|answers| answers.sent.push(answer.clone()));
        let mut request = AnswerToolCall {
            conversation_id: self.environment.conversation_id(),
            turn_id: turn_id.to_owned(),
            tool_use_id: tool_use_id.to_owned(),
            approved: None,
            reason: None,
            result: None,
            is_error: None,
        };
        match answer.clone() {
            Answer::Approval => request.approved = Some(true),
            Answer::Denial { reason } => (request.approved, request.reason) = (Some(false), reason),
            Answer::Result { json, is_error } => (request.result, request.is_error) = (Some(json), Some(is_error)),
        }
        let name = format!("answer {tool_use_id} of {turn_id} with {answer:?}");
        self.with_retries(&name, async || self.call(&request).await).await?;
        record(&|answers| answers.accepted.push(answer.clone()));
        Ok(())
    }

    pub async fn cancel(&self, turn_id: &str) -> Result<TurnSummary, RequestError> {
        self.execute_on_turn("mutation", "cancelTurn", turn_id).await
    }

    /// `getTurn` or a mutation that takes the same arguments.
    pub async fn execute_on_turn(
        &self,
        operation: &str,
        field: &str,
        turn_id: &str,
    ) -> Result<TurnSummary, RequestError> {
        let document = format!(
            "{operation} Op($conversationId: ID!, $id: ID!) \
             {{ {field}(conversationId: $conversationId, id: $id) {{ status pending {{ id status }} }} }}"
        );
        let variables = json!(TurnVariables { conversation_id: self.environment.conversation_id(), id: turn_id });
        let name = format!("{field} {turn_id}");
        let turn = self.with_retries(&name, async || self.execute(&document, field, &variables).await).await?;
        serde_json::from_value(turn).map_err(|_| RequestError::Refused("the turn is null".into()))
    }

    /// Polls the turn until it has ended or waits for answers, for at most 21 minutes. Returns the calls that
    /// wait; none if the turn does not wait.
    pub async fn wait_for_end_or_calls(&self, turn_id: &str) -> Vec<PendingCall> {
        for poll in 1..16 {
            if let Ok(turn) = self.execute_on_turn("query", "getTurn", turn_id).await {
                match turn.status.as_str() {
                    "COMPLETED" | "CANCELLED" | "FAILED" => break,
                    "WAITING" => {
                        let mut pending = turn.pending.unwrap_or_default();
                        pending.retain(|call| matches!(call.status.as_str(), "APPROVAL_NEEDED" | "CLIENT_NEEDED"));
                        if !pending.is_empty() {
                            return pending;
                        }
                    }
                    _ => {}
                }
            }
            sleep(Duration::from_secs(poll * poll)).await;
        }
        Vec::new()
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
