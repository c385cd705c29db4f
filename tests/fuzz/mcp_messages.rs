//! Responses of MCP servers, parsed by the handler when it checks the tools of an agent.
use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, extract::State, http::Response};
use handler::{
    McpServers,
    check_tools::{AllowedTools, check_tools, list_servers},
    function_arn::AllowedFunctions,
    graphql_urls::GraphqlUrls,
    mcp_urls::McpUrls,
    tool::HandlerTools,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use turn::request::CheckToolsRequest;

use crate::{
    fuzzer::{Target, fuzz},
    mutator::Mutator,
};

/// The first byte of an input chooses the method that the rest is the response to, and how it is sent.
struct McpMessages {
    input: Arc<Mutex<Vec<u8>>>,
    servers: McpServers,
    request: CheckToolsRequest,
    accepted_listings: u32,
}

impl McpMessages {
    async fn new() -> Self {
        let input = Arc::<Mutex<Vec<u8>>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}/mcp", listener.local_addr().expect("the listener has an address"));
        let router = Router::new().fallback(respond).with_state(Arc::clone(&input));
        tokio::spawn(async { axum::serve(listener, router).await });
        let servers = McpServers::without_secrets(McpUrls::from_list(&url).expect("the URL is local"));
        let tool = json!({ "name": "s", "mcp": { "url": url } });
        let request = serde_json::from_value(json!({ "tools": [tool] })).expect("a request");
        Self { input, servers: servers.expect("an HTTP client"), request, accepted_listings: 0 }
    }
}

async fn respond(State(input): State<Arc<Mutex<Vec<u8>>>>, body: String) -> Response<Body> {
    let request: Value = serde_json::from_str(&body).unwrap_or_default();
    let input = input.lock().expect("no holder panics").clone();
    let (choice, response) = input.split_first().map_or((0, &[][..]), |(choice, rest)| (*choice, rest));
    let methods = ["initialize", "tools/list", "server/discover", "notifications/initialized"];
    let is_chosen = request["method"] == methods[usize::from(choice / 2) % methods.len()];
    let content_type = if choice.is_multiple_of(2) { "application/json" } else { "text/event-stream" };
    let body = match is_chosen {
        true => response.to_vec(),
        false => json!({ "jsonrpc": "2.0", "id": request["id"], "result": result(&request) }).to_string().into_bytes(),
    };
    let content_type = if is_chosen { content_type } else { "application/json" };
    Response::builder().header("content-type", content_type).body(Body::from(body)).expect("a response")
}

/// What a good server answers.
fn result(request: &Value) -> Value {
    match request["method"].as_str() {
        Some("initialize") => initialized(),
        Some("tools/list") if request["params"]["cursor"].is_null() => first_page(),
        Some("tools/list") => json!({ "tools": [{ "name": "get-b", "inputSchema": { "type": "object" } }] }),
        _ => json!({}),
    }
}

fn initialized() -> Value {
    let info = json!({ "name": "fuzz", "version": "1" });
    json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} }, "serverInfo": info })
}

/// The first of two pages.
fn first_page() -> Value {
    let schema = json!({ "$schema": "s", "properties": { "a": { "type": "string" } }, "required": ["a"],
        "anyOf": [{ "properties": { "b": {} } }, { "required": ["a"] }] });
    json!({
        "tools": [{ "name": "get-a", "title": "A", "description": "Gets.", "inputSchema": schema,
            "annotations": { "title": "B", "readOnlyHint": true } }],
        "nextCursor": "2",
    })
}

/// The first ids that the handler gives its requests.
fn message(id: u64, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

fn messages() -> Vec<Value> {
    let error = json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32601, "message": "m", "data": {} } });
    let ping = json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" });
    vec![message(0, &initialized()), message(1, &first_page()), message(0, &first_page()), error, ping, json!([])]
}

fn event(data: &Value) -> String {
    format!("id: 1\nevent: message\nretry: 1\ndata: {data}\n\n")
}

impl Target for McpMessages {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let mut corpus: Vec<Vec<u8>> = Vec::new();
        for (choice, message) in (0..4).flat_map(|choice| messages().into_iter().map(move |message| (choice, message)))
        {
            corpus.push([&[choice * 2], message.to_string().as_bytes()].concat());
            corpus.push([&[choice * 2 + 1], event(&message).as_bytes()].concat());
        }
        let deep = [b"\x02".as_slice(), "[".repeat(50_000).as_bytes()].concat();
        let lines = [b"\x03".as_slice(), "data: {\n".repeat(10_000).as_bytes()].concat();
        corpus.extend([deep, lines, vec![3; 1 << 21], Vec::new()]);
        corpus
    }

    /// In two cases of three, messages with mutated members.
    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(3) {
            return mutator.mutate_any(corpus);
        }
        let choice = mutator.below(8) as u8;
        let message = mutator.choose(&messages()).clone();
        let message = mutator.mutate_json(&message);
        let text = if choice.is_multiple_of(2) { message.to_string() } else { event(&message) };
        [&[choice], text.as_bytes()].concat()
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        *self.input.lock().expect("no holder panics") = input.to_vec();
        let listings = list_servers(&self.request.tools, Some(&self.servers)).await;
        let (functions, urls) = (AllowedFunctions::default(), GraphqlUrls::default());
        let allowed =
            AllowedTools { functions: &functions, graphql_urls: &urls, handler_tools: &HandlerTools::default() };
        let check = check_tools(self.request.clone(), &listings, allowed);
        let check = serde_json::to_value(check).map_err(|error| error.to_string())?;
        let is_accepted = check["refusals"].as_array().is_some_and(Vec::is_empty);
        self.accepted_listings += u32::from(is_accepted);
        let is_decided = is_accepted != check["tools"].as_array().is_some_and(Vec::is_empty);
        if is_decided { Ok(()) } else { Err(format!("neither refused nor accepted: {check}")) }
    }

    async fn finish(&mut self) -> Result<(), String> {
        if self.accepted_listings > 0 { Ok(()) } else { Err("no listing was accepted".to_owned()) }
    }
}

#[tokio::test]
async fn mcp_messages() {
    fuzz("mcp messages", 120, &mut McpMessages::new().await).await;
}
