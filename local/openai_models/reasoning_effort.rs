//! How much a model shall think, in the forms of the families of models.
use serde_json::Value;

/// The largest number of tokens to think with that is a low effort, and that is a medium one: the handler
/// asks for these.
const LOW_BUDGET_TOKENS: u64 = 4096;
const MEDIUM_BUDGET_TOKENS: u64 = 16_384;

/// As `reasoning_effort` of chat completions has it. `fields` are those that the family of the model has for
/// itself, and `output` is `outputConfig` of Converse.
pub(super) fn reasoning_effort(fields: &Value, output: &Value) -> Option<&'static str> {
    let efforts = [
        &fields["reasoning_effort"],
        &fields["reasoning"]["effort"],
        &fields["output_config"]["effort"],
        &fields["reasoningConfig"]["maxReasoningEffort"],
        &output["effort"],
    ];
    let effort = efforts.into_iter().find_map(Value::as_str).and_then(|effort| match effort {
        "minimal" | "low" => Some("low"),
        "medium" => Some("medium"),
        "high" | "xhigh" | "max" => Some("high"),
        _ => None,
    });
    effort.or_else(|| fields["thinking"]["budget_tokens"].as_u64().map(effort_of_budget))
}

fn effort_of_budget(tokens: u64) -> &'static str {
    match tokens {
        ..=LOW_BUDGET_TOKENS => "low",
        ..=MEDIUM_BUDGET_TOKENS => "medium",
        _ => "high",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_family_has_its_own_form() {
        let none = json!({});
        for (fields, expected) in [
            (json!({ "reasoning_effort": "medium" }), Some("medium")),
            (json!({ "reasoning": { "effort": "low" } }), Some("low")),
            (json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": "max" } }), Some("high")),
            (json!({ "reasoningConfig": { "type": "enabled", "maxReasoningEffort": "high" } }), Some("high")),
            (json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } }), Some("low")),
            (json!({ "thinking": { "type": "enabled", "budget_tokens": 16_384 } }), Some("medium")),
            (json!({ "thinking": { "type": "disabled" } }), None),
            (json!({ "top_k": 5 }), None),
            (json!({ "reasoning_effort": "utmost" }), None),
            (Value::Null, None),
        ] {
            assert_eq!(reasoning_effort(&fields, &none), expected, "{fields}");
        }
        assert_eq!(reasoning_effort(&none, &json!({ "effort": "low" })), Some("low"));
    }
}
