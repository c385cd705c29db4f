//! The query for a search, written by a model from the question and what was said before.
use std::sync::Arc;

use api::{
    text::is_blank,
    types::{ConversationEvent, SenderKind},
};

use crate::{
    history::current_events,
    knowledge::MAX_QUERY_CHARACTERS,
    model::{Guardrail, ModelRequest, PromptCaching, Role, TranscriptBlock, TranscriptMessage},
    model_settings::short_answer,
    transcript::TranscriptInput,
};

const INSTRUCTIONS: &str = "You write queries for a search engine over documents. You get the end of a conversation. \
    Write one query that finds what the last question of the user asks for, with the names and words that the \
    question refers to. Write the query alone, in the language of the question, without quotes and explanations.";
/// The longest query, in tokens, without what the model thinks.
const MAX_TOKENS: u32 = 200;
/// How many events before the question the model gets.
const MAX_EVENTS: usize = 4;
/// Of longer texts the model gets the beginning, in characters.
const MAX_TEXT_CHARACTERS: usize = 1000;

/// The request for a query. `None` for the first question of a conversation, which refers to nothing.
pub fn query_request(model_id: &str, input: &TranscriptInput, guardrail: Option<Guardrail>) -> Option<ModelRequest> {
    let has_text = |event: &&ConversationEvent| event.texts().any(|text| !is_blank(text));
    let earlier: Vec<_> = current_events(&input.history).filter(has_text).collect();
    let earlier = &earlier[earlier.len().saturating_sub(MAX_EVENTS)..];
    if earlier.is_empty() {
        return None;
    }
    let lines: Vec<_> = earlier.iter().copied().chain([&input.question]).map(line).collect();
    let text = format!("{}\n\nQuery:", lines.join("\n"));
    Some(ModelRequest {
        model_id: model_id.to_owned(),
        system_prompt: Some(INSTRUCTIONS.to_owned()),
        inference: short_answer(model_id, MAX_TOKENS),
        tools: Arc::default(),
        transcript: vec![TranscriptMessage { role: Role::User, content: vec![TranscriptBlock::Text(text)] }],
        prompt_caching: PromptCaching::Off,
        guardrail,
        ..ModelRequest::default()
    })
}

fn line(event: &ConversationEvent) -> String {
    let speaker = if event.sender.kind == SenderKind::User { "User" } else { "Assistant" };
    let text: String = event.texts().flat_map(str::chars).take(MAX_TEXT_CHARACTERS).collect();
    format!("{speaker}: {text}")
}

/// The query while the model writes it. What is longer than a query may be is left out.
#[derive(Debug, Default)]
pub struct WrittenQuery {
    text: String,
    characters: usize,
}

impl WrittenQuery {
    pub fn push(&mut self, text: &str) {
        let room = MAX_QUERY_CHARACTERS - self.characters;
        self.text.extend(text.chars().take(room));
        self.characters += text.chars().count().min(room);
    }

    /// `None` if the model has written no query.
    pub fn into_query(self) -> Option<String> {
        let query = self.text.trim();
        (!is_blank(query)).then(|| query.to_owned())
    }
}
