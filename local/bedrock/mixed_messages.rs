//! The models that take no message with both texts and tool blocks, with Bedrock's messages, and Mistral's
//! form of tool use ids.
use super::{
    bedrock_error::BedrockError,
    model_family::is_of_family,
    request::{Message, Transcript},
};

const WITHOUT_MIXED_MESSAGES: [&str; 2] = ["meta.llama", "mistral."];
const ID_LENGTH: usize = 9;

/// The model id may be an ARN.
pub(super) fn check(model_id: &str, transcript: &Transcript) -> Result<(), BedrockError> {
    if is_of_family(model_id, &WITHOUT_MIXED_MESSAGES) {
        let messages = transcript.messages.iter().enumerate();
        messages.clone().try_for_each(|(index, message)| check_message(index, message))?;
    }
    if is_of_family(model_id, &["mistral."]) {
        check_ids(transcript)?;
    }
    Ok(())
}

fn check_message(index: usize, message: &Message) -> Result<(), BedrockError> {
    let has_text = message.content.iter().any(|block| block.text().is_some());
    let (has_uses, has_results) = (message.tool_uses().next().is_some(), message.tool_results().next().is_some());
    let kind = match (has_text, has_uses, has_results) {
        (true, true, _) => "tool use",
        (true, _, true) => "tool result",
        _ => return Ok(()),
    };
    // Recorded with the full stop for tool uses and without it for tool results.
    let end = if has_uses { "." } else { "" };
    let text = format!(
        "messages.{index}.content: Conversation blocks and {kind} blocks cannot be provided in the same turn{end}"
    );
    Err(BedrockError::validation(text))
}

/// Vercel's AI SDK documents the form; the message is assumed.
fn check_ids(transcript: &Transcript) -> Result<(), BedrockError> {
    let mut ids = transcript.messages.iter().flat_map(Message::tool_uses).map(|tool_use| tool_use.id());
    let is_short = |id: &str| id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match ids.find(|id| !is_short(id)) {
        None => Ok(()),
        Some(id) => Err(BedrockError::validation(format!(
            "The model returned the following errors: Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9."
        ))),
    }
}
