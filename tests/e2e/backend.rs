//! What a user does, as verbs.
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use client::{
    AppSync, Credentials, Error,
    credentials::IamKeys,
    documents,
    errors::{ApiError, ErrorType},
    realtime::{Realtime, Signal, Subscription},
    requests::{
        CancelTurn, ContinueTurn, CreateConversation, GetEvents, GetTurn, PutAgent, Request, RetryTurn, SendMessage,
    },
    schema::{Conversation, ConversationEvent, ConversationUpdate, Turn},
};
use futures::StreamExt;
use local::{
    fault_injection::FaultPlan,
    identity::{self, LocalIssuer, Principal},
    server::{AccessKey, Models, Server, ServerOptions},
    template::ACCOUNT,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// Longer than any answer of a test takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

pub struct Backend {
    pub server: Server,
    /// Asks with the API key; where none is taken, as the administrator.
    pub api: AppSync,
    /// Asks with an administrator's IAM keys.
    pub administrator: AppSync,
    _state: TempDir,
}

impl Backend {
    pub async fn start() -> Self {
        Self::with_parameters([]).await
    }

    pub async fn with_parameters<const N: usize>(parameters: [(&str, &str); N]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self::of(Server::start(options(&state, parameters.into())).await.unwrap(), state)
    }

    /// Messages are stored and their turns queued, but no environment ever starts.
    pub async fn without_handler() -> Self {
        let state = tempfile::tempdir().unwrap();
        let options = ServerOptions { executable: "/nonexistent".into(), ..options(&state, BTreeMap::new()) };
        Self::of(Server::start(options).await.unwrap(), state)
    }

    /// With a user pool of these users, and a provider of any.
    pub async fn with_users<const N: usize>(users: &[&str], parameters: [(&str, &str); N]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let users = users.iter().map(|user| user.parse().unwrap()).collect();
        let options = ServerOptions { users, oidc: true, ..options(&state, parameters.into()) };
        Self::of(Server::start(options).await.unwrap(), state)
    }

    /// Somebody who is known, by a token of the user pool.
    pub fn pool_user(&self, name: &str) -> User {
        self.holder(self.server.issuers.pool.as_ref().unwrap(), name)
    }

    /// Somebody who is known, by a token of the OpenID Connect provider.
    pub fn provider_user(&self, name: &str) -> User {
        self.holder(self.server.issuers.oidc.as_ref().unwrap(), name)
    }

    fn holder(&self, issuer: &LocalIssuer, name: &str) -> User {
        let tokens = issuer.issue_tokens(name, SystemTime::now()).unwrap();
        let id = format!("{}#{}", issuer.url(), identity::PoolUser::named(name).subject());
        User { api: self.calling_with(tokens.access_token), id }
    }

    pub fn calling_with(&self, token: String) -> AppSync {
        AppSync::new(&self.server.endpoint.url, Credentials::Token(token)).unwrap()
    }

    /// With all modes and without quotas; API keys list nothing, and no environment ever starts.
    pub async fn for_access() -> Self {
        let state = tempfile::tempdir().unwrap();
        let quotas = [("MessagesPerMinute", "0"), ("TokensPerDay", "0")];
        let parameters = [("ApiKeyListing", "false"), ("OidcClientPattern", "local")].into_iter().chain(quotas);
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let options = ServerOptions { executable: "/nonexistent".into(), oidc: true, ..options(&state, parameters) };
        let users = vec![identity::PoolUser::named("somebody")];
        Self::of(Server::start(ServerOptions { users, ..options }).await.unwrap(), state)
    }

    /// Somebody who is known, by the session of a role of this name.
    pub fn user(&self, name: &str) -> User {
        let api = AppSync::new(&self.server.endpoint.url, Credentials::Iam(self.session_of(name))).unwrap();
        User { api, id: format!("IAM#{ACCOUNT}#AROA{}", name.to_ascii_uppercase()) }
    }

    /// AccessKey of a role's session, which may use every field as far as IAM goes.
    pub fn session_of(&self, role: &str) -> IamKeys {
        let [access_key, secret_key, token] = [draw(), draw(), draw()];
        let everything = json!({ "Effect": "Allow", "Action": "appsync:GraphQL", "Resource": "*" });
        let role = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
        let credentials = [access_key.clone(), secret_key.clone(), token.clone()];
        self.server.authenticator.add_principal(Principal::role_session(&role, "test", credentials, &[everything]));
        let region = self.server.endpoint.region.clone();
        IamKeys { access_key, secret_key, session_token: Some(token), region }
    }

    pub(crate) fn of(server: Server, state: TempDir) -> Self {
        let administrator = signed(&server, &server.endpoint.administrator);
        let key = server.endpoint.api_key.clone().map(Credentials::ApiKey);
        let api = key.map_or(administrator.clone(), |key| AppSync::new(&server.endpoint.url, key).unwrap());
        Self { server, api, administrator, _state: state }
    }

    /// An agent of the scripted model, and a conversation with it.
    pub async fn conversation_with(&self, model_id: &str) -> String {
        let id = model_id.replace('.', "-");
        let agent = PutAgent { id: id.clone(), model_id: model_id.into(), ..PutAgent::default() };
        self.administrator.call(&agent).await.unwrap();
        self.create(CreateConversation { agent_id: Some(id), ..CreateConversation::default() }).await.id
    }

    pub async fn conversation(&self) -> String {
        self.create(CreateConversation::default()).await.id
    }

    pub async fn create(&self, conversation: CreateConversation) -> Conversation {
        self.api.call(&conversation).await.unwrap()
    }

    pub async fn say(&self, conversation_id: &str, text: &str) -> Turn {
        say(&self.api, conversation_id, &draw(), text).await.unwrap()
    }

    /// Subscribes, says it, and hears everything until the turn ends.
    pub async fn converse(&self, conversation_id: &str, text: &str) -> Heard {
        let mut ear = Ear::open(&self.api, conversation_id).await;
        let turn = self.say(conversation_id, text).await;
        let updates = ear.until_end(&turn.id).await;
        Heard { turn: self.turn(conversation_id, &turn.id).await, updates }
    }

    /// Has the last answer go on, and hears everything until it ends.
    pub async fn go_on(&self, conversation_id: &str, id: &str) -> Heard {
        let mut ear = Ear::open(&self.api, conversation_id).await;
        let request = ContinueTurn { conversation_id: conversation_id.into(), id: id.into() };
        self.api.call(&request).await.unwrap();
        let updates = ear.until_end(id).await;
        Heard { turn: self.turn(conversation_id, id).await, updates }
    }

    /// Has the last question answered anew, and hears everything until it is.
    pub async fn retry(&self, conversation_id: &str, id: &str) -> Heard {
        let mut ear = Ear::open(&self.api, conversation_id).await;
        let request = RetryTurn { conversation_id: conversation_id.into(), id: id.into() };
        self.api.call(&request).await.unwrap();
        let updates = ear.until_end(id).await;
        Heard { turn: self.turn(conversation_id, id).await, updates }
    }

    pub async fn cancel(&self, conversation_id: &str, id: &str) -> Turn {
        let request = CancelTurn { conversation_id: conversation_id.into(), id: id.into() };
        self.api.call(&request).await.unwrap()
    }

    pub async fn turn(&self, conversation_id: &str, id: &str) -> Turn {
        let request = GetTurn { conversation_id: conversation_id.into(), id: id.into(), ..GetTurn::default() };
        self.api.call(&request).await.unwrap()
    }

    /// The newest events of a conversation, at most 20.
    pub async fn newest_events(&self, conversation_id: &str) -> Vec<ConversationEvent> {
        self.events(GetEvents { conversation_id: conversation_id.into(), ..GetEvents::default() }).await
    }

    pub async fn events(&self, page: GetEvents) -> Vec<ConversationEvent> {
        let answer = self.api.call(&page).await.unwrap();
        answer.events.unwrap().items
    }

    /// Any document, as a user of curl would send it: the whole answer.
    pub async fn execute(&self, document: &str, variables: Value) -> Value {
        execute(&self.api, document, variables).await
    }
}

pub struct User {
    pub api: AppSync,
    /// As the API knows it.
    pub id: String,
}

/// A finished turn, and what a subscriber received of it.
pub struct Heard {
    pub turn: Turn,
    pub updates: Vec<ConversationUpdate>,
}

impl Heard {
    /// The batches, joined, as a subscriber received them.
    pub fn streamed(&self) -> String {
        self.updates.iter().filter_map(|update| update.metadata.as_ref()?.agent_partial_message.as_deref()).collect()
    }

    /// The agent's events, joined, as the table keeps them.
    pub fn stored(&self) -> String {
        self.turn.answer.iter().flatten().map(ConversationEvent::text_or_empty).collect()
    }

    pub fn sequences(&self) -> Vec<u32> {
        self.updates.iter().filter_map(|update| update.sequence).collect()
    }

    pub fn last_event(&self) -> &ConversationEvent {
        self.updates.last().and_then(|update| update.event.as_ref()).expect("the last update carries the final event")
    }
}

/// A subscriber that sees every update as it came.
pub struct Ear(Subscription);

impl Ear {
    /// Returns when the subscription stands.
    pub async fn open(api: &AppSync, conversation_id: &str) -> Self {
        Self::try_open(api, conversation_id).await.unwrap()
    }

    pub async fn try_open(api: &AppSync, conversation_id: &str) -> Result<Self, Vec<ApiError>> {
        let variables = json!({ "conversationId": conversation_id });
        let mut subscription = Realtime::new(api).subscribe(documents::ON_CONVERSATION_UPDATE, &variables);
        match patiently(subscription.next()).await {
            Some(Signal::Subscribed) => Ok(Self(subscription)),
            Some(Signal::Refused(errors)) => Err(errors),
            other => panic!("the subscription begins with {other:?}"),
        }
    }

    pub async fn next(&mut self) -> ConversationUpdate {
        match patiently(self.0.next()).await {
            Some(Signal::Data(mut data)) => serde_json::from_value(data["onConversationUpdate"].take()).unwrap(),
            other => panic!("an update was due, not {other:?}"),
        }
    }

    /// Until the subscription is ended and not let in again.
    pub async fn until_refused(&mut self) -> Vec<ApiError> {
        loop {
            match patiently(self.0.next()).await {
                Some(Signal::Interrupted | Signal::Data(_)) => {}
                Some(Signal::Refused(errors)) => return errors,
                other => panic!("a refusal was due, not {other:?}"),
            }
        }
    }

    pub async fn until_end(&mut self, turn_id: &str) -> Vec<ConversationUpdate> {
        let mut updates = Vec::new();
        loop {
            let update = self.next().await;
            assert_eq!(update.turn_id.as_deref(), Some(turn_id));
            let is_end = update.metadata.as_ref().is_some_and(|metadata| metadata.status.is_end());
            updates.push(update);
            if is_end {
                return updates;
            }
        }
    }
}

pub async fn say(api: &AppSync, conversation_id: &str, id: &str, text: &str) -> Result<Turn, Error> {
    let (conversation_id, id) = (Some(conversation_id.to_owned()), Some(id.to_owned()));
    api.call(&SendMessage { conversation_id, id, text: text.into() }).await
}

pub async fn execute(api: &AppSync, document: &str, variables: Value) -> Value {
    let answer = api.execute(document, variables).await.unwrap();
    let errors = answer.errors.iter().map(|error| {
        let error_type = error.error_type.as_ref().map(ToString::to_string);
        json!({ "errorType": error_type, "message": error.message, "errorInfo": error.error_info, "path": error.path })
    });
    json!({ "data": answer.data, "errors": errors.collect::<Value>() })
}

pub fn signed(server: &Server, keys: &AccessKey) -> AppSync {
    let keys = IamKeys {
        access_key: keys.access_key_id.clone(),
        secret_key: keys.secret_access_key.clone(),
        session_token: None,
        region: server.endpoint.region.clone(),
    };
    AppSync::new(&server.endpoint.url, Credentials::Iam(keys)).unwrap()
}

/// The error that a request is refused with.
pub async fn refusal<R: Request>(api: &AppSync, request: &R) -> (ErrorType, Value)
where
    R::Answer: std::fmt::Debug,
{
    let error = api.call(request).await.expect_err("the request is refused");
    let named = error.api_error().unwrap_or_else(|| panic!("the API names the error: {error}")).clone();
    (named.error_type.expect("the error has a type"), named.error_info.unwrap_or_default())
}

pub fn options(state: &TempDir, parameters: BTreeMap<String, String>) -> ServerOptions {
    ServerOptions {
        root: env!("CARGO_MANIFEST_DIR").into(),
        state: state.path().to_owned(),
        ephemeral: true,
        port: 0,
        parameters,
        users: Vec::new(),
        oidc: false,
        models: Models::Scripted,
        executable: env!("CARGO_BIN_EXE_parlance").into(),
        fault_plan: FaultPlan::default(),
        time_scale: 1.0,
    }
}

pub fn draw() -> String {
    Uuid::new_v4().to_string()
}

pub async fn patiently<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it happens in time")
}
