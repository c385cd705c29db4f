//! Which text of an answer cites which passage.
use std::collections::BTreeMap;

use api::{json_size::fitting_prefix, types::Citation};

use crate::{
    answer::Answer,
    capabilities,
    citation_markers::MarkerParser,
    knowledge::Passage,
    knowledge_tool::{numbered_result, result_text},
    model::{CitedPassage, SearchResult, ToolOutput, TranscriptBlock, TranscriptMessage},
    search_results::{search_result, source_or_title},
};

/// The largest size of the passage in a citation, in JSON-escaped bytes. The end of a longer one is left out.
const MAX_PASSAGE_BYTES: usize = 1500;
/// The largest size of a document's name in a citation, in JSON-escaped bytes.
const MAX_TITLE_BYTES: usize = 250;
/// A longer address of a document is left out of its citations, in bytes.
const MAX_SOURCE_BYTES: usize = 1024;

const ASK_FOR_MARKERS: &str = "Passages from documents follow, each after its number. Answer from them where they help, \
    and cite what you use: put the number of the passage in brackets, such as [1], right after the statement. Do not \
    cite what you do not use.";
const NOTHING_FOUND: &str = "The documents were searched for this question, and nothing was found. If the answer must \
    come from the documents, say that they do not have it.";
/// For an answer without documents, because they could not be searched.
pub const DOCUMENTS_UNAVAILABLE: &str = "The documents could not be searched, because the search is not available at \
    the moment. Say so at the beginning of your answer.";

/// How a model cites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CitationStyle {
    /// The model takes search results and says itself which text cites them.
    Native,
    /// The model takes numbered text and writes markers.
    Markers,
}

impl CitationStyle {
    /// AWS lists search results for Claude Opus 4 and 4.1, Sonnet 3.7, 4 and 4.5, and Haiku 3.5 (service
    /// model of 2026-11-20). Anthropic lists also Opus 4.5 to 4.7, Sonnet 4.6 and Haiku 4.5 (its page "Search
    /// results"), so later models are taken to have them as well. A model that refuses them gets markers.
    /// Application inference profiles do not name their model, and get markers.
    pub fn of_model(model_id: &str) -> Self {
        if capabilities::of_model(model_id).search_results { Self::Native } else { Self::Markers }
    }
}

/// Follows the text of an answer and finds its citations.
#[derive(Debug)]
pub struct Citations {
    /// The passages that the model got, by their numbers, from 1.
    passages: BTreeMap<usize, Passage>,
    /// The numbers of the passages that the request has as search results, in their order.
    requested: Vec<usize>,
    style: CitationStyle,
    markers: MarkerParser,
    /// The first of the step's text blocks. The others are a part of it: a model that cites begins a new
    /// block with each citation.
    text_block: Option<u32>,
    span: Option<Span>,
}

/// Text that cites: a block of the model's own.
#[derive(Debug)]
struct Span {
    model_block: u32,
    /// In UTF-16 code units.
    length: usize,
    /// Numbers of passages, each once.
    cited: Vec<usize>,
}

impl Citations {
    /// `passages`: by their numbers.
    pub fn new(passages: BTreeMap<usize, Passage>, style: CitationStyle) -> Self {
        let (requested, markers) = (Vec::new(), MarkerParser::default());
        Self { passages, requested, style, markers, text_block: None, span: None }
    }

    pub fn style(&self) -> CitationStyle {
        self.style
    }

    /// The model gets a request with this transcript.
    pub fn on_request(&mut self, transcript: &[TranscriptMessage]) {
        self.requested.clear();
        for block in transcript.iter().flat_map(|message| &message.content) {
            match block {
                TranscriptBlock::SearchResult(result) => self.requested.push(result.number),
                TranscriptBlock::FoundSearchResults { results, .. } => {
                    self.requested.extend(results.iter().map(|result| result.number));
                }
                TranscriptBlock::Text(_)
                | TranscriptBlock::Reasoning(_)
                | TranscriptBlock::ToolUse(_)
                | TranscriptBlock::ToolResult { .. } => {}
            }
        }
    }

    /// From now on the model cites by markers: the transcript gets numbered text in place of search results.
    pub fn use_markers(&mut self, transcript: &mut [TranscriptMessage]) {
        self.style = CitationStyle::Markers;
        for message in transcript {
            let blocks = std::mem::take(&mut message.content);
            let mut has_context = false;
            for block in blocks {
                let block = match block {
                    TranscriptBlock::SearchResult(_) if std::mem::replace(&mut has_context, true) => continue,
                    TranscriptBlock::SearchResult(_) => TranscriptBlock::Text(self.numbered_text()),
                    TranscriptBlock::FoundSearchResults { tool_use_id, results } => {
                        let output = ToolOutput::Json(self.numbered_json(&results));
                        TranscriptBlock::ToolResult { tool_use_id, is_error: false, output }
                    }
                    TranscriptBlock::Text(_)
                    | TranscriptBlock::Reasoning(_)
                    | TranscriptBlock::ToolUse(_)
                    | TranscriptBlock::ToolResult { .. } => block,
                };
                message.content.push(block);
            }
        }
    }

    /// Numbers what a search has found, as its result for the model.
    pub fn add_result(&mut self, passages: Vec<Passage>, max_bytes: usize) -> String {
        let first_number = self.passages.last_key_value().map_or(1, |(last, _)| last + 1);
        let (result, kept) = numbered_result(passages, first_number, max_bytes);
        self.passages.extend((first_number..).zip(kept));
        result
    }

    /// What the model gets before the question.
    pub fn context(&self) -> Vec<TranscriptBlock> {
        if self.passages.is_empty() {
            return vec![TranscriptBlock::Text(NOTHING_FOUND.to_owned())];
        }
        match self.style {
            CitationStyle::Native => {
                let results = self.passages.iter().map(|(number, passage)| search_result(*number, passage));
                results.map(TranscriptBlock::SearchResult).collect()
            }
            CitationStyle::Markers => vec![TranscriptBlock::Text(self.numbered_text())],
        }
    }

    /// Appends a delta of the model's block to the answer.
    pub fn push_text(&mut self, answer: &mut Answer, model_block: u32, text: &str) {
        if self.span.as_ref().is_some_and(|span| span.model_block != model_block) {
            self.end_span(answer);
        }
        match self.style {
            CitationStyle::Native => {
                let block = *self.text_block.get_or_insert(model_block);
                if let Some(span) = &mut self.span {
                    span.length += text.encode_utf16().count();
                }
                answer.push_delta(block, text);
            }
            CitationStyle::Markers => self.push_marked_text(answer, model_block, text),
        }
    }

    fn push_marked_text(&mut self, answer: &mut Answer, block: u32, text: &str) {
        let mut start = 0;
        for marker in self.markers.push(text) {
            answer.push_delta(block, &text[start..marker.end]);
            start = marker.end;
            for citation in marker.numbers.iter().filter_map(|number| self.citation(*number)) {
                answer.cite(block, marker.length, citation);
            }
        }
        answer.push_delta(block, &text[start..]);
    }

    /// The text of a block of the model cites a passage. A passage that the model did not get is ignored.
    pub fn push_citation(&mut self, answer: &mut Answer, model_block: u32, cited: &CitedPassage) {
        let Some(number) = self.find(cited) else { return };
        match &mut self.span {
            Some(span) if span.model_block == model_block => {
                if !span.cited.contains(&number) {
                    span.cited.push(number);
                }
            }
            _ => {
                self.end_span(answer);
                self.span = Some(Span { model_block, length: 0, cited: vec![number] });
            }
        }
    }

    /// A block of the model has ended.
    pub fn on_block_end(&mut self, answer: &mut Answer, model_block: u32) {
        if self.span.as_ref().is_some_and(|span| span.model_block == model_block) {
            self.end_span(answer);
        }
    }

    /// The step is complete. The next one numbers its blocks anew.
    pub fn on_step_end(&mut self, answer: &mut Answer) {
        self.end_span(answer);
        self.text_block = None;
        self.markers = MarkerParser::default();
    }

    fn end_span(&mut self, answer: &mut Answer) {
        let (Some(span), Some(block)) = (self.span.take(), self.text_block) else { return };
        for citation in span.cited.iter().filter_map(|number| self.citation(*number)) {
            answer.cite(block, span.length, citation);
        }
    }

    /// The number of a passage. The index of a search result counts all of the request, in messages and in
    /// tool results (Anthropic's API reference); the source confirms it.
    fn find(&self, cited: &CitedPassage) -> Option<usize> {
        let has_source = |passage: &Passage| cited.source.as_deref() == Some(source_or_title(passage).as_str());
        let has_text = |passage: &Passage| !cited.text.is_empty() && passage.text.contains(&cited.text);
        let is_found = |number: &usize| self.passages.get(number).is_some_and(has_source);
        let by_index = cited.search_result_index.and_then(|index| self.requested.get(index)).copied().filter(is_found);
        let mut with_source = self.passages.iter().filter(|(_, passage)| has_source(passage));
        by_index
            .or_else(|| with_source.clone().find(|(_, passage)| has_text(passage)).map(|(number, _)| *number))
            .or_else(|| with_source.next().map(|(number, _)| *number))
    }

    /// Without the place of the text that cites. `None` if the model has no passage of this number.
    fn citation(&self, number: usize) -> Option<Citation> {
        let passage = self.passages.get(&number)?;
        let is_short = |text: &&str| text.len() <= MAX_SOURCE_BYTES;
        Some(Citation {
            number: number.try_into().ok()?,
            title: shortened(&passage.title(), MAX_TITLE_BYTES),
            source: passage.source.as_deref().filter(is_short).map(str::to_owned),
            url: passage.url().filter(is_short).map(str::to_owned),
            passage: shortened(&passage.text, MAX_PASSAGE_BYTES),
            score: passage.score,
            page: passage.page,
            start: 0,
            end: 0,
        })
    }

    fn numbered_json(&self, results: &[SearchResult]) -> String {
        let passage = |number| self.passages.get(&number).map(|passage| (number, passage));
        result_text(results.iter().filter_map(|result| passage(result.number)))
    }

    fn numbered_text(&self) -> String {
        let mut text = ASK_FOR_MARKERS.to_owned();
        for (number, passage) in &self.passages {
            let page = passage.page.map_or(String::new(), |page| format!(", page {page}"));
            text += &format!("\n\n[{number}] {}{page}\n{}", passage.title(), passage.text);
        }
        text
    }
}

/// Ends with an ellipsis if the end was left out.
fn shortened(text: &str, max_bytes: usize) -> String {
    let cut = fitting_prefix(text, max_bytes).cut;
    if cut == text.len() { text.to_owned() } else { format!("{}…", &text[..cut]) }
}
