//! Somebody who is active, with a stopwatch.
use std::time::{Duration, Instant};

use client::{
    AppSync, Credentials,
    credentials::IamKeys,
    documents,
    realtime::{Realtime, Signal, Subscription},
    requests::{CreateConversation, GetTurn, PutAgent, SendMessage},
};
use futures::StreamExt;
use serde_json::json;

use crate::server::Server;

const TURNS: usize = 60;
const READS: usize = 300;
/// One delta, at once.
const MODEL: &str = "parlance.deltas-1-0";

pub struct User<'a> {
    server: &'a Server,
    api: AppSync,
    conversation_id: String,
    updates: Subscription,
}

/// What was waited for.
#[derive(Default)]
pub struct Times {
    pub sends: Waits,
    pub reads: Waits,
    /// From a word of the model to the subscriber: the handler's publish, and its delivery.
    pub deliveries: Waits,
}

impl<'a> User<'a> {
    pub async fn of(server: &'a Server) -> Self {
        let keys = IamKeys {
            access_key: server.administrator.access_key_id.clone(),
            secret_key: server.administrator.secret_access_key.clone(),
            session_token: None,
            region: server.region.clone(),
        };
        let administrator = AppSync::new(&server.url, Credentials::Iam(keys)).expect("an URL");
        let agent = PutAgent { id: "brief".into(), model_id: MODEL.into(), ..PutAgent::default() };
        administrator.call(&agent).await.expect("the agent is put");
        let api = AppSync::new(&server.url, Credentials::ApiKey(server.api_key.clone())).expect("an URL");
        let wish = CreateConversation { agent_id: Some(agent.id), ..CreateConversation::default() };
        let conversation_id = api.call(&wish).await.expect("a conversation").id;
        let variables = json!({ "conversationId": conversation_id });
        let mut updates = Realtime::new(&api).subscribe(documents::ON_CONVERSATION_UPDATE, &variables);
        assert!(matches!(updates.next().await, Some(Signal::Subscribed)));
        Self { server, api, conversation_id, updates }
    }

    /// Sends, is answered and reads, again and again.
    pub async fn times(&mut self) -> Times {
        let mut times = Times::default();
        for _ in 0..TURNS {
            self.turn(&mut times).await;
        }
        times
    }

    async fn turn(&mut self, times: &mut Times) {
        let begun = Instant::now();
        let conversation_id = self.conversation_id.clone();
        let message = SendMessage { conversation_id: Some(conversation_id.clone()), id: None, text: "Hello?".into() };
        let id = self.api.call(&message).await.expect("the message is sent").id;
        times.sends.0.push(begun.elapsed());
        let said = self.server.words.lock().await.recv().await.expect("the model says a word");
        let mut is_heard = false;
        while let Some(Signal::Data(data)) = self.updates.next().await {
            let update = &data["onConversationUpdate"];
            let is_over = update["metadata"]["status"] == "COMPLETED";
            if !is_heard && (is_over || update["metadata"]["agentPartialMessage"].is_string()) {
                times.deliveries.0.push(said.elapsed());
                is_heard = true;
            }
            if is_over {
                break;
            }
        }
        for _ in 0..READS / TURNS {
            let begun = Instant::now();
            let wish = GetTurn { conversation_id: conversation_id.clone(), id: id.clone(), ..GetTurn::default() };
            self.api.call(&wish).await.expect("the turn");
            times.reads.0.push(begun.elapsed());
        }
    }
}

#[derive(Default)]
pub struct Waits(Vec<Duration>);

impl Waits {
    pub fn at(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
    }
}
