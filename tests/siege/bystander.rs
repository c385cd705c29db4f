//! Somebody who only wants an answer, whatever goes on around.
use std::time::{Duration, Instant};

use client::{
    AppSync, documents,
    realtime::{Realtime, Signal},
    requests::{CreateConversation, PutAgent, SendMessage},
};
use futures::StreamExt;
use serde_json::json;
use tokio::time::timeout;

use crate::besieged::Besieged;

/// By then a well-behaved user of a busy backend has an answer; an idle one gives it within a second or two.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// Or so many times as late as without the abuse, where the machine has other things to do.
const TIMES_AS_LATE: u32 = 20;

pub struct Bystander {
    api: AppSync,
    conversation_id: String,
    patience: Duration,
}

impl Bystander {
    /// With a conversation of an agent that has something to say.
    pub async fn of(besieged: &Besieged, model_id: &str) -> Self {
        let id = model_id.replace('.', "-");
        let agent = PutAgent { id: id.clone(), model_id: model_id.into(), ..PutAgent::default() };
        besieged.administrator().call(&agent).await.expect("the agent is put");
        let api = besieged.user();
        let wish = CreateConversation { agent_id: Some(id), ..CreateConversation::default() };
        let conversation_id = api.call(&wish).await.expect("a conversation").id;
        let (begun, bystander) = (Instant::now(), Self { api, conversation_id, patience: ANSWERED_WITHIN });
        bystander.answered().await;
        Self { patience: ANSWERED_WITHIN.max(begun.elapsed() * TIMES_AS_LATE), ..bystander }
    }

    pub fn conversation_id(&self) -> &str {
        &self.conversation_id
    }

    /// Subscribes, sends, and hears the answer to its end.
    pub async fn converse(&self) {
        let begun = Instant::now();
        let answered = timeout(self.patience, self.answered()).await;
        assert!(answered.is_ok(), "a well-behaved user has no answer after {:?}", begun.elapsed());
    }

    async fn answered(&self) {
        let variables = json!({ "conversationId": self.conversation_id });
        let mut updates = Realtime::new(&self.api).subscribe(documents::ON_CONVERSATION_UPDATE, &variables);
        assert!(matches!(updates.next().await, Some(Signal::Subscribed)));
        let message =
            SendMessage { conversation_id: Some(self.conversation_id.clone()), id: None, text: "Hello?".into() };
        self.api.call(&message).await.expect("the message is sent");
        while let Some(Signal::Data(data)) = updates.next().await {
            if data["onConversationUpdate"]["metadata"]["status"] == "COMPLETED" {
                return;
            }
        }
        panic!("the updates ended before the answer did");
    }
}
