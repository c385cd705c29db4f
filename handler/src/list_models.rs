//! What models can do, for the list of those that agents can have.
use serde::Serialize;
use serde_json::Value;
use turn::{
    capabilities::{self, CacheTtl, ToolSupport},
    request::ListModelsRequest,
};

/// The most models of a list. Further ones are left out.
const MAX_MODELS: usize = 100;

/// A model in the API.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Model<'a> {
    id: &'a str,
    family: Option<&'a str>,
    tools: bool,
    reasoning: bool,
    prompt_caching: Vec<&'static str>,
    images: bool,
    documents: bool,
    context_tokens: Option<u32>,
}

/// `more`: ARNs that the request does not name. One with `*` names no single model. A model is left out where
/// an inference profile of it is in the list: it is allowed for the profile's sake.
pub fn list_models(request: &ListModelsRequest, more: &[String]) -> Value {
    let named: Vec<&str> = request.model_ids.iter().chain(more).map(String::as_str).collect();
    let mut ids: Vec<&str> = Vec::new();
    for id in named.iter().copied().filter(|id| !id.contains('*') && !has_profile(id, &named)) {
        if ids.len() < MAX_MODELS && !ids.contains(&id) {
            ids.push(id);
        }
    }
    let models: Vec<_> = ids.into_iter().map(model).collect();
    serde_json::to_value(models).expect("texts and numbers always serialize")
}

/// Whether one of the ids or ARNs is of an inference profile of this model, such as `eu.MODEL`.
fn has_profile(id: &str, named: &[&str]) -> bool {
    let model = model_name(id);
    named.iter().any(|other| model_name(other).split_once('.').is_some_and(|(_, profiled)| profiled == model))
}

fn model_name(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

fn model(id: &str) -> Model<'_> {
    let known = capabilities::of_model(id);
    let cached_for = |ttl: CacheTtl| known.cache.as_ref().is_some_and(|cache| cache.ttls.contains(&ttl));
    let caching = [("FIVE_MINUTES", CacheTtl::FiveMinutes), ("ONE_HOUR", CacheTtl::OneHour)];
    Model {
        id,
        family: known.family.as_deref(),
        tools: known.tools != ToolSupport::None,
        reasoning: known.can_be_asked_to_reason(),
        prompt_caching: caching.into_iter().filter(|(_, ttl)| cached_for(*ttl)).map(|(name, _)| name).collect(),
        images: !known.images.is_empty(),
        documents: !known.documents.is_empty(),
        context_tokens: known.context_tokens,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn list_has_what_the_table_knows() {
        let model_ids = ["eu.anthropic.claude-sonnet-5", "unknown", "anthropic.claude-v2:1"].map(str::to_owned).into();
        let expected = json!([
            {
                "id": "eu.anthropic.claude-sonnet-5", "family": "Claude Sonnet 5", "tools": true, "reasoning": true,
                "promptCaching": ["FIVE_MINUTES", "ONE_HOUR"], "images": true, "documents": true,
                "contextTokens": 1_000_000
            },
            {
                "id": "unknown", "family": null, "tools": true, "reasoning": false, "promptCaching": [],
                "images": false, "documents": false, "contextTokens": null
            },
            {
                "id": "anthropic.claude-v2:1", "family": "Claude 2", "tools": false, "reasoning": false,
                "promptCaching": [], "images": false, "documents": false, "contextTokens": 100_000
            },
        ]);
        let more = [
            "unknown",
            "arn:aws:bedrock:*::foundation-model/*",
            "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-sonnet-5",
            "arn:aws:bedrock:eu-north-1::foundation-model/anthropic.claude-sonnet-5",
        ]
        .map(str::to_owned);
        assert_eq!(list_models(&ListModelsRequest { model_ids }, &more), expected);
    }
}
