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
    /// Members of the model's own, such as how it reasons.
    pub additional_model_request_fields: Option<Value>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub guardrail_config: Option<GuardrailConfig>,
    /// The request as it was sent, if it has cache points.
    #[serde(skip)]
    pub body: Value,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default)]
pub(super) struct Message {
    pub role: String,
    #[serde(deserialize_with = "object_only::deserialize_list")]
    pub content: Vec<ContentBlock>,
}

/// A text, reasoning, a search result, a tool use, a tool result or a cache point; other kinds of content are
/// not read.
#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContentBlock {
    text: Option<String>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub guard_content: Option<GuardContent>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub reasoning_content: Option<ReasoningContent>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub cache_point: Option<CachePoint>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub search_result: Option<SearchResult>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub tool_use: Option<ToolUse>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub tool_result: Option<ToolResult>,
}

/// A text that a guardrail assesses.
#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default)]
pub(super) struct GuardContent {
    #[serde(deserialize_with = "object_only::deserialize")]
    text: GuardText,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default)]
struct GuardText {
    text: String,
}

/// What a model has thought: readable or not.
#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ReasoningContent {
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub reasoning_text: Option<ReasoningText>,
    /// Base64.
    pub redacted_content: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default)]
pub(super) struct ReasoningText {
    pub text: String,
    pub signature: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default)]
pub(super) struct CachePoint {
    pub ttl: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GuardrailConfig {
    /// An id or an ARN.
    pub guardrail_identifier: String,
    pub guardrail_version: String,
    pub trace: Option<String>,
    pub stream_processing_mode: Option<String>,
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
#[serde(rename_all = "camelCase", default)]
pub(super) struct ToolConfig {
    #[serde(deserialize_with = "object_only::deserialize_list")]
    pub tools: Vec<Tool>,
    /// `Null` if the request has none.
    pub tool_choice: Value,
}

/// A tool with a specification, or a cache point; the provider's own tools are not read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Tool {
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub tool_spec: Option<ToolSpec>,
    #[serde(deserialize_with = "object_only::deserialize_option")]
    pub cache_point: Option<CachePoint>,
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
        let Ok(ObjectOnly(mut transcript)) = serde_json::from_slice::<ObjectOnly<Self>>(body) else {
            return Err(BedrockError::malformed_request());
        };
        if transcript.cache_points().next().is_some() {
            transcript.body = serde_json::from_slice(body).map_err(|_| BedrockError::malformed_request())?;
        }
        Ok(transcript)
    }

    /// In the order in which Bedrock processes them.
    pub fn cache_points(&self) -> impl Iterator<Item = &CachePoint> {
        let tools = self.tools().filter_map(|tool| tool.cache_point.as_ref());
        let messages = self.messages.iter().flat_map(|message| &message.content);
        tools.chain(self.system.iter().chain(messages).filter_map(|block| block.cache_point.as_ref()))
    }

    /// The texts of the user, oldest first.
    pub fn questions(&self) -> Vec<&str> {
        let user = self.messages.iter().filter(|message| message.role == "user");
        user.flat_map(|message| &message.content).filter_map(ContentBlock::text).collect()
    }

    pub fn system_prompt(&self) -> Option<&str> {
        self.system.iter().find_map(ContentBlock::text)
    }

    /// The user's last message with a question, and what follows it: calls and their results.
    pub fn split_at_question(&self) -> Option<(&Message, &[Message])> {
        let index = self.messages.iter().rposition(Message::is_question)?;
        Some((&self.messages[index], &self.messages[index + 1..]))
    }

    /// The names of the tools that the model may call.
    pub fn tool_names(&self) -> impl Iterator<Item = &str> {
        self.tool_specs().filter_map(|(_, spec)| spec.name.as_deref())
    }

    /// The specified tools, with their indices in the request.
    pub fn tool_specs(&self) -> impl Iterator<Item = (usize, &ToolSpec)> {
        self.tools().enumerate().filter_map(|(index, tool)| Some((index, tool.tool_spec.as_ref()?)))
    }

    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.tool_config.iter().flat_map(|config| &config.tools)
    }

    /// An estimate of the tokens of the request.
    pub fn input_tokens(&self) -> usize {
        let blocks = self.system.iter().chain(self.messages.iter().flat_map(|message| &message.content));
        blocks.map(ContentBlock::tokens).chain(self.tools().map(Tool::tokens)).sum()
    }
}

impl Message {
    /// Whether a user asks here. The results of tools do not ask.
    pub fn is_question(&self) -> bool {
        self.role == "user" && self.tool_results().next().is_none()
    }

    /// The last text: passages come before it.
    pub fn last_text(&self) -> Option<&str> {
        self.content.iter().rev().find_map(ContentBlock::text)
    }

    pub fn tool_uses(&self) -> impl Iterator<Item = &ToolUse> {
        self.content.iter().filter_map(|block| block.tool_use.as_ref())
    }

    pub fn tool_results(&self) -> impl Iterator<Item = &ToolResult> {
        self.content.iter().filter_map(|block| block.tool_result.as_ref())
    }
}

impl ContentBlock {
    /// Also a text that a guardrail assesses: the model reads both.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref().or(self.guard_content.as_ref().map(|content| content.text.text.as_str()))
    }

    pub fn text_mut(&mut self) -> Option<&mut String> {
        self.text.as_mut().or(self.guard_content.as_mut().map(|content| &mut content.text.text))
    }

    /// An estimate.
    pub fn tokens(&self) -> usize {
        let text = self.text().into_iter().map(count_tokens);
        let reasoning = self.reasoning_content.iter().map(ReasoningContent::tokens);
        let search_result = self.search_result.iter().map(|result| count_tokens(result.text()));
        let tool_use = self.tool_use.iter().map(|tool_use| count_tokens(&tool_use.input.to_string()));
        let results = self.tool_result.iter().flat_map(|result| &result.content).map(|content| content.tokens());
        text.chain(reasoning).chain(search_result).chain(tool_use).chain(results).sum()
    }
}

impl CachePoint {
    /// Whether it lasts an hour.
    pub fn is_long(&self) -> bool {
        self.ttl.as_deref() == Some("1h")
    }
}

impl ReasoningContent {
    fn tokens(&self) -> usize {
        let text = self.reasoning_text.iter().map(|reasoning| &reasoning.text);
        text.chain(&self.redacted_content).map(|text| count_tokens(text)).sum()
    }
}

impl Tool {
    /// An estimate.
    pub fn tokens(&self) -> usize {
        self.tool_spec.as_ref().map_or(0, ToolSpec::tokens)
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
