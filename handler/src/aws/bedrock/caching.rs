//! Where a request has cache points.
use turn::{
    capabilities::{CacheSupport, CacheTtl},
    model::{ModelRequest, PromptCaching, Role, TranscriptBlock, TranscriptMessage},
    transcript_size::transcript_size,
};

/// A typical value. Where the tokens have more bytes, a cache point may stand too early and cache nothing.
const BYTES_PER_TOKEN: usize = 4;

/// The places of a request's cache points: at most four, as Bedrock takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CachePoints {
    pub after_tools: bool,
    pub after_system: bool,
    /// The messages that end with a cache point: at most two.
    pub messages: Vec<usize>,
    pub ttl: CacheTtl,
}

impl CachePoints {
    /// The last two messages of the user end with one: the next request has the last one of this request as
    /// the one before its last, so it reads what this request writes. `None` without any.
    pub fn of_request(
        request: &ModelRequest,
        transcript: &[TranscriptMessage],
        support: &CacheSupport,
    ) -> Option<Self> {
        let wanted = match request.prompt_caching {
            PromptCaching::Off => return None,
            PromptCaching::FiveMinutes => CacheTtl::FiveMinutes,
            PromptCaching::OneHour => CacheTtl::OneHour,
        };
        let min_bytes = usize::try_from(support.min_tokens).unwrap_or(usize::MAX).saturating_mul(BYTES_PER_TOKEN);
        let tool_bytes: usize = request.tools.iter().map(|tool| tool.description.len() + tool.input_schema.len()).sum();
        let system_bytes = tool_bytes + request.system_prompt.as_deref().map_or(0, str::len);
        let takes_point = |index: &usize| {
            let message = &transcript[*index];
            let is_taken = support.beside_tool_blocks || !message.content.iter().any(is_tool_block);
            let bytes = system_bytes + transcript_size(&transcript[..=*index]);
            message.role == Role::User && is_taken && bytes >= min_bytes
        };
        let points = Self {
            after_tools: support.tools && tool_bytes >= min_bytes,
            after_system: system_bytes > tool_bytes && system_bytes >= min_bytes,
            messages: (0..transcript.len()).rev().filter(takes_point).take(2).collect(),
            ttl: support.ttl(wanted),
        };
        let has_any = points.after_tools || points.after_system || !points.messages.is_empty();
        has_any.then_some(points)
    }
}

fn is_tool_block(block: &TranscriptBlock) -> bool {
    match block {
        TranscriptBlock::ToolUse(_)
        | TranscriptBlock::ToolResult { .. }
        | TranscriptBlock::FoundSearchResults { .. } => true,
        TranscriptBlock::Text(_) | TranscriptBlock::Reasoning(_) | TranscriptBlock::SearchResult(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use turn::{capabilities::of_model, model::ToolOutput};

    use super::*;

    fn request(system_bytes: usize, prompt_caching: PromptCaching) -> ModelRequest {
        ModelRequest { system_prompt: Some("s".repeat(system_bytes)), prompt_caching, ..ModelRequest::default() }
    }

    fn text(role: Role, bytes: usize) -> TranscriptMessage {
        TranscriptMessage { role, content: vec![TranscriptBlock::Text("t".repeat(bytes))] }
    }

    fn result() -> TranscriptMessage {
        let output = ToolOutput::Text("Seen.".into());
        let block = TranscriptBlock::ToolResult { tool_use_id: "a".into(), is_error: false, output };
        TranscriptMessage { role: Role::User, content: vec![block] }
    }

    fn points(model_id: &str, request: &ModelRequest, transcript: &[TranscriptMessage]) -> Option<CachePoints> {
        CachePoints::of_request(request, transcript, of_model(model_id).cache.as_ref()?)
    }

    #[test]
    fn points_follow_the_system_prompt_and_the_last_two_messages_of_the_user() {
        let request = request(9000, PromptCaching::OneHour);
        let transcript = [
            text(Role::User, 10),
            text(Role::Assistant, 10),
            text(Role::User, 10),
            text(Role::Assistant, 10),
            text(Role::User, 10),
        ];
        let expected =
            CachePoints { after_tools: false, after_system: true, messages: vec![4, 2], ttl: CacheTtl::OneHour };
        assert_eq!(points("anthropic.claude-sonnet-5", &request, &transcript), Some(expected.clone()));
        let of_nova = CachePoints { ttl: CacheTtl::FiveMinutes, ..expected };
        assert_eq!(points("us.amazon.nova-pro-v1:0", &request, &transcript), Some(of_nova));
    }

    #[test]
    fn beginning_that_is_too_short_has_no_point() {
        let request = request(100, PromptCaching::FiveMinutes);
        let short = [text(Role::User, 100)];
        assert_eq!(points("anthropic.claude-sonnet-5", &request, &short), None);
        let long = [text(Role::User, 100), text(Role::Assistant, 5000), text(Role::User, 10)];
        assert_eq!(points("anthropic.claude-sonnet-5", &request, &long).unwrap().messages, [2]);
    }

    #[test]
    fn nova_has_none_beside_tool_results() {
        let request = request(9000, PromptCaching::FiveMinutes);
        let transcript = [text(Role::User, 10), text(Role::Assistant, 10), result()];
        assert_eq!(points("us.amazon.nova-pro-v1:0", &request, &transcript).unwrap().messages, [0]);
        assert_eq!(points("anthropic.claude-sonnet-5", &request, &transcript).unwrap().messages, [2, 0]);
    }

    #[test]
    fn nothing_is_cached_where_it_is_off_or_the_model_does_not() {
        let transcript = [text(Role::User, 9000)];
        assert_eq!(points("anthropic.claude-sonnet-5", &request(9000, PromptCaching::Off), &transcript), None);
        let on = request(9000, PromptCaching::FiveMinutes);
        for model_id in ["us.meta.llama4-scout-17b-instruct-v1:0", "anthropic.claude-3-haiku-20240307-v1:0", "any"] {
            assert_eq!(points(model_id, &on, &transcript), None, "{model_id}");
        }
    }
}
