//! What each role of the template may do, and that the laptop edition holds them to it.
mod enforcement;
mod rights;
mod statements;

use std::path::Path;

use local::{
    stack::Stack,
    template::{self, Deployment},
};
use serde_json::Value;

/// As it comes; with everything off that can be; with everything on that a laptop has.
const EXTREMES: [&[(&str, &str)]; 3] = [
    &[],
    &[
        ("ApiKeyAccess", "false"),
        ("IamAccess", "false"),
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
    ],
];

fn deployed(parameters: &[(&str, &str)]) -> Stack {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let deployment = Deployment::at("http://localhost:4000", parameters);
    template::load(Path::new(env!("CARGO_MANIFEST_DIR")), &deployment).expect("the template loads")
}

/// One text, or a list of them.
fn texts(value: &Value) -> Vec<&str> {
    let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    all.iter().filter_map(Value::as_str).collect()
}
