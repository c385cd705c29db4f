//! What simulated models cite: search results by spans of text, and numbered passages by markers.
use std::collections::BTreeSet;

use turn::{
    knowledge_tool::{SEARCH_TOOL_NAME, passages_of_result},
    model::{CitedPassage, ModelRequest, SearchResult, StreamEvent, ToolOutput, TranscriptBlock},
    tool::ToolTarget,
};

use super::bedrock::random_text;
use crate::{knowledge::tag_of, rng::Rng};

/// Begins the numbered passages before a question, and what stands for passages where nothing was found. By
/// `turn::citations`.
const NUMBERED_PASSAGES: &str = "Passages from documents follow";
const NOTHING_FOUND: &str = "The documents were searched for this question";

/// A passage as a request has it.
#[derive(Clone, Debug)]
pub struct RequestedPassage {
    /// Of numbered text: its number. Of a search result: its index in the request.
    number: usize,
    source: Option<String>,
    pub text: String,
}

/// The passages of a request.
pub struct RequestedPassages {
    is_native: bool,
    passages: Vec<RequestedPassage>,
}

impl RequestedPassages {
    pub fn of(request: &ModelRequest) -> Self {
        let blocks = || request.transcript.iter().flat_map(|message| &message.content);
        let results: Vec<_> = blocks().flat_map(search_results).enumerate().map(from_search_result).collect();
        if !results.is_empty() {
            return Self { is_native: true, passages: results };
        }
        Self { is_native: false, passages: numbered_passages(blocks()) }
    }

    pub fn none() -> Self {
        Self { is_native: false, passages: Vec::new() }
    }

    pub fn has_search_results(&self) -> bool {
        self.is_native
    }

    /// The events of text that cites, or none. `block` is that of the text before.
    pub fn random_events(&self, rng: &mut Rng, block: &mut u32) -> Vec<StreamEvent> {
        if self.passages.is_empty() || !rng.percent(60) {
            return Vec::new();
        }
        if self.is_native { self.random_span(rng, block) } else { self.random_marker(rng, *block) }
    }

    fn random_choice(&self, rng: &mut Rng) -> Vec<&RequestedPassage> {
        let count = rng.choose(&[1, 1, 1, 2, 3]);
        let indices: BTreeSet<usize> = (0..count).map(|_| rng.below(self.passages.len() as u64) as usize).collect();
        indices.into_iter().map(|index| &self.passages[index]).collect()
    }

    /// The citations come first, in a block of its own, which another one follows.
    fn random_span(&self, rng: &mut Rng, block: &mut u32) -> Vec<StreamEvent> {
        *block += 1;
        let chosen = self.random_choice(rng);
        let mut events: Vec<_> = chosen.iter().map(|passage| citation(*block, passage)).collect();
        if rng.percent(10) {
            let unknown = CitedPassage {
                source: Some("s3://unknown".into()),
                search_result_index: Some(99),
                text: String::new(),
            };
            events.push(StreamEvent::Citation { block: *block, cited: unknown });
        }
        let text = format!("{}{}", tags(&chosen), random_text(rng));
        events.extend(cut(rng, &text).map(|text| StreamEvent::Text { block: *block, text }));
        events.push(StreamEvent::BlockEnd { block: *block });
        *block += 1;
        events
    }

    fn random_marker(&self, rng: &mut Rng, block: u32) -> Vec<StreamEvent> {
        let chosen = self.random_choice(rng);
        let numbers: Vec<_> = chosen.iter().map(|passage| passage.number.to_string()).collect();
        let unknown = if rng.percent(10) { "[999]" } else { "" };
        let text = format!("{}[{}]{unknown}", tags(&chosen), numbers.join(", "));
        cut(rng, &text).map(|text| StreamEvent::Text { block, text }).collect()
    }
}

/// Whether the handler stores all text of the answer to a request as one block: so it does for models that
/// cite by themselves.
pub fn is_one_block(request: &ModelRequest) -> bool {
    let search_tool = request.tools.iter().find(|tool| matches!(tool.target, ToolTarget::Knowledge(_)));
    let is_claude = request.model_id.contains("anthropic.claude-");
    if let Some(tool) = search_tool {
        return is_claude && !tool.description.contains("[1]");
    }
    let is_native = |block: &TranscriptBlock| match block {
        TranscriptBlock::SearchResult(_) => true,
        TranscriptBlock::Text(text) => is_claude && text.starts_with(NOTHING_FOUND),
        _ => false,
    };
    request.transcript.iter().flat_map(|message| &message.content).any(is_native)
}

/// The passages in a message or a result, in either form.
pub fn passages_of_block(block: &TranscriptBlock) -> Vec<String> {
    let results = search_results(block).map(|result| result.text.clone());
    results.chain(numbered_passages([block].into_iter()).into_iter().map(|passage| passage.text)).collect()
}

fn search_results(block: &TranscriptBlock) -> impl Iterator<Item = &SearchResult> {
    match block {
        TranscriptBlock::SearchResult(result) => std::slice::from_ref(result).iter(),
        TranscriptBlock::FoundSearchResults { results, .. } => results.iter(),
        _ => [].iter(),
    }
}

fn from_search_result((number, result): (usize, &SearchResult)) -> RequestedPassage {
    RequestedPassage { number, source: Some(result.source.clone()), text: result.text.clone() }
}

fn numbered_passages<'a>(blocks: impl Iterator<Item = &'a TranscriptBlock>) -> Vec<RequestedPassage> {
    let passages = blocks.flat_map(|block| match block {
        TranscriptBlock::Text(text) if text.starts_with(NUMBERED_PASSAGES) => {
            text.split("\n\n[").filter_map(numbered_passage).collect()
        }
        TranscriptBlock::ToolResult { output: ToolOutput::Json(json), .. } if is_search_result(json) => {
            passages_of_result(json)
                .into_iter()
                .map(|(number, passage)| RequestedPassage { number, source: passage.source, text: passage.text })
                .collect()
        }
        _ => Vec::new(),
    });
    passages.collect()
}

/// Whether the result of a call is that of a search.
pub fn is_search_result(json: &str) -> bool {
    json.starts_with(r#"{"passages":"#)
}

fn numbered_passage(text: &str) -> Option<RequestedPassage> {
    let (number, rest) = text.split_once("] ")?;
    let (_title, text) = rest.split_once('\n')?;
    Some(RequestedPassage { number: number.parse().ok()?, source: None, text: text.to_owned() })
}

fn citation(block: u32, passage: &RequestedPassage) -> StreamEvent {
    let RequestedPassage { number, source, text } = passage.clone();
    StreamEvent::Citation { block, cited: CitedPassage { source, search_result_index: Some(number), text } }
}

fn tags(passages: &[&RequestedPassage]) -> String {
    passages.iter().filter_map(|passage| tag_of(&passage.text)).collect()
}

/// In one piece or two.
fn cut(rng: &mut Rng, text: &str) -> impl Iterator<Item = String> + use<> {
    let cut = text.floor_char_boundary(rng.below(text.len() as u64) as usize);
    let (head, tail) = text.split_at(cut);
    [head.to_owned(), tail.to_owned()].into_iter()
}

/// The name of the tool with which a model searches, if it has that tool.
pub fn search_tool(request: &ModelRequest) -> Option<&'static str> {
    request.tools.iter().any(|tool| tool.name == SEARCH_TOOL_NAME).then_some(SEARCH_TOOL_NAME)
}
