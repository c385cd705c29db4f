//! The requests of users and administrators, accepted and refused. All text in them is planted.
use std::time::Duration;

use client::{
    AppSync,
    requests::{
        AnswerToolCall, CancelTurn, ContinueTurn, CreateConversation, DeleteConversation, GetAgent, GetConversation,
        GetEvents, GetParticipants, GetTurn, ListAgents, ListConversations, PutAgent, RetryTurn, SendMessage,
        ShareConversation, UnshareConversation, UpdateConversation,
    },
    schema::{Access, ConversationEvent, ToolStatus, Turn, TurnStatus},
};
use serde_json::{Value, json};

use super::{fixture::Fixture, planted_secrets::Location};
use crate::{
    backend::{new_id, with_timeout},
    subscriber::Subscriber,
};

/// The tools of agents with operations. A call of the second one waits for an approval.
const OPERATION: &str = "who_am_i";
const CHANGE: &str = "rename";

/// A client of a server, and the fixture that captures its traffic.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    pub fixture: &'a Fixture,
    pub client: &'a AppSync,
}

impl Session<'_> {
    pub async fn call<R: client::requests::Request>(&self, request: &R) -> Option<R::Answer> {
        self.fixture.call(self.client, request).await
    }

    pub fn agent(&self, model: &str) -> PutAgent {
        PutAgent {
            id: model.into(),
            name: Some(self.fixture.text("an agent's name")),
            model_id: format!("parlance.{model}"),
            system_prompt: Some(self.fixture.text("a prompt")),
            ..PutAgent::default()
        }
    }

    /// Repeats the request until the server accepts it.
    pub async fn put_agent(&self, model: &str) {
        let request = self.agent(model);
        with_timeout(async { while self.call(&request).await.is_none() {} }).await;
    }

    /// Puts an agent with tools that run as the caller. Repeats the request until the server accepts it.
    pub async fn put_agent_with_operation(&self, model: &str) {
        let graphql = json!({ "document": "{ getCaller { id isAdministrator } }" });
        let tool = json!({ "name": OPERATION, "description": "Says who calls.", "graphql": graphql });
        let document = "mutation ($id: ID!) { updateConversation(input: {id: $id, title: \"Renamed\"}) { title } }";
        let change = json!({ "name": CHANGE, "description": "Renames.", "graphql": { "document": document } });
        let mut input = json!(self.agent(model));
        input["tools"] = json!([tool, change]);
        let document = "mutation ($input: PutAgentInput!) { putAgent(input: $input) { id } }";
        let put = || self.fixture.execute(self.client, document, json!({ "input": input }));
        with_timeout(async { while put().await["putAgent"].is_null() {} }).await;
    }

    /// Puts an agent with the tools of an MCP server. Repeats the request until the server accepts it.
    pub async fn put_agent_with_mcp_server(&self, model: &str, url: &str, secret_arn: &str) {
        let mcp = json!({ "url": url, "authorizationSecretArn": secret_arn });
        let mut input = json!(self.agent(model));
        input["tools"] = json!([{ "name": "s", "mcp": mcp }]);
        let document = "mutation ($input: PutAgentInput!) { putAgent(input: $input) { id tools { name } } }";
        let put = || self.fixture.execute(self.client, document, json!({ "input": input }));
        with_timeout(async { while put().await["putAgent"].is_null() {} }).await;
    }

    /// Lets the agent call its operation, and returns the status and the text of the call's result.
    pub async fn call_operation(&self, agent: &str) -> (ToolStatus, Option<String>) {
        self.call_tool(agent, OPERATION).await
    }

    /// Lets the agent call a tool, and returns the status and the text of the call's result.
    pub async fn call_tool(&self, agent: &str, tool: &str) -> (ToolStatus, Option<String>) {
        let id = self.create_conversation(Some(agent)).await;
        let question = format!("{} call {tool}", self.fixture.text("a question"));
        let turn = self.send_until_accepted(&id, question).await;
        self.wait_for_end(&id, &turn).await;
        self.first_result(&id).await
    }

    /// Lets the agent call its operation that changes something, approves the call, and returns the status
    /// and the text of the call's result.
    pub async fn approve_change(&self, agent: &str) -> (ToolStatus, Option<String>) {
        let id = self.create_conversation(Some(agent)).await;
        let question = format!("{} call {CHANGE} with {}", self.fixture.text("a question"), json!({ "id": id }));
        let turn = self.send_until_accepted(&id, question).await;
        self.wait_until(&id, &turn, |turn| turn.status == TurnStatus::Waiting).await;
        let request = GetTurn { conversation_id: id.clone(), id: turn.clone(), ..GetTurn::default() };
        let pending = self.call(&request).await.unwrap().pending.unwrap();
        let approval = AnswerToolCall {
            conversation_id: id.clone(),
            turn_id: turn.clone(),
            tool_use_id: pending[0].id.clone(),
            approved: Some(true),
            ..AnswerToolCall::default()
        };
        self.call(&approval).await.unwrap();
        self.wait_for_end(&id, &turn).await;
        self.first_result(&id).await
    }

    async fn first_result(&self, conversation_id: &str) -> (ToolStatus, Option<String>) {
        let request = GetEvents { conversation_id: conversation_id.into(), ..GetEvents::default() };
        let events = self.call(&request).await.unwrap().events.unwrap().items;
        let result = events.iter().flat_map(ConversationEvent::tool_results).next().expect("the call has a result");
        (result.status, result.text.clone())
    }

    /// Repeats the request until the server accepts it, and returns the conversation's id.
    pub async fn create_conversation(&self, agent: Option<&str>) -> String {
        let id = new_id();
        let request = CreateConversation {
            id: Some(id.clone()),
            title: Some(self.fixture.text("a title")),
            agent_id: agent.map(str::to_owned),
        };
        with_timeout(async { while self.call(&request).await.is_none() {} }).await;
        id
    }

    /// Repeats the request until the server accepts it, and returns the turn's id.
    pub async fn send_until_accepted(&self, conversation_id: &str, text: String) -> String {
        let id = new_id();
        let request = SendMessage {
            conversation_id: Some(conversation_id.into()),
            id: Some(id.clone()),
            text,
            ..SendMessage::default()
        };
        with_timeout(async { while self.call(&request).await.is_none() {} }).await;
        id
    }

    /// Reads the turn until it has ended.
    pub async fn wait_for_end(&self, conversation_id: &str, id: &str) {
        self.wait_until(conversation_id, id, |turn| turn.status.is_end()).await;
    }

    /// Reads the turn until it is as expected.
    async fn wait_until(&self, conversation_id: &str, id: &str, is_expected: impl Fn(&Turn) -> bool) {
        let request = GetTurn { conversation_id: conversation_id.into(), id: id.into(), ..GetTurn::default() };
        with_timeout(async {
            while !self.call(&request).await.as_ref().is_some_and(&is_expected) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }

    /// Makes every request that a user may make about a conversation of its own.
    pub async fn use_every_operation(&self) {
        let id = self.create_conversation(Some("echo")).await;
        let title = Some(self.fixture.text("a new title"));
        self.call(&UpdateConversation { id: id.clone(), title, ..UpdateConversation::default() }).await.unwrap();
        let mut subscriber = Subscriber::subscribe(self.client, &id).await;
        let turn = self.send_until_accepted(&id, self.fixture.text("a question")).await;
        let updates = subscriber.updates_until_end(&turn).await;
        self.fixture.capture(Location::ResponseData, format!("{updates:?}"));
        self.call(&RetryTurn { conversation_id: id.clone(), id: turn.clone() }).await.unwrap();
        self.wait_for_end(&id, &turn).await;
        self.call(&ContinueTurn { conversation_id: id.clone(), id: turn.clone() }).await.unwrap();
        self.wait_for_end(&id, &turn).await;
        self.read_everything(&id).await;
        let first_message = SendMessage { text: self.fixture.text("a first message"), ..SendMessage::default() };
        self.call(&first_message).await.unwrap();

        let deleted = self.create_conversation(None).await;
        self.send_until_accepted(&deleted, self.fixture.text("a deleted message")).await;
        self.call(&DeleteConversation { id: deleted.clone() }).await.unwrap();
        self.read_everything(&deleted).await;
    }

    pub async fn read_everything(&self, id: &str) {
        self.call(&GetConversation { id: id.into() }).await;
        self.call(&GetEvents { conversation_id: id.into(), ..GetEvents::default() }).await;
        self.call(&GetParticipants { conversation_id: id.into() }).await;
        self.call(&ListConversations::default()).await;
        self.call(&GetAgent { id: "echo".into() }).await;
        self.call(&ListAgents::default()).await;
        let caller = "{ getCaller { id name messagesThisMinute tokensToday } }";
        self.fixture.execute(self.client, caller, json!({})).await;
    }

    /// Makes requests that the server refuses because of their state or their input.
    pub async fn make_refused_requests(&self) {
        let text = |name: &str| self.fixture.text(name);
        let message = |id: &str, text: String| SendMessage {
            conversation_id: Some(id.into()),
            id: Some(new_id()),
            text,
            ..SendMessage::default()
        };
        let id = self.create_conversation(Some("deltas-2000-20")).await;
        let turn = self.send_until_accepted(&id, text("a cancelled question")).await;
        self.call(&message(&id, text("a message to a busy conversation"))).await;
        self.call(&RetryTurn { conversation_id: id.clone(), id: turn.clone() }).await;
        self.call(&CancelTurn { conversation_id: id.clone(), id: turn.clone() }).await.unwrap();
        self.wait_for_end(&id, &turn).await;

        self.call(&SendMessage { id: Some(turn), ..message(&id, text("another text")) }).await;
        self.call(&message("nowhere", text("a message to no conversation"))).await;
        self.call(&message(&id, text("a long message").repeat(3000))).await;
        let title = Some(text("a long title").repeat(9));
        let update = UpdateConversation { id: id.clone(), title: title.clone(), ..UpdateConversation::default() };
        self.call(&update).await;
        self.call(&CreateConversation { title, ..CreateConversation::default() }).await;
        let next_token = Some(text("a cursor"));
        self.call(&ListConversations { next_token: next_token.clone(), ..ListConversations::default() }).await;
        self.call(&ListAgents { next_token, ..ListAgents::default() }).await;
        self.publish_forged_batch(&id).await;
    }

    async fn publish_forged_batch(&self, id: &str) {
        let data = json!({
            "conversationId": id, "turnId": "t1", "run": 1, "attempt": 1, "sequence": 1, "status": "RUNNING",
            "contentBlockIndex": 0, "agentPartialMessage": self.fixture.text("a forged batch"),
        });
        let document = "mutation($data: AgentMetadataInput!) { agentPublishMetadata(data: $data) { turnId } }";
        let response = self.fixture.execute(self.client, document, json!({ "data": data })).await;
        assert!(response.get("agentPublishMetadata").is_none_or(Value::is_null));
    }

    /// Sends a message to a model, which may fail, and waits for the end of the turn.
    pub async fn complete_turn(&self, model: &str) {
        let id = self.create_conversation(Some(model)).await;
        let turn = self.send_until_accepted(&id, self.fixture.text("a question")).await;
        self.wait_for_end(&id, &turn).await;
    }
}

/// Shares a conversation with another user, who may only read it, and ends that again.
pub async fn share_and_unshare(owner: Session<'_>, reader: Session<'_>, reader_id: &str) {
    let id = owner.create_conversation(Some("echo")).await;
    let turn = owner.send_until_accepted(&id, owner.fixture.text("a question")).await;
    owner.wait_for_end(&id, &turn).await;
    let message = |name| SendMessage {
        conversation_id: Some(id.clone()),
        text: owner.fixture.text(name),
        ..SendMessage::default()
    };
    assert!(reader.call(&message("a message of an outsider")).await.is_none());
    let share = ShareConversation { conversation_id: id.clone(), user_id: reader_id.into(), access: Access::Read };
    owner.call(&share).await.unwrap();
    assert!(reader.call(&message("a message of a reader")).await.is_none());
    reader.read_everything(&id).await;
    reader.call(&share).await;
    let unshare = UnshareConversation { conversation_id: id.clone(), user_id: reader_id.into() };
    owner.call(&unshare).await.unwrap();
    reader.read_everything(&id).await;
}
