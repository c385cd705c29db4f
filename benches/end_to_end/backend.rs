//! The measured server, and requests to it.
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use client::{
    AppSync, Credentials,
    credentials::IamKeys,
    documents,
    realtime::{Realtime, Signal, Subscription},
    requests::{CreateConversation, GetConversation, PutAgent, PutTool, SendMessage},
};
use futures::StreamExt;
use local::{
    command_line::CommandLine,
    fault_injection::FaultPlan,
    knowledge_base::KnowledgeOptions,
    lambda::LocalFunction,
    server::{Models, Server, ServerOptions},
};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

pub struct Backend {
    pub server: Server,
    pub api: AppSync,
    _state: TempDir,
}

impl Backend {
    pub async fn start(publish_latency: Duration) -> Self {
        let state = tempfile::tempdir().expect("a folder is created");
        let options = options(state.path().to_owned(), publish_latency);
        Self::start_with(options, state).await
    }

    /// The command is run in place of this program's own handler.
    pub async fn start_with_handler(handler: CommandLine) -> Self {
        let state = tempfile::tempdir().expect("a folder is created");
        let options = options(state.path().to_owned(), Duration::ZERO);
        Self::start_with(ServerOptions { handler: Some(handler), ..options }, state).await
    }

    /// Agents may have this model and use the functions as tools.
    pub async fn start_with_functions(
        publish_latency: Duration,
        model_id: &str,
        functions: Vec<LocalFunction>,
    ) -> Self {
        let state = tempfile::tempdir().expect("a folder is created");
        let parameters = BTreeMap::from([("ModelId".to_owned(), model_id.to_owned())]);
        let options = ServerOptions { parameters, functions, ..options(state.path().to_owned(), publish_latency) };
        Self::start_with(options, state).await
    }

    /// Agents may have this model and search the documents.
    pub async fn start_with_documents(model_id: &str, knowledge: KnowledgeOptions) -> Self {
        let state = tempfile::tempdir().expect("a folder is created");
        let parameters = BTreeMap::from([("ModelId".to_owned(), model_id.to_owned())]);
        let options = options(state.path().to_owned(), Duration::ZERO);
        Self::start_with(ServerOptions { parameters, knowledge: Some(knowledge), ..options }, state).await
    }

    /// With the other entry points. Each message to their clients takes so long.
    pub async fn start_with_entry_points(reply_latency: Duration) -> Self {
        let state = tempfile::tempdir().expect("a folder is created");
        let parameters = ["EventsApi", "WebSocketApi"].map(|name| (name.to_owned(), "true".to_owned())).into();
        let options = options(state.path().to_owned(), Duration::ZERO);
        let fault_plan = FaultPlan { reply_latency, ..options.fault_plan.clone() };
        Self::start_with(ServerOptions { parameters, fault_plan, ..options }, state).await
    }

    async fn start_with(options: ServerOptions, state: TempDir) -> Self {
        let server = Server::start(options).await.expect("the server starts");
        let key = Credentials::ApiKey(server.endpoint.api_key.clone().expect("the API accepts a key"));
        let api = AppSync::new(&server.endpoint.url, key).expect("the URL is valid");
        Self { server, api, _state: state }
    }

    /// Creates an agent of a scripted model, and a conversation with it.
    pub async fn conversation_with(&self, model_id: &str) -> String {
        self.conversation_with_tools(model_id, Vec::new()).await
    }

    /// Creates an agent of a scripted model with tools, and a conversation with it.
    pub async fn conversation_with_tools(&self, model_id: &str, tools: Vec<PutTool>) -> String {
        let tools = (!tools.is_empty()).then_some(tools);
        let agent = PutAgent { id: "measured".into(), model_id: model_id.into(), tools, ..PutAgent::default() };
        self.conversation_with_agent(agent).await
    }

    /// Puts an agent, and creates a conversation with it, which has a title.
    pub async fn conversation_with_agent(&self, agent: PutAgent) -> String {
        self.administrator().call(&agent).await.expect("the agent is put");
        let agent_id = Some(agent.id);
        let request = CreateConversation { agent_id, title: Some("Measured".into()), ..CreateConversation::default() };
        self.api.call(&request).await.expect("the conversation is created").id
    }

    /// Waits until the handler has given the conversation a title.
    pub async fn wait_for_title(&self, conversation_id: &str) {
        let request = GetConversation { id: conversation_id.to_owned() };
        let titled = async {
            while self.api.call(&request).await.expect("the conversation is read").title.is_none() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), titled).await.expect("the conversation gets a title");
    }

    /// Subscribes, sends a message, and returns the subscription and the turn's id.
    pub async fn start_turn(&self, conversation_id: &str) -> (Subscription, String) {
        self.start_turn_about(conversation_id, "Count.").await
    }

    async fn start_turn_about(&self, conversation_id: &str, question: &str) -> (Subscription, String) {
        let updates = self.subscribe(conversation_id).await;
        (updates, self.send(conversation_id, question).await)
    }

    /// Returns the turn's id.
    pub async fn send(&self, conversation_id: &str, question: &str) -> String {
        let message = SendMessage {
            conversation_id: Some(conversation_id.to_owned()),
            text: question.to_owned(),
            ..SendMessage::default()
        };
        self.api.call(&message).await.expect("the message is sent").id
    }

    /// Sends a message, and returns how many bytes of text each update added to the answer.
    pub async fn complete_turn(&self, conversation_id: &str) -> Vec<usize> {
        self.complete_turn_about(conversation_id, "Count.").await
    }

    /// The same for a message with this text.
    pub async fn complete_turn_about(&self, conversation_id: &str, question: &str) -> Vec<usize> {
        let (updates, _) = self.start_turn_about(conversation_id, question).await;
        Self::text_sizes(updates).await
    }

    /// Follows a conversation whose message is sent elsewhere, and returns the same.
    pub async fn follow_turn(&self, conversation_id: &str, sent: impl Future<Output = ()>) -> Vec<usize> {
        let updates = self.subscribe(conversation_id).await;
        sent.await;
        Self::text_sizes(updates).await
    }

    /// Returns once the subscription is acknowledged.
    pub async fn subscribe(&self, conversation_id: &str) -> Subscription {
        let variables = serde_json::json!({ "conversationId": conversation_id });
        let mut updates = Realtime::new(&self.api).subscribe(documents::ON_CONVERSATION_UPDATE, &variables);
        assert!(matches!(updates.next().await, Some(Signal::Subscribed)));
        updates
    }

    async fn text_sizes(mut updates: Subscription) -> Vec<usize> {
        let mut sizes = Vec::new();
        let mut since_last_event = 0;
        while let Some(Signal::Data(data)) = updates.next().await {
            let update = &data["onConversationUpdate"];
            let is_agent_event = update["event"]["sender"]["kind"] == "AGENT";
            if is_agent_event {
                // An event contains the text of the batches since the last one, and possibly more.
                let event = update["event"]["text"].as_str().map_or(0, str::len);
                sizes.push(event - since_last_event);
                since_last_event = 0;
            } else {
                let batch = update["metadata"]["agentPartialMessage"].as_str().map_or(0, str::len);
                sizes.push(batch);
                since_last_event += batch;
            }
            assert_ne!(update["metadata"]["status"], "FAILED", "{update}");
            if update["metadata"]["status"] == "COMPLETED" {
                break;
            }
        }
        sizes
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }

    fn administrator(&self) -> AppSync {
        let keys = &self.server.endpoint.administrator;
        let keys = IamKeys {
            access_key: keys.access_key_id.clone(),
            secret_key: keys.secret_access_key.clone(),
            session_token: None,
            region: self.server.endpoint.region.clone(),
        };
        AppSync::new(&self.server.endpoint.url, Credentials::Iam(keys)).expect("the URL is valid")
    }
}

fn options(state: PathBuf, publish_latency: Duration) -> ServerOptions {
    ServerOptions {
        root: env!("CARGO_MANIFEST_DIR").into(),
        state,
        ephemeral: true,
        port: 0,
        parameters: BTreeMap::new(),
        users: Vec::new(),
        oidc: false,
        models: Models::Scripted,
        handler: None,
        functions: Vec::new(),
        secrets: Vec::new(),
        knowledge: None,
        chat_page: false,
        executable: env!("CARGO_BIN_EXE_parlance").into(),
        fault_plan: FaultPlan { publish_latency, ..FaultPlan::default() },
        time_scale: 1.0,
    }
}
