//! Reads a conversation through the API, as a user who comes back to it: all pages of events, and the answer
//! of each turn.
use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use crate::{
    environment::Environment,
    people::Person,
    users::{RequestError, User},
};

const GET_EVENTS: &str = "query Op($id: ID!, $after: Int) { getConversation(id: $id) { \
    events(limit: 100, after: $after) { items { turnId position text superseded sender { kind } } hasMore } } }";
const GET_ANSWER: &str = "query Op($conversationId: ID!, $id: ID!) { getTurn(conversationId: $conversationId, id: $id) { \
    answer { text } } }";

#[derive(Default)]
pub struct ReadBack {
    /// All events by position.
    pub events: Vec<Value>,
    /// The texts of each turn's answer.
    pub answers: BTreeMap<String, Vec<String>>,
    pub errors: Vec<String>,
}

/// `None` if the conversation is deleted, or may be.
pub async fn read_back(environment: &Arc<Environment>) -> Option<ReadBack> {
    if environment.with_access(|access| access.is_deletion_attempted()) {
        return None;
    }
    let owner = User::new(environment, Person::Owner);
    let mut read_back = ReadBack::default();
    if let Err(error) = read_events(&owner, environment, &mut read_back).await {
        read_back.errors.push(format!("events: {error:?}"));
    }
    let questions = read_back.events.iter().filter(|event| event["sender"]["kind"] == "USER");
    let turn_ids: Vec<String> = questions.filter_map(|event| event["turnId"].as_str().map(str::to_owned)).collect();
    for turn_id in turn_ids {
        let variables = json!({ "conversationId": environment.conversation_id(), "id": turn_id });
        match owner.execute(GET_ANSWER, "getTurn", &variables).await {
            Ok(turn) => {
                let events = turn["answer"].as_array().into_iter().flatten();
                let texts = events.map(|event| event["text"].as_str().unwrap_or_default().to_owned());
                read_back.answers.insert(turn_id, texts.collect());
            }
            Err(error) => read_back.errors.push(format!("answer of {turn_id}: {error:?}")),
        }
    }
    Some(read_back)
}

async fn read_events(owner: &User, environment: &Environment, read_back: &mut ReadBack) -> Result<(), RequestError> {
    loop {
        let after = read_back.events.last().map_or(json!(0), |event| event["position"].clone());
        let variables = json!({ "id": environment.conversation_id(), "after": after });
        let page = owner.execute(GET_EVENTS, "getConversation", &variables).await?;
        let events = &page["events"];
        read_back.events.extend(events["items"].as_array().into_iter().flatten().cloned());
        if events["hasMore"] != true {
            return Ok(());
        }
    }
}
