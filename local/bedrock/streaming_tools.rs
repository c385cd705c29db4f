//! The models that take no tools in ConverseStream, with Bedrock's message. Converse, without a stream, takes
//! them.
use super::{bedrock_error::BedrockError, request::Transcript};

/// The beginnings of their names, after the region of an inference profile.
const WITHOUT_STREAMED_TOOLS: [&str; 4] = ["meta.llama", "mistral.", "deepseek.r1", "writer."];

/// The model id may be an ARN.
pub(super) fn check(model_id: &str, transcript: &Transcript) -> Result<(), BedrockError> {
    let name = model_id.rsplit('/').next().unwrap_or(model_id);
    let is_without = WITHOUT_STREAMED_TOOLS
        .iter()
        .any(|start| name.starts_with(start) || name.split_once('.').is_some_and(|(_, rest)| rest.starts_with(start)));
    match is_without && transcript.tool_config.is_some() {
        true => Err(BedrockError::validation("This model doesn't support tool use in streaming mode.")),
        false => Ok(()),
    }
}
