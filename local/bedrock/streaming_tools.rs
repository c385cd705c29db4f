//! The models that take no tools in ConverseStream, with Bedrock's message. Converse, without a stream, takes
//! them.
use super::{bedrock_error::BedrockError, model_family::is_of_family, request::Transcript};

/// The beginnings of their names, after the region of an inference profile.
const WITHOUT_STREAMED_TOOLS: [&str; 4] = ["meta.llama", "mistral.", "deepseek.r1", "writer."];

/// The model id may be an ARN.
pub(super) fn check(model_id: &str, transcript: &Transcript) -> Result<(), BedrockError> {
    match is_of_family(model_id, &WITHOUT_STREAMED_TOOLS) && transcript.tool_config.is_some() {
        true => Err(BedrockError::validation("This model doesn't support tool use in streaming mode.")),
        false => Ok(()),
    }
}
