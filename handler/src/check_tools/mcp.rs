//! Makes tools of an agent from what an MCP server lists.
use std::{borrow::Cow, collections::HashMap};

use api::text::is_blank;
use futures::future::join_all;
use rmcp::model::Tool;
use serde_json::{Map, Value};
use turn::{
    request::{GivenServer, GivenTool, UncheckedTool},
    tool::{McpTool, ToolEffect, ToolTarget},
};

use super::{ToolRefusals, input_schema};
use crate::aws::{McpError, McpServers};

const MAX_NAME_LENGTH: usize = 64;
const MAX_TITLE_LENGTH: usize = 200;
const MAX_DESCRIPTION_LENGTH: usize = 4000;
/// How much of a server's name for a tool a refusal quotes.
const MAX_QUOTED_LENGTH: usize = 100;
const NOT_MCP: &str = "The server does not answer by the Model Context Protocol with Streamable HTTP.";

/// What the MCP servers among the given tools list, by their indexes.
pub type Listings = HashMap<usize, Result<Vec<Tool>, McpError>>;

/// Asks all servers at the same time. `servers` is `None` where nothing is allowed.
pub async fn list_servers(tools: &[GivenTool], servers: Option<&McpServers>) -> Listings {
    let listings = tools.iter().enumerate().filter_map(|(index, tool)| match tool {
        GivenTool::Server(given) => Some(async move {
            let listing = match servers {
                Some(servers) => servers.list_tools(&given.mcp.server).await,
                None => Err(McpError::UrlNotAllowed),
            };
            (index, listing)
        }),
        GivenTool::Tool(_) => None,
    });
    join_all(listings).await.into_iter().collect()
}

/// The tools that an agent gets in place of a server, in the server's order.
pub fn tools_of_server(
    given: &GivenServer,
    listing: &Result<Vec<Tool>, McpError>,
    refusals: &mut ToolRefusals,
) -> Vec<UncheckedTool> {
    let listed = match listing {
        Ok(listed) => listed,
        Err(error) => {
            let (member, message) = listing_refusal(error, given.mcp.server.authorization_secret_arn.is_some());
            refusals.add(member, message);
            return Vec::new();
        }
    };
    let wanted = given.mcp.tools.as_deref();
    for name in wanted.unwrap_or_default() {
        if listed.iter().all(|tool| tool.name != *name) {
            refusals.add("mcp.tools", format!("The server has no tool {}.", quoted(name)));
        }
    }
    if listed.is_empty() {
        refusals.add("mcp.url", "The server has no tools.");
    }
    let mut tools = Vec::new();
    for tool in listed.iter().filter(|tool| wanted.is_none_or(|names| names.iter().any(|name| *name == tool.name))) {
        match to_tool(given, tool) {
            Ok(tool) => tools.push(tool),
            Err(message) => {
                let message = format!("The tool {} of the server cannot be used. {message}", quoted(&tool.name));
                refusals.add("mcp.tools", message);
            }
        }
    }
    tools
}

fn to_tool(given: &GivenServer, tool: &Tool) -> Result<UncheckedTool, &'static str> {
    let hints = tool.annotations.as_ref();
    let title = tool.title.as_ref().or(hints.and_then(|hints| hints.title.as_ref())).filter(|title| !is_blank(title));
    let described = tool.description.as_deref().filter(|text| !is_blank(text));
    let description = described.or(given.description.as_deref()).or(title.map(String::as_str)).unwrap_or(&tool.name);
    let is_read_only = hints.is_some_and(|hints| hints.read_only_hint == Some(true));
    let mut others = Map::new();
    others.insert("name".into(), tool_name(&given.name, &tool.name).into());
    if let Some(title) = title {
        others.insert("title".into(), start(title, MAX_TITLE_LENGTH).into());
    }
    others.insert("description".into(), start(description, MAX_DESCRIPTION_LENGTH).into());
    if let Some(approval) = given.approval {
        others.insert("approval".into(), serde_json::to_value(approval).unwrap_or_default());
    }
    Ok(UncheckedTool {
        input_schema: Some(input_schema::normalized(&tool.input_schema)?),
        effect: Some(if is_read_only { ToolEffect::Read } else { ToolEffect::Write }),
        target: ToolTarget::Mcp(McpTool { server: given.mcp.server.clone(), tool_name: tool.name.to_string() }),
        others,
    })
}

/// The name of the agent's tool: models take letters, digits and `_`.
fn tool_name(prefix: &str, name: &str) -> String {
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let name = name.chars().map(|character| if is_allowed(character) { character } else { '_' });
    prefix.chars().chain(['_']).chain(name).take(MAX_NAME_LENGTH).collect()
}

fn start(text: &str, max_length: usize) -> String {
    text.chars().take(max_length).collect()
}

/// A name that a server or an administrator has chosen, for a message.
pub fn quoted(name: &str) -> String {
    format!("{:?}", start(name, MAX_QUOTED_LENGTH))
}

/// The member that is to be changed, and a sentence without anything of the server's response.
fn listing_refusal(error: &McpError, has_secret: bool) -> (&'static str, Cow<'static, str>) {
    let (member, message) = match error {
        McpError::UrlNotAllowed => ("mcp.url", "The deployment's parameter ToolMcpUrls does not allow this URL."),
        McpError::SecretNotAllowed => {
            ("mcp.authorizationSecretArn", "The deployment's parameter ToolSecretArns does not name this secret.")
        }
        McpError::SecretNotReadable => {
            ("mcp.authorizationSecretArn", "The secret does not exist, has no text, or may not be read.")
        }
        McpError::SecretNotAvailable => ("mcp.authorizationSecretArn", "The secret could not be read. Try again."),
        McpError::SecretNotHeader => {
            ("mcp.authorizationSecretArn", "The text of the secret cannot be the value of a header.")
        }
        McpError::Unauthorized if has_secret => {
            ("mcp.authorizationSecretArn", "The server does not accept the secret as its authorization.")
        }
        McpError::Unauthorized => ("mcp.url", "The server asks for an authorization."),
        McpError::NotStarted => ("mcp.url", "The server could not be reached."),
        McpError::ServerError => ("mcp.url", "The server failed."),
        McpError::ConnectionBroken => ("mcp.url", "The connection to the server broke."),
        McpError::TimeOver => ("mcp.url", "The server did not list its tools within 10 seconds."),
        McpError::TooLarge => ("mcp.url", "A response of the server is larger than 1 MB."),
        McpError::TooManyTools => ("mcp.url", "The server has more than 512 tools, or more than 16 pages of them."),
        McpError::Refused | McpError::SessionExpired | McpError::NotMcp | McpError::Rpc(_) => ("mcp.url", NOT_MCP),
    };
    (member, message.into())
}

/// The name of a tool that is to be stored.
pub fn name_of(tool: &UncheckedTool) -> &str {
    tool.others.get("name").and_then(Value::as_str).unwrap_or_default()
}
