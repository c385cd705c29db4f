//! The conversation that a caller requests, and the request for each root field.
use client::{
    requests::{CancelTurn, CreateConversation, GetCaller, ShareConversation},
    schema::Access,
};
use serde_json::{Value, json};

use super::{
    callers::{Callers, Owner},
    send_request::GraphQlRequest,
};
use crate::backend::{Backend, new_id, send_message};

const TURN: &str = "t1";
/// An agent with tools.
const AGENT: &str = "clerk";

/// In the names of fields with the argument that only the gateway may give.
const ON_BEHALF_OF: &str = ".onBehalfOf";

pub struct Fixture<'a> {
    pub backend: &'a Backend,
    pub callers: &'a Callers,
    pub http: reqwest::Client,
}

/// A conversation and the users that it is shared with.
pub struct SharedConversation {
    pub id: String,
    writer: String,
    reader: String,
}

impl Fixture<'_> {
    /// Creates a conversation in the state that requests for a field need.
    pub async fn create_conversation(&self, field: &str, owner: &Owner) -> SharedConversation {
        let id = new_id();
        let create = CreateConversation { id: Some(id.clone()), ..CreateConversation::default() };
        let field = field.split_once(ON_BEHALF_OF).map_or(field, |(field, _)| field);
        owner.api.call(&create).await.unwrap();
        for (user, access) in [(&owner.writer, Access::Write), (&owner.reader, Access::Read)] {
            if let Some(user) = user {
                let share = ShareConversation { conversation_id: id.clone(), user_id: user.clone(), access };
                owner.api.call(&share).await.unwrap();
            }
        }
        match field {
            "Query.getTurn" | "Mutation.cancelTurn" => start_turn(owner, &id).await,
            "Query.getCitation" => {
                start_turn(owner, &id).await;
                self.backend.seed_cited_answer(&id, TURN, 0, "").await;
            }
            "Mutation.retryTurn" | "Mutation.continueTurn" | "Mutation.sendMessage.replacesTurnId" => {
                start_turn(owner, &id).await;
                let cancel = CancelTurn { conversation_id: id.clone(), id: TURN.into() };
                owner.api.call(&cancel).await.unwrap();
            }
            "Mutation.answerToolCall"
            | "Mutation.answerToolCall.denial"
            | "Mutation.answerToolCall.result"
            | "Query.getConversation.toolUse"
            | "Query.getConversation.toolResult"
            | "Query.getTurn.pending"
            | "Query.getTurn.toolCall" => {
                start_turn(owner, &id).await;
                let caller = owner.api.call(&GetCaller).await.unwrap();
                let asked_by = (caller.id != "API_KEY").then_some(caller.id.as_str());
                let is_of_client = field == "Mutation.answerToolCall.result";
                let need = if is_of_client { "CLIENT_NEEDED" } else { "APPROVAL_NEEDED" };
                self.backend.begin_wait(&id, TURN, need, asked_by).await;
            }
            "Mutation.agentPublishMetadata" | "Mutation.agentPublishEvent" => {
                start_turn(owner, &id).await;
                self.backend.claim_turn(&id, TURN).await;
            }
            "Query.getAgent.tools" | "Query.getAgent.lambda" | "Query.getAgent.graphql" | "Query.getAgent.mcp" => {
                self.backend.put_agent_with_tools(AGENT).await;
            }
            _ => {}
        }
        let [writer, reader] = [&owner.writer, &owner.reader].map(|user| user.clone().unwrap_or_default());
        SharedConversation { id, writer, reader }
    }
}

async fn start_turn(owner: &Owner, conversation_id: &str) {
    send_message(&owner.api, conversation_id, TURN, "Who may read this?").await.unwrap();
}

impl SharedConversation {
    /// The same users, and the id of a conversation that does not exist.
    pub fn missing(&self) -> Self {
        let [writer, reader] = [&self.writer, &self.reader].map(String::clone);
        Self { id: "no-such-conversation".into(), writer, reader }
    }

    /// A field's request about this conversation.
    pub fn request(&self, field: &str, caller: &str) -> GraphQlRequest {
        if field.contains(ON_BEHALF_OF) || field.ends_with(".replyTo") {
            let (document, variables) = self.gateway_request(field);
            return GraphQlRequest { document, variables };
        }
        self.callers_request(field, caller)
    }

    /// The request for a field as callers make it.
    fn callers_request(&self, field: &str, caller: &str) -> GraphQlRequest {
        let removes_itself = field == "Mutation.unshareConversation" && caller.ends_with(".writer");
        let removed_user = if removes_itself { &self.writer } else { &self.reader };
        let id = json!({ "id": self.id });
        let turn = json!({ "conversationId": self.id, "id": TURN });
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
            "Query.getCitation" => (
                "query ($id: ID!) { getCitation(conversationId: $id, eventId: \"t1-1-1\", index: 0) { citation { passage } url } }",
                id,
            ),
            "Query.listConversations" => ("{ listConversations(limit: 100) { items { id } } }", json!({})),
            "Query.listModels" => ("{ listModels { id } }", json!({})),
            "Query.getCaller" => ("{ getCaller { id name isAdministrator } }", json!({})),
            "Mutation.invokeModel" | "Subscription.onModelResponse" => (one_shot_document(field), json!({})),
            "Mutation.createConversation" => ("mutation { createConversation { id } }", json!({})),
            "Mutation.updateConversation" => (
                "mutation ($input: UpdateConversationInput!) { updateConversation(input: $input) { title } }",
                input(json!({ "id": self.id, "title": "Mine" })),
            ),
            "Mutation.deleteConversation" => ("mutation ($id: ID!) { deleteConversation(id: $id) { id } }", id),
            "Mutation.shareConversation" => (
                "mutation ($input: ShareConversationInput!) { shareConversation(input: $input) { access } }",
                input(json!({ "conversationId": self.id, "userId": "https://example.com#one-more", "access": "READ" })),
            ),
            "Mutation.unshareConversation" | "Mutation.unshareConversation.reader" => (
                "mutation ($id: ID!, $userId: ID!) { unshareConversation(conversationId: $id, userId: $userId) { userId } }",
                json!({ "id": self.id, "userId": removed_user }),
            ),
            "Mutation.sendMessage" | "Mutation.sendMessage.replacesTurnId" => (
                "mutation ($input: SendMessageInput!) { sendMessage(input: $input) { id } }",
                input(self.message(field.ends_with(".replacesTurnId"))),
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
                // Two at the same time for one agent would refuse each other.
                input(json!({ "id": new_id(), "modelId": "parlance.unicode" })),
            ),
            publish if publish.starts_with("Mutation.agentPublish") => self.publish(publish),
            "Subscription.onConversationUpdate" => {
                ("subscription ($id: ID!) { onConversationUpdate(conversationId: $id) { sequence } }", id)
            }
            other if other.contains("Agent") => agent_query(other),
            other => self.tool_query(other),
        };
        GraphQlRequest { document, variables }
    }

    /// What the handler and the closer alone may do.
    fn publish(&self, field: &str) -> (&'static str, Value) {
        match field {
            "Mutation.agentPublishMetadata" => (
                "mutation ($data: AgentMetadataInput!) { agentPublishMetadata(data: $data) { sequence } }",
                json!({ "data": self.published_update("RUNNING") }),
            ),
            "Mutation.agentPublishEvent" => (
                "mutation ($data: AgentEventInput!) { agentPublishEvent(data: $data) { sequence } }",
                json!({ "data": self.published_update("COMPLETED") }),
            ),
            _ => (
                "mutation ($data: AgentTitleInput!) { agentPublishTitle(data: $data) { title } }",
                json!({ "data": { "conversationId": self.id, "title": "Orders" } }),
            ),
        }
    }

    fn message(&self, replaces_turn: bool) -> Value {
        let replaced_turn = replaces_turn.then_some(TURN);
        json!({ "conversationId": self.id, "text": "May I?", "replacesTurnId": replaced_turn })
    }

    /// The request for a field with an argument of the gateway.
    fn gateway_request(&self, field: &str) -> (&'static str, Value) {
        let turn = json!({ "conversationId": self.id, "id": TURN });
        let message = json!({ "input": { "conversationId": self.id, "text": "May I?" } });
        match field {
            "Query.getConversation.onBehalfOf" => (
                "query ($id: ID!) { getConversation(id: $id, onBehalfOf: { issuer: \"https://a.example\", sub: \"a\" }) { id } }",
                json!({ "id": self.id }),
            ),
            "Query.getTurn.onBehalfOf" => (
                "query ($conversationId: ID!, $id: ID!) { getTurn(conversationId: $conversationId, id: $id, onBehalfOf: { issuer: \"https://a.example\", sub: \"a\" }) { id } }",
                turn,
            ),
            "Mutation.sendMessage.onBehalfOf" => (
                "mutation ($input: SendMessageInput!) { sendMessage(input: $input, onBehalfOf: { apiKey: true }) { id } }",
                message,
            ),
            "Mutation.sendMessage.onBehalfOf.iam" => (
                "mutation ($input: SendMessageInput!) { sendMessage(input: $input, onBehalfOf: { iam: { accountId: \"111122223333\", username: \"a\" } }) { id } }",
                message,
            ),
            "Mutation.sendMessage.replyTo" => (
                "mutation ($input: SendMessageInput!) { sendMessage(input: $input, replyTo: { events: \"/chat/responses/a\", stream: true, requestId: \"1\" }) { id } }",
                message,
            ),
            "Mutation.retryTurn.replyTo" => (
                "mutation ($conversationId: ID!, $id: ID!) { retryTurn(conversationId: $conversationId, id: $id, replyTo: { events: \"/chat/responses/a\" }) { id } }",
                turn,
            ),
            "Mutation.continueTurn.replyTo" => (
                "mutation ($conversationId: ID!, $id: ID!) { continueTurn(conversationId: $conversationId, id: $id, replyTo: { websocket: { connectionId: \"a\" } }) { id } }",
                turn,
            ),
            "Mutation.answerToolCall.replyTo" => (
                "mutation ($input: AnswerToolCallInput!) { answerToolCall(input: $input, replyTo: { events: \"/chat/responses/a\" }) { id } }",
                json!({ "input": { "conversationId": self.id, "turnId": TURN, "toolUseId": "call", "approved": true } }),
            ),
            "Mutation.cancelTurn.onBehalfOf" => (
                "mutation ($conversationId: ID!, $id: ID!) { cancelTurn(conversationId: $conversationId, id: $id, onBehalfOf: { apiKey: true }) { id } }",
                turn,
            ),
            "Mutation.retryTurn.onBehalfOf" => (
                "mutation ($conversationId: ID!, $id: ID!) { retryTurn(conversationId: $conversationId, id: $id, onBehalfOf: { apiKey: true }) { id } }",
                turn,
            ),
            "Mutation.continueTurn.onBehalfOf" => (
                "mutation ($conversationId: ID!, $id: ID!) { continueTurn(conversationId: $conversationId, id: $id, onBehalfOf: { apiKey: true }) { id } }",
                turn,
            ),
            "Mutation.answerToolCall.onBehalfOf" => (
                "mutation ($input: AnswerToolCallInput!) { answerToolCall(input: $input, onBehalfOf: { apiKey: true }) { id } }",
                json!({ "input": { "conversationId": self.id, "turnId": TURN, "toolUseId": "call", "approved": true } }),
            ),
            other => panic!("no request is defined for {other}"),
        }
    }

    /// The request for a field about tool calls of this conversation.
    fn tool_query(&self, field: &str) -> (&'static str, Value) {
        let id = json!({ "id": self.id });
        let turn = json!({ "conversationId": self.id, "id": TURN });
        match field {
            "Query.getConversation.toolUse" => (
                "query ($id: ID!) { getConversation(id: $id) { events { items { content { toolUse { id name title input } } } } } }",
                id,
            ),
            "Query.getConversation.toolResult" => (
                "query ($id: ID!) { getConversation(id: $id) { events { items { content { toolResult { toolUseId status json text } } } } } }",
                id,
            ),
            "Query.getTurn.pending" => (
                "query ($conversationId: ID!, $id: ID!) { getTurn(conversationId: $conversationId, id: $id) { pending { id name title status note } } }",
                turn,
            ),
            "Query.getTurn.toolCall" => (
                "query ($conversationId: ID!, $id: ID!) { getTurn(conversationId: $conversationId, id: $id) { batches { metadata { toolCall { id name status } } } } }",
                turn,
            ),
            "Mutation.answerToolCall" | "Mutation.answerToolCall.denial" | "Mutation.answerToolCall.result" => {
                let mut answer = json!({ "conversationId": self.id, "turnId": TURN, "toolUseId": "call" });
                match field {
                    "Mutation.answerToolCall.result" => answer["result"] = json!("{}"),
                    _ => answer["approved"] = json!(field == "Mutation.answerToolCall"),
                }
                (
                    "mutation ($input: AnswerToolCallInput!) { answerToolCall(input: $input) { id } }",
                    json!({ "input": answer }),
                )
            }
            "Subscription.onConversationUpdate.tools" => (
                "subscription ($id: ID!) { onConversationUpdate(conversationId: $id) { metadata { toolCall { id } pending { id } } event { content { toolUse { id } toolResult { toolUseId } } } } }",
                id,
            ),
            other => panic!("no request is defined for {other}"),
        }
    }

    fn published_update(&self, status: &str) -> Value {
        let mut data = json!({
            "conversationId": self.id, "turnId": TURN, "run": 1, "attempt": 1, "sequence": 1, "status": status,
        });
        if status == "COMPLETED" {
            data["event"] = json!({
                "id": "t1-1-1", "position": 2, "sender": { "kind": "AGENT" }, "content": [{ "text": "Yes." }],
            });
        }
        data
    }
}

fn one_shot_document(field: &str) -> &'static str {
    match field {
        "Mutation.invokeModel" => "mutation { invokeModel(input: \"Who am I?\") }",
        _ => "subscription { onModelResponse }",
    }
}

fn agent_query(field: &str) -> (&'static str, Value) {
    match field {
        "Query.getAgent" => ("{ getAgent(id: \"default\") { modelId } }", json!({})),
        "Query.getAgent.systemPrompt" => ("{ getAgent(id: \"default\") { systemPrompt } }", json!({})),
        "Query.getAgent.guardrail" => ("{ getAgent(id: \"default\") { guardrail { id } } }", json!({})),
        "Query.getAgent.tools" => (
            "query ($id: ID!) { getAgent(id: $id) { tools { name title description inputSchema effect approval client } } }",
            json!({ "id": AGENT }),
        ),
        "Query.getAgent.lambda" => {
            ("query ($id: ID!) { getAgent(id: $id) { tools { name lambda { functionArn } } } }", json!({ "id": AGENT }))
        }
        "Query.getAgent.graphql" => (
            "query ($id: ID!) { getAgent(id: $id) { tools { name graphql { document url } } } }",
            json!({ "id": AGENT }),
        ),
        "Query.getAgent.mcp" => (
            "query ($id: ID!) { getAgent(id: $id) { tools { name mcp { url authorizationSecretArn toolName } } } }",
            json!({ "id": AGENT }),
        ),
        "Query.listAgents" => ("{ listAgents { items { modelId } } }", json!({})),
        "Query.listAgents.systemPrompt" => ("{ listAgents { items { systemPrompt } } }", json!({})),
        other => panic!("no request is defined for {other}"),
    }
}
