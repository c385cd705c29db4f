//! The blocks of a request as the prompt cache compares them: in the order of tools, system and messages.
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::{
    model_family::name,
    prompt_cache::{CachedPrompt, Lifetime, Point, Prefix},
    request::{CachePoint, ContentBlock, Transcript},
};

/// None for a request without cache points.
pub(super) fn cached_prompt(model_id: &str, transcript: &Transcript) -> Option<CachedPrompt> {
    transcript.cache_points().next()?;
    let mut builder = Builder::new(name(model_id));
    let tools = &transcript.body["toolConfig"]["tools"];
    for (index, tool) in transcript.tools().enumerate() {
        builder.add(&tools[index], tool.tokens(), tool.cache_point.as_ref());
    }
    builder.begin("system");
    builder.add_blocks(&transcript.body["system"], &transcript.system);
    for (index, message) in transcript.messages.iter().enumerate() {
        builder.begin(&message.role);
        builder.add_blocks(&transcript.body["messages"][index]["content"], &message.content);
    }
    Some(builder.prompt)
}

struct Builder {
    hasher: DefaultHasher,
    tokens: usize,
    prompt: CachedPrompt,
}

impl Builder {
    fn new(model: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        model.hash(&mut hasher);
        Self { hasher, tokens: 0, prompt: CachedPrompt::default() }
    }

    fn begin(&mut self, part: &str) {
        part.hash(&mut self.hasher);
    }

    fn add_blocks(&mut self, sent: &Value, blocks: &[ContentBlock]) {
        for (index, block) in blocks.iter().enumerate() {
            // The model reads both as a text, so both are assumed to be the same to the cache.
            let text = block.guard_content.as_ref().and_then(|_| block.text());
            let text = text.map(|text| serde_json::json!({ "text": text }));
            self.add(text.as_ref().unwrap_or(&sent[index]), block.tokens(), block.cache_point.as_ref());
        }
    }

    fn add(&mut self, sent: &Value, tokens: usize, point: Option<&CachePoint>) {
        if let Some(point) = point {
            let lifetime = if point.is_long() { Lifetime::Hour } else { Lifetime::FiveMinutes };
            self.prompt.points.push(Point { blocks: self.prompt.prefixes.len(), lifetime });
            return;
        }
        sent.hash(&mut self.hasher);
        self.tokens += tokens;
        self.prompt.prefixes.push(Prefix { hash: self.hasher.finish(), tokens: self.tokens });
    }
}
