//! Listings of the tools of servers, good and bad ones.
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use turn::tool::McpServer;

use super::{
    CLOSING_TIMEOUT, McpError, McpServers, McpSessions,
    test_server::{Reply, SECRET_ARN, TestServer, event},
};
use crate::clock::now;

/// Longer than any listing takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

async fn list(server: &TestServer) -> Result<Vec<String>, McpError> {
    list_until(&server.clients(), &server.server(), now() + TIMEOUT).await
}

async fn list_with_secret(server: &TestServer, clients: &McpServers) -> Result<Vec<String>, McpError> {
    list_until(clients, &server.server_with_secret(), now() + TIMEOUT).await
}

async fn list_until(clients: &McpServers, server: &McpServer, until: Instant) -> Result<Vec<String>, McpError> {
    let mut names = Vec::new();
    clients.list_tools(server, until, |tool| names.push(tool.name.into_owned())).await?;
    Ok(names)
}

fn page(names: &[&str], next: Option<&str>) -> Reply {
    let tools: Vec<_> = names.iter().map(|name| json!({ "name": name, "inputSchema": {} })).collect();
    let mut page = json!({ "tools": tools });
    if let Some(next) = next {
        page["nextCursor"] = next.into();
    }
    Reply::Result(page)
}

#[tokio::test]
async fn all_pages_are_listed_in_one_session_that_is_ended() {
    let server = TestServer::start().await;
    server.script("tools/list", [page(&["a", "b"], Some("2")), page(&[], Some("3")), page(&["c"], None)]);
    assert_eq!(list(&server).await.unwrap(), ["a", "b", "c"]);
    let requests = server.take_requests();
    let methods: Vec<_> = requests.iter().map(|request| request.method.as_str()).collect();
    let expected = ["initialize", "notifications/initialized", "tools/list", "tools/list", "tools/list", "DELETE"];
    assert_eq!(methods, expected);
    let cursors: Vec<_> = requests[2..5].iter().map(|request| &request.body["params"]["cursor"]).collect();
    assert_eq!(cursors, [&Value::Null, &json!("2"), &json!("3")]);
    assert_eq!(requests[0].header("mcp-session-id"), None);
    for request in &requests[1..] {
        assert_eq!(request.header("mcp-session-id"), Some("session-1"));
        assert!(request.header("mcp-protocol-version").is_some() && request.header("authorization").is_none());
    }
    assert_eq!(requests[0].body["params"]["capabilities"], json!({}), "the server can ask for nothing");
    assert_eq!(requests[0].header("accept"), Some("application/json, text/event-stream"));
}

#[tokio::test]
async fn responses_may_be_events() {
    let server = TestServer::start().await;
    server.script("tools/list", [Reply::Event(json!({ "tools": [{ "name": "a", "inputSchema": {} }] }))]);
    assert_eq!(list(&server).await.unwrap(), ["a"]);
}

/// A server of the protocol's next version has no handshake.
#[tokio::test]
async fn server_without_a_handshake_is_asked_without_one() {
    let server = TestServer::start().await;
    server.script("initialize", [Reply::Error("Method not found")]);
    let discovered = json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"],
        "capabilities": { "tools": {} }, "ttlMs": 0, "cacheScope": "private" });
    server.script("server/discover", [Reply::Result(discovered)]);
    let tools = json!({ "resultType": "complete", "tools": [{ "name": "a", "inputSchema": {} }], "ttlMs": 0,
        "cacheScope": "private" });
    server.script("tools/list", [Reply::Result(tools)]);
    assert_eq!(list(&server).await.unwrap(), ["a"]);
    let requests = server.take_requests();
    let last = requests.last().unwrap();
    assert_eq!((last.method.as_str(), last.header("mcp-session-id")), ("tools/list", None));
    assert_eq!(last.header("mcp-protocol-version"), Some("2026-07-28"));
}

#[tokio::test]
async fn lists_that_do_not_end_are_refused() {
    let server = TestServer::start().await;
    server.script("tools/list", (0..2000).map(|number| page(&[], Some(&number.to_string()))));
    assert_eq!(list(&server).await, Err(McpError::TooManyTools));
    let pages = server.take_methods().into_iter().filter(|method| method == "tools/list").count();
    assert_eq!(pages, super::MAX_PAGES);
    let server = TestServer::start().await;
    server.set_tools((0..513).map(|number| json!({ "name": number.to_string(), "inputSchema": {} })).collect());
    assert_eq!(list(&server).await, Err(McpError::TooManyTools));
}

#[tokio::test]
async fn servers_of_another_kind_are_refused() {
    let broken = r#"{"jsonrpc":"2.0","id":0,"result":"#;
    let other_id = r#"{"jsonrpc":"2.0","id":77,"result":{"tools":[]}}"#;
    let large = || "x".repeat(1024 * 1024 + 1);
    let cases = [
        (Reply::Body("text/html", "<html>".into()), McpError::NotMcp),
        (Reply::Body("application/json", broken.into()), McpError::NotMcp),
        (Reply::Body("application/json", "[]".into()), McpError::NotMcp),
        (Reply::Body("application/json", other_id.into()), McpError::NotMcp),
        (Reply::Body("application/json", large()), McpError::TooLarge),
        (Reply::Result(json!({ "tools": 1 })), McpError::NotMcp),
        (Reply::Result(json!({ "tools": [{ "name": "a" }] })), McpError::NotMcp),
        (Reply::OpenStream(vec![event("no JSON")]), McpError::NotMcp),
        (Reply::EndlessStream(":comment\n".repeat(1000)), McpError::TooLarge),
        (Reply::EndlessStream("data: 1\n".repeat(1000)), McpError::TooLarge),
        (Reply::Body("text/event-stream", String::new()), McpError::ConnectionBroken),
        (Reply::Hangup, McpError::ConnectionBroken),
        (Reply::Error("secret text"), McpError::Rpc("secret text".into())),
        (Reply::CodedError(1, "of the server"), McpError::Rpc("of the server".into())),
        (Reply::CodedError(2, "of the server"), McpError::Rpc("of the server".into())),
        (Reply::Status(202), McpError::NotMcp),
        (Reply::Status(302), McpError::Refused),
        (Reply::Status(307), McpError::Refused),
        (Reply::Status(400), McpError::Refused),
        (Reply::Status(401), McpError::Unauthorized),
        (Reply::Status(403), McpError::Forbidden),
        (Reply::Status(404), McpError::SessionExpired),
        (Reply::Status(429), McpError::NotStarted),
        (Reply::Status(500), McpError::ServerError),
    ];
    for (number, (reply, expected)) in cases.into_iter().enumerate() {
        let server = TestServer::start().await;
        server.script("tools/list", [reply]);
        assert_eq!(list(&server).await, Err(expected), "case {number}");
        assert!(!server.take_methods().contains(&"GET".to_owned()), "no redirect is followed");
    }
}

#[tokio::test]
async fn failures_of_the_handshake_are_told_apart() {
    for (method, reply, expected) in [
        ("initialize", Reply::Status(401), McpError::Unauthorized),
        ("initialize", Reply::Status(403), McpError::Forbidden),
        ("initialize", Reply::Status(404), McpError::Refused),
        ("initialize", Reply::Status(405), McpError::Refused),
        ("initialize", Reply::Status(503), McpError::ServerError),
        ("initialize", Reply::Body("text/html", "<html>".into()), McpError::NotMcp),
        ("initialize", Reply::Result(json!({ "a": 1 })), McpError::NotMcp),
        ("initialize", Reply::Hangup, McpError::ConnectionBroken),
        ("notifications/initialized", Reply::Status(401), McpError::Unauthorized),
        ("notifications/initialized", Reply::Status(400), McpError::Refused),
    ] {
        let server = TestServer::start().await;
        server.script(method, [reply]);
        assert_eq!(list(&server).await, Err(expected), "{method}");
    }
    let closed = McpServer { url: "http://127.0.0.1:1/mcp".into(), authorization_secret_arn: None };
    let server = TestServer::start().await;
    assert_eq!(list_until(&server.clients(), &closed, now() + TIMEOUT).await, Err(McpError::UrlNotAllowed));
    assert!(server.take_requests().is_empty());
}

#[tokio::test]
async fn server_that_does_not_answer_is_given_up() {
    for method in ["initialize", "notifications/initialized", "tools/list"] {
        let server = TestServer::start().await;
        server.script(method, [Reply::Delayed(Duration::from_secs(60), Box::new(Reply::Status(202)))]);
        let listing = list_until(&server.clients(), &server.server(), now() + Duration::from_millis(300)).await;
        assert_eq!(listing, Err(McpError::TimeOver), "{method}");
    }
}

#[tokio::test]
async fn session_of_a_listing_out_of_time_is_ended() {
    let server = TestServer::start().await;
    server.script("tools/list", [Reply::OpenStream(Vec::new())]);
    // The handshake is over by then.
    let listing = list_until(&server.clients(), &server.server(), now() + Duration::from_secs(2)).await;
    assert_eq!(listing, Err(McpError::TimeOver));
    assert_eq!(server.take_methods().last().map(String::as_str), Some("DELETE"));
}

#[tokio::test]
async fn session_is_given_up_when_no_time_remains() {
    let server = TestServer::start().await;
    server.script("DELETE", [Reply::Delayed(TIMEOUT, Box::new(Reply::Status(200)))]);
    let (clients, sessions) = (server.clients(), McpSessions::default());
    sessions.session(&server.server(), &clients).await.unwrap();
    let started_at = now();
    sessions.close(started_at + Duration::from_millis(100)).await;
    assert!(now() - started_at < CLOSING_TIMEOUT);
}

#[tokio::test]
async fn secret_is_the_header_of_every_request_and_is_read_once() {
    let server = TestServer::start().await;
    let clients = server.clients();
    for _ in 0..2 {
        list_with_secret(&server, &clients).await.unwrap();
    }
    let (secrets, requests): (Vec<_>, Vec<_>) =
        server.take_requests().into_iter().partition(|request| request.method == "GetSecretValue");
    let [secret] = secrets.try_into().unwrap();
    assert_eq!(secret.body, json!({ "SecretId": SECRET_ARN }));
    assert_eq!(secret.header("x-amz-target"), Some("secretsmanager.GetSecretValue"));
    let signature = secret.header("authorization").unwrap();
    assert!(signature.contains("/eu-west-1/secretsmanager/aws4_request"), "{signature}");
    assert_eq!(requests.len(), 8);
    for request in requests {
        assert_eq!(request.header("authorization"), Some("Bearer first-token"), "{}", request.method);
    }
}

#[tokio::test]
async fn refused_secret_is_read_again_once() {
    let server = TestServer::start().await;
    let clients = server.clients();
    list_with_secret(&server, &clients).await.unwrap();
    server.set_secret("Bearer second-token");
    server.take_requests();
    server.script("initialize", [Reply::Status(401)]);
    list_with_secret(&server, &clients).await.unwrap();
    let requests = server.take_requests();
    let initializations = requests.iter().filter(|request| request.method == "initialize");
    let headers: Vec<_> = initializations.map(|request| request.header("authorization").unwrap()).collect();
    assert_eq!(headers, ["Bearer first-token", "Bearer second-token"]);
    server.script("initialize", [Reply::Status(401), Reply::Status(401)]);
    assert_eq!(list_with_secret(&server, &clients).await, Err(McpError::Unauthorized));
    assert_eq!(server.take_methods(), ["initialize", "GetSecretValue", "initialize"]);
}

#[tokio::test]
async fn secret_of_a_server_that_forbids_the_request_is_not_read_again() {
    let server = TestServer::start().await;
    server.script("initialize", [Reply::Status(403)]);
    assert_eq!(list_with_secret(&server, &server.clients()).await, Err(McpError::Forbidden));
    assert_eq!(server.take_methods(), ["GetSecretValue", "initialize"]);
}

#[tokio::test]
async fn secrets_that_cannot_be_used_are_told_apart() {
    let error = |error_type: &str| {
        Reply::Body("application/x-amz-json-1.1", json!({ "__type": error_type, "Message": "m" }).to_string())
    };
    for (reply, expected) in [
        (error("ResourceNotFoundException"), McpError::SecretNotReadable),
        (Reply::Status(400), McpError::SecretNotReadable),
        (Reply::Status(500), McpError::SecretNotAvailable),
        (Reply::Hangup, McpError::SecretNotAvailable),
        (Reply::Body("application/json", json!({ "SecretBinary": "AAAA" }).to_string()), McpError::SecretNotReadable),
        (Reply::Body("application/json", json!({ "SecretString": "a\nb" }).to_string()), McpError::SecretNotHeader),
        (Reply::Body("application/json", json!({ "SecretString": "" }).to_string()), McpError::SecretNotHeader),
    ] {
        let server = TestServer::start().await;
        server.script("GetSecretValue", [reply]);
        assert_eq!(list_with_secret(&server, &server.clients()).await, Err(expected));
        assert_eq!(server.take_methods(), ["GetSecretValue"]);
    }
    let server = TestServer::start().await;
    let other = McpServer { authorization_secret_arn: Some(SECRET_ARN.replace("mcp", "other")), ..server.server() };
    assert_eq!(list_until(&server.clients(), &other, now() + TIMEOUT).await, Err(McpError::SecretNotAllowed));
    assert!(server.take_requests().is_empty());
}
