//! The API under test: its stack, callers, functions and server.
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use local::{
    identity::{Authenticator, Principal},
    stack,
    template::{ACCOUNT, Deployment, load},
    websocket_api::{WebSocketApi, WebSocketSettings},
};
use serde_json::Value;

use crate::{functions::Functions, signer::Signer};

const REGION: &str = "us-east-1";
pub const ADMINISTRATOR: Signer = Signer { access_key: "AKIAROOT", secret: "root-secret", token: None, region: REGION };
/// The role of the stack that may post messages, and nothing else.
pub const SENDER: Signer =
    Signer { access_key: "ASIASENDER", secret: "sender-secret", token: Some("sender-token"), region: REGION };

/// Longer than any expected event takes.
pub const TIMEOUT: Duration = Duration::from_secs(20);

pub fn stack_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/websocket/stack")
}

pub struct Server {
    pub address: SocketAddr,
    pub functions: Functions,
    pub api: WebSocketApi,
    client: reqwest::Client,
}

/// An HTTP response.
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub fn error_type(&self) -> Option<&str> {
        self.headers.get("x-amzn-errortype").map(|value| value.to_str().unwrap())
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(WebSocketSettings::default(), |_| {}).await
    }

    /// A server on which API Gateway's seconds have this length.
    pub async fn start_scaled(time_scale: f64) -> Self {
        Self::start_with(WebSocketSettings { time_scale, ..WebSocketSettings::default() }, |_| {}).await
    }

    /// A server whose API is changed.
    pub async fn start_with(settings: WebSocketSettings, change: impl FnOnce(&mut stack::WebSocketApi)) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let deployment = Deployment::at(&format!("http://localhost:{}", address.port()), BTreeMap::new());
        let stack = load(&stack_folder(), &deployment).unwrap();
        let mut api = stack.websocket_api.unwrap();
        change(&mut api);

        let authenticator = Authenticator::new(Vec::new(), Vec::new());
        let administrator = Principal::administrator(ACCOUNT, "root", "AKIAROOT".into(), "root-secret".into());
        authenticator.add_principal(administrator);
        let role = &stack.roles["parlance-SenderRole"];
        let credentials = ["ASIASENDER".into(), "sender-secret".into(), "sender-token".into()];
        authenticator.add_principal(Principal::role_session(&role.arn, "run", credentials, &role.statements));

        let functions = Functions::default();
        let api = WebSocketApi::new(api, functions.clone(), authenticator, settings);
        let service = api.router().into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { address, functions, api, client: reqwest::Client::new() }
    }

    pub fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// Sends a signed request.
    pub async fn send_signed(&self, signer: Signer, method: &str, path: &str, body: &[u8]) -> Reply {
        let headers = signer.headers("execute-api", method, &self.host(), path, body);
        self.send(method, path, &headers, body).await
    }

    pub async fn send(&self, method: &str, path: &str, headers: &serde_json::Map<String, Value>, body: &[u8]) -> Reply {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.client.request(method.parse().unwrap(), url).body(body.to_vec());
        for (name, value) in headers {
            request = request.header(name, value.as_str().unwrap());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, text: response.text().await.unwrap() }
    }

    /// Posts a text to a connection as the sender of the stack.
    pub async fn post(&self, connection_id: &str, text: &str) -> Reply {
        self.send_signed(SENDER, "POST", &connection_path(connection_id), text.as_bytes()).await
    }
}

/// The path of a connection, with the equals sign of its id escaped.
pub fn connection_path(connection_id: &str) -> String {
    format!("/prod/@connections/{}", connection_id.replace('=', "%3D"))
}
