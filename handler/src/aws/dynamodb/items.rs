//! The table's items as structs: turns, batches and events.
use api::types::{
    Citation, ContentBlock, ConversationEvent, Failure, GuardrailIntervention, Sender, StopReason, TurnStatus, Usage,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use turn::{
    claim::{Claim, StoredTurn},
    closing_decision::{ClosingEvent, StoredBatch},
    mutation::{AgentEvent, EndReason},
    tool::CallAnswer,
};

use super::{TableError, attributes::Item, keys::event_key};

pub fn parse_turn(item: Item) -> Result<StoredTurn, TableError> {
    let turn: TurnItem = parse("turn", item)?;
    Ok(StoredTurn {
        status: turn.status,
        run: turn.run,
        attempt: turn.attempt,
        lease_until: turn.lease_until,
        claimable_until: turn.claimable_until,
        pending_until: turn.pending_until,
        announced: turn.announced.unwrap_or(false),
        question_position: turn.question_position,
        answer_position: turn.answer_position.unwrap_or(turn.question_position),
        run_position: turn.run_position.unwrap_or(turn.question_position),
        last_position: turn.last_position,
        last_sequence: turn.last_sequence.unwrap_or(0),
        last_event_sequence: turn.last_event_sequence.unwrap_or(0),
        claimed_start: turn.claimed_start,
    })
}

pub fn parse_batch(item: Item) -> Result<StoredBatch, TableError> {
    let batch: BatchItem = parse("batch", item)?;
    Ok(StoredBatch {
        sequence: batch.sequence,
        block: batch.content_block_index.unwrap_or(0),
        text: batch.text,
        reasoning: batch.reasoning,
        citations: batch.citations,
    })
}

/// The answer to a waiting tool call.
pub fn parse_answer(item: Item) -> Result<StoredAnswer, TableError> {
    let answer: AnswerItem = parse("answer", item)?;
    let is_error = answer.is_error.unwrap_or(false);
    let call_answer = match answer.result {
        Some(json) => CallAnswer::Result { json, is_error },
        None if answer.approved == Some(true) => CallAnswer::Approved,
        None => CallAnswer::Denied { reason: answer.reason },
    };
    let AnswerItem { answered_by, agent_id, agent_version, .. } = answer;
    Ok(StoredAnswer { answer: call_answer, answered_by, agent_id, agent_version })
}

pub fn parse_event(item: Item) -> Result<ConversationEvent, TableError> {
    parse("event", item)
}

/// `created_at`: ISO 8601.
pub fn agent_event_item(claim: &Claim, event: &AgentEvent, created_at: String) -> Item {
    let agent = &event.agent;
    let sender = Sender { kind: event.author.into(), id: Some(agent.id.clone()), name: agent.name.clone() };
    let (stop_reason, failure) = match event.end {
        Some(end) => end_attributes(end.reason),
        None => (None, None),
    };
    event_item(EventItem {
        id: &event.id,
        conversation_id: &claim.conversation_id,
        turn_id: &claim.turn_id,
        attempt: claim.attempt,
        position: event.position,
        sender,
        content: &event.content,
        text: joined_text(&event.content),
        stop_reason,
        failure,
        usage: event.usage(),
        model_id: Some(&event.model_id),
        agent_version: Some(agent.version),
        guardrail: event.guardrail.as_ref(),
        created_at,
    })
}

/// `created_at`: ISO 8601.
pub fn closing_event_item(claim: &Claim, event: &ClosingEvent, agent_id: String, created_at: String) -> Item {
    let (stop_reason, failure) = end_attributes(event.reason);
    event_item(EventItem {
        id: &event.id,
        conversation_id: &claim.conversation_id,
        turn_id: &claim.turn_id,
        attempt: claim.attempt,
        position: event.position,
        sender: Sender { kind: event.author.into(), id: Some(agent_id), name: None },
        content: &event.content,
        text: joined_text(&event.content),
        stop_reason,
        failure,
        usage: None,
        model_id: None,
        agent_version: None,
        guardrail: None,
        created_at,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TurnItem {
    status: TurnStatus,
    run: u32,
    attempt: u32,
    lease_until: Option<u64>,
    claimable_until: u64,
    pending_until: Option<u64>,
    announced: Option<bool>,
    question_position: u32,
    answer_position: Option<u32>,
    run_position: Option<u32>,
    last_position: u32,
    last_sequence: Option<u32>,
    last_event_sequence: Option<u32>,
    claimed_start: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchItem {
    sequence: u32,
    content_block_index: Option<u32>,
    text: Option<String>,
    reasoning: Option<String>,
    #[serde(default)]
    citations: Vec<Citation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerItem {
    approved: Option<bool>,
    reason: Option<String>,
    /// JSON text.
    result: Option<String>,
    is_error: Option<bool>,
    answered_by: Option<String>,
    agent_id: Option<String>,
    agent_version: Option<u32>,
}

/// The answer to a waiting tool call, and for whom and for which agent it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    pub answer: CallAnswer,
    pub answered_by: Option<String>,
    /// The agent that made the call.
    pub agent_id: Option<String>,
    pub agent_version: Option<u32>,
}

/// An event of an agent or its tools, without its key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventItem<'a> {
    id: &'a str,
    conversation_id: &'a str,
    turn_id: &'a str,
    attempt: u32,
    position: u32,
    sender: Sender,
    content: &'a [ContentBlock],
    /// The joined text where the content is more than one block, so that no resolver has to loop over blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_reason: Option<StopReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guardrail: Option<&'a GuardrailIntervention>,
    created_at: String,
}

fn joined_text(content: &[ContentBlock]) -> Option<String> {
    let texts = content.iter().filter_map(|block| block.text.as_deref());
    (content.len() > 1).then(|| texts.collect())
}

fn event_item(event: EventItem) -> Item {
    let key = event_key(event.conversation_id, event.position);
    let mut item: Item = serde_dynamo::to_item(event).expect("an event always serializes");
    item.extend(key);
    item
}

fn end_attributes(reason: EndReason) -> (Option<StopReason>, Option<Failure>) {
    match reason {
        EndReason::Stopped(reason) => (Some(reason), None),
        EndReason::Failed(failure) => (None, Some(failure.into())),
    }
}

/// The error does not repeat that of serde, which may quote the conversation.
pub fn parse<T: DeserializeOwned>(kind: &'static str, item: Item) -> Result<T, TableError> {
    serde_dynamo::from_item(item).map_err(|error| {
        tracing::debug!(kind, %error, "item");
        TableError::Item { kind }
    })
}
