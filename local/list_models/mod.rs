//! The command `parlance models`: which models can answer, what they can do, and which of them the template's
//! grants allow.
mod table;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;
use serde::Serialize;
use turn::capabilities::{CacheTtl, Capabilities, ToolSupport, of_model};

use crate::{
    bedrock::{AwsAccount, FAULTY_MODELS, OfferedModel, may_invoke, offered_models},
    identity::AssumedRole,
    openai_models::{ModelServer, ModelServerAddress, http_client, list_models},
    server::{HANDLER_FUNCTION, Models, local_defaults},
    stack::Stack,
    template::{Deployment, Template, TemplateError, parse_parameter},
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Args)]
pub struct ListModelsOptions {
    #[command(flatten)]
    server: ModelServerAddress,
    /// List the models and inference profiles that Amazon Bedrock offers to your AWS account.
    #[arg(long)]
    bedrock: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Set a template parameter; may be repeated.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parse_parameter)]
    parameters: Vec<(String, String)>,
    /// Folder that holds template.yaml.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// A model that an agent can have as its `modelId`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedModel {
    id: String,
    /// `null` for a model that the table of capabilities does not know.
    family: Option<String>,
    /// Whether the handler's role may call it.
    allowed: bool,
    /// `whole` for a model that takes tools in Converse alone, without a stream.
    tools: &'static str,
    /// Whether an agent's setting decides how much it thinks.
    reasoning: bool,
    /// How long Bedrock caches the beginning of a request: `5m` and `1h`.
    prompt_caching: Vec<&'static str>,
    images: bool,
    documents: bool,
    context_tokens: Option<u32>,
    note: String,
}

/// Prints the models.
pub async fn run(options: ListModelsOptions) -> Result<(), AnyError> {
    let server = options.server.clone().server(Vec::new());
    let (models, listed) = match server {
        Some(server) => (Models::Server(server.clone()), served(&server).await?),
        None if options.bedrock => {
            let offered = offered_models(&AwsAccount::load().await?).await?;
            let with_note = |model: OfferedModel| (model.id.clone(), note_of(&model));
            (Models::Bedrock, offered.into_iter().map(with_note).collect())
        }
        None => (Models::Scripted, Vec::new()),
    };
    let stack = load_stack(&options, &models)?;
    let listed = if models == Models::Scripted { named_models(&stack) } else { listed };
    let role = stack.functions.get(HANDLER_FUNCTION).map(|handler| AssumedRole::new(&handler.role, "models"));
    let is_allowed = |id: &str| role.as_ref().is_some_and(|role| may_invoke(role, id));
    let rows: Vec<ListedModel> =
        listed.into_iter().map(|(id, note)| ListedModel::new(is_allowed(&id), id, note)).collect();
    let text = if options.json { serde_json::to_string_pretty(&rows)? + "\n" } else { table::format(&rows) };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn note_of(model: &OfferedModel) -> String {
    let kind = if model.is_profile { ", profile" } else { "" };
    let lifecycle = if model.is_legacy { ", legacy" } else { "" };
    format!("{}{kind}{lifecycle}", model.name)
}

async fn served(server: &ModelServer) -> Result<Vec<(String, String)>, AnyError> {
    let names = list_models(&http_client()?, server).await?;
    Ok(names.into_iter().map(|name| (name, format!("at {}", server.url))).collect())
}

/// The models of the template's parameters, then the scripted ones.
fn named_models(stack: &Stack) -> Vec<(String, String)> {
    let api = &stack.api.environment;
    let handler = stack.functions.get(HANDLER_FUNCTION).map(|handler| &handler.environment);
    let ids = |text: Option<&String>| -> Vec<String> {
        text.into_iter().flat_map(|text| text.split(',')).map(str::to_owned).collect()
    };
    let named = [
        ("ModelId", ids(api.get("MODEL_ID"))),
        ("FallbackModelIds", ids(api.get("FALLBACK_MODEL_IDS"))),
        ("TitleModelId", ids(handler.and_then(|handler| handler.get("TITLE_MODEL_ID")))),
        ("FoundationModelId", ids(api.get("FOUNDATION_MODEL_ID"))),
        ("MoreModelArns", ids(handler.and_then(|handler| handler.get("MORE_MODEL_ARNS")))),
    ];
    let mut models: Vec<(String, String)> = Vec::new();
    for (parameter, ids) in named {
        for id in ids.into_iter().filter(|id| !matches!(id.as_str(), "" | "none") && !id.contains('*')) {
            if models.iter().all(|(listed, _)| *listed != id) {
                models.push((id, format!("parameter {parameter}")));
            }
        }
    }
    models
        .extend(FAULTY_MODELS.iter().map(|model| (model.model_id.into(), format!("scripted: {}", model.description))));
    models
}

/// The stack as the server would run it with these models.
fn load_stack(options: &ListModelsOptions, models: &Models) -> Result<Stack, TemplateError> {
    let parameters = BTreeMap::from_iter(options.parameters.iter().cloned());
    let deployment =
        Deployment { local_defaults: local_defaults(models), ..Deployment::at("http://localhost", parameters) };
    Template::read(&options.root)?.load(&deployment)
}

impl ListedModel {
    fn new(allowed: bool, id: String, note: String) -> Self {
        let model = of_model(&id);
        let Capabilities { family, tools, cache, images, documents, context_tokens, .. } = model;
        let ttls = cache.iter().flat_map(|cache| &cache.ttls);
        Self {
            family: family.clone(),
            allowed,
            tools: match tools {
                ToolSupport::Streamed => "streamed",
                ToolSupport::Whole => "whole",
                ToolSupport::None => "-",
            },
            reasoning: model.can_be_asked_to_reason(),
            prompt_caching: ttls.map(|ttl| if *ttl == CacheTtl::OneHour { "1h" } else { "5m" }).collect(),
            images: !images.is_empty(),
            documents: !documents.is_empty(),
            context_tokens: *context_tokens,
            note,
            id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(parameters: &[(&str, &str)]) -> ListModelsOptions {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let root = env!("CARGO_MANIFEST_DIR").into();
        ListModelsOptions { server: ModelServerAddress::default(), bedrock: false, json: false, parameters, root }
    }

    /// The ids of the models that the template allows.
    fn allowed(parameters: &[(&str, &str)], models: &Models, ids: &[&str]) -> Vec<String> {
        let stack = load_stack(&options(parameters), models).unwrap();
        let role = AssumedRole::new(&stack.functions[HANDLER_FUNCTION].role, "models");
        ids.iter().filter(|id| may_invoke(&role, id)).map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn grants_of_the_template_decide() {
        let ids = ["us.anthropic.claude-sonnet-5", "eu.amazon.nova-2-lite-v1:0", "parlance.echo"];
        let sonnet = [("ModelId", ids[0])];
        assert_eq!(allowed(&sonnet, &Models::Bedrock, &ids), ids[..1]);
        assert_eq!(allowed(&sonnet, &Models::Scripted, &ids), [ids[0], ids[2]]);
        let server = ModelServer { url: "http://localhost:11434".parse().unwrap(), key: None, names: Vec::new() };
        assert_eq!(allowed(&sonnet, &Models::Server(server), &ids), ids);
    }

    #[test]
    fn models_of_parameters_come_first_and_once() {
        let arn = "arn:aws:bedrock:us-east-1:000000000000:inference-profile/eu.amazon.nova-2-lite-v1:0";
        let parameters = [
            ("ModelId", "us.anthropic.claude-sonnet-5"),
            ("FallbackModelIds", "us.anthropic.claude-sonnet-5,amazon.nova-pro-v1:0"),
            ("TitleModelId", "amazon.nova-micro-v1:0"),
            ("FoundationModelId", "anthropic.claude-sonnet-5"),
            ("MoreModelArns", arn),
        ];
        let stack = load_stack(&options(&parameters), &Models::Scripted).unwrap();
        let models = named_models(&stack);
        let expected = [
            ("us.anthropic.claude-sonnet-5", "parameter ModelId"),
            ("amazon.nova-pro-v1:0", "parameter FallbackModelIds"),
            ("amazon.nova-micro-v1:0", "parameter TitleModelId"),
            ("anthropic.claude-sonnet-5", "parameter FoundationModelId"),
            (arn, "parameter MoreModelArns"),
        ];
        assert_eq!(models[..5], expected.map(|(id, note)| (id.to_owned(), note.to_owned())));
        assert!(models.iter().any(|(id, note)| id == "parlance.echo" && note.starts_with("scripted: ")), "{models:?}");
        let row = ListedModel::new(true, models[0].0.clone(), String::new());
        assert!(row.reasoning && row.images && row.family.as_deref() == Some("Claude Sonnet 5"), "{row:?}");
    }
}
