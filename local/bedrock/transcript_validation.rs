//! Validates a transcript as Bedrock does, with Bedrock's messages.
use std::collections::BTreeSet;

use super::{
    bedrock_error::BedrockError,
    request::{ContentBlock, InferenceConfig, Message, Transcript},
};

const MAX_STOP_SEQUENCES: usize = 2500;

/// The error of the first violated rule. Constraint violations are reported together.
pub(super) fn validate(transcript: &Transcript) -> Result<(), BedrockError> {
    check_constraints(transcript)?;
    check_system(&transcript.system)?;
    check_roles(&transcript.messages)?;
    transcript.messages.iter().enumerate().try_for_each(|(index, message)| check_content(index, message))?;
    check_tools(transcript)
}

fn check_constraints(transcript: &Transcript) -> Result<(), BedrockError> {
    let violations: Vec<String> =
        invalid_roles(&transcript.messages).chain(out_of_range(&transcript.inference_config)).collect();
    match violations.len() {
        0 => Ok(()),
        1 => Err(BedrockError::validation(format!("1 validation error detected: {}", violations.join("")))),
        n => Err(BedrockError::validation(format!("{n} validation errors detected: {}", violations.join("; ")))),
    }
}

fn invalid_roles(messages: &[Message]) -> impl Iterator<Item = String> {
    let roles = messages.iter().map(|message| &message.role).enumerate();
    roles.filter(|(_, role)| !["user", "assistant"].contains(&role.as_str())).map(|(index, role)| {
        let path = format!("messages.{}.member.role", index + 1);
        violation(role, &path, "satisfy enum value set: [user, assistant]")
    })
}

fn out_of_range(config: &InferenceConfig) -> impl Iterator<Item = String> {
    let tokens = config.max_tokens.filter(|tokens| *tokens < 1);
    let tokens =
        tokens.map(|tokens| violation(&tokens, "inferenceConfig.maxTokens", "have value greater than or equal to 1"));
    let sequences = config.stop_sequences.as_deref().filter(|sequences| sequences.len() > MAX_STOP_SEQUENCES);
    let sequences = sequences.map(|sequences| {
        let constraint = format!("have length less than or equal to {MAX_STOP_SEQUENCES}");
        violation(&format!("[{}]", sequences.join(", ")), "inferenceConfig.stopSequences", &constraint)
    });
    [
        tokens,
        outside_zero_to_one("inferenceConfig.temperature", config.temperature),
        outside_zero_to_one("inferenceConfig.topP", config.top_p),
        sequences,
    ]
    .into_iter()
    .flatten()
}

fn outside_zero_to_one(name: &str, value: Option<f64>) -> Option<String> {
    let value = value?;
    let constraint = match value {
        low if low < 0.0 => "have value greater than or equal to 0",
        high if high > 1.0 => "have value less than or equal to 1",
        _ => return None,
    };
    Some(violation(&value, name, constraint))
}

fn violation(value: &impl std::fmt::Display, path: &str, constraint: &str) -> String {
    format!("Value '{value}' at '{path}' failed to satisfy constraint: Member must {constraint}")
}

fn check_system(system: &[ContentBlock]) -> Result<(), BedrockError> {
    match system.iter().position(is_blank) {
        None => Ok(()),
        Some(index) => Err(BedrockError::validation(format!(
            "The text field in the SystemContentBlock object at system.{index} is blank. Add text to the text field, and \
             try again."
        ))),
    }
}

fn check_roles(messages: &[Message]) -> Result<(), BedrockError> {
    if messages.first().is_none_or(|first| first.role != "user") {
        return Err(BedrockError::validation(
            "A conversation must start with a user message. Try again with a conversation that starts with a user \
             message.",
        ));
    }
    if messages.windows(2).any(|pair| matches!(pair, [left, right] if left.role == right.role)) {
        return Err(BedrockError::validation(
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates \
             between user and assistant roles and try again.",
        ));
    }
    if messages.last().is_none_or(|last| last.role != "user") {
        return Err(BedrockError::validation(
            "The model returned the following errors: This model does not support assistant message prefill. The \
             conversation must end with a user message.",
        ));
    }
    Ok(())
}

fn check_content(index: usize, message: &Message) -> Result<(), BedrockError> {
    if message.content.is_empty() {
        return Err(BedrockError::validation(format!(
            "The content field in the Message object at messages.{index} is empty. Add a ContentBlock object to the \
             content field and try again."
        )));
    }
    match message.content.iter().position(is_blank) {
        None => Ok(()),
        Some(block) => Err(BedrockError::validation(format!(
            "The text field in the ContentBlock object at messages.{index}.content.{block} is blank. Add text to the \
             text field, and try again."
        ))),
    }
}

fn is_blank(block: &ContentBlock) -> bool {
    block.text.as_deref().is_some_and(api::text::is_blank)
}

fn check_tools(transcript: &Transcript) -> Result<(), BedrockError> {
    let mut blocks = transcript.messages.iter().flat_map(|message| &message.content);
    let uses_tools = blocks.any(|block| block.tool_use.is_some() || block.tool_result.is_some());
    if uses_tools && transcript.tool_config.is_none() {
        return Err(BedrockError::validation(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    for (index, pair) in transcript.messages.windows(2).enumerate() {
        if let [uses, results] = pair {
            check_results(index + 1, uses, results)?;
        }
    }
    Ok(())
}

/// Every tool use needs a tool result in the next message, whose index is given.
fn check_results(index: usize, uses: &Message, results: &Message) -> Result<(), BedrockError> {
    let use_ids = uses.content.iter().filter_map(|block| block.tool_use.as_ref());
    let use_ids: BTreeSet<&str> = use_ids.map(|tool_use| tool_use.tool_use_id.as_str()).collect();
    let result_ids = results.content.iter().filter_map(|block| block.tool_result.as_ref());
    let result_ids: BTreeSet<&str> = result_ids.map(|result| result.tool_use_id.as_str()).collect();
    let missing: Vec<&str> = use_ids.difference(&result_ids).copied().collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let text = format!("Expected toolResult blocks at messages.{index}.content for the following Ids: {missing}");
        return Err(BedrockError::validation(text));
    }
    if result_ids.len() > use_ids.len() {
        return Err(BedrockError::validation(format!(
            "The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of previous \
             turn."
        )));
    }
    Ok(())
}
