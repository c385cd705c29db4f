//! What a ConverseStream request asks, as far as a scripted answer depends on it.
use serde::Deserialize;

use super::refusal::Refusal;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Transcript {
    pub messages: Vec<TranscriptMessage>,
    pub system: Vec<Block>,
    pub inference_config: Inference,
    pub tool_config: Option<serde::de::IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default)]
pub(super) struct TranscriptMessage {
    pub role: String,
    pub content: Vec<Block>,
}

/// A block of content: its text, the tool use that it is about, or neither for a kind that no rule here reads.
#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Block {
    pub text: Option<String>,
    pub tool_use: Option<ToolReference>,
    pub tool_result: Option<ToolReference>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ToolReference {
    pub tool_use_id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Inference {
    pub max_tokens: Option<i64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub stop_sequences: Option<Vec<String>>,
}

impl Transcript {
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|_| Refusal::malformed())
    }

    /// The texts of the user, oldest first.
    pub fn questions(&self) -> Vec<&str> {
        let user = self.messages.iter().filter(|message| message.role == "user");
        user.flat_map(|message| &message.content).filter_map(|block| block.text.as_deref()).collect()
    }

    pub fn system_prompt(&self) -> Option<&str> {
        self.system.iter().find_map(|block| block.text.as_deref())
    }

    /// Every text that the model is given.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let blocks = self.system.iter().chain(self.messages.iter().flat_map(|message| &message.content));
        blocks.filter_map(|block| block.text.as_deref())
    }
}
