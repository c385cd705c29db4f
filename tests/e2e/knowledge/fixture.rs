//! A server with a folder of documents, and questions about them.
use std::{collections::BTreeMap, fs};

use client::{
    AppSync,
    realtime::{Realtime, Signal},
    requests::CreateConversation,
};
use futures::StreamExt;
use local::{
    knowledge_base::{EmbeddingsOptions, IngestionJob, JobList, KnowledgeBase, KnowledgeOptions},
    server::ServerOptions,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::backend::{Backend, CANNED_TEXT_MODEL, execute, new_id, options, send_message, with_timeout};

/// A model that says itself what it cites.
pub const CITING_MODEL: &str = "anthropic.claude-sonnet-5";
/// A model that refuses search results, although its name says that it takes them.
pub const REFUSING_MODEL: &str = "parlance.anthropic.claude-no-search-results";
/// A model that writes markers such as `[1]`.
pub const MARKER_MODEL: &str = CANNED_TEXT_MODEL;

/// Three documents about different things.
pub const DOCUMENTS: [(&str, &str); 3] = [
    ("leave.md", "# Leave\n\nEmployees get 25 days of leave in each calendar year.\n"),
    ("hr/travel.md", "# Travel\n\nHotels cost at most 140 euros for each night.\n"),
    ("security.txt", "Screens must be locked whenever nobody sits before them.\n"),
];

const ON_UPDATE: &str = "subscription ($conversationId: ID!) { onConversationUpdate(conversationId: $conversationId) { \
    turnId event { id content { text citations { number title source passage start end } } } \
    metadata { status agentPartialMessage noteCode citations { number title source passage start end } } } }";
const GET_TURN: &str = "query ($conversationId: ID!, $id: ID!) { getTurn(conversationId: $conversationId, id: $id) { \
    status answer { id content { text citations { number title source passage start end } \
    toolUse { name input } toolResult { json } } } } }";

pub struct Fixture {
    pub backend: Backend,
    pub folder: TempDir,
}

/// An answer, as a subscriber received it and as it is stored.
pub struct Answer {
    pub conversation_id: String,
    /// Of the updates, in order.
    pub metadata: Vec<Value>,
    /// The stored events.
    pub events: Vec<Value>,
}

impl Fixture {
    /// Starts a server for these documents, and waits until they are ingested.
    pub async fn new(documents: &[(&str, &str)]) -> Self {
        Self::with_options(documents, |options| options).await
    }

    pub async fn with_options(documents: &[(&str, &str)], change: impl FnOnce(ServerOptions) -> ServerOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in documents {
            write(&folder, name, text);
        }
        let state = tempfile::tempdir().unwrap();
        let knowledge = KnowledgeOptions { folder: folder.path().into(), embeddings: EmbeddingsOptions::default() };
        let parameters = BTreeMap::from([("ModelId".to_owned(), CITING_MODEL.to_owned())]);
        let options = ServerOptions { knowledge: Some(knowledge), ..options(&state, parameters) };
        let backend = Backend::start_with(change(options), state).await;
        let fixture = Self { backend, folder };
        fixture.wait_for_documents(documents.len()).await;
        fixture
    }

    pub fn knowledge(&self) -> &KnowledgeBase {
        self.backend.server.knowledge.as_ref().unwrap()
    }

    /// Writes a document or a metadata file.
    pub fn write(&self, name: &str, text: &str) {
        write(&self.folder, name, text);
    }

    /// Waits until so many documents are in the index.
    pub async fn wait_for_documents(&self, count: usize) {
        let has_documents = |jobs: &JobList| jobs.last_ended().is_some() && self.knowledge().size().documents == count;
        let mut jobs = self.knowledge().jobs();
        with_timeout(jobs.wait_for(has_documents)).await.unwrap();
    }

    /// Changes the folder, and waits until it is ingested.
    pub async fn change(&self, change: impl FnOnce()) -> IngestionJob {
        let mut jobs = self.knowledge().jobs();
        let before = jobs.borrow().last_ended().map(|job| job.id.clone());
        change();
        let is_later = |jobs: &JobList| jobs.last_ended().is_some_and(|job| Some(&job.id) != before.as_ref());
        let jobs = with_timeout(jobs.wait_for(is_later)).await.unwrap();
        jobs.last_ended().unwrap().clone()
    }

    /// Puts an agent that answers from the documents.
    pub async fn put_agent(&self, id: &str, model_id: &str, knowledge: Value) {
        let put = "mutation ($input: PutAgentInput!) { putAgent(input: $input) { id } }";
        let input = json!({ "id": id, "modelId": model_id, "knowledge": knowledge });
        let response = execute(&self.backend.administrator, put, json!({ "input": input })).await;
        assert_eq!(response["errors"], json!([]));
    }

    /// Asks an agent, in a new conversation.
    pub async fn ask(&self, api: &AppSync, agent: &str, question: &str) -> Answer {
        let create = CreateConversation { agent_id: Some(agent.into()), ..CreateConversation::default() };
        let conversation = api.call(&create).await.unwrap().id;
        let variables = json!({ "conversationId": conversation });
        let mut updates = Realtime::new(api).subscribe(ON_UPDATE, &variables);
        assert!(matches!(with_timeout(updates.next()).await, Some(Signal::Subscribed)));
        let id = new_id();
        send_message(api, &conversation, &id, question).await.unwrap();
        let mut metadata = Vec::new();
        loop {
            let Some(Signal::Data(mut update)) = with_timeout(updates.next()).await else {
                panic!("the subscription goes on")
            };
            metadata.push(update["onConversationUpdate"]["metadata"].take());
            if ["COMPLETED", "FAILED"].iter().any(|end| metadata.last().unwrap()["status"] == *end) {
                break;
            }
        }
        let variables = json!({ "conversationId": conversation, "id": id });
        let mut response = execute(api, GET_TURN, variables).await;
        assert_eq!(response["data"]["getTurn"]["status"], "COMPLETED", "{response}");
        let mut turn = response["data"]["getTurn"].take();
        Answer {
            conversation_id: conversation,
            metadata,
            events: turn["answer"].as_array_mut().map(std::mem::take).unwrap(),
        }
    }
}

fn write(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

impl Answer {
    /// The text blocks of the stored events.
    pub fn blocks(&self) -> impl Iterator<Item = &Value> {
        let blocks = self.events.iter().flat_map(|event| event["content"].as_array().unwrap());
        blocks.filter(|block| block["text"].is_string())
    }

    pub fn text(&self) -> String {
        self.blocks().map(|block| block["text"].as_str().unwrap()).collect()
    }

    /// The citations of the stored events.
    pub fn citations(&self) -> Vec<&Value> {
        self.blocks().filter_map(|block| block["citations"].as_array()).flatten().collect()
    }

    /// The sources of the citations, each once.
    pub fn sources(&self) -> Vec<&str> {
        let mut sources: Vec<_> = self.citations().iter().filter_map(|citation| citation["source"].as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }

    /// The joined text of the batches.
    pub fn streamed_text(&self) -> String {
        self.metadata.iter().filter_map(|metadata| metadata["agentPartialMessage"].as_str()).collect()
    }

    /// The citations of the batches.
    pub fn streamed_citations(&self) -> Vec<&Value> {
        self.metadata.iter().filter_map(|metadata| metadata["citations"].as_array()).flatten().collect()
    }

    pub fn notes(&self) -> Vec<&str> {
        self.metadata.iter().filter_map(|metadata| metadata["noteCode"].as_str()).collect()
    }
}
