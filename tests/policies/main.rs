//! The permissions of the template's roles, and their enforcement by the local server.
mod chat_page;
mod enforcement;
mod entry_points;
mod knowledge;
mod permissions;
#[path = "../support/repository_template.rs"]
mod repository_template;
mod statements;

use local::{stack::Stack, template::Deployment};
use repository_template::TEMPLATE;
use serde_json::Value;

/// The default parameters; every option off but IAM access, without which nobody may call; every option on
/// that the local server supports.
const PARAMETER_SETS: [&[(&str, &str)]; 3] = [
    &[],
    &[
        ("ApiKeyAccess", "false"),
        ("MessagesPerMinute", "0"),
        ("TokensPerDay", "0"),
        ("QueryDepth", "0"),
        ("ResolverCount", "0"),
        ("Introspection", "DISABLED"),
    ],
    &[
        ("ApiKeyListing", "true"),
        ("UserPool", "create"),
        ("OidcIssuer", "https://issuer.example"),
        ("OidcClientPattern", "web|phone"),
        ("HandlerReservedConcurrency", "10"),
        ("CloserReservedConcurrency", "2"),
        ("MoreModelArns", "arn:aws:bedrock:*::foundation-model/parlance.*"),
        ("FallbackModelIds", "us.amazon.nova-pro-v1:0,amazon.nova-lite-v1:0"),
        ("TitleModelId", "us.amazon.nova-micro-v1:0"),
        ("GuardrailId", "a1b2c3d4e5f6"),
        ("ToolFunctionArns", "arn:aws:lambda:us-east-1:000000000000:function:tool-*"),
        ("Knowledge", "create"),
        ("OneShotRetrieveAndGenerate", "true"),
        ("RerankModelArn", "arn:aws:bedrock:us-east-1::foundation-model/cohere.rerank-v3-5:0"),
        ("ChatPage", "true"),
    ],
];

fn load_stack(parameters: &[(&str, &str)]) -> Stack {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let deployment = Deployment::at("http://localhost:4000", parameters);
    TEMPLATE.load(&deployment).expect("the template loads")
}

/// The texts of a string or a list of strings.
fn to_texts(value: &Value) -> Vec<&str> {
    let texts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    texts.iter().filter_map(Value::as_str).collect()
}
