//! What there is for a caller to ask about: a conversation of its mode's owner, shared with its writer and its reader.
use client::requests::{CancelTurn, CreateConversation};
use serde_json::{Value, json};

use super::{
    asking::Asked,
    people::{Owner, People},
};
use crate::backend::{Backend, draw, say};

/// One conversation, set up for one field.
pub struct Scene {
    pub conversation: String,
    writer: String,
    reader: String,
}

pub struct Stage<'a> {
    pub backend: &'a Backend,
    pub people: &'a People,
}

const TURN: &str = "t1";

impl Stage<'_> {
    pub async fn set(&self, field: &str, owner: &Owner) -> Scene {
        let conversation = draw();
        let begun = CreateConversation { id: Some(conversation.clone()), ..CreateConversation::default() };
        owner.api.call(&begun).await.unwrap();
        for (user, access) in [(&owner.writer, "WRITE"), (&owner.reader, "READ")] {
            if let Some(user) = user {
                self.share(owner, &conversation, user, access).await;
            }
        }
        let [writer, reader] = [&owner.writer, &owner.reader].map(|user| user.clone().unwrap_or_default());
        let scene = Scene { conversation, writer, reader };
        match field {
            "Query.getTurn" | "Mutation.cancelTurn" => self.ask(owner, &scene).await,
            "Mutation.retryTurn" | "Mutation.continueTurn" => {
                self.ask(owner, &scene).await;
                let cancelled = CancelTurn { conversation_id: scene.conversation.clone(), id: TURN.into() };
                owner.api.call(&cancelled).await.unwrap();
            }
            "Mutation.agentPublishMetadata" | "Mutation.agentPublishEvent" => {
                self.ask(owner, &scene).await;
                self.backend.claim(&scene.conversation, TURN).await;
            }
            _ => {}
        }
        scene
    }

    async fn ask(&self, owner: &Owner, scene: &Scene) {
        say(&owner.api, &scene.conversation, TURN, "Who may read this?").await.unwrap();
    }

    async fn share(&self, owner: &Owner, conversation: &str, user: &str, access: &str) {
        let document = "mutation ($input: ShareConversationInput!) { shareConversation(input: $input) { access } }";
        let input = json!({ "conversationId": conversation, "userId": user, "access": access });
        let answer = owner.api.execute(document, json!({ "input": input })).await.unwrap();
        assert_eq!(answer.errors, []);
    }
}

impl Scene {
    /// The conversation that nobody has.
    pub fn missing(&self) -> Self {
        let [writer, reader] = [&self.writer, &self.reader].map(String::clone);
        Self { conversation: "nobody-has-this-one".into(), writer, reader }
    }

    /// The field's own document, about this conversation. Unshared is who asks, or the reader by others.
    pub fn asked(&self, field: &str, caller: &str) -> Asked {
        let is_writers_own = field == "Mutation.unshareConversation" && caller.ends_with(".writer");
        let unshared = if is_writers_own { &self.writer } else { &self.reader };
        let id = json!({ "id": self.conversation });
        let turn = json!({ "conversationId": self.conversation, "id": TURN });
        let input = |input: Value| json!({ "input": input });
        let (document, variables) = match field {
            "Query.getConversation" => (
                "query ($id: ID!) { getConversation(id: $id) { id access events { items { text } } activeTurn { id } } }",
                id,
            ),
            "Query.getTurn" => (
                "query ($conversationId: ID!, $id: ID!) { getTurn(conversationId: $conversationId, id: $id) { id question { text } answer { text } } }",
                turn,
            ),
            "Query.listConversations" => ("{ listConversations(limit: 100) { items { id } } }", json!({})),
            "Query.getAgent" => ("{ getAgent(id: \"default\") { modelId } }", json!({})),
            "Query.getAgent.systemPrompt" => ("{ getAgent(id: \"default\") { systemPrompt } }", json!({})),
            "Query.listAgents" => ("{ listAgents { items { modelId } } }", json!({})),
            "Query.listAgents.systemPrompt" => ("{ listAgents { items { systemPrompt } } }", json!({})),
            "Query.getCaller" => ("{ getCaller { id name isAdministrator } }", json!({})),
            "Mutation.createConversation" => ("mutation { createConversation { id } }", json!({})),
            "Mutation.updateConversation" => (
                "mutation ($input: UpdateConversationInput!) { updateConversation(input: $input) { title } }",
                input(json!({ "id": self.conversation, "title": "Mine" })),
            ),
            "Mutation.deleteConversation" => ("mutation ($id: ID!) { deleteConversation(id: $id) { id } }", id),
            "Mutation.shareConversation" => (
                "mutation ($input: ShareConversationInput!) { shareConversation(input: $input) { access } }",
                input(
                    json!({ "conversationId": self.conversation, "userId": "https://example.com#one-more", "access": "READ" }),
                ),
            ),
            "Mutation.unshareConversation" | "Mutation.unshareConversation.reader" => (
                "mutation ($id: ID!, $userId: ID!) { unshareConversation(conversationId: $id, userId: $userId) { userId } }",
                json!({ "id": self.conversation, "userId": unshared }),
            ),
            "Mutation.sendMessage" => (
                "mutation ($input: SendMessageInput!) { sendMessage(input: $input) { id } }",
                input(json!({ "conversationId": self.conversation, "text": "May I?" })),
            ),
            "Mutation.cancelTurn" => (
                "mutation ($conversationId: ID!, $id: ID!) { cancelTurn(conversationId: $conversationId, id: $id) { id } }",
                turn,
            ),
            "Mutation.retryTurn" => (
                "mutation ($conversationId: ID!, $id: ID!) { retryTurn(conversationId: $conversationId, id: $id) { id } }",
                turn,
            ),
            "Mutation.continueTurn" => (
                "mutation ($conversationId: ID!, $id: ID!) { continueTurn(conversationId: $conversationId, id: $id) { id } }",
                turn,
            ),
            "Mutation.putAgent" => (
                "mutation ($input: PutAgentInput!) { putAgent(input: $input) { version } }",
                input(json!({ "id": "poet", "modelId": "parlance.unicode" })),
            ),
            "Mutation.agentPublishMetadata" => (
                "mutation ($data: AgentMetadataInput!) { agentPublishMetadata(data: $data) { sequence } }",
                json!({ "data": self.publish("RUNNING") }),
            ),
            "Mutation.agentPublishEvent" => (
                "mutation ($data: AgentEventInput!) { agentPublishEvent(data: $data) { sequence } }",
                json!({ "data": self.publish("COMPLETED") }),
            ),
            "Subscription.onConversationUpdate" => {
                ("subscription ($id: ID!) { onConversationUpdate(conversationId: $id) { sequence } }", id)
            }
            other => panic!("{other} has no request"),
        };
        Asked { document, variables }
    }

    fn publish(&self, status: &str) -> Value {
        let mut data = json!({
            "conversationId": self.conversation, "turnId": TURN, "run": 1, "attempt": 1, "sequence": 1, "status": status,
        });
        if status == "COMPLETED" {
            data["event"] = json!({
                "id": "t1-1-1", "position": 2, "sender": { "kind": "AGENT" }, "content": [{ "text": "Yes." }],
            });
        }
        data
    }
}
