//! What families of models do not take of tool use. The rules and texts were recorded from Bedrock, as users
//! of quarkus-langchain4j (#1983), strands (harness-sdk #1223), pi (#3739) and Vercel's AI SDK report them.
use std::{borrow::Cow, collections::HashMap};

use turn::{
    capabilities::{self, ToolIds, ToolSupport},
    model::{Role, TranscriptBlock, TranscriptMessage},
};

use super::reasoning::is_echoed;

/// Bedrock's message for a model that takes tools in Converse, and not in ConverseStream.
const NO_STREAMED_TOOLS: &str = "doesn't support tool use in streaming mode";

/// Stands between the results of a step that ended an answer and the user's next message, because the roles
/// of a transcript alternate.
const ANSWER_ENDED: &str = "(The answer ended here.)";

/// Whether the model is asked by ConverseStream where the agent has tools. One that takes no tools at all
/// says so there.
pub(super) fn streams_with_tools(model_id: &str) -> bool {
    capabilities::of_model(model_id).tools != ToolSupport::Whole
}

/// Whether Bedrock refused a request because the model takes no tools in ConverseStream.
pub(super) fn refuses_streamed_tools(message: &str) -> bool {
    message.contains(NO_STREAMED_TOOLS)
}

/// Whether Bedrock refused a request because the model takes no cache points. It says so as if the access
/// were denied: "You invoked an unsupported model or your request did not allow prompt caching. See the
/// documentation for more information." (opencode#782, litellm#39210)
pub(super) fn refuses_cache_points(message: &str) -> bool {
    ["prompt caching", "cachePoint", "cache_control"].iter().any(|words| message.contains(words))
}

/// Whether Bedrock refused a request because the model takes no search results, or does not cite them.
/// Recorded from models of OpenAI and others: "This model doesn't support the searchResult field", and for
/// documents "… for user messages. Remove document and try again."; from Claude Sonnet 4 in September 2025:
/// "This model doesn't support citations." (boto3 #4608). What Claude itself says of a search result that it
/// does not take is not known; its own messages name the member `search_result`.
pub(super) fn refuses_search_results(message: &str) -> bool {
    ["searchResult", "search_result", "support citations"].iter().any(|words| message.contains(words))
}

/// The transcript as the model's family takes it.
pub(super) fn fit_to_family<'a>(transcript: &'a [TranscriptMessage], model_id: &str) -> Cow<'a, [TranscriptMessage]> {
    let mut transcript = Cow::Borrowed(transcript);
    let capabilities = capabilities::of_model(model_id);
    if transcript.iter().flat_map(|message| &message.content).any(|block| !is_echoed(block, capabilities)) {
        let messages = transcript.to_mut();
        messages.iter_mut().for_each(|message| message.content.retain(|block| is_echoed(block, capabilities)));
        messages.retain(|message| !message.content.is_empty());
    }
    if !capabilities.mixed_messages {
        transcript = Cow::Owned(transcript.iter().flat_map(separate).collect());
    }
    if capabilities.tool_ids == ToolIds::NineAlphanumerics {
        shorten_ids(transcript.to_mut());
    }
    transcript
}

/// A message whose texts and tool blocks are mixed, without the mixture: a text beside calls is left out, and
/// a text after results becomes a message of its own.
fn separate(message: &TranscriptMessage) -> Vec<TranscriptMessage> {
    let is_text = |block: &TranscriptBlock| matches!(block, TranscriptBlock::Text(_));
    let (texts, tool_blocks): (Vec<_>, Vec<_>) = message.content.iter().cloned().partition(is_text);
    let role = message.role;
    match (role, texts.is_empty() || tool_blocks.is_empty()) {
        (_, true) => vec![message.clone()],
        (Role::Assistant, false) => vec![TranscriptMessage { role, content: tool_blocks }],
        (Role::User, false) => {
            let ended = vec![TranscriptBlock::Text(ANSWER_ENDED.to_owned())];
            vec![
                TranscriptMessage { role, content: tool_blocks },
                TranscriptMessage { role: Role::Assistant, content: ended },
                TranscriptMessage { role, content: texts },
            ]
        }
    }
}

/// Replaces the ids of calls by nine letters and digits, the form that Mistral's models take.
fn shorten_ids(transcript: &mut [TranscriptMessage]) {
    let mut short_ids: HashMap<String, String> = HashMap::new();
    for block in transcript.iter_mut().flat_map(|message| &mut message.content) {
        let id = match block {
            TranscriptBlock::ToolUse(call) => &mut call.id,
            TranscriptBlock::ToolResult { tool_use_id, .. }
            | TranscriptBlock::FoundSearchResults { tool_use_id, .. } => tool_use_id,
            TranscriptBlock::Text(_) | TranscriptBlock::Reasoning(_) | TranscriptBlock::SearchResult(_) => continue,
        };
        let number = short_ids.len();
        let short_id = short_ids.entry(id.clone()).or_insert_with(|| format!("call{number:05}"));
        id.clone_from(short_id);
    }
}

#[cfg(test)]
mod tests {
    use api::types::ToolUse;
    use turn::model::ToolOutput;

    use super::*;

    fn text(text: &str) -> TranscriptBlock {
        TranscriptBlock::Text(text.into())
    }

    fn call(id: &str) -> TranscriptBlock {
        TranscriptBlock::ToolUse(ToolUse { id: id.into(), name: "look".into(), title: None, input: "{}".into() })
    }

    fn result(id: &str) -> TranscriptBlock {
        let output = ToolOutput::Text("Seen.".into());
        TranscriptBlock::ToolResult { tool_use_id: id.into(), is_error: false, output }
    }

    fn message<const N: usize>(role: Role, content: [TranscriptBlock; N]) -> TranscriptMessage {
        TranscriptMessage { role, content: content.into() }
    }

    fn transcript() -> Vec<TranscriptMessage> {
        vec![
            message(Role::User, [text("Look twice.")]),
            message(Role::Assistant, [text("I look."), call("tooluse_a"), call("tooluse_b")]),
            message(Role::User, [result("tooluse_a"), result("tooluse_b"), text("And now?")]),
        ]
    }

    #[test]
    fn families_without_tools_in_streams_are_known_by_id_profile_and_arn() {
        for (model_id, expected) in [
            ("meta.llama3-3-70b-instruct-v1:0", false),
            ("us.meta.llama4-scout-17b-instruct-v1:0", false),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/us.deepseek.r1-v1:0", false),
            ("mistral.mistral-large-2407-v1:0", false),
            ("us.writer.palmyra-x5-v1:0", false),
            ("deepseek.v3-v1:0", true),
            ("anthropic.claude-sonnet-5", true),
            ("eu.amazon.nova-pro-v1:0", true),
            ("arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc", true),
        ] {
            assert_eq!(streams_with_tools(model_id), expected, "{model_id}");
        }
    }

    #[test]
    fn models_that_take_mixed_messages_get_the_transcript_as_it_is() {
        assert_eq!(fit_to_family(&transcript(), "anthropic.claude-sonnet-5").as_ref(), transcript());
    }

    #[test]
    fn llama_gets_calls_without_text_and_results_in_a_message_of_their_own() {
        let expected = [
            message(Role::User, [text("Look twice.")]),
            message(Role::Assistant, [call("tooluse_a"), call("tooluse_b")]),
            message(Role::User, [result("tooluse_a"), result("tooluse_b")]),
            message(Role::Assistant, [text(ANSWER_ENDED)]),
            message(Role::User, [text("And now?")]),
        ];
        assert_eq!(fit_to_family(&transcript(), "us.meta.llama4-scout-17b-instruct-v1:0").as_ref(), expected);
    }

    #[test]
    fn ids_for_mistral_are_short_and_keep_calls_and_results_together() {
        let transcript = transcript();
        let fitted = fit_to_family(&transcript, "mistral.mistral-large-2407-v1:0");
        assert_eq!(fitted[1].content, [call("call00000"), call("call00001")]);
        assert_eq!(fitted[2].content, [result("call00000"), result("call00001")]);
    }
}
