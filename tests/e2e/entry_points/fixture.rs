//! A server with all entry points, and the callers of each.
use std::time::SystemTime;

use api::signing::PostRequest;
use aws_credential_types::Credentials;
use client::credentials::IamKeys;
use local::identity::PoolUser;
use serde_json::{Value, json};

use super::entry_clients::{Connection, EventsSocket, host_of, publish};
use crate::backend::{Backend, new_id, with_timeout};

/// The parameters that create the entry points.
const BOTH: [(&str, &str); 2] = [("EventsApi", "true"), ("WebSocketApi", "true")];

pub struct EntryPoints {
    pub backend: Backend,
}

/// A caller of the Events API.
pub struct EventsCaller {
    pub headers: Value,
    /// The rest of the caller's channels, after `/chat/request/` and `/chat/responses/`.
    pub own: String,
}

impl EntryPoints {
    /// With the users Ada and Bob of the user pool and of the OpenID Connect provider.
    pub async fn start() -> Self {
        Self::with_parameters(BOTH).await
    }

    pub async fn with_parameter(parameter: (&str, &str)) -> Self {
        let [events, websocket] = BOTH;
        Self::with_parameters([events, websocket, parameter]).await
    }

    async fn with_parameters<const N: usize>(parameters: [(&str, &str); N]) -> Self {
        Self { backend: Backend::with_users(&["ada", "bob"], parameters).await }
    }

    pub fn events_url(&self) -> &str {
        self.backend.server.endpoint.events_url.as_deref().expect("the stack has an Events API")
    }

    pub fn websocket_url(&self) -> &str {
        self.backend.server.endpoint.websocket_url.as_deref().expect("the stack has a WebSocket API")
    }

    pub fn api_key(&self) -> &str {
        self.backend.server.endpoint.api_key.as_deref().expect("the API has a key")
    }

    pub fn pool_token(&self, name: &str) -> String {
        let pool = self.backend.server.issuers.pool.as_ref().expect("the stack has a user pool");
        pool.issue_tokens(name, SystemTime::now()).unwrap().access_token
    }

    pub fn oidc_token(&self, name: &str) -> String {
        let provider = self.backend.server.issuers.oidc.as_ref().expect("there is a provider");
        provider.issue_tokens(name, SystemTime::now()).unwrap().access_token
    }

    /// With channels of its own.
    pub fn key_caller(&self) -> EventsCaller {
        let key = self.backend.server.endpoint.events_api_key.as_deref().expect("the Events API has a key");
        self.events_caller(json!({ "x-api-key": key }), &format!("api-key/{}", new_id()))
    }

    pub fn pool_caller(&self, name: &str) -> EventsCaller {
        self.events_caller(json!({ "Authorization": self.pool_token(name) }), &PoolUser::named(name).subject())
    }

    pub fn oidc_caller(&self, name: &str) -> EventsCaller {
        let own = format!("oidc/{}", PoolUser::named(name).subject());
        self.events_caller(json!({ "Authorization": self.oidc_token(name) }), &own)
    }

    pub fn token_caller(&self, token: &str, own: &str) -> EventsCaller {
        self.events_caller(json!({ "Authorization": token }), own)
    }

    fn events_caller(&self, mut headers: Value, own: &str) -> EventsCaller {
        headers["host"] = json!(host_of(self.events_url()));
        EventsCaller { headers, own: own.to_owned() }
    }

    /// A connection of a user of the pool.
    pub async fn connect(&self, name: &str) -> Socket {
        Socket::open(&format!("{}?token={}", self.websocket_url(), self.pool_token(name))).await
    }

    pub async fn listen(&self, caller: &EventsCaller) -> EventsSocket {
        self.listen_to(caller, &format!("/chat/responses/{}", caller.own)).await.expect("the subscription is accepted")
    }

    pub async fn listen_to(&self, caller: &EventsCaller, channel: &str) -> Result<EventsSocket, Value> {
        EventsSocket::subscribe(self.events_url(), &caller.headers, channel).await
    }

    /// Publishes a question to the caller's own channel.
    pub async fn ask(&self, caller: &EventsCaller, question: &Value) -> (u16, Value) {
        self.publish_to(caller, &format!("/chat/request/{}", caller.own), question).await
    }

    pub async fn publish_to(&self, caller: &EventsCaller, channel: &str, payload: &Value) -> (u16, Value) {
        publish(self.events_url(), &caller.headers, channel, payload).await
    }
}

/// A connection of the WebSocket API whose messages arrive in time.
pub struct Socket(Connection);

impl Socket {
    pub async fn open(url: &str) -> Self {
        Self::open_with(url, &[]).await
    }

    pub async fn open_with(url: &str, headers: &[(&str, &str)]) -> Self {
        Self(Connection::open(url, headers).await.expect("the connection is accepted").0)
    }

    pub async fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.0.send(text).await;
    }

    pub async fn next(&mut self) -> Value {
        with_timeout(self.0.next()).await.expect("the connection is open")
    }
}

/// Posts a body that is signed as Amplify signs it. Returns the status.
pub async fn post_signed(url: &str, keys: &IamKeys, body: &str) -> u16 {
    let credentials = Credentials::new(&keys.access_key, &keys.secret_key, keys.session_token.clone(), None, "test");
    let headers = [("content-type", "application/json; charset=UTF-8")];
    let post = PostRequest { service: "appsync", url, region: &keys.region, headers: &headers, body: body.as_bytes() };
    let signature = post.sign(credentials, SystemTime::now()).unwrap();
    let mut request = reqwest::Client::new().post(url).body(body.to_owned());
    for (name, value) in signature.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(headers) {
        request = request.header(name, value);
    }
    request.send().await.unwrap().status().as_u16()
}
