//! Passages as search results, for models that cite by themselves.
use std::collections::HashSet;

use crate::{
    knowledge::Passage,
    knowledge_tool::{SEARCH_TOOL_NAME, passages_of_result},
    model::{SearchResult, ToolOutput, TranscriptBlock, TranscriptMessage},
};

pub fn search_result(number: usize, passage: &Passage) -> SearchResult {
    SearchResult { number, source: source_or_title(passage), title: passage.title(), text: passage.text.clone() }
}

/// The source that the model gets of a passage; a search result must have one.
pub fn source_or_title(passage: &Passage) -> String {
    passage.source.clone().filter(|source| !source.is_empty()).unwrap_or_else(|| passage.title())
}

/// Gives the results of searches with the built-in tool as search results. Results without passages, and
/// those that are text already, stay.
pub fn convert_found_passages(transcript: &mut [TranscriptMessage]) {
    let searches: HashSet<String> =
        transcript.iter().flat_map(|message| &message.content).filter_map(search_id).collect();
    for block in transcript.iter_mut().flat_map(|message| &mut message.content) {
        if let Some(found) = found_search_results(block, &searches) {
            *block = found;
        }
    }
}

fn search_id(block: &TranscriptBlock) -> Option<String> {
    match block {
        TranscriptBlock::ToolUse(call) if call.name == SEARCH_TOOL_NAME => Some(call.id.clone()),
        _ => None,
    }
}

fn found_search_results(block: &TranscriptBlock, searches: &HashSet<String>) -> Option<TranscriptBlock> {
    let TranscriptBlock::ToolResult { tool_use_id, is_error: false, output: ToolOutput::Json(json) } = block else {
        return None;
    };
    if !searches.contains(tool_use_id) {
        return None;
    }
    let passages = passages_of_result(json);
    let results: Vec<_> = passages.iter().map(|(number, passage)| search_result(*number, passage)).collect();
    let is_numbered = !results.is_empty() && results.iter().all(|result| result.number > 0);
    is_numbered.then(|| TranscriptBlock::FoundSearchResults { tool_use_id: tool_use_id.clone(), results })
}
