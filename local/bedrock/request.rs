//! The members of a ConverseStream request that validation and scripted answers depend on.
use serde::Deserialize;
use serde_json::Value;

use super::{bedrock_error::BedrockError, canned_text::count_tokens};
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
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub tool_config: Option<ToolConfig>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default)]
pub(super) struct Message {
    pub role: String,
    #[serde(deserialize_with = "object_only::deserialize_list")]
    pub content: Vec<ContentBlock>,
}

/// A text, a search result, a tool use or a tool result; other kinds of content are not read.
#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContentBlock {
    pub text: Option<String>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub search_result: Option<SearchResult>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub tool_use: Option<ToolUse>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub tool_result: Option<ToolResult>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default)]
pub(super) struct SearchResult {
    pub source: Option<String>,
    pub title: Option<String>,
    #[serde(deserialize_with = "object_only::deserialize_list")]
    pub content: Vec<SearchResultContent>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub citations: Option<CitationsConfig>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default)]
pub(super) struct CitationsConfig {
    pub enabled: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default)]
pub(super) struct SearchResultContent {
    pub text: String,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ToolUse {
    pub tool_use_id: Option<String>,
    pub name: Option<String>,
    /// `Null` if the request has none.
    pub input: Value,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ToolResult {
    pub tool_use_id: Option<String>,
    #[serde(deserialize_with = "object_only::deserialize_list")]
    pub content: Vec<ToolResultContent>,
    pub status: Option<String>,
}

/// A text, a JSON document or a search result; other kinds of content are not read.
#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ToolResultContent {
    pub text: Option<String>,
    pub json: Option<Value>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub search_result: Option<SearchResult>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ToolConfig {
    #[serde(deserialize_with = "object_only::deserialize_list")]
    pub tools: Vec<Tool>,
}

/// A tool with a specification; cache points and the provider's own tools are not read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Tool {
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub tool_spec: Option<ToolSpec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ToolSpec {
    pub name: Option<String>,
    pub description: Option<String>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub input_schema: Option<ToolInputSchema>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ToolInputSchema {
    pub json: Value,
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

    /// The names of the tools that the model may call.
    pub fn tool_names(&self) -> impl Iterator<Item = &str> {
        self.tool_specs().filter_map(|(_, spec)| spec.name.as_deref())
    }

    /// The specified tools, with their indices in the request.
    pub fn tool_specs(&self) -> impl Iterator<Item = (usize, &ToolSpec)> {
        let tools = self.tool_config.iter().flat_map(|config| &config.tools).enumerate();
        tools.filter_map(|(index, tool)| Some((index, tool.tool_spec.as_ref()?)))
    }

    /// An estimate of the tokens of the request.
    pub fn input_tokens(&self) -> usize {
        let blocks = self.system.iter().chain(self.messages.iter().flat_map(|message| &message.content));
        let tools = self.tool_specs().map(|(_, spec)| spec.tokens());
        blocks.map(ContentBlock::tokens).chain(tools).sum()
    }
}

impl Message {
    pub fn tool_uses(&self) -> impl Iterator<Item = &ToolUse> {
        self.content.iter().filter_map(|block| block.tool_use.as_ref())
    }

    pub fn tool_results(&self) -> impl Iterator<Item = &ToolResult> {
        self.content.iter().filter_map(|block| block.tool_result.as_ref())
    }
}

impl ContentBlock {
    fn tokens(&self) -> usize {
        let text = self.text.iter().map(|text| count_tokens(text));
        let search_result = self.search_result.iter().map(|result| count_tokens(result.text()));
        let tool_use = self.tool_use.iter().map(|tool_use| count_tokens(&tool_use.input.to_string()));
        let results = self.tool_result.iter().flat_map(|result| &result.content).map(|content| content.tokens());
        text.chain(search_result).chain(tool_use).chain(results).sum()
    }
}

impl SearchResult {
    /// The handler sends one text.
    pub fn text(&self) -> &str {
        self.content.first().map_or("", |content| &content.text)
    }

    pub fn is_blank(&self) -> bool {
        self.content.iter().all(|content| api::text::is_blank(&content.text))
    }

    pub fn has_citations(&self) -> bool {
        self.citations.as_ref().is_some_and(|citations| citations.enabled)
    }
}

impl ToolResultContent {
    fn tokens(&self) -> usize {
        self.as_text().map_or(0, |text| count_tokens(&text))
    }

    /// The text, the document as JSON text, or the text of the search result.
    pub fn as_text(&self) -> Option<String> {
        let search_result = || self.search_result.as_ref().map(|result| result.text().to_owned());
        let json = || self.json.as_ref().map(Value::to_string);
        self.text.clone().or_else(json).or_else(search_result)
    }
}

impl ToolUse {
    pub fn id(&self) -> &str {
        self.tool_use_id.as_deref().unwrap_or_default()
    }
}

impl ToolResult {
    pub fn id(&self) -> &str {
        self.tool_use_id.as_deref().unwrap_or_default()
    }

    pub fn is_error(&self) -> bool {
        self.status.as_deref() == Some("error")
    }
}

impl ToolSpec {
    fn tokens(&self) -> usize {
        let schema = self.input_schema.iter().map(|schema| count_tokens(&schema.json.to_string()));
        let texts = [&self.name, &self.description].into_iter().flatten().map(|text| count_tokens(text));
        texts.chain(schema).sum()
    }
}
