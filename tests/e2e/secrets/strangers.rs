//! Requests with credentials that are made up, forged or over, and what else nobody should send: each holds secrets.
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
use serde_json::json;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::{
    planted::{Kind, Place},
    stage::{Server, Stage},
};
use crate::backend::patiently;

const QUERY: &str = r#"{"query":"{ listAgents { items { id } } }"}"#;
const START: &str = "subscription { onConversationUpdate(conversationId: \\\"c\\\") { turnId } }";

/// A token that the server has signed, and that is over.
pub fn expired(stage: &Stage, server: &Server) -> String {
    let url = format!("{}/pool", server.url.trim_end_matches("/graphql"));
    let key = || SigningKey::from_pkcs8(&fs::read(stage.state().join("pool-key")).unwrap()).unwrap();
    let (issuer, ada) = (LocalIssuer::user_pool(url, key(), Vec::new()), PoolUser::named("ada"));
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    let token = key().sign(&issuer.claims(&ada, TokenUse::Access, yesterday)).unwrap();
    plant_token(stage, "an expired token", token)
}

/// Of a token the signature is the secret.
pub fn plant_token(stage: &Stage, name: &str, token: String) -> String {
    let signature = token.rsplit('.').next().unwrap().to_owned();
    stage.plant(Kind::Credential, name, signature);
    token
}

/// Credentials in every place where a request may have some, and where it may not.
pub async fn over_http(stage: &Stage, server: &Server, token: &str) {
    let (client, url) = (Client::new(), &server.url);
    let post = || client.post(url).header("content-type", "application/json");
    let keyed = || post().header("x-api-key", &server.api_key);
    for (name, value) in headers(stage, token, &expired(stage, server)) {
        send(stage, post().header(name, &value).body(QUERY)).await;
        send(stage, keyed().header(name, &value).body(QUERY)).await;
    }
    for body in bodies(stage) {
        send(stage, keyed().body(body)).await;
    }
    let [path, query, name] = ["in a path", "in a query", "a password"].map(|name| stage.made_up(name));
    let server = url.trim_end_matches("/graphql");
    send(stage, client.get(format!("{url}/{path}"))).await;
    send(stage, client.post(format!("{url}?x-api-key={query}&Authorization={query}")).body(QUERY)).await;
    send(stage, client.get(format!("{url}?query={{listAgents}}&token={query}"))).await;
    for issuer in ["pool", "oidc"] {
        send(stage, client.post(format!("{server}/{issuer}/token")).body(format!("password={name}"))).await;
    }
    let signed = format!("AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/bedrock/aws4_request, Signature={query}");
    let converse = client.post(format!("{server}/model/parlance.echo/converse-stream"));
    send(stage, converse.header("authorization", signed).body("{}")).await;
}

fn headers(stage: &Stage, token: &str, expired: &str) -> Vec<(&'static str, String)> {
    let made_up = |name: &str| stage.made_up(name);
    let (header, payload) =
        token.split_once('.').map(|(header, rest)| (header, rest.split('.').next().unwrap())).unwrap();
    let forged = format!("{header}.{payload}.{}", made_up("a forged signature"));
    let unsigned = format!("{}.{payload}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), made_up("of no algorithm"));
    let scope = "AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/appsync/aws4_request, SignedHeaders=host;x-amz-date";
    let basic = STANDARD.encode(format!("ada:{}", made_up("a basic password")));
    vec![
        ("x-api-key", format!("da2-{}", &made_up("a wrong API key")[..26])),
        ("x-api-key", made_up("no API key")),
        ("authorization", made_up("an opaque token")),
        ("authorization", format!("Bearer {}", made_up("an opaque bearer token"))),
        ("authorization", format!("eyJhbGciOiJSUzI1NiJ9.{}.x", made_up("a token that is none"))),
        ("authorization", format!("Basic {basic}")),
        ("authorization", forged),
        ("authorization", unsigned),
        ("authorization", expired.to_owned()),
        ("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, Signature={}", made_up("a wrong signature"))),
        ("authorization", format!("AWS4-HMAC-SHA256 {}", made_up("a signature that is none"))),
        ("x-amz-security-token", made_up("a session token")),
        ("proxy-authorization", made_up("a proxy's token")),
        ("cookie", format!("session={}", made_up("a cookie"))),
        ("x-auth-token", made_up("a header of no meaning")),
    ]
}

fn bodies(stage: &Stage) -> Vec<String> {
    let (made_up, text) = (|name: &str| stage.made_up(name), |name: &str| stage.text(name));
    let send = "mutation($input: SendMessageInput!) { sendMessage(input: $input) { id } }";
    vec![
        json!({ "query": "{ listAgents { items { id } } }", "authorization": made_up("beside a query") }).to_string(),
        json!({ "query": "{ listAgents { items { id } } }", "extensions": { "token": made_up("in extensions") } }).to_string(),
        json!({ "query": send, "variables": { "input": { "token": made_up("an unknown member"), "text": "Hello!" } } }).to_string(),
        json!({ "query": send, "variables": { "input": made_up("in place of an input") } }).to_string(),
        json!({ "query": send, "variables": { "input": { "text": text("an unclosed text") } } }).to_string() + "}",
        format!(r#"{{"query":"{{ listAgents","token":"{}"#, made_up("in a cut body")),
        format!("x-api-key={}", made_up("in a form")),
        made_up("a whole body"),
        json!({ "query": send, "variables": { "input": { "text": [text("a list of texts")] } } }).to_string(),
        json!({ "query": send, "variables": { "input": { "conversationId": text("an id with blanks") + " !", "text": "Hi" } } })
            .to_string(),
        json!({ "query": format!("mutation {{ sendMessage(input: {{text: \"{}\"}}) {{ nothing }} }}", text("in a wrong document")) })
            .to_string(),
        json!({ "query": format!("mutation {{ sendMessage(input: {{text: \"{}\"", text("in a cut document")) }).to_string(),
    ]
}

async fn send(stage: &Stage, request: RequestBuilder) {
    let answer = patiently(request.send()).await.unwrap();
    let told = format!("{} {:?} ", answer.status(), answer.headers());
    stage.write_down(Place::Refusal, told + &patiently(answer.text()).await.unwrap());
}

/// The same over a WebSocket: in the sub-protocol, the query, the headers and the frames.
pub async fn over_websockets(stage: &Stage, server: &Server, token: &str) {
    let host = server.url.trim_start_matches("http://").trim_end_matches("/graphql");
    let key = json!({ "host": host, "x-api-key": server.api_key });
    let bad = headers(stage, token, &expired(stage, server));
    let credentials = bad.into_iter().map(|(name, value)| json!({ "host": host, name: value }));
    for credentials in credentials.chain([json!(stage.made_up("no object at all"))]) {
        let encoded = URL_SAFE_NO_PAD.encode(credentials.to_string());
        converse(stage, host, "", &format!("graphql-ws, header-{encoded}"), &[]).await;
        let query = format!("?header={}&payload=e30=", STANDARD.encode(credentials.to_string()).replace('+', "%2B"));
        converse(stage, host, &query, "graphql-ws", &[]).await;
        let authorization = format!(r#""extensions":{{"authorization":{credentials}}}"#);
        let start =
            format!(r#"{{"id":"1","type":"start","payload":{{"data":"{{\"query\":\"{START}\"}}",{authorization}}}}}"#);
        let admitted = format!("graphql-ws, header-{}", URL_SAFE_NO_PAD.encode(key.to_string()));
        converse(stage, host, "", &admitted, &[start]).await;
    }
    let admitted = format!("graphql-ws, header-{}", URL_SAFE_NO_PAD.encode(key.to_string()));
    converse(stage, host, "", &admitted, &frames(stage, &key)).await;
    converse(stage, host, "", &format!("graphql-ws, header-{}", stage.made_up("no base64")), &[]).await;
}

fn frames(stage: &Stage, key: &serde_json::Value) -> Vec<String> {
    let start = |data: String| {
        json!({ "id": "2", "type": "start", "payload": { "data": data, "extensions": { "authorization": key } } })
            .to_string()
    };
    let field = "onConversationUpdate(conversationId: $id) { turnId }";
    let wrong = json!({ "query": format!("subscription($id: ID!) {{ {field} }}"), "variables": { "id": [stage.text("a wrong id")] } });
    vec![
        stage.made_up("a frame that is none"),
        format!(r#"{{"type":"start","token":"{}"#, stage.made_up("in a cut frame")),
        json!({ "type": stage.made_up("a frame's type") }).to_string(),
        json!({ "id": "3", "type": "stop", "payload": stage.made_up("a payload of no use") }).to_string(),
        start(stage.made_up("no data")),
        start(wrong.to_string()),
    ]
}

/// Opens, says everything, and keeps what is answered until the server has nothing more to say to it.
async fn converse(stage: &Stage, host: &str, query: &str, protocols: &str, frames: &[String]) {
    let mut request = format!("ws://{host}/graphql/realtime{query}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    let (mut stream, _) = match connect_async(request).await {
        Ok(opened) => opened,
        Err(refused) => return stage.write_down(Place::Refusal, format!("{refused:?}")),
    };
    let init = [r#"{"type":"connection_init"}"#.to_owned()];
    // The last one is answered in any case, and by then all others are.
    let last = [r#"{"id":"1","type":"stop"}"#.to_owned()];
    for frame in init.iter().chain(frames).chain(&last) {
        if stream.send(Message::text(frame)).await.is_err() {
            break;
        }
    }
    drop(stream.close(None).await);
    while let Some(Ok(heard)) = patiently(stream.next()).await {
        stage.write_down(Place::Refusal, format!("{heard:?}"));
    }
}
