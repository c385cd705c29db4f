//! The refusals that were recorded of models, and the rows of the table that keep them from happening again.
use turn::{
    capabilities::{Capabilities, ReasoningEcho, ReasoningForm, Sampling, ToolIds, ToolSupport, families, of_model},
    model::{PromptCaching, Role},
};

use super::*;

/// A refusal: its text, the models that it was recorded of, and whether a row prevents it.
struct Refused {
    text: &'static str,
    models: &'static [&'static str],
    is_prevented: fn(&Capabilities) -> bool,
}

const REFUSALS: [Refused; 9] = [
    Refused {
        text: "This model doesn't support tool use in streaming mode.",
        models: &[
            "us.meta.llama3-3-70b-instruct-v1:0",
            "us.meta.llama4-scout-17b-instruct-v1:0",
            "mistral.mistral-large-2407-v1:0",
            "us.deepseek.r1-v1:0",
            "us.writer.palmyra-x5-v1:0",
        ],
        is_prevented: |model| model.tools == ToolSupport::Whole,
    },
    Refused {
        text: "messages.1.content: Conversation blocks and tool use blocks cannot be provided in the same turn.",
        models: &["us.meta.llama4-maverick-17b-instruct-v1:0", "mistral.mistral-large-2407-v1:0"],
        is_prevented: |model| !model.mixed_messages,
    },
    Refused {
        text: "Tool use id must match ^[a-zA-Z0-9]{9}$",
        models: &["mistral.mistral-large-2407-v1:0"],
        is_prevented: |model| model.tool_ids == ToolIds::NineAlphanumerics,
    },
    Refused {
        text: "`temperature` is deprecated for this model.",
        models: &[
            "us.anthropic.claude-opus-4-7",
            "us.anthropic.claude-opus-4-8",
            "anthropic.claude-sonnet-5",
            "us.anthropic.claude-opus-5",
            "anthropic.claude-fable-5",
            "anthropic.claude-mythos-5",
        ],
        is_prevented: |model| model.sampling == Sampling::Neither,
    },
    Refused {
        text: "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        models: &[
            "anthropic.claude-opus-4-1-20250805-v1:0",
            "anthropic.claude-opus-4-5-20251101-v1:0",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "anthropic.claude-haiku-4-5-20251001-v1:0",
            "anthropic.claude-sonnet-4-6",
            "anthropic.claude-opus-4-6-v1",
        ],
        is_prevented: |model| model.sampling == Sampling::One,
    },
    Refused {
        text: "You invoked an unsupported model or your request did not allow prompt caching. See the documentation for \
               more information.",
        models: &[
            "us.meta.llama3-3-70b-instruct-v1:0",
            "us.meta.llama4-scout-17b-instruct-v1:0",
            "mistral.mistral-large-2407-v1:0",
            "us.deepseek.r1-v1:0",
            "deepseek.v3-v1:0",
            "qwen.qwen3-32b-v1:0",
            "nvidia.nemotron-super-3-120b",
            "anthropic.claude-3-haiku-20240307-v1:0",
            "anthropic.claude-3-5-sonnet-20240620-v1:0",
            "us.writer.palmyra-x5-v1:0",
            "anthropic.claude-3-5-haiku-20241022-v1:0",
            "anthropic.claude-v2:1",
            "anthropic.claude-next",
            "amazon.nova-unknown-v1:0",
            "moonshotai.kimi-k2.5",
            "openai.gpt-oss-20b-1:0",
            "openai.gpt-5.5",
        ],
        is_prevented: |model| model.cache.is_none(),
    },
    Refused {
        text: "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \
               \"output_config.effort\" to control thinking behavior.",
        models: &["us.anthropic.claude-opus-4-7", "us.anthropic.claude-opus-4-8", "anthropic.claude-sonnet-5"],
        is_prevented: |model| has_form(model, ReasoningForm::Adaptive),
    },
    Refused {
        text: "Malformed input request: extraneous key [thinking] is not permitted",
        models: &[
            "us.amazon.nova-2-lite-v1:0",
            "amazon.nova-pro-v1:0",
            "amazon.nova-lite-v1:0",
            "amazon.nova-micro-v1:0",
        ],
        is_prevented: |model| !has_form(model, ReasoningForm::Budget) && !has_form(model, ReasoningForm::Adaptive),
    },
    Refused {
        text: "User messages cannot contain reasoning content. Please remove the reasoning content and try again.",
        models: &["openai.gpt-oss-120b-1:0", "us.deepseek.r1-v1:0", "deepseek.v3-v1:0", "moonshotai.kimi-k2.5"],
        is_prevented: |model| model.reasoning.is_some_and(|reasoning| reasoning.echo == ReasoningEcho::Never),
    },
];

/// Families of which no refusal was recorded.
const WITHOUT_REFUSALS: [&str; 3] = ["Claude 4", "Claude 3.7 Sonnet", "Claude 3.5 Sonnet v2"];

fn has_form(model: &Capabilities, form: ReasoningForm) -> bool {
    model.reasoning.is_some_and(|reasoning| reasoning.form == form)
}

#[test]
fn every_row_prevents_the_refusals_that_were_recorded_of_its_models() {
    let mut listed: Vec<&str> = WITHOUT_REFUSALS.to_vec();
    for refused in &REFUSALS {
        for model_id in refused.models {
            let model = of_model(model_id);
            assert!((refused.is_prevented)(model), "{model_id}: {}", refused.text);
            listed.push(model.family.as_deref().expect("the model is known"));
        }
    }
    for family in families() {
        let name = family.family.as_deref().expect("a row has a name");
        assert!(listed.contains(&name), "{name} has neither a refusal nor a place among those without");
    }
}

/// A model that is not in the table refuses once, and is then asked without what it refuses.
#[tokio::test]
async fn refusal_of_an_unknown_model_is_learned() {
    for (text, part) in [
        ("`temperature` is deprecated for this model.", "\"temperature\""),
        ("`top_p` is deprecated for this model.", "\"topP\""),
        ("This model doesn't support the stopSequences field.", "\"stopSequences\""),
    ] {
        let server = Server::refusing_part(part, StatusCode::BAD_REQUEST, "ValidationException", text).await;
        for expected in [2, 1] {
            let mut request = ModelRequest { model_id: "new.model".into(), ..model_request(Vec::new(), question()) };
            request.inference = InferenceSettings {
                max_tokens: Some(9),
                temperature: Some(0.5),
                top_p: Some(0.5),
                stop_sequences: Some(vec!["END".into()]),
            };
            request.prompt_caching = PromptCaching::Off;
            assert_eq!(request.transcript[0].role, Role::User);
            server.converse(request).await.unwrap();
            assert_eq!(server.take_paths().len(), expected, "{text}");
        }
    }
}
