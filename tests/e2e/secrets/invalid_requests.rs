//! Requests with made-up, forged or expired credentials, and malformed requests. Each contains planted
//! secrets.
use std::{
    fs,
    time::{Duration, SystemTime},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use futures::{SinkExt, StreamExt};
use local::identity::{LocalIssuer, PoolUser, SigningKey, TokenUse};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::{
    fixture::{Fixture, TestServer},
    planted_secrets::Location,
};
use crate::backend::with_timeout;

const QUERY: &str = r#"{"query":"{ listAgents { items { id } } }"}"#;
const SUBSCRIPTION: &str = "subscription { onConversationUpdate(conversationId: \\\"c\\\") { turnId } }";
const SEND_MESSAGE: &str = "mutation($input: SendMessageInput!) { sendMessage(input: $input) { id } }";

/// A token that the server's user pool has signed and that has expired.
pub fn expired_token(fixture: &Fixture, server: &TestServer) -> String {
    let url = format!("{}/pool", server.url.trim_end_matches("/graphql"));
    let key = || SigningKey::from_pkcs8(&fs::read(fixture.state().join("pool-key")).unwrap()).unwrap();
    let (issuer, ada) = (LocalIssuer::user_pool(url, key(), Vec::new()), PoolUser::named("ada"));
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    let token = key().sign(&issuer.claims(&ada, TokenUse::Access, yesterday)).unwrap();
    fixture.plant_token("an expired token", token)
}

/// Sends invalid credentials in headers, bodies, paths and queries.
pub async fn send_over_http(fixture: &Fixture, server: &TestServer, token: &str) {
    let (client, url) = (Client::new(), &server.url);
    let post = || client.post(url).header("content-type", "application/json");
    let post_with_key = || post().header("x-api-key", &server.api_key);
    for (name, value) in invalid_headers(fixture, token, &expired_token(fixture, server)) {
        send(fixture, post().header(name, &value).body(QUERY)).await;
        send(fixture, post_with_key().header(name, &value).body(QUERY)).await;
    }
    for body in invalid_bodies(fixture) {
        send(fixture, post_with_key().body(body)).await;
    }
    let [in_path, in_query, password] = ["in a path", "in a query", "a password"].map(|name| fixture.credential(name));
    let base_url = url.trim_end_matches("/graphql");
    send(fixture, client.get(format!("{url}/{in_path}"))).await;
    send(fixture, client.post(format!("{url}?x-api-key={in_query}&Authorization={in_query}")).body(QUERY)).await;
    send(fixture, client.get(format!("{url}?query={{listAgents}}&token={in_query}"))).await;
    for issuer in ["pool", "oidc"] {
        let form = format!("password={password}");
        send(fixture, client.post(format!("{base_url}/{issuer}/token")).body(form)).await;
    }
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/bedrock/aws4_request, Signature={in_query}");
    let converse = client.post(format!("{base_url}/model/parlance.echo/converse-stream"));
    send(fixture, converse.header("authorization", authorization).body("{}")).await;
}

fn invalid_headers(fixture: &Fixture, token: &str, expired: &str) -> Vec<(&'static str, String)> {
    let secret = |name: &str| fixture.credential(name);
    let mut parts = token.split('.');
    let (header, payload) = (parts.next().unwrap(), parts.next().unwrap());
    let forged = format!("{header}.{payload}.{}", secret("a forged signature"));
    let no_algorithm = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let unsigned = format!("{no_algorithm}.{payload}.{}", secret("a signature without algorithm"));
    let scope = "AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/appsync/aws4_request, SignedHeaders=host;x-amz-date";
    let basic = STANDARD.encode(format!("ada:{}", secret("a basic password")));
    vec![
        ("x-api-key", format!("da2-{}", &secret("a wrong API key")[..26])),
        ("x-api-key", secret("a malformed API key")),
        ("authorization", secret("an opaque token")),
        ("authorization", format!("Bearer {}", secret("an opaque bearer token"))),
        ("authorization", format!("eyJhbGciOiJSUzI1NiJ9.{}.x", secret("a malformed token"))),
        ("authorization", format!("Basic {basic}")),
        ("authorization", forged),
        ("authorization", unsigned),
        ("authorization", expired.to_owned()),
        ("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, Signature={}", secret("a wrong signature"))),
        ("authorization", format!("AWS4-HMAC-SHA256 {}", secret("a malformed signature"))),
        ("x-amz-security-token", secret("a session token")),
        ("proxy-authorization", secret("a proxy token")),
        ("cookie", format!("session={}", secret("a cookie"))),
        ("x-auth-token", secret("an unused header")),
    ]
}

fn invalid_bodies(fixture: &Fixture) -> Vec<String> {
    let secret = |name: &str| fixture.credential(name);
    let text = |name: &str| fixture.text(name);
    let query = "{ listAgents { items { id } } }";
    let send_message = |input: Value| json!({ "query": SEND_MESSAGE, "variables": { "input": input } }).to_string();
    let mutation = |text: String| format!("mutation {{ sendMessage(input: {{text: \"{text}\"");
    vec![
        json!({ "query": query, "authorization": secret("a member of the body") }).to_string(),
        json!({ "query": query, "extensions": { "token": secret("in extensions") } }).to_string(),
        send_message(json!({ "token": secret("an unknown member"), "text": "Hello!" })),
        send_message(json!(secret("in place of an input"))),
        send_message(json!({ "text": text("text in a malformed body") })) + "}",
        format!(r#"{{"query":"{{ listAgents","token":"{}"#, secret("in a truncated body")),
        format!("x-api-key={}", secret("in a form")),
        secret("a whole body"),
        send_message(json!({ "text": [text("a list of texts")] })),
        send_message(json!({ "conversationId": text("a malformed id") + " !", "text": "Hi" })),
        json!({ "query": mutation(text("text in an invalid document")) + "}) { nothing } }" }).to_string(),
        json!({ "query": mutation(text("text in a truncated document")) }).to_string(),
    ]
}

async fn send(fixture: &Fixture, request: RequestBuilder) {
    let response = with_timeout(request.send()).await.unwrap();
    let status_and_headers = format!("{} {:?} ", response.status(), response.headers());
    let body = with_timeout(response.text()).await.unwrap();
    fixture.capture(Location::ResponseError, status_and_headers + &body);
}

/// Sends invalid credentials in the sub-protocol, the query and the frames of WebSocket connections.
pub async fn send_over_websockets(fixture: &Fixture, server: &TestServer, token: &str) {
    let host = server.url.trim_start_matches("http://").trim_end_matches("/graphql");
    let key = json!({ "host": host, "x-api-key": server.api_key });
    let with_key = format!("graphql-ws, header-{}", URL_SAFE_NO_PAD.encode(key.to_string()));
    let headers = invalid_headers(fixture, token, &expired_token(fixture, server));
    let credentials = headers.into_iter().map(|(name, value)| json!({ "host": host, name: value }));
    for credentials in credentials.chain([json!(fixture.credential("not an object"))]) {
        let encoded = URL_SAFE_NO_PAD.encode(credentials.to_string());
        exchange_frames(fixture, host, "", &format!("graphql-ws, header-{encoded}"), &[]).await;
        let query = format!("?header={}&payload=e30=", STANDARD.encode(credentials.to_string()).replace('+', "%2B"));
        exchange_frames(fixture, host, &query, "graphql-ws", &[]).await;
        let authorization = format!(r#""extensions":{{"authorization":{credentials}}}"#);
        let data = format!(r#""data":"{{\"query\":\"{SUBSCRIPTION}\"}}""#);
        let start = format!(r#"{{"id":"1","type":"start","payload":{{{data},{authorization}}}}}"#);
        exchange_frames(fixture, host, "", &with_key, &[start]).await;
    }
    exchange_frames(fixture, host, "", &with_key, &invalid_frames(fixture, &key)).await;
    let malformed = format!("graphql-ws, header-{}", fixture.credential("not base64"));
    exchange_frames(fixture, host, "", &malformed, &[]).await;
}

fn invalid_frames(fixture: &Fixture, key: &Value) -> Vec<String> {
    let start = |data: String| {
        json!({ "id": "2", "type": "start", "payload": { "data": data, "extensions": { "authorization": key } } })
            .to_string()
    };
    let query = "subscription($id: ID!) { onConversationUpdate(conversationId: $id) { turnId } }";
    let wrong_type = json!({ "query": query, "variables": { "id": [fixture.text("an id of a wrong type")] } });
    vec![
        fixture.credential("a malformed frame"),
        format!(r#"{{"type":"start","token":"{}"#, fixture.credential("in a truncated frame")),
        json!({ "type": fixture.credential("a frame type") }).to_string(),
        json!({ "id": "3", "type": "stop", "payload": fixture.credential("an unused payload") }).to_string(),
        start(fixture.credential("malformed data")),
        start(wrong_type.to_string()),
    ]
}

/// Connects, sends all frames, and captures every response until the server closes the connection.
async fn exchange_frames(fixture: &Fixture, host: &str, query: &str, protocols: &str, frames: &[String]) {
    let mut request = format!("ws://{host}/graphql/realtime{query}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    let (mut stream, _) = match connect_async(request).await {
        Ok(connected) => connected,
        Err(refused) => return fixture.capture(Location::ResponseError, format!("{refused:?}")),
    };
    let first = [r#"{"type":"connection_init"}"#.to_owned()];
    // The server handles frames in order, so its response to this one comes after all others.
    let last = [r#"{"id":"1","type":"stop"}"#.to_owned()];
    for frame in first.iter().chain(frames).chain(&last) {
        if stream.send(Message::text(frame)).await.is_err() {
            break;
        }
    }
    drop(stream.close(None).await);
    while let Some(Ok(message)) = with_timeout(stream.next()).await {
        fixture.capture(Location::ResponseError, format!("{message:?}"));
    }
}
