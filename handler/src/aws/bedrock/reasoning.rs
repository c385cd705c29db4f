//! How a model is asked to reason, in the form of its family.
use api::types::InferenceSettings;
use serde_json::{Value, json};
use turn::{
    capabilities::{Capabilities, ReasoningEcho, ReasoningForm},
    model::{ReasoningEffort, ReasoningSettings, Role, TranscriptBlock, TranscriptMessage},
};

/// Parts of a message that refuses what asks for reasoning. The texts of Claude and Nova were recorded
/// (earendil-works/pi#7081 and an AWS study of September 2026).
const REFUSALS: [&str; 8] = [
    "Thinking",
    "thinking",
    "reasoning",
    "output_config",
    "extraneous key",
    "Extra inputs are not permitted",
    "additionalModelRequestFields",
    "additional_model_request_fields",
];

/// Claude takes no smaller budget.
const MIN_BUDGET_TOKENS: u32 = 1024;
/// The room for text where the agent has no maxTokens, which must be larger than the budget.
const MIN_TEXT_TOKENS: u32 = 4096;

/// What asks a model to reason.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReasoningRequest {
    /// `additionalModelRequestFields`.
    pub fields: Value,
    /// The settings that fit: all models count the reasoning as a part of the answer, so its tokens are added
    /// to maxTokens, up to the largest answer that the model gives.
    pub inference: InferenceSettings,
}

impl ReasoningRequest {
    /// `None` for a model that cannot be asked.
    pub fn new(settings: ReasoningSettings, inference: &InferenceSettings, model: &Capabilities) -> Option<Self> {
        let form = model.reasoning?.form;
        let effort = settings.effort.unwrap_or(ReasoningEffort::Medium);
        let budget = settings.budget_tokens.unwrap_or(budget_of(effort));
        let budget = budget.min(room_for_thinking(inference, model));
        let max_tokens = inference.max_tokens.map(|tokens| tokens.saturating_add(budget));
        let max_tokens = max_tokens.map(|tokens| tokens.min(max_output(model)));
        let inference = InferenceSettings { max_tokens, ..inference.clone() };
        // Claude takes neither while it reasons.
        let without_sampling = || InferenceSettings { temperature: None, top_p: None, ..inference.clone() };
        let effort_name = effort_name(effort);
        let (fields, inference) = match form {
            ReasoningForm::Budget => {
                (json!({ "thinking": { "type": "enabled", "budget_tokens": budget } }), without_sampling())
            }
            ReasoningForm::Adaptive => {
                let thinking = json!({ "type": "adaptive", "display": "summarized" });
                (json!({ "thinking": thinking, "output_config": { "effort": effort_name } }), without_sampling())
            }
            ReasoningForm::NovaEffort => {
                let config = json!({ "type": "enabled", "maxReasoningEffort": effort_name });
                let inference = match effort {
                    ReasoningEffort::High => InferenceSettings { max_tokens: None, ..without_sampling() },
                    ReasoningEffort::Low | ReasoningEffort::Medium => inference,
                };
                (json!({ "reasoningConfig": config }), inference)
            }
            ReasoningForm::Effort => (json!({ "reasoning_effort": effort_name }), inference),
            ReasoningForm::NestedEffort => (json!({ "reasoning": { "effort": effort_name } }), inference),
            ReasoningForm::Always => return None,
        };
        Some(Self { fields, inference })
    }
}

/// Whether a message may be a refusal of what asks for reasoning.
pub(super) fn refuses_reasoning(message: &str) -> bool {
    REFUSALS.iter().any(|part| message.contains(part))
}

/// Whether a message is about the reasoning that the transcript has, and not about what asks for it: another
/// transcript may be accepted.
pub(super) fn is_about_transcript(message: &str) -> bool {
    message.contains("messages.") || message.contains("latest assistant message")
}

/// Whether the model gets this reasoning back.
pub(super) fn is_echoed(block: &TranscriptBlock, model: &Capabilities) -> bool {
    let TranscriptBlock::Reasoning(reasoning) = block else { return true };
    let is_signed = reasoning.signature.is_some() || reasoning.redacted.is_some();
    is_signed && model.reasoning.is_some_and(|reasoning| reasoning.echo == ReasoningEcho::Signed)
}

/// Whether the model may be asked to reason: where it has called tools in the answer that goes on, it wants
/// its own reasoning before the last calls.
pub(super) fn may_reason(transcript: &[TranscriptMessage], model: &Capabilities) -> bool {
    let wants_echo = model.reasoning.is_some_and(|reasoning| reasoning.echo == ReasoningEcho::Signed);
    let Some((last, earlier)) = transcript.split_last() else { return true };
    let is_result = |block: &TranscriptBlock| {
        matches!(block, TranscriptBlock::ToolResult { .. } | TranscriptBlock::FoundSearchResults { .. })
    };
    let is_open = last.role == Role::User && last.content.iter().any(is_result);
    if !wants_echo || !is_open {
        return true;
    }
    let calls = earlier.last().and_then(|message| message.content.first());
    matches!(calls, Some(TranscriptBlock::Reasoning(_)))
}

/// What maxTokens leaves of the model's largest answer, in tokens.
fn room_for_thinking(inference: &InferenceSettings, model: &Capabilities) -> u32 {
    max_output(model).saturating_sub(inference.max_tokens.unwrap_or(MIN_TEXT_TOKENS)).max(MIN_BUDGET_TOKENS)
}

fn max_output(model: &Capabilities) -> u32 {
    model.max_output_tokens.unwrap_or(u32::MAX)
}

/// In tokens. From 1,024 on Claude takes any number.
fn budget_of(effort: ReasoningEffort) -> u32 {
    match effort {
        ReasoningEffort::Low => 4_096,
        ReasoningEffort::Medium => 16_384,
        ReasoningEffort::High => 32_768,
    }
}

fn effort_name(effort: ReasoningEffort) -> &'static str {
    match effort {
        ReasoningEffort::Low => "low",
        ReasoningEffort::Medium => "medium",
        ReasoningEffort::High => "high",
    }
}

#[cfg(test)]
mod tests {
    use turn::capabilities::of_model;

    use super::*;

    fn request(model_id: &str, effort: ReasoningEffort) -> Option<(Value, Option<u32>, Option<f64>)> {
        let settings = ReasoningSettings { effort: Some(effort), budget_tokens: None };
        let inference =
            InferenceSettings { max_tokens: Some(1000), temperature: Some(0.5), ..InferenceSettings::default() };
        let ReasoningRequest { fields, inference } = ReasoningRequest::new(settings, &inference, of_model(model_id))?;
        Some((fields, inference.max_tokens, inference.temperature))
    }

    /// The forms that models are recorded to take.
    #[test]
    fn each_family_is_asked_in_its_own_form() {
        use ReasoningEffort::{High, Low, Medium};
        let budget = |tokens: u32| json!({ "thinking": { "type": "enabled", "budget_tokens": tokens } });
        let adaptive = |effort: &str| {
            json!({
                "thinking": { "type": "adaptive", "display": "summarized" },
                "output_config": { "effort": effort }
            })
        };
        let nova = |effort: &str| json!({ "reasoningConfig": { "type": "enabled", "maxReasoningEffort": effort } });
        for (model_id, effort, expected) in [
            ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", Low, Some((budget(4096), Some(5096), None))),
            ("anthropic.claude-haiku-4-5-20251001-v1:0", High, Some((budget(32_768), Some(33_768), None))),
            ("openai.gpt-5.4", High, Some((json!({ "reasoning": { "effort": "high" } }), Some(33_768), Some(0.5)))),
            ("us.anthropic.claude-opus-4-6-v1", Medium, Some((adaptive("medium"), Some(17_384), None))),
            ("anthropic.claude-sonnet-5", High, Some((adaptive("high"), Some(33_768), None))),
            ("us.amazon.nova-2-lite-v1:0", Low, Some((nova("low"), Some(5096), Some(0.5)))),
            ("us.amazon.nova-2-lite-v1:0", High, Some((nova("high"), None, None))),
            ("openai.gpt-oss-20b-1:0", Low, Some((json!({ "reasoning_effort": "low" }), Some(5096), Some(0.5)))),
            ("openai.gpt-5.5", Low, Some((json!({ "reasoning": { "effort": "low" } }), Some(5096), Some(0.5)))),
            ("us.deepseek.r1-v1:0", High, None),
            ("amazon.nova-pro-v1:0", High, None),
            ("us.meta.llama3-3-70b-instruct-v1:0", High, None),
            ("unknown", High, None),
        ] {
            assert_eq!(request(model_id, effort), expected, "{model_id} {effort:?}");
        }
    }

    #[test]
    fn model_is_asked_for_no_larger_answer_than_it_gives() {
        let request = |model_id: &str, budget_tokens, max_tokens| {
            let settings = ReasoningSettings { effort: None, budget_tokens: Some(budget_tokens) };
            let inference = InferenceSettings { max_tokens, ..InferenceSettings::default() };
            let ReasoningRequest { fields, inference } =
                ReasoningRequest::new(settings, &inference, of_model(model_id)).unwrap();
            (fields["thinking"]["budget_tokens"].as_u64(), inference.max_tokens)
        };
        let haiku = "anthropic.claude-haiku-4-5-20251001-v1:0";
        for (model_id, budget_tokens, max_tokens, expected) in [
            (haiku, 16_384, Some(47_616), (Some(16_384), Some(64_000))),
            (haiku, 16_384, Some(50_000), (Some(14_000), Some(64_000))),
            (haiku, 16_384, Some(63_500), (Some(1_024), Some(64_000))),
            (haiku, 16_384, Some(70_000), (Some(1_024), Some(64_000))),
            (haiku, 128_000, None, (Some(59_904), None)),
            ("anthropic.claude-sonnet-5", 128_000, Some(4_096), (None, Some(128_000))),
            ("us.anthropic.claude-opus-4-1-20250805-v1:0", 128_000, Some(4_096), (Some(128_000), Some(132_096))),
        ] {
            assert_eq!(request(model_id, budget_tokens, max_tokens), expected, "{model_id} {max_tokens:?}");
        }
    }

    #[test]
    fn recorded_refusals_are_about_reasoning() {
        for (message, is_about_transcript_too) in [
            (
                "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \
                 \"output_config.effort\" to control thinking behavior.",
                false,
            ),
            ("Malformed input request: extraneous key [thinking] is not permitted", false),
            ("thinking: Extra inputs are not permitted", false),
            ("Thinking may not be enabled when tool_choice forces tool use", false),
            ("messages.1.content.0.thinking.signature: Field required", true),
            ("messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`.", true),
            ("thinking or redacted_thinking blocks in the latest assistant message cannot be modified", true),
        ] {
            assert!(refuses_reasoning(message), "{message}");
            assert_eq!(is_about_transcript(message), is_about_transcript_too, "{message}");
        }
        assert!(!refuses_reasoning("Input is too long for requested model."));
    }
}
