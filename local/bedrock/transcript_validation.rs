//! Validates a transcript as Bedrock does, with Bedrock's messages.
use super::{
    bedrock_error::BedrockError,
    request::{ContentBlock, InferenceConfig, Message, Transcript},
    tool_validation,
};

const MAX_STOP_SEQUENCES: usize = 2500;

/// The error of the first violated rule. Constraint violations are reported together.
pub(super) fn validate(transcript: &Transcript) -> Result<(), BedrockError> {
    check_constraints(transcript)?;
    check_system(&transcript.system)?;
    check_roles(&transcript.messages)?;
    transcript.messages.iter().enumerate().try_for_each(|(index, message)| check_content(index, message))?;
    tool_validation::check(transcript)
}

fn check_constraints(transcript: &Transcript) -> Result<(), BedrockError> {
    let violations: Vec<String> =
        invalid_roles(&transcript.messages).chain(out_of_range(&transcript.inference_config)).collect();
    let violations = [violations, tool_validation::violations(transcript)].concat();
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

pub(super) fn violation(value: &impl std::fmt::Display, path: &str, constraint: &str) -> String {
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
    block.text().is_some_and(api::text::is_blank)
}
