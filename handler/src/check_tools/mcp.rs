//! Makes tools of an agent from what an MCP server lists.
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use api::text::is_blank;
use futures::{StreamExt, stream};
use rmcp::model::{JsonObject, Tool};
use serde_json::{Map, Value};
use turn::{
    knowledge_tool::SEARCH_TOOL_NAME,
    request::{GivenServer, GivenTool, UncheckedTool},
    tool::{McpTool, ToolEffect, ToolTarget},
};

use super::{MAX_TOOLS, MemberRefusal, ToolRefusals, input_schema};
use crate::{
    aws::{McpError, McpServers},
    clock::now,
};

/// How many servers are listed at the same time. A list takes memory until it is reduced.
const MAX_PARALLEL_LISTINGS: usize = 4;
/// All servers of an agent are listed within this time. AppSync waits 30 seconds for the handler.
const LISTING_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest schema of a server's tool. All tools of an agent together may not be larger.
const MAX_SCHEMA_BYTES: usize = 64 * 1024;

const MAX_NAME_LENGTH: usize = 64;
const MAX_TITLE_LENGTH: usize = 200;
const MAX_DESCRIPTION_LENGTH: usize = 4000;
/// How much of a server's name for a tool a refusal quotes.
const MAX_QUOTED_LENGTH: usize = 100;

/// What the MCP servers among the given tools list, by their indexes.
pub type Listings = HashMap<usize, Result<ServerListing, McpError>>;

/// The tools of one server that an agent is given.
#[derive(Debug, PartialEq)]
pub struct ServerListing {
    /// The names that the agent is given. `None` for all.
    wanted: Option<Vec<WantedTool>>,
    /// Whether the server has a tool at all.
    has_tools: bool,
    /// The number of the tools that the agent is given.
    count: usize,
    /// These tools, in the server's order. Empty if the agent may not have as many.
    tools: Vec<ListedTool>,
}

#[derive(Debug, PartialEq)]
struct WantedTool {
    name: String,
    is_listed: bool,
}

/// What the agent's tool is made from.
#[derive(Debug, PartialEq)]
struct ListedTool {
    name: String,
    title: Option<String>,
    description: Option<String>,
    is_read_only: bool,
    /// `None` if the schema is too large.
    input_schema: Option<Arc<JsonObject>>,
}

impl ServerListing {
    pub fn new(given: &GivenServer) -> Self {
        let wanted = given.mcp.tools.as_ref().map(|names| {
            names.iter().map(|name| WantedTool { name: name.clone(), is_listed: false }).collect::<Vec<_>>()
        });
        Self { wanted, has_tools: false, count: 0, tools: Vec::new() }
    }

    /// Adds the server's next tool.
    pub fn add(&mut self, tool: Tool) {
        self.has_tools = true;
        if let Some(wanted) = &mut self.wanted {
            let mut found = wanted.iter_mut().filter(|wanted| wanted.name == tool.name).peekable();
            if found.peek().is_none() {
                return;
            }
            found.for_each(|wanted| wanted.is_listed = true);
        }
        self.count += 1;
        if self.count > MAX_TOOLS {
            self.drop_tools();
        } else {
            self.tools.push(ListedTool::new(tool));
        }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    fn drop_tools(&mut self) {
        self.tools = Vec::new();
    }
}

impl ListedTool {
    fn new(tool: Tool) -> Self {
        let hints = tool.annotations.unwrap_or_default();
        let title = tool.title.or(hints.title).filter(|title| !is_blank(title));
        let description = tool.description.filter(|text| !is_blank(text));
        let schema_bytes = serde_json::to_vec(&*tool.input_schema).map_or(usize::MAX, |json| json.len());
        Self {
            name: tool.name.into_owned(),
            title: title.map(|title| start(&title, MAX_TITLE_LENGTH)),
            description: description.map(|text| start(&text, MAX_DESCRIPTION_LENGTH)),
            is_read_only: hints.read_only_hint == Some(true),
            input_schema: (schema_bytes <= MAX_SCHEMA_BYTES).then_some(tool.input_schema),
        }
    }
}

/// Lists the tools of all given servers, within ten seconds together. `servers` is `None` where nothing is
/// allowed.
pub async fn list_servers(tools: &[GivenTool], servers: Option<&McpServers>) -> Listings {
    list_servers_until(tools, servers, now() + LISTING_TIMEOUT).await
}

pub(super) async fn list_servers_until(tools: &[GivenTool], servers: Option<&McpServers>, until: Instant) -> Listings {
    let mut requests = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        if let GivenTool::Server(given) = tool {
            requests.push(async move { (index, list_server(given, servers, until).await) });
        }
    }
    let mut responses = stream::iter(requests).buffer_unordered(MAX_PARALLEL_LISTINGS);
    let (mut listings, mut count) = (Listings::new(), 0);
    while let Some((index, listing)) = responses.next().await {
        count += listing.as_ref().map_or(0, ServerListing::count);
        listings.insert(index, listing);
        if count > MAX_TOOLS {
            // The agent is refused, so their number is enough.
            listings.values_mut().flatten().for_each(ServerListing::drop_tools);
        }
    }
    listings
}

async fn list_server(
    given: &GivenServer,
    servers: Option<&McpServers>,
    until: Instant,
) -> Result<ServerListing, McpError> {
    let servers = servers.ok_or(McpError::UrlNotAllowed)?;
    let mut listing = ServerListing::new(given);
    servers.list_tools(&given.mcp.server, until, |tool| listing.add(tool)).await?;
    Ok(listing)
}

/// Refuses a server that could not be listed, or that lacks what the agent is given.
pub fn check_listing(given: &GivenServer, listing: &Result<ServerListing, McpError>, refusals: &mut ToolRefusals) {
    let listing = match listing {
        Ok(listing) => listing,
        Err(error) => {
            let has_secret = given.mcp.server.authorization_secret_arn.is_some();
            return refusals.0.push(listing_refusal(error, has_secret));
        }
    };
    for wanted in listing.wanted.iter().flatten().filter(|wanted| !wanted.is_listed) {
        refusals.add("mcp.tools", format!("The server has no tool {}.", quoted(&wanted.name)));
    }
    if !listing.has_tools {
        refusals.add("mcp.url", "The server has no tools.");
    }
}

/// The tools that an agent gets in place of a server, in the server's order.
pub fn tools_of_server(
    given: &GivenServer,
    listing: &ServerListing,
    refusals: &mut ToolRefusals,
) -> Vec<UncheckedTool> {
    let mut tools = Vec::new();
    for tool in &listing.tools {
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

fn to_tool(given: &GivenServer, tool: &ListedTool) -> Result<UncheckedTool, &'static str> {
    let name = tool_name(&given.name, &tool.name);
    if name == SEARCH_TOOL_NAME {
        return Err("Its name would be that of the search of documents.");
    }
    let schema = tool.input_schema.as_ref().ok_or("The schema is larger than 64 KB.")?;
    let title = tool.title.as_deref();
    let description = tool.description.as_deref().or(given.description.as_deref()).or(title).unwrap_or(&tool.name);
    let mut others = Map::new();
    others.insert("name".into(), name.into());
    if let Some(title) = title {
        others.insert("title".into(), title.into());
    }
    others.insert("description".into(), start(description, MAX_DESCRIPTION_LENGTH).into());
    if let Some(approval) = given.approval {
        others.insert("approval".into(), serde_json::to_value(approval).unwrap_or_default());
    }
    Ok(UncheckedTool {
        input_schema: Some(input_schema::normalized(schema)?),
        effect: Some(if tool.is_read_only { ToolEffect::Read } else { ToolEffect::Write }),
        target: ToolTarget::Mcp(McpTool { server: given.mcp.server.clone(), tool_name: tool.name.clone() }),
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
fn listing_refusal(error: &McpError, has_secret: bool) -> MemberRefusal {
    const URL: &str = "mcp.url";
    const SECRET: &str = "mcp.authorizationSecretArn";
    let (member, message) = match error {
        McpError::UrlNotAllowed => (URL, "The deployment's parameter ToolMcpUrls does not allow this URL."),
        McpError::SecretNotAllowed => (SECRET, "The deployment's parameter ToolSecretArns does not name this secret."),
        McpError::SecretNotReadable => (SECRET, "The secret does not exist, has no text, or may not be read."),
        McpError::SecretNotAvailable => (SECRET, "The secret could not be read. Try again."),
        McpError::SecretNotHeader => (SECRET, "The text of the secret cannot be the value of a header."),
        McpError::Unauthorized if has_secret => (SECRET, "The server does not accept the secret as its authorization."),
        McpError::Unauthorized => (URL, "The server asks for an authorization."),
        McpError::Forbidden if has_secret => {
            (SECRET, "The server does not allow the owner of the secret to list its tools.")
        }
        McpError::Forbidden => (URL, "The server does not allow its tools to be listed."),
        McpError::NotStarted => (URL, "The server could not be reached."),
        McpError::ServerError => (URL, "The server failed."),
        McpError::ConnectionBroken => (URL, "The connection to the server broke."),
        McpError::TimeOver => (URL, "The server did not list its tools within 10 seconds."),
        McpError::TooLarge => (URL, "A response of the server is larger than 1 MB."),
        McpError::TooManyTools => (URL, "The server has more than 512 tools, or more than 16 pages of them."),
        McpError::Refused | McpError::SessionExpired | McpError::NotMcp | McpError::Rpc(_) => {
            (URL, "The server does not answer by the Model Context Protocol with Streamable HTTP.")
        }
    };
    MemberRefusal::new(member, message)
}

/// The name of a tool that is to be stored.
pub fn name_of(tool: &UncheckedTool) -> &str {
    tool.others.get("name").and_then(Value::as_str).unwrap_or_default()
}
