//! The body of the GraphQL request for a mutation. The same mutation always has the same bytes.
use api::types::{
    Citation, ContentBlock, ConversationEvent, GuardrailIntervention, Reasoning, SenderKind, StopReason, ToolCall,
    ToolResult, ToolUse, TurnStatus, Usage,
};
use graphql_client::GraphQLQuery;
use serde::Serialize;
use turn::mutation::{AgentEvent, BlockKind, EndReason, Mutation, StoredEvent, Update};

use super::documents::{
    AgentPublishEvent, AgentPublishMetadata, AgentPublishTitle, agent_publish_event as event,
    agent_publish_metadata as metadata, agent_publish_title as title,
};

pub fn request_body(mutation: &Mutation) -> Vec<u8> {
    match &mutation.update {
        Update::Started { question, continues } => metadata_body(metadata::AgentMetadataInput {
            event: Some(question_input(question)),
            continues: continues.then_some(true),
            ..running_metadata(mutation)
        }),
        Update::Note(note) => metadata_body(metadata::AgentMetadataInput {
            note: Some(note.text().to_owned()),
            note_code: Some(note.0),
            ..running_metadata(mutation)
        }),
        Update::Batch(batch) => metadata_body(metadata::AgentMetadataInput {
            content_block_index: Some(batch.block.into()),
            agent_partial_message: (batch.kind == BlockKind::Text).then(|| batch.text.clone()),
            agent_partial_reasoning: (batch.kind == BlockKind::Reasoning).then(|| batch.text.clone()),
            citations: (!batch.citations.is_empty())
                .then(|| batch.citations.iter().map(batch_citation_input).collect()),
            ..running_metadata(mutation)
        }),
        Update::ToolProgress(call) => metadata_body(metadata::AgentMetadataInput {
            tool_call: Some(tool_call_input(call)),
            ..running_metadata(mutation)
        }),
        Update::Waiting(wait) => metadata_body(metadata::AgentMetadataInput {
            status: TurnStatus::Waiting,
            pending: Some(wait.calls.iter().map(tool_call_input).collect()),
            pending_position: Some(wait.position.into()),
            agent_id: Some(wait.agent.id.clone()),
            agent_version: Some(wait.agent.version.into()),
            asked_by: wait.asked_by.clone(),
            ..running_metadata(mutation)
        }),
        Update::CallAnswered(call) => metadata_body(metadata::AgentMetadataInput {
            status: TurnStatus::Waiting,
            tool_call: Some(tool_call_input(call)),
            ..running_metadata(mutation)
        }),
        Update::Event(event) => event_body(mutation, event.status(), agent_event_input(event)),
        Update::Stored(event) => event_body(mutation, event.status, stored_event_input(event)),
    }
}

/// The body that gives a conversation a title.
pub fn title_body(conversation_id: &str, title: &str) -> Vec<u8> {
    let data = title::AgentTitleInput { conversation_id: conversation_id.to_owned(), title: title.to_owned() };
    json_body(&AgentPublishTitle::build_query(title::Variables { data }))
}

fn metadata_body(data: metadata::AgentMetadataInput) -> Vec<u8> {
    json_body(&AgentPublishMetadata::build_query(metadata::Variables { data }))
}

fn event_body(mutation: &Mutation, status: TurnStatus, event: event::ConversationEventInput) -> Vec<u8> {
    let claim = &mutation.claim;
    let data = event::AgentEventInput {
        conversation_id: claim.conversation_id.clone(),
        turn_id: claim.turn_id.clone(),
        run: claim.run.into(),
        attempt: claim.attempt.into(),
        sequence: mutation.sequence.into(),
        status,
        event,
    };
    json_body(&AgentPublishEvent::build_query(event::Variables { data }))
}

fn json_body(query: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(query).expect("names and plain data always serialize")
}

fn running_metadata(mutation: &Mutation) -> metadata::AgentMetadataInput {
    let claim = &mutation.claim;
    metadata::AgentMetadataInput {
        conversation_id: claim.conversation_id.clone(),
        turn_id: claim.turn_id.clone(),
        run: claim.run.into(),
        attempt: claim.attempt.into(),
        sequence: mutation.sequence.into(),
        status: TurnStatus::Running,
        content_block_index: None,
        agent_partial_message: None,
        agent_partial_reasoning: None,
        citations: None,
        note: None,
        note_code: None,
        continues: None,
        tool_call: None,
        pending: None,
        pending_position: None,
        agent_id: None,
        agent_version: None,
        asked_by: None,
        event: None,
    }
}

fn tool_call_input(call: &ToolCall) -> metadata::ToolCallInput {
    metadata::ToolCallInput {
        id: call.id.clone(),
        name: call.name.clone(),
        title: call.title.clone(),
        status: call.status,
        note: call.note.clone(),
    }
}

fn batch_citation_input(citation: &Citation) -> metadata::CitationInput {
    metadata::CitationInput {
        number: citation.number.into(),
        title: citation.title.clone(),
        source: citation.source.clone(),
        url: citation.url.clone(),
        passage: citation.passage.clone(),
        score: citation.score,
        page: citation.page.map(i64::from),
        start: citation.start.into(),
        end: citation.end.into(),
    }
}

fn question_input(question: &ConversationEvent) -> metadata::ConversationEventInput {
    let sender = question.sender.clone();
    metadata::ConversationEventInput {
        id: question.id.clone(),
        position: question.position.into(),
        sender: metadata::SenderInput { kind: sender.kind, id: sender.id, name: sender.name },
        content: question.content.iter().map(question_block_input).collect(),
        stop_reason: None,
        usage: None,
        failure: None,
        model_id: None,
        agent_version: None,
        guardrail: None,
        replaces_turn_id: question.replaces_turn_id.clone(),
        created_at: Some(question.created_at.clone()),
    }
}

/// A user's event has only text.
fn question_block_input(block: &ContentBlock) -> metadata::ContentBlockInput {
    let text = block.text.clone();
    metadata::ContentBlockInput { text, citations: None, tool_use: None, tool_result: None, reasoning: None }
}

fn agent_event_input(event: &AgentEvent) -> event::ConversationEventInput {
    let agent = &event.agent;
    let (stop_reason, failure) = match event.end {
        Some(end) => end_inputs(end.reason),
        None => (None, None),
    };
    event::ConversationEventInput {
        id: event.id.clone(),
        position: event.position.into(),
        sender: event::SenderInput { kind: event.author.into(), id: Some(agent.id.clone()), name: agent.name.clone() },
        content: event.content.iter().map(block_input).collect(),
        stop_reason,
        usage: event.usage().map(usage_input),
        failure,
        model_id: Some(event.model_id.clone()),
        agent_version: Some(agent.version.into()),
        guardrail: event.guardrail.as_ref().map(guardrail_input),
        replaces_turn_id: None,
        created_at: None,
    }
}

/// Only the id and position count: the resolvers respond with the stored event.
fn stored_event_input(event: &StoredEvent) -> event::ConversationEventInput {
    event::ConversationEventInput {
        id: event.id.clone(),
        position: event.position.into(),
        sender: event::SenderInput { kind: SenderKind::Agent, id: None, name: None },
        content: Vec::new(),
        stop_reason: None,
        usage: None,
        failure: None,
        model_id: None,
        agent_version: None,
        guardrail: None,
        replaces_turn_id: None,
        created_at: None,
    }
}

fn end_inputs(reason: EndReason) -> (Option<StopReason>, Option<event::FailureInput>) {
    match reason {
        EndReason::Stopped(reason) => (Some(reason), None),
        EndReason::Failed(failure) => {
            let input = event::FailureInput {
                code: failure.code,
                message: failure.message.to_owned(),
                retryable: failure.retryable,
            };
            (None, Some(input))
        }
    }
}

fn usage_input(usage: Usage) -> event::UsageInput {
    event::UsageInput {
        input_tokens: usage.input_tokens.into(),
        output_tokens: usage.output_tokens.into(),
        total_tokens: usage.total_tokens.into(),
        cache_read_tokens: usage.cache_read_tokens.map(i64::from),
        cache_write_tokens: usage.cache_write_tokens.map(i64::from),
    }
}

fn block_input(block: &ContentBlock) -> event::ContentBlockInput {
    event::ContentBlockInput {
        text: block.text.clone(),
        citations: block.citations.as_ref().map(|citations| citations.iter().map(citation_input).collect()),
        tool_use: block.tool_use.as_ref().map(tool_use_input),
        tool_result: block.tool_result.as_ref().map(tool_result_input),
        reasoning: block.reasoning.as_ref().map(reasoning_input),
    }
}

fn reasoning_input(reasoning: &Reasoning) -> event::ReasoningInput {
    event::ReasoningInput {
        text: reasoning.text.clone(),
        milliseconds: reasoning.milliseconds.map(i64::from),
        signature: reasoning.signature.clone(),
        redacted: reasoning.redacted.clone(),
    }
}

fn guardrail_input(intervention: &GuardrailIntervention) -> event::GuardrailInterventionInput {
    event::GuardrailInterventionInput { source: intervention.source, policies: intervention.policies.clone() }
}

fn citation_input(citation: &Citation) -> event::CitationInput {
    event::CitationInput {
        number: citation.number.into(),
        title: citation.title.clone(),
        source: citation.source.clone(),
        url: citation.url.clone(),
        passage: citation.passage.clone(),
        score: citation.score,
        page: citation.page.map(i64::from),
        start: citation.start.into(),
        end: citation.end.into(),
    }
}

fn tool_use_input(tool_use: &ToolUse) -> event::ToolUseInput {
    event::ToolUseInput {
        id: tool_use.id.clone(),
        name: tool_use.name.clone(),
        title: tool_use.title.clone(),
        input: tool_use.input.clone(),
    }
}

fn tool_result_input(result: &ToolResult) -> event::ToolResultInput {
    event::ToolResultInput {
        tool_use_id: result.tool_use_id.clone(),
        status: result.status,
        json: result.json.clone(),
        text: result.text.clone(),
        truncated: result.truncated,
        started_at: result.started_at.clone(),
        ended_at: result.ended_at.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::types::{FailureCode, NoteCode, Sender, ToolStatus};
    use serde_json::{Value, json};
    use turn::{
        claim::Claim,
        failures::Failure,
        mutation::{AnswerEnd, Author, Batch, Note, Wait},
        request::Agent,
    };

    use super::*;

    #[test]
    fn started_update_carries_the_question() {
        let question = ConversationEvent {
            id: "t1".into(),
            conversation_id: "c1".into(),
            position: 7,
            turn_id: Some("t1".into()),
            attempt: None,
            sender: Sender { kind: SenderKind::User, id: Some("u1".into()), name: None },
            content: vec![ContentBlock::text("Why?")],
            text: None,
            stop_reason: None,
            usage: None,
            failure: None,
            superseded: None,
            replaces_turn_id: None,
            answer_position: None,
            model_id: None,
            guardrail: None,
            created_at: "2026-11-21T09:00:00.000Z".into(),
        };
        let (_, data) = publish(Update::Started { question: question.clone(), continues: false });
        assert_eq!(data["continues"], Value::Null);
        let (operation, data) = publish(Update::Started { question, continues: true });
        assert_eq!(data["continues"], true);
        assert_eq!(operation, "AgentPublishMetadata");
        assert_eq!(
            (&data["status"], &data["run"], &data["attempt"], &data["sequence"]),
            (&json!("RUNNING"), &json!(1), &json!(2), &json!(3))
        );
        assert_eq!(data["event"]["sender"], json!({ "kind": "USER", "id": "u1" }));
        assert_eq!(data["event"]["content"], json!([{ "text": "Why?" }]));
        assert_eq!(data["event"]["createdAt"], "2026-11-21T09:00:00.000Z");
    }

    #[test]
    fn batch_keeps_its_block_and_its_bytes() {
        let text = "\r\n\u{0}👩‍👩‍👧 שלום \"\\n";
        let (_, data) =
            publish(Update::Batch(Batch { block: 2, kind: BlockKind::Text, text: text.into(), citations: Vec::new() }));
        assert_eq!((&data["contentBlockIndex"], &data["agentPartialMessage"]), (&json!(2), &json!(text)));
        assert_eq!((&data["note"], &data["event"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn note_has_no_text() {
        let (_, data) = publish(Update::Note(Note(NoteCode::ModelBusy)));
        assert_eq!(
            (&data["note"], &data["noteCode"], &data["agentPartialMessage"]),
            (&json!("The model is busy; trying again."), &json!("MODEL_BUSY"), &Value::Null)
        );
    }

    #[test]
    fn closing_event_carries_agent_stop_reason_and_usage() {
        let usage = Usage {
            input_tokens: 5,
            output_tokens: 2,
            total_tokens: 7,
            cache_read_tokens: Some(4),
            cache_write_tokens: None,
        };
        let (operation, data) = publish(event_update(Some(AnswerEnd {
            reason: EndReason::Stopped(StopReason::MaxTokens),
            usage: Some(usage),
        })));
        assert_eq!((operation.as_str(), &data["status"]), ("AgentPublishEvent", &json!("COMPLETED")));
        let event = &data["event"];
        assert_eq!((&event["id"], &event["position"]), (&json!("t1-2-1"), &json!(8)));
        assert_eq!(event["sender"], json!({ "kind": "AGENT", "id": "default", "name": "Parlance" }));
        assert_eq!((&event["modelId"], &event["agentVersion"]), (&json!("any"), &json!(3)));
        assert_eq!((&event["stopReason"], &event["failure"]), (&json!("MAX_TOKENS"), &Value::Null));
        assert_eq!(
            event["usage"],
            json!({ "inputTokens": 5, "outputTokens": 2, "totalTokens": 7, "cacheReadTokens": 4 })
        );
    }

    #[test]
    fn failed_event_has_code_message_and_retryable() {
        let failure = Failure::new(FailureCode::ModelRefused);
        let (_, data) = publish(event_update(Some(AnswerEnd { reason: EndReason::Failed(failure), usage: None })));
        assert_eq!(data["status"], "FAILED");
        let expected = json!({ "code": "MODEL_REFUSED", "message": failure.message, "retryable": false });
        assert_eq!((&data["event"]["failure"], &data["event"]["stopReason"]), (&expected, &Value::Null));
    }

    #[test]
    fn stored_event_is_sent_without_content() {
        let (operation, data) = publish(Update::Stored(StoredEvent {
            id: "t1-closed-1".into(),
            position: 9,
            status: TurnStatus::Cancelled,
        }));
        assert_eq!((operation.as_str(), &data["status"]), ("AgentPublishEvent", &json!("CANCELLED")));
        let event = &data["event"];
        assert_eq!((&event["id"], &event["position"]), (&json!("t1-closed-1"), &json!(9)));
        assert_eq!(event["content"], json!([]));
    }

    #[test]
    fn event_before_the_last_leaves_the_turn_running() {
        let (operation, data) = publish(event_update(None));
        assert_eq!(
            (operation.as_str(), &data["status"], &data["event"]["stopReason"]),
            ("AgentPublishEvent", &json!("RUNNING"), &Value::Null)
        );
    }

    #[test]
    fn tool_calls_are_sent_field_by_field_with_their_bytes() {
        let input = "{\"a\": \"\\u00e9👩‍👩‍👧\" }";
        let call =
            ToolUse { id: "a.1".into(), name: "look".into(), title: Some("Look up".into()), input: input.into() };
        let content = vec![ContentBlock::text("So."), ContentBlock::tool_use(call)];
        let (operation, data) = publish(event_with(Author::Agent, content, None));
        assert_eq!((operation.as_str(), &data["status"]), ("AgentPublishEvent", &json!("RUNNING")));
        let call = json!({ "id": "a.1", "name": "look", "title": "Look up", "input": input });
        assert_eq!(data["event"]["content"], json!([{ "text": "So." }, { "toolUse": call }]));
        assert_eq!(data["event"]["sender"]["kind"], "AGENT");
    }

    #[test]
    fn tool_results_are_from_the_tools_of_the_agent() {
        let result = ToolResult {
            tool_use_id: "a".into(),
            status: ToolStatus::Failed,
            json: None,
            text: Some("No.".into()),
            truncated: Some(true),
            started_at: Some("2026-11-21T09:00:00.000Z".into()),
            ended_at: None,
        };
        let (_, data) = publish(event_with(Author::Tools, vec![ContentBlock::tool_result(result)], None));
        let expected = json!({
            "toolUseId": "a", "status": "FAILED", "text": "No.", "truncated": true,
            "startedAt": "2026-11-21T09:00:00.000Z",
        });
        assert_eq!(data["event"]["content"], json!([{ "toolResult": expected }]));
        assert_eq!(data["event"]["sender"], json!({ "kind": "TOOL", "id": "default", "name": "Parlance" }));
    }

    #[test]
    fn ended_tool_call_is_sent_as_metadata() {
        let (operation, data) = publish(Update::ToolProgress(tool_call(ToolStatus::Succeeded)));
        assert_eq!((operation.as_str(), &data["status"]), ("AgentPublishMetadata", &json!("RUNNING")));
        let expected = json!({ "id": "a", "name": "look", "title": "Look up", "status": "SUCCEEDED", "note": "So." });
        assert_eq!(data["toolCall"], expected);
        assert_eq!((&data["event"], &data["agentPartialMessage"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn wait_carries_the_pending_calls_and_what_the_next_run_needs() {
        let calls = vec![ToolCall { title: None, note: None, ..tool_call(ToolStatus::ApprovalNeeded) }];
        let wait = Wait { calls, position: 8, agent: Arc::new(agent()), asked_by: Some("u1".into()) };
        let (operation, data) = publish(Update::Waiting(wait));
        assert_eq!(operation, "AgentPublishMetadata");
        let expected = json!({
            "conversationId": "c1", "turnId": "t1", "run": 1, "attempt": 2, "sequence": 3, "status": "WAITING",
            "pending": [{ "id": "a", "name": "look", "status": "APPROVAL_NEEDED" }], "pendingPosition": 8,
            "agentId": "default", "agentVersion": 3, "askedBy": "u1",
        });
        assert_eq!(data, expected);
    }

    #[test]
    fn answered_call_leaves_the_turn_waiting() {
        let (operation, data) = publish(Update::CallAnswered(tool_call(ToolStatus::Denied)));
        assert_eq!((operation.as_str(), &data["status"]), ("AgentPublishMetadata", &json!("WAITING")));
        assert_eq!((&data["toolCall"]["status"], &data["pending"]), (&json!("DENIED"), &Value::Null));
    }

    fn tool_call(status: ToolStatus) -> ToolCall {
        let (title, note) = (Some("Look up".into()), Some("So.".into()));
        ToolCall { id: "a".into(), name: "look".into(), title, status, note }
    }

    fn event_update(end: Option<AnswerEnd>) -> Update {
        event_with(Author::Agent, vec![ContentBlock::text("Because.")], end)
    }

    fn event_with(author: Author, content: Vec<ContentBlock>, end: Option<AnswerEnd>) -> Update {
        let agent = Arc::new(agent());
        Update::Event(AgentEvent {
            id: "t1-2-1".into(),
            position: 8,
            model_id: agent.model_id.clone(),
            agent,
            author,
            content,
            step_usage: None,
            end,
            guardrail: None,
        })
    }

    fn agent() -> Agent {
        let agent =
            json!({ "id": "default", "version": 3, "name": "Parlance", "modelId": "any", "contextBytes": 1000 });
        serde_json::from_value(agent).unwrap()
    }

    /// The name of the operation and its `data` variable.
    fn publish(update: Update) -> (String, Value) {
        let claim = Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: 2, last_position: 7 };
        let body = request_body(&Mutation { claim, sequence: 3, update });
        let request: Value = serde_json::from_slice(&body).unwrap();
        (request["operationName"].as_str().unwrap().to_owned(), request["variables"]["data"].clone())
    }
}
