//! A mutation as the body of a GraphQL request. The same mutation gives the same bytes.
use api::types::{ContentBlock, ConversationEvent, SenderKind, StopReason, TurnStatus, Usage};
use graphql_client::GraphQLQuery;
use serde::Serialize;
use turn::{
    claim::Claim,
    failures::Failure,
    mutation::{AgentEvent, AnswerEnd, EndReason, Mutation, StoredEvent, Update},
};

use super::documents::{
    AgentPublishEvent, AgentPublishMetadata, agent_publish_event as event, agent_publish_metadata as metadata,
};

pub fn request_body(mutation: &Mutation) -> Vec<u8> {
    match &mutation.update {
        Update::Began { question, continues } => status(metadata::AgentMetadataInput {
            event: Some(self::question(question)),
            continues: continues.then_some(true),
            ..running(mutation)
        }),
        Update::Note(note) => {
            status(metadata::AgentMetadataInput { note: Some((*note).to_owned()), ..running(mutation) })
        }
        Update::Batch(batch) => status(metadata::AgentMetadataInput {
            content_block_index: Some(batch.block.into()),
            agent_partial_message: Some(batch.text.clone()),
            ..running(mutation)
        }),
        Update::Event(event) => answer(mutation, event),
        Update::Stored(event) => stored(mutation, event),
    }
}

fn running(mutation: &Mutation) -> metadata::AgentMetadataInput {
    let Claim { conversation_id, turn_id, run, attempt, .. } = mutation.claim.clone();
    metadata::AgentMetadataInput {
        conversation_id,
        turn_id,
        run: run.into(),
        attempt: attempt.into(),
        sequence: mutation.sequence.into(),
        status: TurnStatus::Running,
        content_block_index: None,
        agent_partial_message: None,
        note: None,
        continues: None,
        event: None,
    }
}

fn question(event: &ConversationEvent) -> metadata::ConversationEventInput {
    let sender = event.sender.clone();
    metadata::ConversationEventInput {
        id: event.id.clone(),
        position: event.position.into(),
        sender: metadata::SenderInput { kind: sender.kind, id: sender.id, name: sender.name },
        content: texts(&event.content).map(|text| metadata::ContentBlockInput { text }).collect(),
        stop_reason: None,
        usage: None,
        failure: None,
        model_id: None,
        agent_version: None,
        created_at: Some(event.created_at.clone()),
    }
}

fn answer(mutation: &Mutation, event: &AgentEvent) -> Vec<u8> {
    publish(mutation, event.status(), agent_event(event))
}

/// AppSync's resolvers answer with the event as it is stored, whatever else is said of it here.
fn stored(mutation: &Mutation, event: &StoredEvent) -> Vec<u8> {
    let StoredEvent { id, position, status } = event.clone();
    let event = event::ConversationEventInput {
        id,
        position: position.into(),
        sender: event::SenderInput { kind: SenderKind::Agent, id: None, name: None },
        content: Vec::new(),
        stop_reason: None,
        usage: None,
        failure: None,
        model_id: None,
        agent_version: None,
        created_at: None,
    };
    publish(mutation, status, event)
}

fn publish(mutation: &Mutation, status: TurnStatus, event: event::ConversationEventInput) -> Vec<u8> {
    let Claim { conversation_id, turn_id, run, attempt, .. } = mutation.claim.clone();
    let data = event::AgentEventInput {
        conversation_id,
        turn_id,
        run: run.into(),
        attempt: attempt.into(),
        sequence: mutation.sequence.into(),
        status,
        event,
    };
    json(&AgentPublishEvent::build_query(event::Variables { data }))
}

fn agent_event(event: &AgentEvent) -> event::ConversationEventInput {
    let agent = &event.agent;
    let (stop_reason, failure) = event.end.map_or((None, None), why);
    event::ConversationEventInput {
        id: event.id.clone(),
        position: event.position.into(),
        sender: event::SenderInput { kind: SenderKind::Agent, id: Some(agent.id.clone()), name: agent.name.clone() },
        content: texts(&event.content).map(|text| event::ContentBlockInput { text }).collect(),
        stop_reason,
        usage: event.end.and_then(|end| end.usage).map(usage),
        failure,
        model_id: Some(agent.model_id.clone()),
        agent_version: Some(agent.version.into()),
        created_at: None,
    }
}

fn why(end: AnswerEnd) -> (Option<StopReason>, Option<event::FailureInput>) {
    match end.why {
        EndReason::Stopped(reason) => (Some(reason), None),
        EndReason::Failed(Failure { code, text, retryable, .. }) => {
            (None, Some(event::FailureInput { code, message: text.to_owned(), retryable }))
        }
    }
}

fn usage(usage: Usage) -> event::UsageInput {
    event::UsageInput {
        input_tokens: usage.input_tokens.into(),
        output_tokens: usage.output_tokens.into(),
        total_tokens: usage.total_tokens.into(),
        cache_read_tokens: usage.cache_read_tokens.map(i64::from),
        cache_write_tokens: usage.cache_write_tokens.map(i64::from),
    }
}

fn texts(content: &[ContentBlock]) -> impl Iterator<Item = Option<String>> {
    content.iter().map(|block| block.text.clone())
}

fn status(data: metadata::AgentMetadataInput) -> Vec<u8> {
    json(&AgentPublishMetadata::build_query(metadata::Variables { data }))
}

fn json(query: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(query).expect("names and plain data always serialize")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::types::{FailureCode, Sender};
    use serde_json::{Value, json};
    use turn::{mutation::Batch, request::Agent};

    use super::*;

    #[test]
    fn a_beginning_carries_the_users_event() {
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
            created_at: "2026-11-21T09:00:00.000Z".into(),
        };
        let (_, data) = sent(Update::Began { question: question.clone(), continues: false });
        assert_eq!(data["continues"], Value::Null);
        let (operation, data) = sent(Update::Began { question, continues: true });
        assert_eq!(data["continues"], true);
        assert_eq!(operation, "AgentPublishMetadata");
        assert_eq!(
            (&data["status"], &data["run"], &data["attempt"], &data["sequence"]),
            (&json!("RUNNING"), &json!(1), &json!(2), &json!(3))
        );
        assert_eq!(data["event"]["sender"], json!({ "kind": "USER", "id": "u1", "name": null }));
        assert_eq!(data["event"]["content"], json!([{ "text": "Why?" }]));
        assert_eq!(data["event"]["createdAt"], "2026-11-21T09:00:00.000Z");
    }

    #[test]
    fn a_batch_keeps_its_block_and_its_bytes() {
        let text = "\r\n\u{0}👩‍👩‍👧 שלום \"\\n";
        let (_, data) = sent(Update::Batch(Batch { block: 2, text: text.into() }));
        assert_eq!((&data["contentBlockIndex"], &data["agentPartialMessage"]), (&json!(2), &json!(text)));
        assert_eq!((&data["note"], &data["event"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn a_note_is_a_status_without_text() {
        let (_, data) = sent(Update::Note("The model is busy; trying again."));
        assert_eq!(
            (&data["note"], &data["agentPartialMessage"]),
            (&json!("The model is busy; trying again."), &Value::Null)
        );
    }

    #[test]
    fn a_final_event_says_who_answered_how_it_ended_and_what_it_cost() {
        let usage = Usage {
            input_tokens: 5,
            output_tokens: 2,
            total_tokens: 7,
            cache_read_tokens: Some(4),
            cache_write_tokens: None,
        };
        let (operation, data) =
            sent(event(Some(AnswerEnd { why: EndReason::Stopped(StopReason::MaxTokens), usage: Some(usage) })));
        assert_eq!((operation.as_str(), &data["status"]), ("AgentPublishEvent", &json!("COMPLETED")));
        let event = &data["event"];
        assert_eq!((&event["id"], &event["position"]), (&json!("t1-2-1"), &json!(8)));
        assert_eq!(event["sender"], json!({ "kind": "AGENT", "id": "default", "name": "Parlance" }));
        assert_eq!((&event["modelId"], &event["agentVersion"]), (&json!("any"), &json!(3)));
        assert_eq!((&event["stopReason"], &event["failure"]), (&json!("MAX_TOKENS"), &Value::Null));
        assert_eq!(
            event["usage"],
            json!({ "inputTokens": 5, "outputTokens": 2, "totalTokens": 7, "cacheReadTokens": 4, "cacheWriteTokens": null })
        );
    }

    #[test]
    fn a_failure_is_what_the_table_says() {
        let why = EndReason::Failed(Failure::new(FailureCode::ModelRefused));
        let (_, data) = sent(event(Some(AnswerEnd { why, usage: None })));
        assert_eq!(data["status"], "FAILED");
        let failure = json!({ "code": "MODEL_REFUSED", "message": Failure::new(FailureCode::ModelRefused).text, "retryable": false });
        assert_eq!((&data["event"]["failure"], &data["event"]["stopReason"]), (&failure, &Value::Null));
    }

    #[test]
    fn a_stored_event_is_named_and_not_repeated() {
        let (operation, data) =
            sent(Update::Stored(StoredEvent { id: "t1-closed-1".into(), position: 9, status: TurnStatus::Cancelled }));
        assert_eq!((operation.as_str(), &data["status"]), ("AgentPublishEvent", &json!("CANCELLED")));
        let event = &data["event"];
        assert_eq!((&event["id"], &event["position"]), (&json!("t1-closed-1"), &json!(9)));
        assert_eq!(event["content"], json!([]));
    }

    #[test]
    fn an_event_that_more_will_follow_leaves_the_turn_running() {
        let (operation, data) = sent(event(None));
        assert_eq!(
            (operation.as_str(), &data["status"], &data["event"]["stopReason"]),
            ("AgentPublishEvent", &json!("RUNNING"), &Value::Null)
        );
    }

    fn event(end: Option<AnswerEnd>) -> Update {
        let agent = Agent {
            id: "default".into(),
            version: 3,
            name: Some("Parlance".into()),
            model_id: "any".into(),
            system_prompt: None,
            context_bytes: 1000,
            inference: None,
        };
        let content = vec![ContentBlock::text("Because.")];
        Update::Event(AgentEvent { id: "t1-2-1".into(), position: 8, agent: Arc::new(agent), content, end })
    }

    fn sent(update: Update) -> (String, Value) {
        let claim = Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: 2, last_position: 7 };
        let body = request_body(&Mutation { claim, sequence: 3, update });
        let request: Value = serde_json::from_slice(&body).unwrap();
        (request["operationName"].as_str().unwrap().to_owned(), request["variables"]["data"].clone())
    }
}
