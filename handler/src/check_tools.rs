//! Checks the tools of an agent before the agent is stored: what APPSYNC_JS resolvers cannot check.
mod graphql;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::{Map, Value};
use turn::{
    request::{CheckToolsRequest, UncheckedTool},
    tool::{GraphqlTool, LambdaTool, ToolEffect, ToolTarget},
};

use crate::{
    function_arn::{AllowedFunctions, FunctionArn},
    graphql_urls::GraphqlUrls,
    tool::HandlerTools,
};

/// The tools that agents may have.
#[derive(Clone, Copy)]
pub struct AllowedTools<'a> {
    pub functions: &'a AllowedFunctions,
    pub urls: &'a GraphqlUrls,
    pub handler_tools: &'a HandlerTools,
}

/// What is wrong with the tools, and the tools with what the check has derived.
#[derive(Debug, PartialEq, Serialize)]
pub struct ToolsCheck {
    /// Empty if the agent may have the tools.
    refusals: Vec<Refusal>,
    /// The tools to store, if none is refused.
    tools: Vec<UncheckedTool>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Refusal {
    /// The member that is refused, such as `tools[0].inputSchema`.
    path: String,
    /// A sentence for the administrator.
    message: String,
}

/// What is wrong with one tool.
#[derive(Default)]
struct ToolRefusals(Vec<(&'static str, String)>);

impl ToolRefusals {
    fn add(&mut self, member: &'static str, message: impl Into<String>) {
        self.0.push((member, message.into()));
    }
}

pub fn check_tools(request: CheckToolsRequest, allowed: AllowedTools<'_>) -> ToolsCheck {
    let mut refusals = Vec::new();
    let mut tools = request.tools;
    for (index, tool) in tools.iter_mut().enumerate() {
        let found = check_tool(tool, allowed).0;
        refusals.extend(
            found.into_iter().map(|(member, message)| Refusal { path: format!("tools[{index}].{member}"), message }),
        );
    }
    if !refusals.is_empty() {
        tools.clear();
    }
    ToolsCheck { refusals, tools }
}

/// Fills in the schema and the effect.
fn check_tool(tool: &mut UncheckedTool, allowed: AllowedTools<'_>) -> ToolRefusals {
    let AllowedTools { functions, urls, handler_tools } = allowed;
    let mut refusals = ToolRefusals::default();
    match &tool.target {
        ToolTarget::Lambda(function) => {
            check_given_schema(tool.input_schema.as_deref(), &mut refusals);
            if let Err(message) = check_function(function, functions) {
                refusals.add("lambda.functionArn", message);
            }
            tool.effect.get_or_insert(ToolEffect::Write);
        }
        ToolTarget::Handler(_) => {
            check_given_schema(tool.input_schema.as_deref(), &mut refusals);
            if !handler_tools.has(name_of(tool)) {
                refusals.add("name", "The handler has no tool of this name.");
            }
            tool.effect.get_or_insert(ToolEffect::Write);
        }
        ToolTarget::Client(_) => {
            check_given_schema(tool.input_schema.as_deref(), &mut refusals);
            tool.effect.get_or_insert(ToolEffect::Write);
        }
        ToolTarget::Graphql(operation) => {
            if let Err(message) = check_url(operation, urls) {
                refusals.add("graphql.url", message);
            }
            match graphql::check_operation(operation, tool.input_schema.as_deref(), urls) {
                Ok(checked) => {
                    tool.input_schema = Some(checked.input_schema);
                    tool.effect = Some(checked.effect);
                }
                Err((member, message)) => refusals.add(member, message),
            }
        }
    }
    refusals
}

fn name_of(tool: &UncheckedTool) -> &str {
    tool.others.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn check_given_schema(schema: Option<&str>, refusals: &mut ToolRefusals) {
    match schema.map(check_schema) {
        Some(Ok(_)) => {}
        Some(Err(message)) => refusals.add("inputSchema", message),
        None => refusals.add("inputSchema", "The schema must be given."),
    }
}

/// Models differ in how much of JSON Schema they accept. All of them refuse a schema that breaks one of these
/// rules. Returns the schema's properties.
fn check_schema(schema: &str) -> Result<Map<String, Value>, &'static str> {
    let mut schema: Map<String, Value> =
        serde_json::from_str(schema).map_err(|_| "The schema must be the JSON text of an object.")?;
    if schema.get("type") != Some(&Value::from("object")) {
        return Err("The schema must have \"type\": \"object\" at its top level.");
    }
    if ["anyOf", "oneOf", "allOf"].iter().any(|keyword| schema.contains_key(*keyword)) {
        return Err("The schema must not have anyOf, oneOf or allOf at its top level.");
    }
    match schema.get("required") {
        None => {}
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => {}
        Some(_) => return Err("The schema's required must be a list of names."),
    }
    let is_schema = |value: &Value| value.is_object() || value.is_boolean();
    match schema.remove("properties") {
        None => Ok(Map::new()),
        Some(Value::Object(properties)) if properties.values().all(is_schema) => Ok(properties),
        Some(_) => Err("The schema's properties must be an object of schemas."),
    }
}

fn check_function(tool: &LambdaTool, allowed: &AllowedFunctions) -> Result<(), &'static str> {
    if FunctionArn::parse(&tool.function_arn).is_none() {
        return Err("This is not the ARN of a Lambda function, or of one of its versions or aliases.");
    }
    if !allowed.allows(&tool.function_arn) {
        return Err("The deployment's parameter ToolFunctionArns does not allow this function.");
    }
    Ok(())
}

fn check_url(tool: &GraphqlTool, urls: &GraphqlUrls) -> Result<(), &'static str> {
    match urls.allowed_url(tool.url.as_deref()) {
        Some(_) => Ok(()),
        None => Err("The deployment's parameter ToolGraphqlUrls does not allow this URL."),
    }
}
