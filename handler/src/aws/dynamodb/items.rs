//! Items as DynamoDB returns and takes them, and what they mean.
use std::{collections::HashMap, str::FromStr};

use api::types::{ContentBlock, ConversationEvent, Sender, SenderKind, Usage};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{
    Serialize,
    de::{DeserializeOwned, IntoDeserializer, value::StrDeserializer},
};
use turn::{
    claim::{Claim, StoredTurn},
    closing_decision::{ClosingEvent, StoredBatch},
    failures::Failure,
    mutation::{AgentEvent, EndReason},
};

use super::{TableError, keys::event_key};

pub type Item = HashMap<String, AttributeValue>;

pub fn event(item: &Item) -> Result<ConversationEvent, TableError> {
    let optional = |name| text_in(item, name).map(str::to_owned);
    Ok(ConversationEvent {
        id: needed("event", "id", optional("id"))?,
        conversation_id: needed("event", "conversationId", optional("conversationId"))?,
        position: needed("event", "position", number_in(item, "position"))?,
        turn_id: optional("turnId"),
        attempt: number_in(item, "attempt"),
        sender: needed("event", "sender", sender(item))?,
        content: content(item),
        text: None,
        stop_reason: None,
        usage: None,
        failure: None,
        superseded: is_set(item, "superseded"),
        created_at: needed("event", "createdAt", optional("createdAt"))?,
    })
}

pub fn stored_turn(item: &Item) -> Result<StoredTurn, TableError> {
    let question_position = needed("turn", "questionPosition", number_in(item, "questionPosition"))?;
    let position = |name| number_in(item, name).unwrap_or(question_position);
    Ok(StoredTurn {
        status: needed("turn", "status", text_in(item, "status").and_then(word))?,
        run: needed("turn", "run", number_in(item, "run"))?,
        attempt: needed("turn", "attempt", number_in(item, "attempt"))?,
        lease_until: number_in(item, "leaseUntil"),
        claimable_until: needed("turn", "claimableUntil", number_in(item, "claimableUntil"))?,
        announced: is_set(item, "announced").unwrap_or(false),
        question_position,
        answer_position: position("answerPosition"),
        run_position: position("runPosition"),
        last_position: needed("turn", "lastPosition", number_in(item, "lastPosition"))?,
        last_sequence: number_in(item, "lastSequence").unwrap_or(0),
        last_event_sequence: number_in(item, "lastEventSequence").unwrap_or(0),
    })
}

pub fn stored_batch(item: &Item) -> Result<StoredBatch, TableError> {
    Ok(StoredBatch {
        sequence: needed("batch", "sequence", number_in(item, "sequence"))?,
        block: number_in(item, "contentBlockIndex").unwrap_or(0),
        text: text_in(item, "text").map(str::to_owned),
    })
}

/// `created_at`: ISO 8601.
pub fn agent_event(claim: &Claim, event: &AgentEvent, created_at: String) -> Item {
    let AgentEvent { id, position, agent, content, end } = event;
    let name = agent.name.as_deref().map(|name| ("name", text(name)));
    let sender = members([("kind", text(spelled(SenderKind::Agent))), ("id", text(&agent.id))].into_iter().chain(name));
    let spoken = said(claim, Spoken { id, position: *position, sender, content, created_at });
    let by = [("modelId", text(&agent.model_id)), ("agentVersion", number(agent.version))];
    let end = end.iter().flat_map(|end| [Some(why(end.why)), end.usage.map(|cost| ("usage", usage(cost)))]).flatten();
    spoken.into_iter().chain(members(by.into_iter().chain(end))).collect()
}

/// `agent`: the id of the conversation's. `created_at`: ISO 8601.
pub fn closing_event(claim: &Claim, event: &ClosingEvent, agent: &str, created_at: String) -> Item {
    let ClosingEvent { id, position, content, .. } = event;
    let sender = members([("kind", text(spelled(SenderKind::Agent))), ("id", text(agent))]);
    let spoken = said(claim, Spoken { id, position: *position, sender, content, created_at });
    spoken.into_iter().chain(members([why(event.why)])).collect()
}

struct Spoken<'a> {
    id: &'a str,
    position: u32,
    sender: Item,
    content: &'a [ContentBlock],
    created_at: String,
}

fn said(claim: &Claim, Spoken { id, position, sender, content, created_at }: Spoken) -> Item {
    let texts = content.iter().filter_map(|block| block.text.as_deref());
    let content = texts.map(|block| AttributeValue::M(members([("text", text(block))]))).collect();
    let attributes = members([
        ("id", text(id)),
        ("conversationId", text(&claim.conversation_id)),
        ("turnId", text(&claim.turn_id)),
        ("attempt", number(claim.attempt)),
        ("position", number(position)),
        ("sender", AttributeValue::M(sender)),
        ("content", AttributeValue::L(content)),
        ("createdAt", text(created_at)),
    ]);
    event_key(&claim.conversation_id, position).into_iter().chain(attributes).collect()
}

fn why(why: EndReason) -> (&'static str, AttributeValue) {
    match why {
        EndReason::Stopped(reason) => ("stopReason", text(spelled(reason))),
        EndReason::Failed(failure) => ("failure", self::failure(failure)),
    }
}

pub fn failure(Failure { code, text: message, retryable, .. }: Failure) -> AttributeValue {
    AttributeValue::M(members([
        ("code", text(spelled(code))),
        ("message", text(message)),
        ("retryable", flag(retryable)),
    ]))
}

pub fn usage(usage: Usage) -> AttributeValue {
    let counted = [
        ("inputTokens", Some(usage.input_tokens)),
        ("outputTokens", Some(usage.output_tokens)),
        ("totalTokens", Some(usage.total_tokens)),
        ("cacheReadTokens", usage.cache_read_tokens),
        ("cacheWriteTokens", usage.cache_write_tokens),
    ];
    AttributeValue::M(members(counted.into_iter().filter_map(|(name, tokens)| Some((name, number(tokens?))))))
}

fn members(attributes: impl IntoIterator<Item = (&'static str, AttributeValue)>) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn sender(item: &Item) -> Option<Sender> {
    let sender = item.get("sender")?.as_m().ok()?;
    let optional = |name| text_in(sender, name).map(str::to_owned);
    Some(Sender { kind: word(text_in(sender, "kind")?)?, id: optional("id"), name: optional("name") })
}

fn content(item: &Item) -> Vec<ContentBlock> {
    let blocks = item.get("content").and_then(|value| value.as_l().ok()).into_iter().flatten();
    let texts = blocks.filter_map(|block| text_in(block.as_m().ok()?, "text"));
    texts.map(ContentBlock::text).collect()
}

pub fn text_in<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub fn number_in<N: FromStr>(item: &Item, name: &str) -> Option<N> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

pub fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub fn flag(value: bool) -> AttributeValue {
    AttributeValue::Bool(value)
}

fn is_set(item: &Item, name: &str) -> Option<bool> {
    item.get(name)?.as_bool().ok().copied()
}

/// One of our enums, as the schema spells it.
pub fn spelled(word: impl Serialize) -> String {
    let word = serde_json::to_value(word).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

/// One of our enums, spelled as the schema spells it.
pub fn word<W: DeserializeOwned>(spelled: &str) -> Option<W> {
    let spelled: StrDeserializer<serde::de::value::Error> = spelled.into_deserializer();
    W::deserialize(spelled).ok()
}

pub fn needed<T>(item: &'static str, attribute: &'static str, value: Option<T>) -> Result<T, TableError> {
    value.ok_or(TableError::Item { item, attribute })
}
