//! How a request may ask for reasoning, with Bedrock's messages. They were recorded, but for those that are
//! said to be assumed.
use serde_json::{Map, Value};

use super::{
    bedrock_error::BedrockError,
    cache_rules::extraneous_key,
    model_family::{Claude, ModelFamily, model_family},
    request::{InferenceConfig, Transcript},
};

const MIN_BUDGET: i64 = 1_024;
const THINKING_PAGE: &str = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking";
const CLAUDE_KEYS: [&str; 4] = ["anthropic_beta", "output_config", "thinking", "top_k"];
const CLAUDE_EFFORTS: [&str; 5] = ["low", "medium", "high", "xhigh", "max"];
const EFFORTS: [&str; 3] = ["low", "medium", "high"];

type Fields = Map<String, Value>;

pub(super) fn check(model_id: &str, transcript: &Transcript) -> Result<(), BedrockError> {
    let fields = match &transcript.additional_model_request_fields {
        None => return Ok(()),
        Some(Value::Object(fields)) => fields,
        Some(_) => return Err(BedrockError::malformed_request()),
    };
    match model_family(model_id) {
        ModelFamily::Claude(claude) => check_claude(claude, fields, transcript),
        ModelFamily::Nova { generation } => check_nova(generation, fields, &transcript.inference_config),
        ModelFamily::Other(name) => check_other(name, fields),
        ModelFamily::Scripted => Ok(()),
    }
}

fn check_claude(claude: Claude, fields: &Fields, transcript: &Transcript) -> Result<(), BedrockError> {
    check_keys(fields, &CLAUDE_KEYS, "")?;
    check_claude_effort(claude, &fields.get("output_config").cloned().unwrap_or_default())?;
    let Some(thinking) = fields.get("thinking") else { return Ok(()) };
    if claude.version < (3, 7) {
        return refused("thinking: Extra inputs are not permitted");
    }
    match thinking["type"].as_str() {
        // The message is assumed.
        Some("disabled") if ["fable", "mythos"].contains(&claude.line) => {
            return refused("\"thinking.type.disabled\" is not supported for this model.");
        }
        Some("disabled") => return Ok(()),
        Some("enabled") => check_budget(claude, thinking, &transcript.inference_config)?,
        Some("adaptive") => check_adaptive(claude, thinking)?,
        other => {
            let tag = other.unwrap_or_default();
            return refused(&format!(
                "thinking: Input tag '{tag}' found using 'type' does not match any of the expected tags: 'adaptive', \
                 'disabled', 'enabled'"
            ));
        }
    }
    check_sampling(&transcript.inference_config)?;
    check_tool_choice(claude, transcript)
}

fn check_keys(fields: &Fields, known: &[&str], path: &str) -> Result<(), BedrockError> {
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => refused(&format!("{path}{key}: Extra inputs are not permitted")),
    }
}

fn check_claude_effort(Claude { line, version }: Claude, config: &Value) -> Result<(), BedrockError> {
    let effort = &config["effort"];
    if effort.is_null() {
        return Ok(());
    }
    let has_effort = version >= (4, 6) || (line == "opus" && version == (4, 5));
    if !has_effort {
        return refused("This model does not support the effort parameter.");
    }
    match effort.as_str().is_some_and(|effort| CLAUDE_EFFORTS.contains(&effort)) {
        true => Ok(()),
        false => refused("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'"),
    }
}

fn check_budget(claude: Claude, thinking: &Value, config: &InferenceConfig) -> Result<(), BedrockError> {
    if claude.version > (4, 6) {
        return refused(
            "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \
             \"output_config.effort\" to control thinking behavior.",
        );
    }
    check_keys(object(thinking), &["budget_tokens", "display", "type"], "thinking.enabled.")?;
    let Some(budget) = thinking["budget_tokens"].as_i64() else {
        return refused("thinking.enabled.budget_tokens: Field required");
    };
    if budget < MIN_BUDGET {
        return refused(&format!(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to {MIN_BUDGET}"
        ));
    }
    match config.max_tokens.is_some_and(|tokens| tokens <= budget) {
        false => Ok(()),
        true => refused(&format!(
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at \
             {THINKING_PAGE}#max-tokens-and-context-window-size"
        )),
    }
}

fn check_adaptive(claude: Claude, thinking: &Value) -> Result<(), BedrockError> {
    if claude.version < (4, 6) {
        return refused("adaptive thinking is not supported on this model");
    }
    check_keys(object(thinking), &["display", "type"], "thinking.adaptive.")?;
    match thinking["display"].as_str() {
        None | Some("summarized" | "omitted") => Ok(()),
        Some(_) => refused("thinking.adaptive.display: Input should be 'summarized' or 'omitted'"),
    }
}

fn object(value: &Value) -> &Fields {
    static EMPTY: std::sync::LazyLock<Fields> = std::sync::LazyLock::new(Fields::new);
    value.as_object().unwrap_or(&EMPTY)
}

fn check_sampling(config: &InferenceConfig) -> Result<(), BedrockError> {
    let page = format!("{THINKING_PAGE}#important-considerations-when-using-extended-thinking");
    if config.temperature.is_some_and(|temperature| temperature < 1.0) {
        return refused(&format!(
            "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. Please consult our \
             documentation at {page}"
        ));
    }
    match config.top_p.is_some_and(|top_p| top_p < 0.95) {
        false => Ok(()),
        true => refused(&format!(
            "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled or in adaptive mode. Please \
             consult our documentation at {page}"
        )),
    }
}

/// Opus 4.8 and the models of version 5 think before a call that they must make.
fn check_tool_choice(claude: Claude, transcript: &Transcript) -> Result<(), BedrockError> {
    let choice = transcript.tool_config.as_ref().map(|config| &config.tool_choice);
    let is_forced = choice.is_some_and(|choice| !choice["any"].is_null() || !choice["tool"].is_null());
    match is_forced && claude.version < (4, 8) {
        false => Ok(()),
        true => refused("Thinking may not be enabled when tool_choice forces tool use."),
    }
}

fn check_nova(generation: u32, fields: &Fields, config: &InferenceConfig) -> Result<(), BedrockError> {
    if let Some(key) = fields.keys().find(|key| !["inferenceConfig", "reasoningConfig"].contains(&key.as_str())) {
        return Err(extraneous_key("#", key));
    }
    let Some(reasoning) = fields.get("reasoningConfig") else { return Ok(()) };
    let effort = reasoning["maxReasoningEffort"].as_str();
    let is_known = matches!(reasoning["type"].as_str(), Some("enabled" | "disabled"))
        && effort.is_none_or(|effort| EFFORTS.contains(&effort));
    if generation < 2 || !is_known {
        return refused(
            "Malformed input request: the provided reasoning config value is invalid, please reformat your input and try \
             again.",
        );
    }
    let has_limits = config.max_tokens.is_some() || config.temperature.is_some() || config.top_p.is_some();
    match effort == Some("high") && has_limits {
        false => Ok(()),
        // The message is assumed.
        true => refused(
            "Malformed input request: maxTokens, temperature and topP must be unset when maxReasoningEffort is high, \
             please reformat your input and try again.",
        ),
    }
}

/// All messages are assumed, but for their form.
fn check_other(name: &str, fields: &Fields) -> Result<(), BedrockError> {
    if name.starts_with("xai.") {
        return Ok(());
    }
    let is_gpt = name.starts_with("openai.") && !name.starts_with("openai.gpt-oss");
    if is_gpt {
        return match fields.contains_key("reasoning_effort") {
            false => Ok(()),
            true => refused("Unknown parameter: 'reasoning_effort'."),
        };
    }
    let has_effort = name.starts_with("openai.gpt-oss") || name.starts_with("moonshot");
    match fields.iter().find(|(key, _)| !has_effort || *key != "reasoning_effort") {
        Some((key, _)) => Err(extraneous_key("#", key)),
        None if fields.values().all(|effort| effort.as_str().is_some_and(|effort| EFFORTS.contains(&effort))) => Ok(()),
        None => refused("reasoning_effort: Input should be 'low', 'medium' or 'high'"),
    }
}

fn refused(error: &str) -> Result<(), BedrockError> {
    Err(BedrockError::refused_by_model(error))
}
