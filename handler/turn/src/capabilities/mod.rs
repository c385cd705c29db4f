//! What families of models can do, and how their requests differ. `models.json` has the rows, each with its
//! source and the date of the source.
use std::sync::LazyLock;

use serde::Deserialize;

/// What a model can do.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capabilities {
    /// The family's name for people. `None` for a model that is not known.
    pub family: Option<String>,
    /// The beginnings of model names, without the prefix of an inference profile. One without `*` at its end
    /// is followed by `-`, `:` or nothing. The longest that fits counts.
    pub models: Vec<String>,
    pub tools: ToolSupport,
    /// Whether a message may have text beside tool calls, or beside their results.
    pub mixed_messages: bool,
    pub tool_ids: ToolIds,
    /// Whether names of tools may have a hyphen. Agents' tools have none, for any model.
    pub hyphens_in_tool_names: bool,
    /// Whether results of tools have a status.
    pub result_status: bool,
    pub sampling: Sampling,
    /// Whether stop sequences may be blank.
    pub blank_stop_sequences: bool,
    /// `None` for a model that does not reason.
    pub reasoning: Option<ReasoningSupport>,
    /// `None` for a model that takes no cache points.
    pub cache: Option<CacheSupport>,
    /// Whether it takes passages as search results, and cites them itself.
    pub search_results: bool,
    /// The formats of images.
    pub images: Vec<String>,
    /// The formats of documents.
    pub documents: Vec<String>,
    pub context_tokens: Option<u32>,
    /// The largest maxTokens that the model takes. `None` if it is not known.
    pub max_output_tokens: Option<u32>,
    pub source: String,
    pub date: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolSupport {
    /// ConverseStream takes tools.
    Streamed,
    /// Converse alone takes tools: the answers come whole.
    Whole,
    /// The model calls no tools.
    None,
}

/// Which ids of tool calls a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolIds {
    /// All that Bedrock takes.
    Any,
    /// Nine letters and digits.
    NineAlphanumerics,
}

/// Which of temperature and topP a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sampling {
    Both,
    One,
    Neither,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReasoningSupport {
    pub form: ReasoningForm,
    pub echo: ReasoningEcho,
}

/// The member of `additionalModelRequestFields` that asks a model to reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReasoningForm {
    /// `thinking` with a number of tokens.
    Budget,
    /// `thinking` that adapts, and an effort in `output_config`.
    Adaptive,
    /// `reasoningConfig` with an effort.
    NovaEffort,
    /// `reasoning_effort`.
    Effort,
    /// `reasoning` with an effort.
    NestedEffort,
    /// None: the model always reasons, and nothing can be asked of it.
    Always,
}

/// Whether a model gets its reasoning back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReasoningEcho {
    /// Signed or encrypted reasoning, until the answer of which it is a part has ended. All such models let
    /// the reasoning of ended answers be left out.
    Signed,
    /// Never: it refuses reasoning, which it does not sign.
    Never,
}

/// Where a model takes cache points.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CacheSupport {
    /// A cache point after fewer tokens caches nothing. Tools, system prompt and messages count together.
    pub min_tokens: u32,
    pub ttls: Vec<CacheTtl>,
    /// After the tools.
    pub tools: bool,
    /// In messages that have tool calls or their results.
    pub beside_tool_blocks: bool,
}

/// How long a cached text lasts without being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum CacheTtl {
    #[serde(rename = "5m")]
    FiveMinutes,
    #[serde(rename = "1h")]
    OneHour,
}

/// The least of all models: text, and tools as most models take them. A model that refuses tools in a stream
/// says so, and is then asked without a stream.
static UNKNOWN: LazyLock<Capabilities> = LazyLock::new(|| Capabilities {
    family: None,
    models: Vec::new(),
    tools: ToolSupport::Streamed,
    mixed_messages: true,
    tool_ids: ToolIds::Any,
    hyphens_in_tool_names: false,
    result_status: false,
    sampling: Sampling::Both,
    blank_stop_sequences: true,
    reasoning: None,
    cache: None,
    search_results: false,
    images: Vec::new(),
    documents: Vec::new(),
    context_tokens: None,
    max_output_tokens: None,
    source: String::new(),
    date: String::new(),
});

static FAMILIES: LazyLock<Vec<Capabilities>> =
    LazyLock::new(|| serde_json::from_str(include_str!("models.json")).expect("a test parses the table"));

/// Takes a model id, the id of an inference profile, or the ARN of either. An application inference profile
/// does not name its model, so it counts as a model that is not known.
pub fn of_model(model_id: &str) -> &'static Capabilities {
    let name = model_id.rsplit('/').next().unwrap_or(model_id);
    let without_prefix = name.split_once('.').map_or("", |(_, rest)| rest);
    let fit = |name: &str| {
        let patterns = FAMILIES.iter().flat_map(|family| family.models.iter().map(move |pattern| (pattern, family)));
        patterns
            .filter(|(pattern, _)| fits(pattern, name))
            .max_by_key(|(pattern, _)| pattern.trim_end_matches('*').len())
    };
    fit(name).or_else(|| fit(without_prefix)).map_or(&UNKNOWN, |(_, family)| family)
}

/// The rows of the table.
pub fn families() -> &'static [Capabilities] {
    &FAMILIES
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ':'])),
    }
}

impl Capabilities {
    /// Whether an agent's setting decides how much the model thinks.
    pub fn can_be_asked_to_reason(&self) -> bool {
        self.reasoning.is_some_and(|reasoning| reasoning.form != ReasoningForm::Always)
    }
}

impl CacheSupport {
    /// The longest time that the model takes, up to the one that is asked for.
    pub fn ttl(&self, asked: CacheTtl) -> CacheTtl {
        if self.ttls.contains(&asked) { asked } else { CacheTtl::FiveMinutes }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_has_a_source_and_its_own_models() {
        let mut patterns = HashSet::new();
        for family in families() {
            assert!(family.family.is_some() && !family.source.is_empty() && !family.models.is_empty(), "{family:?}");
            assert_eq!(family.date.len(), "2026-11-25".len(), "{family:?}");
            assert!(family.models.iter().all(|pattern| patterns.insert(pattern)), "{family:?}");
        }
    }

    #[test]
    fn model_is_known_by_id_profile_and_arn() {
        for (model_id, family) in [
            ("anthropic.claude-sonnet-5", Some("Claude Sonnet 5")),
            ("global.anthropic.claude-haiku-4-5-20251001-v1:0", Some("Claude Haiku 4.5")),
            ("us.anthropic.claude-opus-4-20250514-v1:0", Some("Claude 4")),
            ("us.anthropic.claude-opus-4-1-20250805-v1:0", Some("Claude Opus 4.1")),
            ("us.anthropic.claude-opus-4-10", Some("Claude Opus 4.8")),
            ("anthropic.claude-sonnet-6-v1:0", Some("Claude Sonnet 5")),
            ("anthropic.claude-3-5-sonnet-20240620-v1:0", Some("Claude 3.5 Sonnet")),
            ("anthropic.claude-3-5-sonnet-20241022-v2:0", Some("Claude 3.5 Sonnet v2")),
            ("us.amazon.nova-2-lite-v1:0", Some("Nova 2")),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/us.deepseek.r1-v1:0", Some("DeepSeek R1")),
            ("us.meta.llama4-scout-17b-instruct-v1:0", Some("Llama 4")),
            ("openai.gpt-oss-20b-1:0", Some("gpt-oss")),
            ("openai.gpt-5.4", Some("GPT")),
            ("arn:aws:bedrock:eu-west-1:111122223333:application-inference-profile/abc", None),
            ("parlance.scripted", None),
            ("", None),
        ] {
            assert_eq!(of_model(model_id).family.as_deref(), family, "{model_id}");
        }
    }
}
