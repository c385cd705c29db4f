//! The users of a conversation: they send, cancel, retry and continue at random.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use client::{
    requests::{
        AnswerToolCall, CreateConversation, DeleteConversation, ListConversations, PutAgent, Request, SendMessage,
    },
    schema::Access as GrantedAccess,
};
use futures::future::join_all;
use local::identity::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    access::{Access, AccessStamp},
    aws::api,
    checker::Violation,
    environment::Environment,
    fault_profile::Link,
    long_run::LongRun,
    observations::Sizes,
    people::Person,
    rng::Rng,
    run::stored_items,
    subscriber::SubscriberHandle,
    tools::{PENDING_HOURS, agent_id},
};

/// How often a user repeats a failed request before giving up.
const MAX_TRIES: u32 = 12;
/// Long enough for a subscription that fails again and again.
const SYNCHRONIZATION_TIMEOUT: Duration = Duration::from_secs(3600);
/// An attempt that is to die has died by then, or has ended its turn.
const DEATH_TIMEOUT: Duration = Duration::from_secs(300);
/// After an attempt's death: its lease has expired, and Lambda has not retried its invocation.
const LEASE_END: Duration = Duration::from_secs(33);
/// After a send: the turn cannot be claimed any more.
const CLAIM_END: Duration = Duration::from_secs(363);

/// After the beginning of a wait: its calls have expired.
pub const WAIT_END: Duration = Duration::from_secs(PENDING_HOURS * 3600 + 5);
/// How often the calls of one turn are answered. The model calls tools in a limited number of steps.
const MAX_WAITS: u32 = 12;

/// How the users of a run behave. Probabilities are percent.
pub struct UserProfile {
    pub messages: u64,
    /// That an ended turn is retried or continued, again after each of these runs.
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
struct TurnSummary {
    status: String,
    #[serde(default)]
    pending: Option<Vec<PendingCall>>,
}

#[derive(Clone, Debug, Deserialize)]
struct PendingCall {
    id: String,
    status: String,
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

    /// Deletes the conversation. A deletion that is not acknowledged may have happened.
    async fn delete_conversation(&self) {
        self.environment.with_access(|access| access.set_conversation(Access::Unknown));
        let request = DeleteConversation { id: self.environment.conversation_id() };
        let result = self.with_retries("delete", async || self.call(&request).await).await;
        if result.is_ok() {
            self.environment.with_access(|access| access.set_conversation(Access::None));
        }
    }

    /// Shares the conversation with the participant.
    async fn share(&self, participant_id: &str, granted: GrantedAccess) -> Result<(), RequestError> {
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

    async fn unshare(&self, participant_id: &str) -> Result<(), RequestError> {
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
    async fn probe(&self) {
        let list = ListConversations::default();
        drop(self.with_retries("list", async || self.call(&list).await).await);
        drop(self.execute_on_turn("query", "getTurn", "t1").await);
        let (field, id) = self.environment.with_rng(|rng| rng.choose(&[("cancelTurn", "t1"), ("retryTurn", "t1")]));
        if self.environment.access_stamp(self.person).access != Access::Write {
            drop(self.execute_on_turn("mutation", field, id).await);
        }
    }

    /// Answers a tool call. What is sent, and what is acknowledged, is recorded.
    async fn answer(&self, turn_id: &str, tool_use_id: &str, answer: Answer) -> Result<(), RequestError> {
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

    async fn cancel(&self, turn_id: &str) -> Result<TurnSummary, RequestError> {
        self.execute_on_turn("mutation", "cancelTurn", turn_id).await
    }

    /// `getTurn` or a mutation that takes the same arguments.
    async fn execute_on_turn(&self, operation: &str, field: &str, turn_id: &str) -> Result<TurnSummary, RequestError> {
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
    async fn wait_for_end_or_calls(&self, turn_id: &str) -> Vec<PendingCall> {
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

/// A conversation of a few messages, or a long one. Meanwhile the owner may share it, stop sharing it, and
/// delete it.
pub async fn converse(environment: Arc<Environment>, owner: SubscriberHandle, participant: Option<SubscriberHandle>) {
    let conversation = Conversation { user: User::new(&environment, Person::Owner), environment, subscriber: owner };
    if timeout(SYNCHRONIZATION_TIMEOUT, conversation.subscriber.wait_until_synchronized()).await.is_err() {
        let violation = Violation::new(3, "the owner cannot subscribe to its conversation".into());
        return conversation.environment.with_recorder(|recorder| recorder.violations.push(violation));
    }
    let turns = async {
        match conversation.environment.long_run {
            Some(long_run) => conversation.play_long_run(long_run).await,
            None => conversation.play_turns().await,
        }
    };
    let sharing = async {
        if let Some(subscriber) = &participant {
            conversation.share_and_unshare(subscriber).await;
        }
    };
    let deletion = async {
        let deletes = conversation.environment.users.deletes;
        let is_long = conversation.environment.long_run.is_some();
        if !is_long && conversation.environment.with_rng(|rng| rng.percent(deletes)) {
            sleep(conversation.environment.with_rng(|rng| rng.milliseconds(500..60_000))).await;
            conversation.delete().await;
        }
    };
    let agent_changes = async {
        let environment = &conversation.environment;
        let probability = environment.users.agent_changes;
        if environment.agent.has_tools && environment.with_rng(|rng| rng.percent(probability)) {
            for has_tools in [false, true] {
                sleep(environment.with_rng(|rng| rng.milliseconds(500..40_000))).await;
                conversation.user.put_agent(has_tools).await;
            }
        }
    };
    tokio::join!(turns, sharing, deletion, agent_changes);
}

struct Conversation {
    environment: Arc<Environment>,
    user: User,
    subscriber: SubscriberHandle,
}

impl Conversation {
    async fn play_turns(&self) {
        for number in 1..=self.environment.users.messages {
            self.play_turn(number).await;
        }
    }

    /// Follows a turn to its end, and answers the tool calls that wait.
    async fn wait_for_end(&self, turn_id: &str) {
        for wait in 1..=MAX_WAITS {
            let pending = self.user.wait_for_end_or_calls(turn_id).await;
            if pending.is_empty() || !self.end_wait(turn_id, wait, &pending).await {
                return;
            }
        }
    }

    /// Answers the calls, or ends the wait in another way. Returns false if nobody looks after the turn any
    /// more.
    async fn end_wait(&self, turn_id: &str, wait: u32, pending: &[PendingCall]) -> bool {
        let (pause, action) = self.environment.with_rng(|rng| {
            let pause = if rng.percent(60) { rng.milliseconds(0..2_000) } else { rng.seconds(0..90) };
            (pause, rng.below(100))
        });
        sleep(pause).await;
        let send_instead = async || {
            let other_id = format!("{turn_id}-instead-{wait}");
            if self.user.send(&other_id, "«another message»").await.is_ok() {
                self.subscriber.expect_turn(&other_id);
                drop(self.user.wait_for_end_or_calls(&other_id).await);
            }
        };
        match action {
            0..68 => self.answer_all(turn_id, pending).await,
            68..74 => drop(self.other_user().cancel(turn_id).await),
            74..80 => {
                let (_, ()) = tokio::join!(self.user.cancel(turn_id), self.answer_all(turn_id, pending));
            }
            80..84 => send_instead().await,
            84..89 => {
                tokio::join!(send_instead(), self.answer_all(turn_id, pending));
            }
            89..93 => {
                self.answer_all(turn_id, &pending[1..]).await;
                sleep(WAIT_END).await;
            }
            93..96 => sleep(WAIT_END).await,
            // The last answers arrive when the wait is over, or nearly so.
            96..98 => {
                sleep(WAIT_END.saturating_sub(pause + Duration::from_secs(10))).await;
                sleep(self.environment.with_rng(|rng| rng.milliseconds(0..12_000))).await;
                self.answer_all(turn_id, pending).await;
            }
            _ => return false,
        }
        true
    }

    /// Answers the calls one after the other or all at once, some of them on two devices.
    async fn answer_all(&self, turn_id: &str, pending: &[PendingCall]) {
        if self.environment.with_rng(|rng| rng.percent(40)) {
            join_all(pending.iter().map(|call| self.answer(turn_id, call))).await;
            return;
        }
        for call in pending {
            self.answer(turn_id, call).await;
        }
    }

    /// The other device gives the same answer or another one.
    async fn answer(&self, turn_id: &str, call: &PendingCall) {
        let answer = self.random_answer(call);
        let is_doubled = self.environment.with_rng(|rng| rng.percent(30));
        if !is_doubled {
            return drop(self.user.answer(turn_id, &call.id, answer).await);
        }
        let is_same = self.environment.with_rng(|rng| rng.percent(40));
        let other_answer = if is_same { answer.clone() } else { self.random_answer(call) };
        let other_user = self.other_user();
        drop(tokio::join!(
            self.user.answer(turn_id, &call.id, answer),
            other_user.answer(turn_id, &call.id, other_answer)
        ));
    }

    fn random_answer(&self, call: &PendingCall) -> Answer {
        self.environment.with_rng(|rng| {
            let is_client = call.status == "CLIENT_NEEDED";
            let number = rng.below(1_000_000);
            match rng.below(100) {
                0..20 => Answer::Denial { reason: rng.percent(50).then(|| format!("Not {number}.")) },
                20..35 if is_client => Answer::Result { json: format!(r#"{{"error":{number}}}"#), is_error: true },
                _ if is_client => Answer::Result { json: format!(r#"{{"answer":{number}}}"#), is_error: false },
                _ => Answer::Approval,
            }
        })
    }

    /// Another user, or another device of the owner.
    fn other_user(&self) -> User {
        let is_shared = self.environment.access_stamp(Person::Participant).access != Access::None;
        let person = if is_shared { Person::Participant } else { Person::Owner };
        User::new(&self.environment, person)
    }

    /// The owner shares the conversation and stops sharing it. The participant tries whether that has an
    /// effect.
    async fn share_and_unshare(&self, subscriber: &SubscriberHandle) {
        let Some(participant_id) = self.environment.people.participant_id() else { return };
        let participant = User::new(&self.environment, Person::Participant);
        for _ in 0..self.environment.users.shares {
            let granted = self.environment.with_rng(|rng| rng.choose(&[GrantedAccess::Read, GrantedAccess::Write]));
            if self.user.share(participant_id, granted).await.is_err() {
                return;
            }
            subscriber.reconnect();
            participant.probe().await;
            if self.environment.with_rng(|rng| rng.percent(30)) {
                return;
            }
            sleep(self.environment.with_rng(|rng| rng.milliseconds(0..20_000))).await;
            if self.user.unshare(participant_id).await.is_err() {
                return;
            }
            participant.probe().await;
            sleep(self.environment.with_rng(|rng| rng.milliseconds(0..20_000))).await;
        }
    }

    async fn delete(&self) {
        let started_turns = self.environment.with_recorder(|recorder| recorder.turn_ids());
        let sizes = Sizes::of_items(&stored_items(&self.environment, &started_turns));
        self.environment.with_recorder(|recorder| recorder.sizes = sizes);
        self.user.delete_conversation().await;
        self.user.probe().await;
        drop(self.user.send("after-deletion", "«a message to nobody»").await);
    }

    async fn play_long_run(&self, long_run: LongRun) {
        match long_run {
            LongRun::Batches(_) | LongRun::Blocks { dies: true, .. } => {
                self.play_dead_turn(long_run.updates_before_death().unwrap_or_default()).await;
            }
            LongRun::Blocks { .. } => self.play_answered_turn("t1").await,
            LongRun::Events(_) => {
                self.play_answered_turn("t1").await;
                self.rerun("retryTurn", "t1").await;
            }
            LongRun::Continues(count) => {
                self.play_answered_turn("t1").await;
                for _ in 0..count {
                    self.rerun("continueTurn", "t1").await;
                }
                self.rerun("retryTurn", "t1").await;
            }
            LongRun::Turns(count) => {
                for number in 3..count + 2 {
                    self.play_answered_turn(&format!("t{number}")).await;
                }
            }
        }
        self.play_answered_turn("t2").await;
        let deletes = self.environment.users.deletes;
        if self.environment.with_rng(|rng| rng.percent(deletes)) {
            self.delete().await;
        }
    }

    async fn play_answered_turn(&self, turn_id: &str) {
        let text = format!("«question {turn_id}» {}", self.environment.with_rng(|rng| rng.number()));
        if self.user.send(turn_id, &text).await.is_ok() {
            self.subscriber.expect_turn(turn_id);
            self.wait_for_end(turn_id).await;
        }
    }

    async fn rerun(&self, field: &str, turn_id: &str) {
        let result = self.user.execute_on_turn("mutation", field, turn_id).await;
        self.subscriber.expect_turn(turn_id);
        if result.is_ok() {
            self.wait_for_end(turn_id).await;
        }
    }

    /// A turn whose first attempt dies after so many updates; all other invocations die at once. A user
    /// closes the turn: by a cancel while it waits to be claimed again, or by a send, a retry or a continue
    /// once it has ended.
    async fn play_dead_turn(&self, updates: u32) {
        // The claim and the model call come first. Each call has two fault points.
        let fault_points = 2 * updates + 3;
        self.environment.with_faults(|profile, _| {
            profile.planned_kills.push_back(fault_points);
            profile.kills_all = true;
        });
        if self.user.send("t1", "«question t1» whose handler dies").await.is_err() {
            return;
        }
        self.subscriber.expect_turn("t1");
        let sent = Instant::now();
        while sent.elapsed() < DEATH_TIMEOUT && self.environment.with_recorder(|recorder| recorder.kills == 0) {
            sleep(Duration::from_secs(1)).await;
        }
        let field = self.environment.with_rng(|rng| rng.choose(&["cancelTurn", "retryTurn", "continueTurn", "send"]));
        match field {
            "cancelTurn" => sleep(LEASE_END).await,
            _ => sleep(CLAIM_END.saturating_sub(sent.elapsed())).await,
        }
        self.environment.with_faults(|profile, _| profile.kills_all = false);
        match field {
            "send" => {}
            "cancelTurn" => drop(self.user.cancel("t1").await),
            field => self.rerun(field, "t1").await,
        }
    }

    async fn play_turn(&self, number: u64) {
        let turn_id = format!("t{number}");
        let text = format!("«question {number}» {}", self.environment.with_rng(|rng| rng.number()));
        if self.send(&turn_id, &text).await.is_err() {
            return;
        }
        self.subscriber.expect_turn(&turn_id);
        self.interfere(&turn_id, &text).await;
        if self.environment.with_rng(|rng| rng.percent(85)) {
            self.wait_for_end(&turn_id).await;
        }
        self.retry_and_continue(&turn_id).await;
    }

    /// Sends a message once, twice at once, or at the same time as another message.
    async fn send(&self, turn_id: &str, text: &str) -> Result<(), RequestError> {
        match self.environment.with_rng(|rng| rng.below(10)) {
            0..2 => {
                let other_user = self.other_user();
                let (first, second) = tokio::join!(self.user.send(turn_id, text), other_user.send(turn_id, text));
                first.or(second)
            }
            2..4 => self.send_against_rival(turn_id, text).await,
            _ => self.user.send(turn_id, text).await,
        }
    }

    /// Sends two messages at once, of which the conversation accepts one at a time.
    async fn send_against_rival(&self, turn_id: &str, text: &str) -> Result<(), RequestError> {
        let rival_id = format!("{turn_id}-rival");
        let other_user = self.other_user();
        let (result, rival_result) = tokio::join!(self.user.send(turn_id, text), other_user.send(&rival_id, "«rival»"));
        if rival_result.is_ok() {
            self.subscriber.expect_turn(&rival_id);
            self.wait_for_end(&rival_id).await;
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
            0..3 => drop(self.other_user().cancel(turn_id).await),
            3 => {
                let accepted = self.other_user().send(turn_id, text).await.is_ok();
                if accepted {
                    self.subscriber.expect_turn(turn_id);
                }
            }
            4 => {
                let accepted = self.other_user().send(turn_id, "another text").await.is_ok();
                if accepted {
                    let violation = Violation::new(2, format!("{turn_id} was accepted with another text"));
                    self.environment.with_recorder(|recorder| recorder.violations.push(violation));
                }
            }
            _ => {}
        }
    }

    /// Runs an ended turn again, some of the runs cancelled.
    async fn retry_and_continue(&self, turn_id: &str) {
        let reruns = self.environment.users.reruns;
        while self.environment.with_rng(|rng| rng.percent(reruns)) {
            let field = self.environment.with_rng(|rng| rng.choose(&["retryTurn", "continueTurn"]));
            let result = self.user.execute_on_turn("mutation", field, turn_id).await;
            self.subscriber.expect_turn(turn_id);
            if result.is_err() {
                return;
            }
            if self.environment.with_rng(|rng| rng.percent(25)) {
                sleep(self.environment.with_rng(|rng| rng.milliseconds(0..4_000))).await;
                drop(self.other_user().cancel(turn_id).await);
            }
            self.wait_for_end(turn_id).await;
        }
    }
}
