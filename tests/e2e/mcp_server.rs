//! A small MCP server for tests, which records what it gets.
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Method, Response, StatusCode},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use crate::backend::with_timeout;

/// Lists three tools: `look` reads, `change` does not say so, and `show-headers` repeats the header
/// Authorization.
#[derive(Clone)]
pub struct McpServer {
    pub url: String,
    authorization: Arc<Mutex<Option<String>>>,
    calls: Arc<Mutex<Vec<Value>>>,
    started_sessions: Arc<AtomicUsize>,
    ended_sessions: watch::Sender<usize>,
}

impl McpServer {
    pub async fn start() -> Self {
        Self::requiring(None).await
    }

    /// Answers only requests with this header.
    pub async fn requiring(authorization: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let authorization = Arc::new(Mutex::new(authorization));
        let server = Self {
            url,
            authorization,
            calls: Arc::default(),
            started_sessions: Arc::default(),
            ended_sessions: watch::Sender::new(0),
        };
        let router = Router::new().fallback(respond).with_state(server.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        server
    }

    /// From now on answers only requests with this header.
    pub fn require(&self, authorization: Option<String>) {
        *self.authorization.lock().unwrap() = authorization;
    }

    /// The parameters of the calls of tools.
    pub fn calls(&self) -> Vec<Value> {
        self.calls.lock().unwrap().clone()
    }

    pub fn started_sessions(&self) -> usize {
        self.started_sessions.load(Ordering::Relaxed)
    }

    /// A client ends a session after it has the results.
    pub async fn wait_for_ended_sessions(&self, count: usize) {
        let mut ended = self.ended_sessions.subscribe();
        with_timeout(ended.wait_for(|ended| *ended == count)).await.unwrap();
    }

    fn result(&self, message: &Value, authorization: Option<&str>) -> Option<Value> {
        match message["method"].as_str()? {
            "initialize" => {
                self.started_sessions.fetch_add(1, Ordering::Relaxed);
                Some(json!({
                    "protocolVersion": message["params"]["protocolVersion"],
                    "capabilities": { "tools": {} },
                    "serverInfo": { "name": "test", "version": "1" },
                }))
            }
            "tools/list" => Some(json!({ "tools": [
                { "name": "look", "description": "Looks.", "inputSchema": { "properties": { "at": {} } },
                  "annotations": { "title": "Look", "readOnlyHint": true } },
                { "name": "change", "description": "Changes.", "inputSchema": {} },
                { "name": "show-headers", "inputSchema": {}, "annotations": { "readOnlyHint": true } },
            ] })),
            "tools/call" => {
                self.calls.lock().unwrap().push(message["params"].clone());
                let text = match message["params"]["name"].as_str()? {
                    "show-headers" => format!("authorization: {}", authorization.unwrap_or("none")),
                    name => format!("{name}: {}", message["params"]["arguments"]),
                };
                Some(json!({ "content": [{ "type": "text", "text": text }] }))
            }
            _ => None,
        }
    }
}

async fn respond(State(server): State<McpServer>, method: Method, headers: HeaderMap, body: String) -> Response<Body> {
    let status = |status: StatusCode| Response::builder().status(status).body(Body::empty()).unwrap();
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap());
    if authorization != server.authorization.lock().unwrap().as_deref() {
        return status(StatusCode::UNAUTHORIZED);
    }
    if method == Method::DELETE {
        server.ended_sessions.send_modify(|ended| *ended += 1);
        return status(StatusCode::NO_CONTENT);
    }
    let message: Value = serde_json::from_str(&body).unwrap_or_default();
    let Some(result) = server.result(&message, authorization) else { return status(StatusCode::ACCEPTED) };
    let message = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
    Response::builder()
        .header("content-type", "text/event-stream")
        .header("mcp-session-id", "one")
        .body(Body::from(format!("event: message\ndata: {message}\n\n")))
        .unwrap()
}
