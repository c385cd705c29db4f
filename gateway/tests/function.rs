//! The binary that Lambda starts.
use std::process::Command;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn gateway() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.env_clear();
    command
}

#[test]
fn problems_of_the_environment_are_reported_in_sentences() {
    for (function, expected) in [
        ("", "FUNCTION must be EVENTS, WEBSOCKET or AUTHORIZER.\n"),
        (
            "EVENTS",
            "AWS_REGION must be set. GRAPHQL_URL must be an http or https URL, not \"ftp://x\". EVENTS_URL must be \
             set.\n",
        ),
        ("AUTHORIZER", "One of USER_POOL_ISSUER, OIDC_ISSUER and API_KEY must be set.\n"),
    ] {
        let output = gateway().env("FUNCTION", function).env("GRAPHQL_URL", "ftp://x").output().unwrap();
        assert!(!output.status.success());
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }
    let variables = [
        ("FUNCTION", "EVENTS"),
        ("AWS_REGION", "eu-west-1"),
        ("GRAPHQL_URL", "https://api.example.com/graphql"),
        ("EVENTS_URL", "https://events.example.com/event"),
    ];
    let output = gateway().envs(variables).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "AWS_ACCESS_KEY_ID must be set.\n");
}

/// Reads a request with its body.
async fn read_request(connection: &mut TcpStream) -> (String, String) {
    let mut request = Vec::new();
    loop {
        assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0, "the request is whole");
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return (head.to_owned(), body.to_owned());
        }
    }
}

#[tokio::test]
async fn authorizer_answers_the_runtime_api() {
    let runtime_api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = runtime_api.local_addr().unwrap().to_string();
    let variables = [
        ("FUNCTION", "AUTHORIZER"),
        ("API_KEY", "da2-key"),
        ("AWS_LAMBDA_RUNTIME_API", &address),
        ("AWS_LAMBDA_FUNCTION_NAME", "authorizer"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ];
    let mut process = gateway().envs(variables).spawn().unwrap();
    let event = json!({
        "methodArn": "arn:aws:execute-api:eu-west-1:123456789012:abc/prod/$connect",
        "headers": { "x-api-key": "da2-key" },
        "requestContext": { "eventType": "CONNECT", "connectionId": "c" },
    })
    .to_string();
    let mut result = None;
    while result.is_none() {
        let (mut connection, _) = runtime_api.accept().await.unwrap();
        let (head, body) = read_request(&mut connection).await;
        let response = match head.starts_with("GET /2018-06-01/runtime/invocation/next ") {
            true => format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\nlambda-runtime-aws-request-id: i1\r\nlambda-runtime-deadline-ms: \
                 4102444800000\r\nlambda-runtime-invoked-function-arn: arn:a\r\ncontent-length: {}\r\n\r\n{event}",
                event.len()
            ),
            false => {
                assert!(head.starts_with("POST /2018-06-01/runtime/invocation/i1/response "), "{head}: {body}");
                result = Some(serde_json::from_str::<Value>(&body).unwrap());
                "HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
        };
        connection.write_all(response.as_bytes()).await.unwrap();
    }
    process.kill().unwrap();
    process.wait().unwrap();
    let result = result.unwrap();
    assert_eq!(result["policyDocument"]["Statement"][0]["Effect"], "Allow");
    assert_eq!(result["context"]["caller"], r#"{"apiKey":true}"#);
}
