//! Checks the tools of an agent before the agent is stored: what APPSYNC_JS resolvers cannot check.
mod graphql;
mod input_schema;
mod mcp;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, hash_map::Entry};

use serde::Serialize;
use turn::{
    knowledge_filter::check_filter,
    request::{CheckToolsRequest, GivenTool, UncheckedTool},
    tool::{GraphqlTool, LambdaTool, ToolEffect, ToolTarget},
};

use input_schema::check_schema;
use mcp::{check_listing, name_of, quoted, tools_of_server};

use crate::{
    aws::McpError,
    function_arn::{AllowedFunctions, FunctionArn},
    graphql_urls::GraphqlUrls,
    tool::HandlerTools,
};

pub use mcp::{Listings, ServerListing, list_servers};

/// The most tools of an agent.
const MAX_TOOLS: usize = 32;

/// The tools that agents may have.
#[derive(Clone, Copy)]
pub struct AllowedTools<'a> {
    pub functions: &'a AllowedFunctions,
    pub graphql_urls: &'a GraphqlUrls,
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

/// A member of a tool, such as `graphql.url`, and what is wrong with it.
struct MemberRefusal {
    member: &'static str,
    message: String,
}

impl MemberRefusal {
    fn new(member: &'static str, message: impl Into<String>) -> Self {
        Self { member, message: message.into() }
    }
}

/// What is wrong with one tool.
#[derive(Default)]
struct ToolRefusals(Vec<MemberRefusal>);

impl ToolRefusals {
    fn add(&mut self, member: &'static str, message: impl Into<String>) {
        self.0.push(MemberRefusal::new(member, message));
    }
}

/// `listings`: what the servers among the tools list.
pub fn check_tools(request: CheckToolsRequest, listings: &Listings, allowed: AllowedTools<'_>) -> ToolsCheck {
    let count = tool_count(&request.tools, listings);
    let mut refusals = Vec::new();
    let mut tools = Vec::new();
    let mut indexes_by_name = HashMap::new();
    for (index, given) in request.tools.into_iter().enumerate() {
        let mut found = ToolRefusals::default();
        let new_tools = match given {
            GivenTool::Tool(mut tool) => {
                found = check_tool(&mut tool, allowed);
                vec![tool]
            }
            GivenTool::Server(given) => {
                let listing = listings.get(&index).unwrap_or(&Err(McpError::TimeOver));
                check_listing(&given, listing, &mut found);
                match listing {
                    Ok(listing) if count <= MAX_TOOLS => tools_of_server(&given, listing, &mut found),
                    _ => Vec::new(),
                }
            }
        };
        for tool in new_tools {
            match indexes_by_name.entry(name_of(&tool).to_owned()) {
                Entry::Occupied(earlier) => check_names(&tools[*earlier.get()], &tool, &mut found),
                Entry::Vacant(vacant) => {
                    vacant.insert(tools.len());
                }
            }
            tools.push(tool);
        }
        refusals.extend(
            found
                .0
                .into_iter()
                .map(|MemberRefusal { member, message }| Refusal { path: format!("tools[{index}].{member}"), message }),
        );
    }
    if let Some(Err(message)) = request.filter.as_deref().map(check_filter) {
        refusals.push(Refusal { path: "knowledge.filter".to_owned(), message });
    }
    if count > MAX_TOOLS {
        let message = format!(
            "An agent may have at most {MAX_TOOLS} tools, and with those of its MCP servers it would have {count}. \
             Name the ones that it needs in mcp.tools."
        );
        refusals.push(Refusal { path: "tools".into(), message });
    }
    if !refusals.is_empty() {
        tools.clear();
    }
    ToolsCheck { refusals, tools }
}

/// How many tools the agent would have.
fn tool_count(given: &[GivenTool], listings: &Listings) -> usize {
    let servers = listings.values().flatten().map(ServerListing::count);
    given.iter().filter(|tool| matches!(tool, GivenTool::Tool(_))).count() + servers.sum::<usize>()
}

/// Refuses two tools of the same name, if a server lists one of them. Resolvers have refused others already.
fn check_names(earlier: &UncheckedTool, tool: &UncheckedTool, refusals: &mut ToolRefusals) {
    let is_listed = |tool: &UncheckedTool| matches!(tool.target, ToolTarget::Mcp(_));
    if !is_listed(earlier) && !is_listed(tool) {
        return;
    }
    let [first, second] = [earlier, tool].map(|tool| match &tool.target {
        ToolTarget::Mcp(tool) => format!("the server's tool {}", quoted(&tool.tool_name)),
        _ => "another tool".to_owned(),
    });
    refusals.add("name", format!("The name {} would be that of {first} and of {second}.", name_of(tool)));
}

/// Fills in the schema and the effect.
fn check_tool(tool: &mut UncheckedTool, allowed: AllowedTools<'_>) -> ToolRefusals {
    let AllowedTools { functions, graphql_urls, handler_tools } = allowed;
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
        // Resolvers name every tool, and what has a name and `mcp` is listed as a server.
        ToolTarget::Mcp(_) => refusals.add("mcp", "A tool of a server cannot be given by itself."),
        // The agent has it by its knowledge.
        ToolTarget::Knowledge(_) => refusals.add("name", "The search of documents cannot be given by itself."),
        ToolTarget::Client(_) => {
            check_given_schema(tool.input_schema.as_deref(), &mut refusals);
            tool.effect.get_or_insert(ToolEffect::Write);
        }
        ToolTarget::Graphql(operation) => {
            if let Err(message) = check_url(operation, graphql_urls) {
                refusals.add("graphql.url", message);
            }
            match graphql::check_operation(operation, tool.input_schema.as_deref(), graphql_urls) {
                Ok(checked) => {
                    tool.input_schema = Some(checked.input_schema);
                    tool.effect = Some(checked.effect);
                }
                Err(refusal) => refusals.0.push(refusal),
            }
        }
    }
    refusals
}

fn check_given_schema(schema: Option<&str>, refusals: &mut ToolRefusals) {
    match schema.map(check_schema) {
        Some(Ok(_)) => {}
        Some(Err(message)) => refusals.add("inputSchema", message),
        None => refusals.add("inputSchema", "The schema must be given."),
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
