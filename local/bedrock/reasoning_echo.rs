//! Reasoning that is sent back to a model: which models take it, and that nobody has changed it, with
//! Bedrock's messages. They were recorded, but for that about redacted reasoning.
use super::{
    bedrock_error::BedrockError,
    model_family::{ModelFamily, model_family},
    reasoned_answer::asks_for_thinking,
    request::{Message, ReasoningContent, ReasoningText, Transcript},
    signatures,
};

pub(super) fn check(model_id: &str, transcript: &Transcript) -> Result<(), BedrockError> {
    for (index, message) in transcript.messages.iter().enumerate() {
        for (block_index, block) in message.content.iter().enumerate() {
            if let Some(reasoning) = &block.reasoning_content {
                let path = format!("messages.{index}.content.{block_index}");
                check_block(model_id, message, &path, reasoning)?;
            }
        }
    }
    check_open_loop(transcript)
}

fn check_block(
    model_id: &str,
    message: &Message,
    path: &str,
    reasoning: &ReasoningContent,
) -> Result<(), BedrockError> {
    let takes_reasoning = match model_family(model_id) {
        ModelFamily::Claude(_) => true,
        ModelFamily::Scripted => is_signed(reasoning),
        ModelFamily::Nova { .. } | ModelFamily::Other(_) => false,
    };
    if message.role != "assistant" || !takes_reasoning {
        // Bedrock says so about messages of the assistant, too.
        return Err(BedrockError::validation(
            "User messages cannot contain reasoning content. Please remove the reasoning content and try again.",
        ));
    }
    check_signature(model_id, path, reasoning)
}

fn is_signed(reasoning: &ReasoningContent) -> bool {
    let signature = reasoning.reasoning_text.as_ref().and_then(|text| text.signature.as_ref());
    reasoning.redacted_content.is_some() || signature.is_some()
}

/// A signature of another model is assumed to be refused.
fn check_signature(model_id: &str, path: &str, reasoning: &ReasoningContent) -> Result<(), BedrockError> {
    let error = match (&reasoning.reasoning_text, &reasoning.redacted_content) {
        (Some(ReasoningText { signature: None, .. }), _) => format!("{path}.thinking.signature: Field required"),
        (Some(ReasoningText { text, signature: Some(signature) }), _)
            if signatures::signature(model_id, text) != *signature =>
        {
            format!("{path}: Invalid `signature` in `thinking` block")
        }
        (None, Some(data)) if !signatures::is_redacted(model_id, data) => {
            format!("{path}: Invalid `data` in `redacted_thinking` block")
        }
        _ => return Ok(()),
    };
    Err(BedrockError::refused_by_model(&error))
}

/// While tools are called, the last message of the assistant must begin with its reasoning. Claude is said to
/// be less strict where it decides itself whether it thinks; here it always does, so this is not.
fn check_open_loop(transcript: &Transcript) -> Result<(), BedrockError> {
    let last = transcript.messages.iter().rposition(|message| message.role == "assistant");
    let Some(index) = last.filter(|index| index + 2 == transcript.messages.len()) else { return Ok(()) };
    let calls = &transcript.messages[index];
    let is_open = calls.tool_uses().next().is_some();
    let begins_with_reasoning = calls.content.first().is_some_and(|block| block.reasoning_content.is_some());
    if !is_open || begins_with_reasoning || !asks_for_thinking(transcript) {
        return Ok(());
    }
    let found = if calls.content.first().is_some_and(|block| block.tool_use.is_some()) { "tool_use" } else { "text" };
    Err(BedrockError::refused_by_model(&format!(
        "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When \
         `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set \
         of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid \
         this requirement, disable `thinking`."
    )))
}
