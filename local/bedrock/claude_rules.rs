//! The requests that Claude refuses, with its messages. Claude 4.5 and later, and Opus 4.1, take temperature
//! or topP, not both; Opus 4.7 and later, Sonnet 5 and later, Fable and Mythos take neither; none takes a
//! blank stop sequence. Tool results must come first in their message. The messages were recorded, but for
//! the order of the checks.
use std::collections::BTreeSet;

use api::text::is_blank;

use super::{
    bedrock_error::BedrockError,
    model_family::{Claude, ModelFamily, model_family},
    request::{InferenceConfig, Message, Transcript},
};

pub(super) fn check(model_id: &str, transcript: &Transcript) -> Result<(), BedrockError> {
    if !model_id.contains("anthropic.claude-") {
        return Ok(());
    }
    let version = match model_family(model_id) {
        ModelFamily::Claude(claude) => claude,
        _ => Claude { line: "", version: (0, 0) },
    };
    check_settings(version, &transcript.inference_config)?;
    check_tool_names(transcript)?;
    let messages = transcript.messages.windows(2).enumerate();
    for (index, pair) in messages {
        if let [uses, results] = pair {
            check_results_first(index + 1, uses, results)?;
        }
    }
    Ok(())
}

fn check_settings(Claude { line, version }: Claude, config: &InferenceConfig) -> Result<(), BedrockError> {
    let takes_neither = match line {
        "opus" => version >= (4, 7),
        "sonnet" => version.0 >= 5,
        "fable" | "mythos" => true,
        _ => false,
    };
    let takes_one = version >= (4, 5) || (line, version) == ("opus", (4, 1));
    let blank_stop_sequence = config.stop_sequences.iter().flatten().any(|text| is_blank(text));
    let error = match (config.temperature, config.top_p) {
        (Some(_), _) if takes_neither => "`temperature` is deprecated for this model.",
        (_, Some(_)) if takes_neither => "`top_p` is deprecated for this model.",
        (Some(_), Some(_)) if takes_one => {
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        }
        _ if blank_stop_sequence => "stop_sequences: each stop sequence must contain non-whitespace",
        _ => return Ok(()),
    };
    Err(BedrockError::refused_by_model(error))
}

/// Recorded from Anthropic's own API, and assumed for Bedrock.
fn check_tool_names(transcript: &Transcript) -> Result<(), BedrockError> {
    let mut seen = BTreeSet::new();
    match transcript.tool_names().all(|name| seen.insert(name)) {
        true => Ok(()),
        false => Err(BedrockError::refused_by_model("tools: Tool names must be unique.")),
    }
}

/// The message after tool uses begins with their results. Its index is given.
fn check_results_first(index: usize, uses: &Message, results: &Message) -> Result<(), BedrockError> {
    let uses = uses.tool_uses().count();
    let leading_results = results.content.iter().take_while(|block| block.tool_result.is_some()).count();
    if leading_results >= uses {
        return Ok(());
    }
    let missing = uses - leading_results;
    Err(BedrockError::refused_by_model(&format!(
        "messages.{index}: Did not find {missing} tool_result block(s) at the beginning of this message. Messages following \
         tool_use blocks must begin with a matching number of tool_result blocks."
    )))
}
