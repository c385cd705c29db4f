//! A local server on a free port, and the requests of its users.
use std::{
    collections::BTreeMap,
    process::Stdio,
    time::{Duration, SystemTime},
};

use client::{
    AppSync, Credentials, Error,
    credentials::IamKeys,
    errors::ErrorType,
    requests::{
        CancelTurn, ContinueTurn, CreateConversation, GetEvents, GetTurn, PutAgent, Request, RetryTurn, SendMessage,
    },
    schema::{Conversation, ConversationEvent, ConversationUpdate, InferenceSettings, Turn},
};
use local::{
    fault_injection::FaultPlan,
    identity::{LOCAL_CLIENT_ID, LocalIssuer, PoolUser, Principal},
    server::{AccessKey, Models, Server, ServerOptions},
    template::ACCOUNT,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command};
use uuid::Uuid;

use crate::subscriber::Subscriber;

/// Longer than any awaited event of a test takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Answers at once with the text of the message.
const ECHO_MODEL: &str = "parlance.echo";
/// Answers in two to four seconds with a text about the questions.
pub const CANNED_TEXT_MODEL: &str = "parlance.any";

pub struct Backend {
    pub server: Server,
    /// Uses the API key, or the administrator's IAM keys where the API accepts no key.
    pub api: AppSync,
    /// Uses an administrator's IAM keys.
    pub administrator: AppSync,
    _state: TempDir,
}

impl Backend {
    pub async fn start() -> Self {
        Self::with_parameters([]).await
    }

    /// With these parameters of the template.
    pub async fn with_parameters<const N: usize>(parameters: [(&str, &str); N]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let options = options(&state, owned(parameters));
        Self::start_with(options, state).await
    }

    /// Stores messages and queues their turns, but no handler process ever starts.
    pub async fn without_handler() -> Self {
        let state = tempfile::tempdir().unwrap();
        let options = ServerOptions { executable: "/nonexistent".into(), ..options(&state, BTreeMap::new()) };
        Self::start_with(options, state).await
    }

    /// With a user pool of these users, and an OpenID Connect provider.
    pub async fn with_users<const N: usize>(users: &[&str], parameters: [(&str, &str); N]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let users = users.iter().map(|user| user.parse().unwrap()).collect();
        let options = ServerOptions { users, oidc: true, ..options(&state, owned(parameters)) };
        Self::start_with(options, state).await
    }

    /// With all authorization modes, without quotas, without `listConversations` for API keys, and without
    /// handler.
    pub async fn with_all_auth_modes() -> Self {
        let state = tempfile::tempdir().unwrap();
        let parameters = owned([
            ("ApiKeyListing", "false"),
            ("GuardrailId", "a1b2c3d4e5f6"),
            ("OidcClientPattern", LOCAL_CLIENT_ID),
            ("MessagesPerMinute", "0"),
            ("TokensPerDay", "0"),
        ]);
        let options = ServerOptions {
            executable: "/nonexistent".into(),
            users: vec![PoolUser::named("ada")],
            oidc: true,
            ..options(&state, parameters)
        };
        Self::start_with(options, state).await
    }

    pub async fn start_with(options: ServerOptions, state: TempDir) -> Self {
        let server = Server::start(options).await.unwrap();
        let administrator = iam_client(&server, &server.endpoint.administrator);
        let api_key = server.endpoint.api_key.clone().map(Credentials::ApiKey);
        let api = match api_key {
            Some(key) => AppSync::new(&server.endpoint.url, key).unwrap(),
            None => administrator.clone(),
        };
        Self { server, api, administrator, _state: state }
    }

    /// A user with a token of the user pool.
    pub fn pool_user(&self, name: &str) -> User {
        self.token_user(self.server.issuers.pool.as_ref().unwrap(), name)
    }

    /// A user with a token of the OpenID Connect provider.
    pub fn oidc_user(&self, name: &str) -> User {
        self.token_user(self.server.issuers.oidc.as_ref().unwrap(), name)
    }

    fn token_user(&self, issuer: &LocalIssuer, name: &str) -> User {
        let tokens = issuer.issue_tokens(name, SystemTime::now()).unwrap();
        let id = format!("{}#{}", issuer.url(), PoolUser::named(name).subject());
        User { api: self.client_with_token(tokens.access_token), id }
    }

    pub fn client_with_token(&self, token: String) -> AppSync {
        AppSync::new(&self.server.endpoint.url, Credentials::Token(token)).unwrap()
    }

    /// A user with a session of the IAM role of this name.
    pub fn iam_user(&self, name: &str) -> User {
        let api =
            AppSync::new(&self.server.endpoint.url, Credentials::Iam(self.role_session_keys(name, "appsync:GraphQL")))
                .unwrap();
        User { api, id: format!("IAM#{ACCOUNT}#AROA{}", name.to_ascii_uppercase()) }
    }

    /// Keys of a role session whose policy allows the action on every resource.
    pub fn role_session_keys(&self, role: &str, action: &str) -> IamKeys {
        let [access_key, secret_key, token] = [new_id(), new_id(), new_id()];
        let allow = json!({ "Effect": "Allow", "Action": action, "Resource": "*" });
        let role = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
        let credentials = [access_key.clone(), secret_key.clone(), token.clone()];
        self.server.authenticator.add_principal(Principal::role_session(&role, "test", credentials, &[allow]));
        let region = self.server.endpoint.region.clone();
        IamKeys { access_key, secret_key, session_token: Some(token), region }
    }

    /// Creates an agent of a scripted model, and a conversation with it.
    pub async fn conversation_with(&self, model_id: &str) -> String {
        self.conversation_with_settings(model_id, InferenceSettings::default()).await
    }

    /// Creates an agent of a scripted model with inference settings, and a conversation with it.
    pub async fn conversation_with_settings(&self, model_id: &str, inference: InferenceSettings) -> String {
        let id = model_id.replace('.', "-");
        let inference = Some(inference);
        let agent = PutAgent { id: id.clone(), model_id: model_id.into(), inference, ..PutAgent::default() };
        self.administrator.call(&agent).await.unwrap();
        self.create(CreateConversation { agent_id: Some(id), ..CreateConversation::default() }).await.id
    }

    /// Creates a conversation with the default agent.
    pub async fn conversation(&self) -> String {
        self.create(CreateConversation::default()).await.id
    }

    pub async fn create(&self, conversation: CreateConversation) -> Conversation {
        self.api.call(&conversation).await.unwrap()
    }

    pub async fn send_message(&self, conversation_id: &str, text: &str) -> Turn {
        send_message(&self.api, conversation_id, &new_id(), text).await.unwrap()
    }

    /// Subscribes, sends a message, and receives updates until the turn ends.
    pub async fn send_and_wait(&self, conversation_id: &str, text: &str) -> FinishedTurn {
        let subscriber = Subscriber::subscribe(&self.api, conversation_id).await;
        let turn = self.send_message(conversation_id, text).await;
        self.finished_turn(subscriber, conversation_id, &turn.id).await
    }

    /// Subscribes, continues a turn, and receives updates until it ends.
    pub async fn continue_and_wait(&self, conversation_id: &str, id: &str) -> FinishedTurn {
        let subscriber = Subscriber::subscribe(&self.api, conversation_id).await;
        let request = ContinueTurn { conversation_id: conversation_id.into(), id: id.into() };
        self.api.call(&request).await.unwrap();
        self.finished_turn(subscriber, conversation_id, id).await
    }

    /// Subscribes, retries a turn, and receives updates until it ends.
    pub async fn retry_and_wait(&self, conversation_id: &str, id: &str) -> FinishedTurn {
        let subscriber = Subscriber::subscribe(&self.api, conversation_id).await;
        let request = RetryTurn { conversation_id: conversation_id.into(), id: id.into() };
        self.api.call(&request).await.unwrap();
        self.finished_turn(subscriber, conversation_id, id).await
    }

    pub async fn finished_turn(&self, mut subscriber: Subscriber, conversation_id: &str, id: &str) -> FinishedTurn {
        let updates = subscriber.updates_until_end(id).await;
        FinishedTurn { turn: self.turn(conversation_id, id).await, updates }
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
        let conversation = self.api.call(&page).await.unwrap();
        conversation.events.unwrap().items
    }

    /// Executes any document and returns the response's data and errors.
    pub async fn execute(&self, document: &str, variables: Value) -> Value {
        execute(&self.api, document, variables).await
    }
}

pub struct User {
    pub api: AppSync,
    /// The user's id in the API.
    pub id: String,
}

/// A finished turn, and the updates that a subscriber received of it.
pub struct FinishedTurn {
    pub turn: Turn,
    pub updates: Vec<ConversationUpdate>,
}

impl FinishedTurn {
    /// The joined text of the batches that a subscriber received.
    pub fn streamed_text(&self) -> String {
        self.updates.iter().filter_map(|update| update.metadata.as_ref()?.agent_partial_message.as_deref()).collect()
    }

    /// The joined text of the agent's stored events.
    pub fn stored_text(&self) -> String {
        self.turn.answer.iter().flatten().map(ConversationEvent::text_or_empty).collect()
    }

    pub fn sequences(&self) -> Vec<u32> {
        self.updates.iter().filter_map(|update| update.sequence).collect()
    }

    pub fn final_event(&self) -> &ConversationEvent {
        self.updates.last().and_then(|update| update.event.as_ref()).expect("the last update carries the final event")
    }
}

pub async fn send_message(api: &AppSync, conversation_id: &str, id: &str, text: &str) -> Result<Turn, Error> {
    let (conversation_id, id) = (Some(conversation_id.to_owned()), Some(id.to_owned()));
    api.call(&SendMessage { conversation_id, id, text: text.into(), ..SendMessage::default() }).await
}

/// The text of each event of a turn's answer.
pub fn answer_texts(turn: &Turn) -> Vec<String> {
    turn.answer.iter().flatten().map(|event| event.text_or_empty().to_owned()).collect()
}

/// Executes any document and returns the response's data and errors.
pub async fn execute(api: &AppSync, document: &str, variables: Value) -> Value {
    let response = api.execute(document, variables).await.unwrap();
    let errors = response.errors.iter().map(|error| {
        let error_type = error.error_type.as_ref().map(ToString::to_string);
        json!({ "errorType": error_type, "message": error.message, "errorInfo": error.error_info, "path": error.path })
    });
    json!({ "data": response.data, "errors": errors.collect::<Value>() })
}

/// The type and the info of the error that a request is refused with.
pub async fn expect_api_error<R: Request>(api: &AppSync, request: &R) -> (ErrorType, Value)
where
    R::Answer: std::fmt::Debug,
{
    let error = api.call(request).await.expect_err("the request is refused");
    let api_error = error.api_error().unwrap_or_else(|| panic!("{error} is an error of the API")).clone();
    (api_error.error_type.expect("the error has a type"), api_error.error_info.unwrap_or_default())
}

/// A client that signs its requests with these keys.
pub fn iam_client(server: &Server, keys: &AccessKey) -> AppSync {
    let keys = IamKeys {
        access_key: keys.access_key_id.clone(),
        secret_key: keys.secret_access_key.clone(),
        session_token: None,
        region: server.endpoint.region.clone(),
    };
    AppSync::new(&server.endpoint.url, Credentials::Iam(keys)).unwrap()
}

/// The options of a server whose state ends with it. Unless the parameters name a model, the default agent's
/// model answers at once with the text of the message.
pub fn options(state: &TempDir, mut parameters: BTreeMap<String, String>) -> ServerOptions {
    parameters.entry("ModelId".into()).or_insert_with(|| ECHO_MODEL.into());
    parameters.entry("ApiKeyListing".into()).or_insert_with(|| "true".into());
    ServerOptions {
        root: env!("CARGO_MANIFEST_DIR").into(),
        state: state.path().to_owned(),
        ephemeral: true,
        port: 0,
        parameters,
        users: Vec::new(),
        oidc: false,
        models: Models::Scripted,
        handler: None,
        functions: Vec::new(),
        secrets: Vec::new(),
        knowledge: None,
        chat_page: false,
        executable: env!("CARGO_BIN_EXE_parlance").into(),
        fault_plan: FaultPlan::default(),
        time_scale: 1.0,
    }
}

fn owned<const N: usize>(parameters: [(&str, &str); N]) -> BTreeMap<String, String> {
    parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

pub fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// Runs a command that gets these lines as its input. Returns its exit code and what it has written to its
/// output and its error output.
pub async fn run_with_input(mut command: Command, lines: &str) -> (Option<i32>, String, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    // A command that ends at once does not read its input.
    input.write_all(lines.as_bytes()).await.ok();
    drop(input);
    let output = with_timeout(process.wait_with_output()).await.unwrap();
    let [printed, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), printed, error)
}

pub async fn with_timeout<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, work).await.expect("the awaited event happens in time")
}
