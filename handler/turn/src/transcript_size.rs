//! The size of transcripts, and the removal of old tool results where one would be too large.
use api::{
    json_size::json_size,
    types::{ConversationEvent, Reasoning, ToolUse},
};

use crate::{
    model::{SearchResult, ToolOutput, TranscriptBlock, TranscriptMessage},
    transcript::{nonblank_texts, result_block},
};

/// Stands for an old result in a transcript that would otherwise be too large.
const TRIMMED_RESULT: &str = "[This result was removed to save space. Call the tool again if you need it.]";
/// Old tool results are removed in so many parts of the limit, so that the beginning of the transcript stays
/// the same for many messages.
const TRIMMING_PARTS: usize = 8;

/// Replaces the oldest tool results until the transcript fits into a limit of JSON-escaped bytes, and some
/// more, so that fewer are to be replaced in the next requests: a prompt cache finds only what is the same.
/// The results in the last message stay: the model has not seen them yet.
pub fn trim_tool_results(messages: &mut [TranscriptMessage], limit: usize) {
    let stride = (limit / TRIMMING_PARTS).max(1);
    let mut excess = transcript_size(messages).saturating_sub(limit).div_ceil(stride).saturating_mul(stride);
    let Some((_, earlier)) = messages.split_last_mut() else { return };
    for block in earlier.iter_mut().flat_map(|message| &mut message.content) {
        if excess == 0 {
            return;
        }
        let Some(trimmed) = trimmed_result(block) else { continue };
        let saved = block_size(block).saturating_sub(block_size(&trimmed));
        if saved > 0 {
            *block = trimmed;
            excess = excess.saturating_sub(saved);
        }
    }
}

/// In JSON-escaped bytes.
pub fn transcript_size(messages: &[TranscriptMessage]) -> usize {
    messages.iter().flat_map(|message| &message.content).map(block_size).sum()
}

/// In JSON-escaped bytes.
pub fn context_size(blocks: &[TranscriptBlock]) -> usize {
    blocks.iter().map(block_size).sum()
}

/// In JSON-escaped bytes.
pub fn event_size(event: &ConversationEvent) -> usize {
    let texts: usize = nonblank_texts(event).map(json_size).sum();
    let calls: usize = event.tool_uses().map(call_size).sum();
    let results: usize = event.tool_results().map(|result| block_size(&result_block(result))).sum();
    texts + calls + results
}

/// The size of an event whose tool results are removed where that makes them smaller.
pub fn trimmed_size(event: &ConversationEvent) -> usize {
    let trimmed = |result| block_size(&result_block(result)).min(json_size(TRIMMED_RESULT));
    let texts: usize = nonblank_texts(event).map(json_size).sum();
    let calls: usize = event.tool_uses().map(call_size).sum();
    texts + calls + event.tool_results().map(trimmed).sum::<usize>()
}

/// The block without its result. `None` for a block that has none.
fn trimmed_result(block: &TranscriptBlock) -> Option<TranscriptBlock> {
    let (tool_use_id, is_error) = match block {
        TranscriptBlock::ToolResult { tool_use_id, is_error, .. } => (tool_use_id, *is_error),
        TranscriptBlock::FoundSearchResults { tool_use_id, .. } => (tool_use_id, false),
        TranscriptBlock::Text(_)
        | TranscriptBlock::Reasoning(_)
        | TranscriptBlock::SearchResult(_)
        | TranscriptBlock::ToolUse(_) => return None,
    };
    let output = ToolOutput::Text(TRIMMED_RESULT.to_owned());
    Some(TranscriptBlock::ToolResult { tool_use_id: tool_use_id.clone(), is_error, output })
}

fn block_size(block: &TranscriptBlock) -> usize {
    match block {
        TranscriptBlock::Text(text) => json_size(text),
        TranscriptBlock::Reasoning(reasoning) => reasoning_size(reasoning),
        TranscriptBlock::SearchResult(result) => search_result_size(result),
        TranscriptBlock::ToolUse(call) => call_size(call),
        TranscriptBlock::ToolResult { output: ToolOutput::Json(text) | ToolOutput::Text(text), .. } => json_size(text),
        TranscriptBlock::FoundSearchResults { results, .. } => results.iter().map(search_result_size).sum(),
    }
}

fn reasoning_size(Reasoning { text, signature, redacted, .. }: &Reasoning) -> usize {
    let hidden = [signature, redacted].into_iter().flatten().map(|text| text.len()).sum::<usize>();
    json_size(text) + hidden
}

fn search_result_size(result: &SearchResult) -> usize {
    json_size(&result.source) + json_size(&result.title) + json_size(&result.text)
}

fn call_size(call: &ToolUse) -> usize {
    json_size(&call.name) + json_size(&call.input)
}
