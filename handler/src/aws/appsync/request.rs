//! A mutation as the body of a GraphQL request. The same mutation gives the same bytes.
use graphql_client::GraphQLQuery;
use serde::Serialize;
use turn::{
    claim::Claim,
    failures::Failure,
    mutation::{AgentEvent, AnswerEnd, Mutation, Update, Why},
    words::{ContentBlock, ConversationEvent, SenderKind, StopReason, TurnStatus, Usage},
};

use super::documents::{
    AgentPublishEvent, AgentPublishMetadata, agent_publish_event as event, agent_publish_metadata as metadata,
};

pub fn body(mutation: &Mutation) -> Vec<u8> {
    match &mutation.update {
        Update::Began(question) => {
            status(metadata::AgentMetadataInput { event: Some(self::question(question)), ..running(mutation) })
        }
        Update::Note(note) => {
            status(metadata::AgentMetadataInput { note: Some((*note).to_owned()), ..running(mutation) })
        }
        Update::Batch(batch) => status(metadata::AgentMetadataInput {
            content_block_index: Some(batch.block.into()),
            agent_partial_message: Some(batch.text.clone()),
            ..running(mutation)
        }),
        Update::Event(event) => answer(mutation, event),
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
        created_at: event.created_at.clone(),
    }
}

fn answer(mutation: &Mutation, event: &AgentEvent) -> Vec<u8> {
    let Claim { conversation_id, turn_id, run, attempt, .. } = mutation.claim.clone();
    let data = event::AgentEventInput {
        conversation_id,
        turn_id,
        run: run.into(),
        attempt: attempt.into(),
        sequence: mutation.sequence.into(),
        status: event.status(),
        event: agent_event(event),
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
        Why::Stopped(reason) => (Some(reason), None),
        Why::Failed(Failure { code, text, retryable, .. }) => {
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
