//! The parts of a ConverseStream request.
use std::borrow::Cow;

use api::{
    text::is_blank,
    types::{InferenceSettings, Reasoning, ToolUse},
};
use aws_sdk_bedrockruntime::{
    error::BuildError,
    types::{
        CachePointBlock, CachePointType, CacheTtl as SdkCacheTtl, CitationsConfig, ContentBlock, ConversationRole,
        GuardrailConverseContentBlock, GuardrailConverseTextBlock, InferenceConfiguration, Message,
        ReasoningContentBlock, ReasoningTextBlock, SearchResultBlock, SearchResultContentBlock, SystemContentBlock,
        Tool as SdkTool, ToolConfiguration, ToolInputSchema, ToolResultBlock, ToolResultContentBlock, ToolResultStatus,
        ToolSpecification, ToolUseBlock,
    },
};
use aws_smithy_types::{Blob, Document, base64};
use serde::de::IgnoredAny;
use turn::{
    capabilities::{self, CacheTtl},
    model::{ModelRequest, Role, SearchResult, ToolOutput, TranscriptBlock, TranscriptMessage},
    tool::Tool,
    transcript::without_tool_blocks,
};

use super::{
    Plan,
    caching::CachePoints,
    families::fit_to_family,
    json_texts::JsonTexts,
    reasoning::{self, ReasoningRequest},
};

/// The parts of a request to ConverseStream or Converse.
pub(super) struct RequestParts {
    pub system: Option<Vec<SystemContentBlock>>,
    pub inference: InferenceConfiguration,
    pub tools: Option<ToolConfiguration>,
    pub messages: Vec<Message>,
    /// The members of the model's own form.
    pub fields: Option<Document>,
    /// What the body has byte for byte.
    pub texts: JsonTexts,
}

impl RequestParts {
    pub fn new(request: &ModelRequest, plan: &Plan) -> Result<Self, BuildError> {
        let mut texts = JsonTexts::new();
        let model = capabilities::of_model(&request.model_id);
        let transcript = fitted_transcript(request, plan);
        let wanted = request.reasoning.filter(|_| plan.asks_for_reasoning && reasoning::may_reason(&transcript, model));
        let wanted = wanted.and_then(|settings| ReasoningRequest::new(settings, &plan.settings, model));
        let (fields, settings) = match wanted {
            Some(ReasoningRequest { fields, inference }) => {
                (Some(texts.placeholder(&fields.to_string())), Cow::Owned(inference))
            }
            None => (None, Cow::Borrowed(&plan.settings)),
        };
        let cache = model.cache.as_ref().filter(|_| plan.has_cache_points);
        let points = cache.and_then(|cache| CachePoints::of_request(request, &transcript, cache));
        let mut tools = tool_configuration(&request.tools, &mut texts)?;
        let mut system = system_prompt(request.system_prompt.as_deref());
        let mut messages = messages(request, &transcript, &mut texts)?;
        if let Some(points) = points {
            let point = cache_point(points.ttl)?;
            if let Some(tools) = tools.as_mut().filter(|_| points.after_tools) {
                tools.tools.push(SdkTool::CachePoint(point.clone()));
            }
            if let Some(system) = system.as_mut().filter(|_| points.after_system) {
                system.push(SystemContentBlock::CachePoint(point.clone()));
            }
            for index in points.messages {
                messages[index].content.push(ContentBlock::CachePoint(point.clone()));
            }
        }
        Ok(Self { system, inference: inference_configuration(&settings), tools, messages, fields, texts })
    }
}

/// The transcript as the model takes it. Without tools the blocks of tool calls become text: Bedrock does not
/// accept them then.
fn fitted_transcript<'a>(request: &'a ModelRequest, plan: &Plan) -> Cow<'a, [TranscriptMessage]> {
    if request.tools.is_empty() {
        return Cow::Owned(without_tool_blocks(request.transcript.clone()));
    }
    let transcript = fit_to_family(&request.transcript, &request.model_id);
    if plan.has_reasoning {
        return transcript;
    }
    let mut transcript = transcript.into_owned();
    for message in &mut transcript {
        message.content.retain(|block| !matches!(block, TranscriptBlock::Reasoning(_)));
    }
    Cow::Owned(transcript)
}

/// Five minutes are the default. Nova takes no other, and no member that says so.
fn cache_point(ttl: CacheTtl) -> Result<CachePointBlock, BuildError> {
    let ttl = match ttl {
        CacheTtl::FiveMinutes => None,
        CacheTtl::OneHour => Some(SdkCacheTtl::OneHour),
    };
    CachePointBlock::builder().r#type(CachePointType::Default).set_ttl(ttl).build()
}

/// `None` for a blank prompt, which Bedrock does not accept.
fn system_prompt(prompt: Option<&str>) -> Option<Vec<SystemContentBlock>> {
    let prompt = prompt.filter(|text| !is_blank(text))?;
    Some(vec![SystemContentBlock::Text(prompt.to_owned())])
}

/// Leaves out empty stop sequences, which Bedrock does not accept.
fn inference_configuration(settings: &InferenceSettings) -> InferenceConfiguration {
    let mut stop_sequences = settings.stop_sequences.clone();
    if let Some(stop_sequences) = &mut stop_sequences {
        stop_sequences.retain(|text| !text.is_empty());
    }
    InferenceConfiguration::builder()
        .set_max_tokens(settings.max_tokens.map(|tokens| tokens.try_into().unwrap_or(i32::MAX)))
        .set_temperature(settings.temperature.map(|temperature| temperature as f32))
        .set_top_p(settings.top_p.map(|top_p| top_p as f32))
        .set_stop_sequences(stop_sequences)
        .build()
}

/// `None` without tools: Bedrock does not accept an empty list.
fn tool_configuration(tools: &[Tool], texts: &mut JsonTexts) -> Result<Option<ToolConfiguration>, BuildError> {
    if tools.is_empty() {
        return Ok(None);
    }
    let mut configuration = ToolConfiguration::builder();
    for tool in tools {
        let specification = ToolSpecification::builder()
            .name(&tool.name)
            .description(&tool.description)
            .input_schema(ToolInputSchema::Json(texts.placeholder(object_or_empty(&tool.input_schema))))
            .build()?;
        configuration = configuration.tools(SdkTool::ToolSpec(specification));
    }
    Ok(Some(configuration.build()?))
}

fn messages(
    request: &ModelRequest,
    transcript: &[TranscriptMessage],
    texts: &mut JsonTexts,
) -> Result<Vec<Message>, BuildError> {
    let messages = transcript.iter().map(|message| to_message(message, &request.model_id, texts));
    let mut messages = messages.collect::<Result<Vec<_>, _>>()?;
    if request.guardrail.as_ref().is_some_and(|guardrail| guardrail.newest_message_only) {
        guard_newest_text(&mut messages)?;
    }
    Ok(messages)
}

/// Where a request has a guarded text, nothing else of it is assessed, but by word filters. Whether the
/// prompt cache tells a guarded text from another one is not documented. If it does, the next request reads
/// up to the message before this one.
fn guard_newest_text(messages: &mut [Message]) -> Result<(), BuildError> {
    let of_user = messages.iter_mut().rev().filter(|message| message.role == ConversationRole::User);
    let mut blocks = of_user.flat_map(|message| message.content.iter_mut().rev());
    let Some(block) = blocks.find(|block| block.is_text()) else { return Ok(()) };
    if let ContentBlock::Text(text) = block {
        let guarded = GuardrailConverseTextBlock::builder().text(std::mem::take(text)).build()?;
        *block = ContentBlock::GuardContent(GuardrailConverseContentBlock::Text(guarded));
    }
    Ok(())
}

fn to_message(message: &TranscriptMessage, model_id: &str, texts: &mut JsonTexts) -> Result<Message, BuildError> {
    let role = match message.role {
        Role::User => ConversationRole::User,
        Role::Assistant => ConversationRole::Assistant,
    };
    let blocks = message.content.iter().map(|block| content_block(block, model_id, texts));
    Message::builder().role(role).set_content(Some(blocks.collect::<Result<_, _>>()?)).build()
}

fn content_block(block: &TranscriptBlock, model_id: &str, texts: &mut JsonTexts) -> Result<ContentBlock, BuildError> {
    match block {
        TranscriptBlock::Text(text) => Ok(ContentBlock::Text(text.clone())),
        TranscriptBlock::Reasoning(reasoning) => Ok(ContentBlock::ReasoningContent(reasoning_block(reasoning)?)),
        TranscriptBlock::SearchResult(result) => Ok(ContentBlock::SearchResult(search_result(result)?)),
        TranscriptBlock::ToolUse(ToolUse { id, name, input, .. }) => {
            let input = texts.placeholder(object_or_empty(input));
            let block = ToolUseBlock::builder().tool_use_id(id).name(name).input(input).build()?;
            Ok(ContentBlock::ToolUse(block))
        }
        TranscriptBlock::ToolResult { tool_use_id, is_error, output } => {
            let status = if *is_error { ToolResultStatus::Error } else { ToolResultStatus::Success };
            let block = ToolResultBlock::builder()
                .tool_use_id(tool_use_id)
                .content(result_content(output, texts))
                .set_status(accepts_result_status(model_id).then_some(status))
                .build()?;
            Ok(ContentBlock::ToolResult(block))
        }
        TranscriptBlock::FoundSearchResults { tool_use_id, results } => {
            let results = results.iter().map(|result| search_result(result).map(ToolResultContentBlock::SearchResult));
            let block = ToolResultBlock::builder()
                .tool_use_id(tool_use_id)
                .set_content(Some(results.collect::<Result<_, _>>()?))
                .set_status(accepts_result_status(model_id).then_some(ToolResultStatus::Success))
                .build()?;
            Ok(ContentBlock::ToolResult(block))
        }
    }
}

/// Byte for byte as the model has sent it: its signature is of the text.
fn reasoning_block(reasoning: &Reasoning) -> Result<ReasoningContentBlock, BuildError> {
    let data = reasoning.redacted.as_deref().and_then(|data| base64::decode(data).ok());
    if let Some(data) = data {
        return Ok(ReasoningContentBlock::RedactedContent(Blob::new(data)));
    }
    let text = ReasoningTextBlock::builder().text(&reasoning.text).set_signature(reasoning.signature.clone());
    Ok(ReasoningContentBlock::ReasoningText(text.build()?))
}

/// Claude wants citations of all search results of a request or of none.
fn search_result(result: &SearchResult) -> Result<SearchResultBlock, BuildError> {
    SearchResultBlock::builder()
        .source(&result.source)
        .title(&result.title)
        .content(SearchResultContentBlock::builder().text(&result.text).build()?)
        .citations(CitationsConfig::builder().enabled(true).build()?)
        .build()
}

/// Some models accept only objects as JSON.
fn result_content(output: &ToolOutput, texts: &mut JsonTexts) -> ToolResultContentBlock {
    match output {
        ToolOutput::Json(json) if is_json_object(json) => ToolResultContentBlock::Json(texts.placeholder(json)),
        ToolOutput::Json(text) | ToolOutput::Text(text) => ToolResultContentBlock::Text(text.clone()),
    }
}

/// Bedrock documents the status of tool results for Claude and Nova alone.
fn accepts_result_status(model_id: &str) -> bool {
    capabilities::of_model(model_id).result_status
}

/// A stored text that is no JSON object must not make the body invalid.
fn object_or_empty(json: &str) -> &str {
    if is_json_object(json) { json } else { "{}" }
}

fn is_json_object(json: &str) -> bool {
    json.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(json).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transcript_message_keeps_all_its_texts() {
        let content = ["One", "Two"].map(|text| TranscriptBlock::Text(text.into())).to_vec();
        let message = TranscriptMessage { role: Role::Assistant, content };
        let message = to_message(&message, "any", &mut JsonTexts::new()).unwrap();
        assert_eq!(message.role(), &ConversationRole::Assistant);
        assert_eq!(message.content(), [ContentBlock::Text("One".into()), ContentBlock::Text("Two".into())]);
    }

    #[test]
    fn blank_prompt_and_empty_stop_sequences_are_left_out() {
        for blank in [None, Some(""), Some(" \n")] {
            assert_eq!(system_prompt(blank), None);
        }
        assert_eq!(system_prompt(Some(" Be brief.")), Some(vec![SystemContentBlock::Text(" Be brief.".into())]));
        let stop_sequences = Some(vec![String::new(), "\n".into(), "END".into()]);
        let configuration =
            inference_configuration(&InferenceSettings { stop_sequences, ..InferenceSettings::default() });
        assert_eq!(configuration.stop_sequences(), ["\n", "END"]);
    }

    #[test]
    fn status_of_a_result_is_sent_to_claude_and_nova_alone() {
        let status = |model_id, is_error| {
            let output = ToolOutput::Text("No.".into());
            let block = TranscriptBlock::ToolResult { tool_use_id: "a".into(), is_error, output };
            match content_block(&block, model_id, &mut JsonTexts::new()).unwrap() {
                ContentBlock::ToolResult(block) => block.status,
                other => panic!("{other:?}"),
            }
        };
        for (model_id, is_error, expected) in [
            ("eu.anthropic.claude-sonnet-5", true, Some(ToolResultStatus::Error)),
            ("amazon.nova-pro-v1:0", false, Some(ToolResultStatus::Success)),
            (
                "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-2-lite-v1:0",
                true,
                Some(ToolResultStatus::Error),
            ),
            ("openai.gpt-oss-120b-1:0", true, None),
            ("arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc", false, None),
        ] {
            assert_eq!(status(model_id, is_error), expected, "{model_id}");
        }
    }

    #[test]
    fn json_result_that_is_no_object_is_sent_as_text() {
        for text in ["[1,2]", "null", "\"So.\"", "7", "{\"cut"] {
            let content = result_content(&ToolOutput::Json(text.into()), &mut JsonTexts::new());
            assert_eq!(content, ToolResultContentBlock::Text(text.into()));
        }
        let content = result_content(&ToolOutput::Json(" {\"a\":1}".into()), &mut JsonTexts::new());
        assert!(matches!(content, ToolResultContentBlock::Json(_)));
    }
}
