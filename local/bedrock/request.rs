//! The members of a ConverseStream request that validation and scripted answers depend on.
use serde::Deserialize;

use super::bedrock_error::BedrockError;
use crate::object_only::{self, ObjectOnly};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Transcript {
    #[serde(deserialize_with = "object_only::deserialize_list")]
    pub messages: Vec<Message>,
    #[serde(deserialize_with = "object_only::deserialize_list")]
    pub system: Vec<ContentBlock>,
    #[serde(deserialize_with = "object_only::deserialize")]
    pub inference_config: InferenceConfig,
    pub tool_config: Option<serde::de::IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default)]
pub(super) struct Message {
    pub role: String,
    #[serde(deserialize_with = "object_only::deserialize_list")]
    pub content: Vec<ContentBlock>,
}

/// A text, a tool use or a tool result; other kinds of content are not read.
#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContentBlock {
    pub text: Option<String>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub tool_use: Option<ToolReference>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub tool_result: Option<ToolReference>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ToolReference {
    pub tool_use_id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct InferenceConfig {
    pub max_tokens: Option<i64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub stop_sequences: Option<Vec<String>>,
}

impl Transcript {
    pub fn parse(body: &[u8]) -> Result<Self, BedrockError> {
        match serde_json::from_slice(body) {
            Ok(ObjectOnly(transcript)) => Ok(transcript),
            Err(_) => Err(BedrockError::malformed_request()),
        }
    }

    /// The texts of the user, oldest first.
    pub fn questions(&self) -> Vec<&str> {
        let user = self.messages.iter().filter(|message| message.role == "user");
        user.flat_map(|message| &message.content).filter_map(|block| block.text.as_deref()).collect()
    }

    pub fn system_prompt(&self) -> Option<&str> {
        self.system.iter().find_map(|block| block.text.as_deref())
    }

    /// All texts of the system prompt and the messages.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let blocks = self.system.iter().chain(self.messages.iter().flat_map(|message| &message.content));
        blocks.filter_map(|block| block.text.as_deref())
    }
}
