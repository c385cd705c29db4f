//! An active user that measures latencies.
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
const READS_PER_TURN: usize = 5;
/// Answers with one delta, at once.
const MODEL: &str = "parlance.deltas-1-0";

pub struct LatencyProbe<'a> {
    server: &'a Server,
    api: AppSync,
    conversation_id: String,
    updates: Subscription,
}

#[derive(Default)]
pub struct Latencies {
    pub sends: Samples,
    pub reads: Samples,
    /// From the model's delta to the subscriber: the handler's publish and the delivery.
    pub deliveries: Samples,
}

#[derive(Default)]
pub struct Samples(Vec<Duration>);

impl<'a> LatencyProbe<'a> {
    pub async fn new(server: &'a Server) -> Self {
        let keys = IamKeys {
            access_key: server.administrator.access_key_id.clone(),
            secret_key: server.administrator.secret_access_key.clone(),
            session_token: None,
            region: server.region.clone(),
        };
        let administrator = AppSync::new(&server.url, Credentials::Iam(keys)).expect("the URL is valid");
        let agent = PutAgent { id: "brief".into(), model_id: MODEL.into(), ..PutAgent::default() };
        administrator.call(&agent).await.expect("the agent is put");
        let api = AppSync::new(&server.url, Credentials::ApiKey(server.api_key.clone())).expect("the URL is valid");
        let request = CreateConversation { agent_id: Some(agent.id), ..CreateConversation::default() };
        let conversation_id = api.call(&request).await.expect("the conversation is created").id;
        let variables = json!({ "conversationId": conversation_id });
        let mut updates = Realtime::new(&api).subscribe(documents::ON_CONVERSATION_UPDATE, &variables);
        assert!(matches!(updates.next().await, Some(Signal::Subscribed)));
        Self { server, api, conversation_id, updates }
    }

    /// Completes turns one after the other, and reads each of them several times.
    pub async fn measure(&mut self) -> Latencies {
        let mut latencies = Latencies::default();
        for _ in 0..TURNS {
            self.measure_turn(&mut latencies).await;
        }
        latencies
    }

    async fn measure_turn(&mut self, latencies: &mut Latencies) {
        let conversation_id = self.conversation_id.clone();
        let message = SendMessage {
            conversation_id: Some(conversation_id.clone()),
            text: "Hello?".into(),
            ..SendMessage::default()
        };
        let started = Instant::now();
        let id = self.api.call(&message).await.expect("the message is sent").id;
        latencies.sends.0.push(started.elapsed());
        let generated = self.server.deltas.lock().await.recv().await.expect("the model streams a delta");
        latencies.deliveries.0.push(self.wait_for_text(generated).await);
        for _ in 0..READS_PER_TURN {
            let request = GetTurn { conversation_id: conversation_id.clone(), id: id.clone(), ..GetTurn::default() };
            let started = Instant::now();
            self.api.call(&request).await.expect("the turn is read");
            latencies.reads.0.push(started.elapsed());
        }
    }

    /// Receives updates until the turn ends, and returns the time from the delta to the first update with
    /// text.
    async fn wait_for_text(&mut self, generated: Instant) -> Duration {
        let mut latency = None;
        while let Some(Signal::Data(data)) = self.updates.next().await {
            let update = &data["onConversationUpdate"];
            let is_end = update["metadata"]["status"] == "COMPLETED";
            let has_text = is_end || update["metadata"]["agentPartialMessage"].is_string();
            if has_text && latency.is_none() {
                latency = Some(generated.elapsed());
            }
            if is_end {
                break;
            }
        }
        latency.expect("an update carries text")
    }
}

impl Samples {
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
    }
}
