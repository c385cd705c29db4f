//! A local server with fault injection, and the requests of its users. A user repeats a request until it
//! succeeds.
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use client::{
    AppSync, Credentials, Error,
    credentials::IamKeys,
    requests::{CancelTurn, CreateConversation, ListConversations, PutAgent, Request, SendMessage},
};
use futures::{FutureExt, future::join_all};
use local::{
    fault_injection::FaultPlan,
    lambda::LocalFunction,
    server::{Models, Server, ServerOptions},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    checker::{Observations, check},
    reader::{DisplayedTurn, Reader},
};

/// The time scale at which Lambda's first retry comes after 30.6 seconds: the 30-second lease of a killed
/// process has expired by then.
pub const RETRY_AFTER_LEASE: f64 = 0.51;
/// The time scale at which Lambda's second retry comes after 31.5 seconds. The first one finds the turn
/// leased.
pub const SECOND_RETRY_AFTER_LEASE: f64 = 0.175;
/// The most processes of the handler at the same time.
pub const MAX_CONCURRENCY: usize = 100;
/// Longer than any step of a scenario takes on a busy machine.
pub const SCENARIO_TIMEOUT: Duration = Duration::from_secs(180);
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// The scenarios' shares of the machine. A scenario that needs more than is left waits for others to end.
static MACHINE_SHARES: Semaphore = Semaphore::const_new(7);

/// Reserves shares of the machine for a scenario, so that its turns publish as fast as it expects.
pub async fn reserve_machine(shares: u32) -> SemaphorePermit<'static> {
    MACHINE_SHARES.acquire_many(shares).await.expect("the semaphore stays open")
}

pub struct Fixture {
    pub server: Server,
    api: AppSync,
    administrator: AppSync,
    /// The number of turns created so far.
    turns: AtomicUsize,
    _state: TempDir,
}

/// A conversation of one turn.
pub struct Turn {
    pub conversation_id: String,
    pub id: String,
    pub question: String,
}

impl Fixture {
    /// `time_scale` shortens the delays of Lambda's event queue.
    pub async fn start(fault_plan: FaultPlan, time_scale: f64) -> Self {
        Self::start_with(fault_plan, time_scale, &[], Vec::new()).await
    }

    /// A server with these parameters, and with functions that agents may have as tools.
    pub async fn start_with(
        fault_plan: FaultPlan,
        time_scale: f64,
        parameters: &[(&str, &str)],
        functions: Vec<LocalFunction>,
    ) -> Self {
        let concurrency = MAX_CONCURRENCY.to_string();
        let defaults = [("HandlerReservedConcurrency", concurrency.as_str()), ("ApiKeyListing", "true")];
        let parameters = defaults.iter().chain(parameters);
        let parameters = parameters.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let state = tempfile::tempdir().unwrap();
        let options = ServerOptions {
            root: env!("CARGO_MANIFEST_DIR").into(),
            state: state.path().to_owned(),
            ephemeral: true,
            port: 0,
            parameters: parameters.collect(),
            users: Vec::new(),
            oidc: false,
            models: Models::Scripted,
            handler: None,
            functions,
            secrets: Vec::new(),
            knowledge: None,
            chat_page: false,
            executable: env!("CARGO_BIN_EXE_parlance").into(),
            fault_plan,
            time_scale,
        };
        let server = Server::start(options).await.unwrap();
        let endpoint = &server.endpoint;
        let api_key = endpoint.api_key.clone().expect("the API has a key");
        let administrator_keys = IamKeys {
            access_key: endpoint.administrator.access_key_id.clone(),
            secret_key: endpoint.administrator.secret_access_key.clone(),
            session_token: None,
            region: endpoint.region.clone(),
        };
        let api = AppSync::new(&endpoint.url, Credentials::ApiKey(api_key)).unwrap();
        let administrator = AppSync::new(&endpoint.url, Credentials::Iam(administrator_keys)).unwrap();
        Self { server, api, administrator, turns: AtomicUsize::new(0), _state: state }
    }

    /// Creates conversations with an agent of the model.
    pub async fn create_turns(&self, model_id: &str, count: usize) -> Vec<Turn> {
        let id = model_id.replace('.', "-");
        let agent = PutAgent { id, model_id: model_id.into(), ..PutAgent::default() };
        self.create_turns_with(&agent, count).await
    }

    /// Creates conversations with an agent.
    pub async fn create_turns_with(&self, agent: &PutAgent, count: usize) -> Vec<Turn> {
        call_until_success(&self.administrator, agent).await;
        join_all((0..count).map(|_| self.create_turn(&agent.id))).await
    }

    async fn create_turn(&self, agent_id: &str) -> Turn {
        let number = self.turns.fetch_add(1, Ordering::Relaxed);
        let conversation_id = format!("c{number}");
        let create = CreateConversation {
            id: Some(conversation_id.clone()),
            agent_id: Some(agent_id.to_owned()),
            ..CreateConversation::default()
        };
        call_until_success(&self.api, &create).await;
        Turn { conversation_id, id: format!("t{number}"), question: format!("Question {number}?") }
    }

    pub async fn follow(&self, turn: &Turn) -> Reader {
        Reader::open(&self.api, &turn.conversation_id, &turn.id).await
    }

    pub async fn send(&self, turn: &Turn) {
        let message = SendMessage {
            conversation_id: Some(turn.conversation_id.clone()),
            id: Some(turn.id.clone()),
            text: turn.question.clone(),
            ..SendMessage::default()
        };
        call_until_success(&self.api, &message).await;
    }

    pub async fn cancel(&self, turn: &Turn) {
        let cancel = CancelTurn { conversation_id: turn.conversation_id.clone(), id: turn.id.clone() };
        call_until_success(&self.api, &cancel).await;
    }

    /// The ids of the first hundred conversations.
    pub async fn list_conversations(&self) -> Vec<String> {
        let list = ListConversations { limit: Some(100), next_token: None };
        let page = call_until_success(&self.api, &list).await;
        page.items.into_iter().map(|conversation| conversation.id).collect()
    }

    /// Sends the question and reads until the turn has ended.
    pub async fn send_and_read(&self, turn: &Turn) -> DisplayedTurn {
        let reader = self.follow(turn).await;
        let send = self.send(turn).shared();
        let (displayed, ()) = tokio::join!(reader.read_to_end(send.clone()), send);
        displayed
    }

    /// Asserts the invariants of a conversation whose turn has ended. `model_text` is the model's whole
    /// answer.
    pub async fn check(&self, turn: &Turn, model_text: &str, displayed: &[DisplayedTurn]) {
        let (items, batches) = self.stored(turn).await;
        let observations =
            Observations { question: &turn.question, model_text, items: &items, batches: &batches, displayed };
        let violations = check(&observations);
        assert!(violations.is_empty(), "{}: {violations:#?}\n{observations:#?}", turn.conversation_id);
    }

    /// The items of the conversation, and those of the turn's own partition.
    pub async fn stored(&self, turn: &Turn) -> (Vec<Value>, Vec<Value>) {
        let items = self.items(&format!("CONVERSATION#{}", turn.conversation_id)).await;
        let turn_items = self.items(&format!("TURN#{}#{}", turn.conversation_id, turn.id)).await;
        (items, turn_items)
    }

    /// All items with a partition key.
    async fn items(&self, partition_key: &str) -> Vec<Value> {
        let request = json!({
            "operation": "Query",
            "query": { "expression": "pk = :pk", "expressionValues": { ":pk": { "S": partition_key } } },
            "consistentRead": true,
        });
        loop {
            let response = self.server.database.run("parlance-Table", &request).await;
            // An error is an injected fault.
            if response.error.is_none() {
                assert!(response.result["nextToken"].is_null(), "one page has all items of a test's conversation");
                return response.result["items"].as_array().expect("a page has items").clone();
            }
        }
    }
}

async fn call_until_success<R: Request>(api: &AppSync, request: &R) -> R::Answer {
    let repeat = async {
        loop {
            match api.call(request).await {
                Ok(answer) => return answer,
                Err(error) => wait_for_retry(&error).await,
            }
        }
    };
    tokio::time::timeout(SCENARIO_TIMEOUT, repeat).await.expect("the request succeeds in time")
}

async fn wait_for_retry(error: &Error) {
    assert!(error.is_transient(), "{error}");
    tokio::time::sleep(RETRY_INTERVAL).await;
}

/// The answer of the scripted model `parlance.deltas-N-M`.
pub fn deltas(count: usize) -> String {
    (1..=count).map(|number| format!("{:04} ", number % 10_000)).collect()
}
