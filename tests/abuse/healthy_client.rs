//! A client that sends a message and waits for the answer, while other clients abuse the server.
use std::{
    sync::LazyLock,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use client::{
    AppSync, documents,
    realtime::{Realtime, Signal},
    requests::{CreateConversation, PutAgent, SendMessage},
};
use futures::StreamExt;
use serde_json::json;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::support::server_under_test::ServerUnderTest;

/// An answer must arrive within this time. Without abuse it takes a second or two.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(10);
/// On a slow machine an answer may take this many times as long as without abuse.
const MAX_SLOWDOWN: u32 = 20;

/// One permit per processor. More servers under abuse at the same time would delay each other's answers.
static PERMITS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().expect("the system has processors").get()));

pub struct HealthyClient {
    _permit: SemaphorePermit<'static>,
    api: AppSync,
    conversation_id: String,
    max_answer_time: Duration,
}

impl HealthyClient {
    /// Waits for a permit, creates a conversation with an agent of the model, and measures one answer.
    pub async fn new(server: &ServerUnderTest, model_id: &str) -> Self {
        let permit = PERMITS.acquire().await.expect("the semaphore stays open");
        let agent_id = model_id.replace('.', "-");
        let administrator = AppSync::new(&server.endpoint.url, server.endpoint.administrator_credentials());
        let put_agent = PutAgent { id: agent_id.clone(), model_id: model_id.into(), ..PutAgent::default() };
        administrator.expect("the URL is valid").call(&put_agent).await.expect("the agent is stored");
        let api = server.user();
        let create = CreateConversation { agent_id: Some(agent_id), ..CreateConversation::default() };
        let conversation_id = api.call(&create).await.expect("the conversation is created").id;
        let mut client = Self { _permit: permit, api, conversation_id, max_answer_time: MAX_ANSWER_TIME };
        let start = Instant::now();
        client.wait_for_answer().await;
        client.max_answer_time = MAX_ANSWER_TIME.max(start.elapsed() * MAX_SLOWDOWN);
        client
    }

    pub fn conversation_id(&self) -> &str {
        &self.conversation_id
    }

    /// Subscribes, sends a message, and receives its answer in time.
    pub async fn converse(&self) {
        let start = Instant::now();
        let answer = timeout(self.max_answer_time, self.wait_for_answer()).await;
        assert!(answer.is_ok(), "the healthy client has no answer after {:?}", start.elapsed());
    }

    async fn wait_for_answer(&self) {
        let variables = json!({ "conversationId": self.conversation_id });
        let mut updates = Realtime::new(&self.api).subscribe(documents::ON_CONVERSATION_UPDATE, &variables);
        assert!(matches!(updates.next().await, Some(Signal::Subscribed)));
        let message = SendMessage {
            conversation_id: Some(self.conversation_id.clone()),
            text: "Hello?".into(),
            ..SendMessage::default()
        };
        self.api.call(&message).await.expect("the message is sent");
        while let Some(Signal::Data(data)) = updates.next().await {
            if data["onConversationUpdate"]["metadata"]["status"] == "COMPLETED" {
                return;
            }
        }
        panic!("the updates ended before the answer");
    }
}
