//! One GraphQL request of one caller, over HTTP or a WebSocket, and its outcome.
use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client::{Credentials, endpoint::Endpoint};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{ClientRequestBuilder, Message},
};

use crate::backend::with_timeout;

pub struct Caller {
    pub credentials: Option<Credentials>,
    /// How far the clock of the caller, who signs with it, is behind.
    pub clock_delay: Duration,
}

pub struct GraphQlRequest {
    pub document: &'static str,
    pub variables: Value,
}

impl Caller {
    pub const ANONYMOUS: Self = Self { credentials: None, clock_delay: Duration::ZERO };

    pub fn new(credentials: Credentials) -> Self {
        Self { credentials: Some(credentials), clock_delay: Duration::ZERO }
    }

    fn now(&self) -> SystemTime {
        SystemTime::now() - self.clock_delay
    }

    /// Sends a query or a mutation and returns the response.
    pub async fn post(&self, http: &reqwest::Client, endpoint: &Endpoint, request: &GraphQlRequest) -> Value {
        let body = request.body();
        let mut post = http.post(endpoint.graphql().clone()).header("content-type", "application/json");
        if let Some(credentials) = &self.credentials {
            for (name, value) in credentials.http_headers(endpoint.graphql(), &body, self.now()).unwrap() {
                post = post.header(name, value);
            }
        }
        post.body(body).send().await.unwrap().json().await.unwrap()
    }

    /// Subscribes on a connection of its own and returns the frame that acknowledges or refuses the
    /// subscription.
    pub async fn subscribe(&self, endpoint: &Endpoint, request: &GraphQlRequest) -> Value {
        let data = request.body();
        let (connection, subscription) = match &self.credentials {
            Some(credentials) => (
                credentials.connection_header(endpoint, self.now()).unwrap(),
                credentials.subscription_header(endpoint, &data, self.now()).unwrap(),
            ),
            None => (json!({ "host": endpoint.host() }), json!({ "host": endpoint.host() })),
        };
        let header = URL_SAFE_NO_PAD.encode(connection.to_string());
        let upgrade = ClientRequestBuilder::new(endpoint.realtime().as_str().parse().unwrap())
            .with_sub_protocol("graphql-ws")
            .with_sub_protocol(format!("header-{header}"));
        let (mut socket, _) = with_timeout(connect_async(upgrade)).await.unwrap();
        let payload = json!({ "data": data, "extensions": { "authorization": subscription } });
        for frame in [json!({ "type": "connection_init" }), json!({ "type": "start", "id": "1", "payload": payload })] {
            // The server may have refused and closed the connection already. The loop below reads its error.
            drop(socket.send(Message::text(frame.to_string())).await);
        }
        loop {
            let text = match with_timeout(socket.next()).await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(_)) => continue,
                end => panic!("the connection ended before a response to the subscription: {end:?}"),
            };
            let frame: Value = serde_json::from_str(&text).unwrap();
            if ["connection_error", "start_ack", "error"].contains(&frame["type"].as_str().unwrap()) {
                return frame;
            }
        }
    }
}

impl GraphQlRequest {
    fn body(&self) -> String {
        json!({ "query": self.document, "variables": self.variables }).to_string()
    }
}

/// The outcome of a response or a frame, in the terms of matrix.txt.
pub fn outcome(response: &Value) -> String {
    let errors = response.pointer("/payload/errors").unwrap_or(&response["errors"]);
    let Some(error) = errors.get(0) else { return data_outcome(response) };
    let text = |name: &str| error[name].as_str().unwrap_or_default();
    let (error_type, message) = (text("errorType"), text("message"));
    // Handshakes and HTTP requests have different messages for the same refusal.
    let by_message = match message {
        "Valid authorization header not provided." | "Required headers are missing." => "no credentials",
        "You are not authorized to make this call." => "not authorized",
        "Token has expired." => "expired",
        "Permission denied" => "no permission",
        "The security token included in the request is invalid." => "unknown client",
        _ if message.starts_with("Not Authorized to access ") => "denied",
        _ if message.starts_with("Signature expired: ") => "signature expired",
        _ if message.starts_with("The request signature we calculated ") => "signature forged",
        _ => "",
    };
    match (by_message, error_type) {
        ("", "Unauthorized") => "unauthorized".into(),
        ("", "NotFound") => "not found".into(),
        ("", _) => format!("{error_type}: {message}"),
        (known, _) => known.into(),
    }
}

/// Whether the request asked what the tools of a list call, and no tool says it.
fn hides_targets(tools: &Value) -> bool {
    let tools = tools.as_array().into_iter().flatten();
    let mut targets =
        tools.flat_map(|tool| ["lambda", "graphql", "mcp"].map(|target| tool.get(target))).flatten().peekable();
    targets.peek().is_some() && targets.all(Value::is_null)
}

/// The outcome of a response without errors. One that matrix.txt does not know is returned as JSON.
fn data_outcome(response: &Value) -> String {
    let field = response["data"].as_object().and_then(|data| data.values().next());
    let object = field.map(|field| field.pointer("/items/0").unwrap_or(field));
    match object {
        None if response["type"] == "start_ack" => "ok".into(),
        Some(Value::Null) => "hidden".into(),
        Some(Value::Object(object)) if object.get("systemPrompt") == Some(&Value::Null) => "hidden".into(),
        Some(Value::Object(object)) if object.get("guardrail") == Some(&json!({ "id": null })) => "hidden".into(),
        Some(Value::Object(object)) if object.get("tools").is_some_and(hides_targets) => "hidden".into(),
        Some(Value::Object(_)) => "ok".into(),
        None | Some(_) => response.to_string(),
    }
}
