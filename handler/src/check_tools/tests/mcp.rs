//! MCP servers and the tools that they list.
use std::{sync::Arc, time::Duration};

use rmcp::model::Tool;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::sleep};
use turn::request::GivenServer;

use super::*;
use crate::{
    aws::{
        McpError,
        test_server::{Reply, TestServer},
    },
    check_tools::mcp::list_servers_until,
    clock::now,
};

const URL: &str = "https://mcp.example/a";
const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mcp-AbC123";

fn server(prefix: &str, wanted: Value) -> Value {
    json!({ "name": prefix, "mcp": { "url": URL, "tools": wanted } })
}

/// What a server answers.
type Listing = Result<Vec<Tool>, McpError>;

fn listed(tools: Value) -> Listing {
    Ok(serde_json::from_value(tools).unwrap())
}

fn named(names: &[&str]) -> Listing {
    listed(names.iter().map(|name| json!({ "name": name, "inputSchema": {} })).collect())
}

/// Each given tool with what its server lists.
fn check(given: Vec<(Value, Option<Listing>)>) -> ToolsCheck {
    let (tools, listings): (Vec<_>, Vec<_>) = given.into_iter().unzip();
    let request: CheckToolsRequest = serde_json::from_value(json!({ "tools": tools })).unwrap();
    let listings = request.tools.iter().zip(listings).enumerate().filter_map(|(index, (given, listing))| {
        let GivenTool::Server(given) = given else { return None };
        Some((index, server_listing(given, listing?)))
    });
    let listings = listings.collect();
    let (functions, urls) = (AllowedFunctions::from_list(ARN), GraphqlUrls::default());
    let allowed = AllowedTools { functions: &functions, graphql_urls: &urls, handler_tools: &HandlerTools::default() };
    check_tools(request, &listings, allowed)
}

fn server_listing(given: &GivenServer, listing: Listing) -> Result<ServerListing, McpError> {
    let mut tools = ServerListing::new(given);
    listing?.into_iter().for_each(|tool| tools.add(tool));
    Ok(tools)
}

fn stored(check: ToolsCheck) -> Value {
    assert_eq!(check.refusals, []);
    serde_json::to_value(check.tools).unwrap()
}

fn refusals(check: ToolsCheck) -> Vec<(String, String)> {
    assert_eq!(check.tools, []);
    check.refusals.into_iter().map(|refusal| (refusal.path, refusal.message)).collect()
}

fn refusal(path: &str, message: &str) -> (String, String) {
    (path.to_owned(), message.to_owned())
}

#[test]
fn server_is_replaced_by_its_tools() {
    let tools = json!([
        {
            "name": "get-order", "title": "Order", "description": "Reads an order.",
            "inputSchema": { "$schema": "s", "properties": { "id": {} } },
            "outputSchema": { "type": "object" }, "annotations": { "title": "Other", "readOnlyHint": true },
        },
        { "name": "admin/cancel.order", "inputSchema": { "type": "object" }, "annotations": { "title": "Cancel" } },
        { "name": "ping", "description": " ", "inputSchema": {}, "annotations": { "readOnlyHint": false } },
    ]);
    let given = json!({ "name": "shop", "mcp": { "url": URL, "authorizationSecretArn": SECRET } });
    let mcp = |name: &str| json!({ "url": URL, "authorizationSecretArn": SECRET, "toolName": name });
    let expected = json!([
        {
            "name": "shop_get_order", "title": "Order", "description": "Reads an order.", "effect": "READ",
            "inputSchema": r#"{"properties":{"id":{}},"type":"object"}"#, "mcp": mcp("get-order"),
        },
        {
            "name": "shop_admin_cancel_order", "title": "Cancel", "description": "Cancel", "effect": "WRITE",
            "inputSchema": r#"{"type":"object"}"#, "mcp": mcp("admin/cancel.order"),
        },
        {
            "name": "shop_ping", "description": "ping", "effect": "WRITE",
            "inputSchema": r#"{"type":"object"}"#, "mcp": mcp("ping"),
        },
    ]);
    assert_eq!(stored(check(vec![(given, Some(listed(tools)))])), expected);
}

#[test]
fn tools_of_several_servers_stand_among_the_others() {
    let described = json!({ "name": "b", "description": "Given.", "approval": "NEVER", "mcp": { "url": URL } });
    let tools = stored(check(vec![
        (server("a", Value::Null), Some(named(&["x", "y"]))),
        (lambda_tool(OBJECT, ARN), None),
        (described, Some(named(&["x"]))),
    ]));
    let names: Vec<_> = tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a_x", "a_y", "look", "b_x"]);
    assert_eq!((&tools[3]["description"], &tools[3]["approval"]), (&json!("Given."), &json!("NEVER")));
}

#[test]
fn named_tools_alone_are_taken() {
    let tools = json!([{ "name": "a", "inputSchema": {} }, { "name": "b", "inputSchema": { "type": "string" } }]);
    let tools = stored(check(vec![(server("s", json!(["a"])), Some(listed(tools)))]));
    let names: Vec<_> = tools.as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["s_a"]);
    let found = refusals(check(vec![(server("s", json!(["a", "c\n"])), Some(named(&["a"])))]));
    assert_eq!(found, [refusal("tools[0].mcp.tools", "The server has no tool \"c\\n\".")]);
}

#[test]
fn long_texts_are_cut() {
    let text = |length: usize| "é".repeat(length);
    let tools = json!([{ "name": text(300), "title": text(300), "description": text(5000), "inputSchema": {} }]);
    let tools = stored(check(vec![(server("s", Value::Null), Some(listed(tools)))]));
    assert_eq!(tools[0]["name"], format!("s_{}", "_".repeat(62)));
    assert_eq!((&tools[0]["title"], &tools[0]["description"]), (&json!(text(200)), &json!(text(4000))));
    assert_eq!(tools[0]["mcp"]["toolName"], text(300));
}

#[test]
fn name_of_the_search_of_documents_is_refused() {
    let found = refusals(check(vec![(server("search", Value::Null), Some(named(&["documents"])))]));
    let message = "The tool \"documents\" of the server cannot be used. Its name would be that of the search of \
                   documents.";
    assert_eq!(found, [refusal("tools[0].mcp.tools", message)]);
}

#[test]
fn names_that_become_equal_are_refused_with_both() {
    let found = refusals(check(vec![(server("s", Value::Null), Some(named(&["a-b", "a.b"])))]));
    let message = "The name s_a_b would be that of the server's tool \"a-b\" and of the server's tool \"a.b\".";
    assert_eq!(found, [refusal("tools[0].name", message)]);
    let found = refusals(check(vec![
        (with(lambda_tool(OBJECT, ARN), "/name", "s_a"), None),
        (server("s", Value::Null), Some(named(&["a"]))),
    ]));
    let message = "The name s_a would be that of another tool and of the server's tool \"a\".";
    assert_eq!(found, [refusal("tools[1].name", message)]);
}

#[test]
fn agent_with_more_than_32_tools_is_refused() {
    let names: Vec<_> = (0..32).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let given = |with_another: bool| {
        let another = with_another.then(|| (lambda_tool(OBJECT, ARN), None));
        [(server("s", Value::Null), Some(named(&names)))].into_iter().chain(another).collect()
    };
    assert_eq!(stored(check(given(false))).as_array().unwrap().len(), 32);
    let message = "An agent may have at most 32 tools, and with those of its MCP servers it would have 33. Name the \
                   ones that it needs in mcp.tools.";
    assert_eq!(refusals(check(given(true))), [refusal("tools", message)]);
}

#[test]
fn schema_that_models_refuse_is_refused_with_its_tool() {
    let tools = json!([{ "name": "a", "inputSchema": { "anyOf": [{ "$ref": "#/a" }] } }]);
    let found = refusals(check(vec![(server("s", Value::Null), Some(listed(tools)))]));
    let message = "The tool \"a\" of the server cannot be used. The schema must not have anyOf, oneOf or allOf at \
                   its top level.";
    assert_eq!(found, [refusal("tools[0].mcp.tools", message)]);
}

#[test]
fn servers_that_cannot_be_listed_are_refused_by_path() {
    let (url, secret) = ("tools[0].mcp.url", "tools[0].mcp.authorizationSecretArn");
    let not_mcp = "The server does not answer by the Model Context Protocol with Streamable HTTP.";
    for (error, path, message) in [
        (McpError::UrlNotAllowed, url, "The deployment's parameter ToolMcpUrls does not allow this URL."),
        (McpError::SecretNotAllowed, secret, "The deployment's parameter ToolSecretArns does not name this secret."),
        (McpError::SecretNotReadable, secret, "The secret does not exist, has no text, or may not be read."),
        (McpError::SecretNotAvailable, secret, "The secret could not be read. Try again."),
        (McpError::SecretNotHeader, secret, "The text of the secret cannot be the value of a header."),
        (McpError::Unauthorized, url, "The server asks for an authorization."),
        (McpError::Forbidden, url, "The server does not allow its tools to be listed."),
        (McpError::NotStarted, url, "The server could not be reached."),
        (McpError::ServerError, url, "The server failed."),
        (McpError::ConnectionBroken, url, "The connection to the server broke."),
        (McpError::TimeOver, url, "The server did not list its tools within 10 seconds."),
        (McpError::TooLarge, url, "A response of the server is larger than 1 MB."),
        (McpError::TooManyTools, url, "The server has more than 512 tools, or more than 16 pages of them."),
        (McpError::Refused, url, not_mcp),
        (McpError::SessionExpired, url, not_mcp),
        (McpError::NotMcp, url, not_mcp),
        (McpError::Rpc("internal".into()), url, not_mcp),
    ] {
        let found = refusals(check(vec![(server("s", Value::Null), Some(Err(error)))]));
        assert_eq!(found, [refusal(path, message)]);
    }
    let with_secret = json!({ "name": "s", "mcp": { "url": URL, "authorizationSecretArn": SECRET } });
    for (error, message) in [
        (McpError::Unauthorized, "The server does not accept the secret as its authorization."),
        (McpError::Forbidden, "The server does not allow the owner of the secret to list its tools."),
    ] {
        let found = refusals(check(vec![(with_secret.clone(), Some(Err(error)))]));
        assert_eq!(found, [refusal(secret, message)]);
    }
    let found = refusals(check(vec![(server("s", Value::Null), Some(named(&[])))]));
    assert_eq!(found, [refusal(url, "The server has no tools.")]);
}

#[test]
fn tool_of_a_server_cannot_be_given_by_itself() {
    let mut tool = json!({ "name": "a", "description": "A.", "inputSchema": OBJECT, "effect": "READ",
        "mcp": { "url": URL, "toolName": "a" } });
    let request: CheckToolsRequest = serde_json::from_value(json!({ "tools": [tool] })).unwrap();
    assert!(matches!(request.tools[..], [GivenTool::Server(_)]), "it is listed like any server");
    tool.as_object_mut().unwrap().remove("name");
    let found = refusals(check(vec![(tool, None)]));
    assert_eq!(found, [refusal("tools[0].mcp", "A tool of a server cannot be given by itself.")]);
}

#[test]
fn server_that_is_not_listed_is_refused() {
    let found = refusals(check(vec![(server("s", Value::Null), None)]));
    assert_eq!(found, [refusal("tools[0].mcp.url", "The server did not list its tools within 10 seconds.")]);
}

#[test]
fn schema_larger_than_64_kb_is_refused_with_its_tool() {
    let tools = |length: usize| {
        let schema = json!({ "type": "object", "description": "a".repeat(length) });
        listed(json!([{ "name": "a", "inputSchema": schema }]))
    };
    let overhead = json!({ "type": "object", "description": "" }).to_string().len();
    stored(check(vec![(server("s", Value::Null), Some(tools(64 * 1024 - overhead)))]));
    let found = refusals(check(vec![(server("s", Value::Null), Some(tools(64 * 1024 - overhead + 1)))]));
    let message = "The tool \"a\" of the server cannot be used. The schema is larger than 64 KB.";
    assert_eq!(found, [refusal("tools[0].mcp.tools", message)]);
}

/// Their number is enough for the refusal: no schema of theirs is looked at.
#[test]
fn too_many_tools_are_refused_before_their_schemas() {
    let bad = |count: usize| {
        let tool = |index: usize| json!({ "name": index.to_string(), "inputSchema": { "anyOf": [] } });
        listed((0..count).map(tool).collect())
    };
    let message = |count: usize| {
        format!(
            "An agent may have at most 32 tools, and with those of its MCP servers it would have {count}. Name the \
             ones that it needs in mcp.tools."
        )
    };
    for counts in [vec![500], vec![20, 20], vec![1, 32, 5]] {
        let servers = counts.iter().enumerate();
        let given = servers.map(|(index, count)| (server(&format!("s{index}"), Value::Null), Some(bad(*count))));
        let found = refusals(check(given.collect()));
        assert_eq!(found, [refusal("tools", &message(counts.iter().sum()))]);
    }
}

#[tokio::test]
async fn without_servers_every_url_is_refused() {
    let request: CheckToolsRequest = serde_json::from_value(json!({ "tools": [server("s", Value::Null)] })).unwrap();
    let listings = list_servers(&request.tools, None).await;
    assert_eq!(listings[&0], Err(McpError::UrlNotAllowed));
}

/// One server that is given several times.
fn request_for(server: &TestServer, count: usize) -> CheckToolsRequest {
    let url = server.server().url;
    let tools: Vec<_> = (0..count).map(|number| json!({ "name": number.to_string(), "mcp": { "url": url } })).collect();
    serde_json::from_value(json!({ "tools": tools })).unwrap()
}

#[tokio::test]
async fn four_servers_are_listed_at_the_same_time() {
    let server = TestServer::start().await;
    let held = Arc::new(Semaphore::new(0));
    server.script("tools/list", (0..9).map(|_| Reply::Held(Arc::clone(&held))));
    let (request, clients) = (request_for(&server, 9), server.clients());
    let listing = list_servers(&request.tools, Some(&clients));
    let release = async {
        for expected in [4, 8, 9] {
            server.wait_for("tools/list", expected).await;
            // A fifth request would come within this time.
            sleep(Duration::from_millis(100)).await;
            assert_eq!(server.count("tools/list"), expected);
            held.add_permits(4);
        }
    };
    let (listings, ()) = tokio::join!(listing, release);
    assert!(listings.len() == 9 && listings.values().all(Result::is_ok));
}

#[tokio::test]
async fn servers_that_are_listed_in_turn_share_the_time() {
    let server = TestServer::start().await;
    server.script("tools/list", (0..4).map(|_| Reply::OpenStream(Vec::new())));
    let (request, clients) = (request_for(&server, 5), server.clients());
    let listings = list_servers_until(&request.tools, Some(&clients), now() + Duration::from_secs(2)).await;
    assert!(listings.len() == 5 && listings.values().all(|listing| *listing == Err(McpError::TimeOver)));
    assert_eq!((server.count("tools/list"), server.count("DELETE")), (4, 4), "all sessions are ended");
}
