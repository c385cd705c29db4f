//! The parts of a ConverseStream request.
use api::{
    text::is_blank,
    types::{InferenceSettings, ToolUse},
};
use aws_sdk_bedrockruntime::{
    error::BuildError,
    types::{
        CitationsConfig, ContentBlock, ConversationRole, InferenceConfiguration, Message, SearchResultBlock,
        SearchResultContentBlock, SystemContentBlock, Tool as SdkTool, ToolConfiguration, ToolInputSchema,
        ToolResultBlock, ToolResultContentBlock, ToolResultStatus, ToolSpecification, ToolUseBlock,
    },
};
use serde::de::IgnoredAny;
use turn::{
    capabilities,
    model::{ModelRequest, Role, SearchResult, ToolOutput, TranscriptBlock, TranscriptMessage},
    tool::Tool,
    transcript::without_tool_blocks,
};

use super::{families::fit_to_family, json_texts::JsonTexts};

/// `None` for a blank prompt, which Bedrock does not accept.
pub fn system_prompt(prompt: Option<&str>) -> Option<Vec<SystemContentBlock>> {
    let prompt = prompt.filter(|text| !is_blank(text))?;
    Some(vec![SystemContentBlock::Text(prompt.to_owned())])
}

/// Leaves out empty stop sequences, which Bedrock does not accept.
pub fn inference_configuration(settings: &InferenceSettings) -> InferenceConfiguration {
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
pub fn tool_configuration(tools: &[Tool], texts: &mut JsonTexts) -> Result<Option<ToolConfiguration>, BuildError> {
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

/// Without tools the blocks of tool calls become text: Bedrock does not accept them then.
pub fn messages(request: &ModelRequest, texts: &mut JsonTexts) -> Result<Vec<Message>, BuildError> {
    if request.tools.is_empty() {
        let transcript = without_tool_blocks(request.transcript.clone());
        return transcript.iter().map(|message| to_message(message, &request.model_id, texts)).collect();
    }
    let transcript = fit_to_family(&request.transcript, &request.model_id);
    transcript.iter().map(|message| to_message(message, &request.model_id, texts)).collect()
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
