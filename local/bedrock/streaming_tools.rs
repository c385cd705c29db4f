//! The models that take no tools in ConverseStream, with Bedrock's message. Converse, without a stream, takes
//! them.
use super::{bedrock_error::BedrockError, request::Transcript};

/// The beginnings of their names, after the region of an inference profile.
const WITHOUT_STREAMED_TOOLS: [&str; 4] = ["meta.llama", "mistral.", "deepseek.r1", "writer."];

/// The model id may be an ARN.
pub(super) fn check(model_id: &str, transcript: &Transcript) -> Result<(), BedrockError> {
    match is_of_family(model_id, &WITHOUT_STREAMED_TOOLS) && transcript.tool_config.is_some() {
        true => Err(BedrockError::validation("This model doesn't support tool use in streaming mode.")),
        false => Ok(()),
    }
}

/// Whether the model's name begins with one of these, after the region of an inference profile. The model id
/// may be an ARN.
pub(super) fn is_of_family(model_id: &str, families: &[&str]) -> bool {
    let name = model_id.rsplit('/').next().unwrap_or(model_id);
    families
        .iter()
        .any(|start| name.starts_with(start) || name.split_once('.').is_some_and(|(_, rest)| rest.starts_with(start)))
}
