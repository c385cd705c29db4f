//! A root field asked for by one caller, and what came of it.
use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client::{Credentials, endpoint::Endpoint};
use futures::{SinkExt, StreamExt};
use reqwest::Url;
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{ClientRequestBuilder, Message},
};

use crate::backend::patiently;

/// Somebody, with or without credentials.
pub struct Caller {
    pub credentials: Option<Credentials>,
    /// How long ago it signs.
    pub ago: Duration,
}

/// A document with its variables.
pub struct Asked {
    pub document: &'static str,
    pub variables: Value,
}

impl Caller {
    pub fn with(credentials: Credentials) -> Self {
        Self { credentials: Some(credentials), ago: Duration::ZERO }
    }

    pub const NOBODY: Self = Self { credentials: None, ago: Duration::ZERO };

    fn moment(&self) -> SystemTime {
        SystemTime::now() - self.ago
    }

    /// The whole answer over HTTP.
    pub async fn post(&self, endpoint: &Endpoint, asked: &Asked) -> Value {
        let body = asked.body();
        let mut request = reqwest::Client::new().post(endpoint.graphql().clone());
        request = request.header("content-type", "application/json");
        if let Some(credentials) = &self.credentials {
            for (name, value) in credentials.http_headers(endpoint.graphql(), &body, self.moment()).unwrap() {
                request = request.header(name, value);
            }
        }
        request.body(body).send().await.unwrap().json().await.unwrap()
    }

    /// The first frame that says how the subscription went.
    pub async fn subscribe(&self, endpoint: &Endpoint, asked: &Asked) -> Value {
        let data = asked.body();
        let nobody = || json!({ "host": endpoint.host() });
        let connect = self.credentials.as_ref().map(|known| known.connection_header(endpoint, self.moment()).unwrap());
        let start =
            self.credentials.as_ref().map(|known| known.subscription_header(endpoint, &data, self.moment()).unwrap());
        let header = URL_SAFE_NO_PAD.encode(connect.unwrap_or_else(nobody).to_string());
        let url: Url = endpoint.realtime().clone();
        let request = ClientRequestBuilder::new(url.as_str().parse().unwrap())
            .with_sub_protocol("graphql-ws")
            .with_sub_protocol(format!("header-{header}"));
        let (mut socket, _) = patiently(connect_async(request)).await.unwrap();
        let authorization = start.unwrap_or_else(nobody);
        let payload = json!({ "data": data, "extensions": { "authorization": authorization } });
        for frame in [json!({ "type": "connection_init" }), json!({ "type": "start", "id": "1", "payload": payload })] {
            // Whoever is refused at once is no longer heard.
            drop(socket.send(Message::text(frame.to_string())).await);
        }
        loop {
            let text = match patiently(socket.next()).await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(_)) => continue,
                ended => panic!("the socket ended without a word on the subscription: {ended:?}"),
            };
            let frame: Value = serde_json::from_str(&text).unwrap();
            if ["connection_error", "start_ack", "error"].contains(&frame["type"].as_str().unwrap()) {
                return frame;
            }
        }
    }
}

impl Asked {
    fn body(&self) -> String {
        json!({ "query": self.document, "variables": self.variables }).to_string()
    }
}

/// The outcome, in the matrix's words. A handshake is refused in other words than a request.
pub fn outcome(answer: &Value) -> String {
    let errors = answer.pointer("/payload/errors").unwrap_or(&answer["errors"]);
    let Some(error) = errors.get(0) else { return shown(answer) };
    let text = |name: &str| error[name].as_str().unwrap_or_default();
    let (error_type, message) = (text("errorType"), text("message"));
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

/// An acknowledged subscription, or data that is there, hidden or lacking; of anything else the answer itself.
fn shown(answer: &Value) -> String {
    let found = answer["data"].as_object().and_then(|data| data.values().next());
    let found = found.map(|found| found.pointer("/items/0").unwrap_or(found));
    match found {
        None if answer["type"] == "start_ack" => "ok".into(),
        Some(Value::Null) => "hidden".into(),
        Some(Value::Object(found)) if found.get("systemPrompt") == Some(&Value::Null) => "hidden".into(),
        Some(Value::Object(_)) => "ok".into(),
        None | Some(_) => answer.to_string(),
    }
}
