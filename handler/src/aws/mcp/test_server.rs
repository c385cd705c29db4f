//! An MCP server with scripted replies, which also stands for Secrets Manager.
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Method, Response, Uri},
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use turn::tool::McpServer;

use super::McpServers;
use crate::{
    aws::{http_client, secrets_manager::SecretsManager, signed_http},
    mcp_urls::{AllowedSecrets, McpUrls},
};

pub const SECRET_ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mcp-AbC123";
const SECRETS_PATH: &str = "/secrets/";

/// What the server does with one request.
pub enum Reply {
    /// The result of a request, as JSON.
    Result(Value),
    /// The result, as an event of a stream that stays open.
    Event(Value),
    /// A JSON-RPC error.
    Error(&'static str),
    /// A JSON-RPC error with a code of the server's own.
    CodedError(i32, &'static str),
    Status(u16),
    /// A body of another kind.
    Body(&'static str, String),
    /// A stream of these texts that stays open.
    OpenStream(Vec<String>),
    /// A stream of this text without an end.
    EndlessStream(String),
    Delayed(Duration, Box<Reply>),
    /// What the server does otherwise, once there is a permit, which it takes.
    Held(Arc<Semaphore>),
    /// Closes the connection in the middle of the response.
    Hangup,
}

#[derive(Clone, Debug)]
pub struct Request {
    /// The method of JSON-RPC, `DELETE`, or `GetSecretValue`.
    pub method: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Clone)]
pub struct TestServer {
    endpoint: String,
    requests: Arc<Mutex<Vec<Request>>>,
    /// Changes with each request.
    arrival: watch::Sender<()>,
    /// By method, the next reply first. Without one the server does as expected.
    script: Arc<Mutex<HashMap<&'static str, VecDeque<Reply>>>>,
    tools: Arc<Mutex<Value>>,
    secret: Arc<Mutex<Value>>,
}

impl TestServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            requests: Arc::default(),
            arrival: watch::Sender::new(()),
            script: Arc::default(),
            tools: Arc::new(Mutex::new(json!([{ "name": "look", "inputSchema": { "type": "object" } }]))),
            secret: Arc::new(Mutex::new("Bearer first-token".into())),
        };
        let router = Router::new().fallback(respond).with_state(server.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        server
    }

    pub fn server(&self) -> McpServer {
        McpServer { url: format!("{}/mcp", self.endpoint), authorization_secret_arn: None }
    }

    pub fn server_with_secret(&self) -> McpServer {
        McpServer { authorization_secret_arn: Some(SECRET_ARN.into()), ..self.server() }
    }

    /// The clients of a handler whose deployment allows this server and its secret.
    pub fn clients(&self) -> McpServers {
        self.clients_for(&self.server().url)
    }

    pub fn clients_for(&self, url: &str) -> McpServers {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test")))
            .build();
        let http = http_client().unwrap();
        let signed_http = signed_http::from_config(http.clone(), &config).unwrap();
        let secrets = SecretsManager::new(signed_http, Some(format!("{}{SECRETS_PATH}", self.endpoint)));
        let urls = McpUrls::from_list(url).unwrap();
        McpServers::new(http, secrets, urls, AllowedSecrets::from_list(SECRET_ARN))
    }

    /// The next replies to a method.
    pub fn script(&self, method: &'static str, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().entry(method).or_default().extend(replies);
    }

    pub fn set_tools(&self, tools: Value) {
        *self.tools.lock().unwrap() = tools;
    }

    pub fn set_secret(&self, secret: impl Into<Value>) {
        *self.secret.lock().unwrap() = secret.into();
    }

    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    /// How many requests with a method have come and are not taken.
    pub fn count(&self, method: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|request| request.method == method).count()
    }

    /// Waits until as many requests with a method have come and are not taken.
    pub async fn wait_for(&self, method: &str, count: usize) {
        let mut arrivals = self.arrival.subscribe();
        let arrived = arrivals.wait_for(|()| self.count(method) >= count);
        timeout(Duration::from_secs(60), arrived).await.expect("a request in time").expect("a sender");
    }

    /// The methods of the requests since the last call.
    pub fn take_methods(&self) -> Vec<String> {
        self.take_requests().into_iter().map(|request| request.method).collect()
    }

    fn default_reply(&self, request: &Request) -> Reply {
        match request.method.as_str() {
            "initialize" => Reply::Result(json!({
                "protocolVersion": request.body["params"]["protocolVersion"],
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "test", "version": "1" },
            })),
            "tools/list" => Reply::Result(json!({ "tools": *self.tools.lock().unwrap() })),
            "tools/call" => Reply::Result(text_result("done")),
            "GetSecretValue" => {
                let secret = json!({ "SecretString": *self.secret.lock().unwrap() });
                Reply::Body("application/x-amz-json-1.1", secret.to_string())
            }
            _ => Reply::Status(202),
        }
    }
}

/// The result of a call with one text.
pub fn text_result(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

async fn respond(
    State(server): State<TestServer>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response<Body> {
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let method = match &body["method"] {
        _ if uri.path() == SECRETS_PATH => "GetSecretValue".to_owned(),
        Value::String(called) => called.clone(),
        _ => method.to_string(),
    };
    let request = Request { method, headers, body };
    let scripted = {
        let mut script = server.script.lock().unwrap();
        script.get_mut(request.method.as_str()).and_then(VecDeque::pop_front)
    };
    let mut reply = scripted.unwrap_or_else(|| server.default_reply(&request));
    let id = request.body["id"].clone();
    let session = {
        let mut requests = server.requests.lock().unwrap();
        requests.push(request.clone());
        server.arrival.send_replace(());
        requests.iter().filter(|request| request.method == "initialize").count()
    };
    let mut response = loop {
        reply = match reply {
            Reply::Delayed(delay, next) => {
                sleep(delay).await;
                *next
            }
            Reply::Held(permits) => {
                permits.acquire().await.unwrap().forget();
                server.default_reply(&request)
            }
            reply => break reply.into_response(&id),
        }
    };
    if request.method == "initialize" {
        let session_id = format!("session-{session}").parse().unwrap();
        response.headers_mut().entry("mcp-session-id").or_insert(session_id);
    }
    response
}

impl Reply {
    fn into_response(self, id: &Value) -> Response<Body> {
        let with_type = |content_type: &str, body: Body| {
            Response::builder().header("content-type", content_type).body(body).unwrap()
        };
        let message = |member: &str, value: Value| json!({ "jsonrpc": "2.0", "id": id, member: value }).to_string();
        match self {
            Self::Result(result) => with_type("application/json", Body::from(message("result", result))),
            Self::Event(result) => {
                let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress",
                    "params": { "progressToken": 1, "progress": 1 } });
                let texts = [String::from("id: 1\ndata:\n\n"), event(&progress.to_string())];
                Self::OpenStream(texts.into_iter().chain([event(&message("result", result))]).collect())
                    .into_response(id)
            }
            Self::Error(text) => Self::CodedError(-32602, text).into_response(id),
            Self::CodedError(code, text) => {
                let error = json!({ "code": code, "message": text });
                with_type("application/json", Body::from(message("error", error)))
            }
            Self::Status(status) => {
                let body = Body::from(r#"{"message":"internal"}"#);
                Response::builder().status(status).header("location", "/other").body(body).unwrap()
            }
            Self::Body(content_type, body) => with_type(content_type, Body::from(body)),
            Self::OpenStream(texts) => {
                let texts = stream::iter(texts.into_iter().map(Ok::<_, std::io::Error>));
                with_type("text/event-stream", Body::from_stream(texts.chain(stream::pending())))
            }
            Self::EndlessStream(text) => {
                let texts = stream::repeat(text).map(Ok::<_, std::io::Error>);
                with_type("text/event-stream", Body::from_stream(texts))
            }
            Self::Hangup => {
                let error = std::io::Error::other("hung up");
                let body = Body::from_stream(stream::iter([Ok("{".to_owned()), Err(error)]));
                with_type("application/json", body)
            }
            Self::Delayed(..) | Self::Held(_) => unreachable!("the reply is awaited first"),
        }
    }
}

pub fn event(data: &str) -> String {
    format!("event: message\ndata: {data}\n\n")
}
