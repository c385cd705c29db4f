//! HTTP requests to `/graphql`: bodies of valid requests, and whole requests as raw bytes.
use serde_json::{Value, json};

use crate::{
    byte_inputs,
    documents::{DocumentGenerator, valid_documents},
    fuzzer::{Target, fuzz},
    mutator::Mutator,
    support::{hostile_documents::hostile_documents, server_under_test::ServerUnderTest, tcp::exchange},
};

/// The server accepts bodies up to this size.
const MAX_BODY_BYTES: usize = 1 << 20;
/// The most bytes of a response, with its errors and its JSON.
const MAX_RESPONSE_BYTES: usize = 40 << 20;
const MAX_GROWTH_MEGABYTES: u64 = 300;

struct Bodies {
    server: ServerUnderTest,
    http: reqwest::Client,
    documents: DocumentGenerator,
}

impl Target for Bodies {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let valid_variables = json!({ "id": "c1", "text": "Hello" });
        let deep_variables = format!(
            "{{\"query\":\"{{ __typename }}\",\"variables\":{}1{}}}",
            "{\"a\":".repeat(9_000),
            "}".repeat(9_000)
        );
        let mut bodies = Vec::new();
        bodies.extend(hostile_documents().iter().map(|document| body(document, json!({}))));
        bodies.extend(valid_documents().iter().map(|document| body(document, valid_variables.clone())));
        bodies.extend(byte_inputs(&[
            "",
            "{}",
            "[]",
            "null",
            "\u{feff}{}",
            "{\"query\":\"{a}\",\"variables\":[]}",
            &"[".repeat(500_000),
            &deep_variables,
            r#"{"query":"{ getAgent(id: \"\ud800\") { id } }"}"#,
        ]));
        bodies.push(body("query($a: ID!) { getAgent(id: $a) { id } }", json!({ "a": "x".repeat(900_000) })));
        bodies
    }

    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        match mutator.below(4) {
            0 => mutator.mutate_any(corpus),
            1 => {
                let request = serde_json::from_slice(mutator.choose_input(corpus));
                mutator.mutate_json(&request.unwrap_or_else(|_| json!({ "query": "{ a }" }))).to_string().into()
            }
            2 => body(&self.documents.generate(mutator), mutator.interesting_json()),
            _ => {
                let document = self.documents.generate(mutator);
                body(&mutator.mutate_text(&document), json!({}))
            }
        }
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let request = self.http.post(&self.server.endpoint.url).header("x-api-key", &self.server.endpoint.api_key);
        let response = match request.body(input.to_vec()).send().await {
            Ok(response) => response,
            // A body that is too large is refused before it is sent completely.
            Err(_) if input.len() > MAX_BODY_BYTES => return self.server.check_health(MAX_GROWTH_MEGABYTES),
            Err(error) => return Err(format!("no response: {error:?}")),
        };
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(|error| format!("incomplete response: {error:?}"))?;
        let body: Value = serde_json::from_slice(&bytes).map_err(|error| format!("not JSON: {error}"))?;
        if ![200, 400, 401, 413].contains(&status) || bytes.len() > MAX_RESPONSE_BYTES {
            return Err(format!("status {status}, {} bytes", bytes.len()));
        }
        if body.get("data").is_none() && body.get("errors").is_none() {
            return Err("neither data nor errors".into());
        }
        let text = body.to_string();
        let is_internal_error = text.contains("\"InternalFailure\"") || text.contains("\"Code\"");
        if is_internal_error {
            return Err(format!("an internal error: {body}"));
        }
        self.server.check_health(MAX_GROWTH_MEGABYTES)
    }
}

fn body(document: &str, variables: Value) -> Vec<u8> {
    json!({ "query": document, "variables": variables }).to_string().into()
}

#[tokio::test]
async fn request_bodies() {
    let mut target = Bodies {
        server: ServerUnderTest::start().await,
        http: reqwest::Client::new(),
        documents: DocumentGenerator::new(),
    };
    fuzz("bodies", 60, &mut target).await;
}

struct RawRequests(ServerUnderTest);

impl Target for RawRequests {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let key = &self.0.endpoint.api_key;
        let post = |headers: &str, body: &str| {
            format!("POST /graphql HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\n{headers}\r\n\r\n{body}")
                .into_bytes()
        };
        let query = r#"{"query":"{ __typename }"}"#;
        let mut requests = vec![
            post(&format!("content-length: {}", query.len()), query),
            post("transfer-encoding: chunked", &format!("{:x}\r\n{query}\r\n0\r\n\r\n", query.len())),
            post("content-length: 99999999999", query),
            post("content-length: 5\r\ncontent-length: 6", query),
            post("transfer-encoding: chunked", "ffffffffffffffff\r\nx"),
            post("expect: 100-continue\r\ncontent-length: 3", "{}\n"),
            post(&"x: y\r\n".repeat(500), ""),
            post(&format!("x-forwarded-for: {}", ",".repeat(100_000)), ""),
            format!("GET /graphql?query=%7B__typename%7D HTTP/1.1\r\nx-api-key: {key}\r\n\r\n").into(),
            format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000)).into(),
            b"OPTIONS /graphql HTTP/1.1\r\naccess-control-request-headers: a\x80b\r\n\r\n".to_vec(),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x01\x05\0\0\0\x01".to_vec(),
        ];
        requests.extend(byte_inputs(&[
            "\r\n\r\n",
            "GET",
            "\u{16}\u{3}\u{1}",
            "\u{16}\u{3}\u{1}\0\u{5}\u{1}\0\0\u{1}\0",
        ]));
        requests
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let response = exchange(self.0.endpoint.address(), input).await;
        response.ok_or("the connection is neither answered nor closed")?;
        self.0.check_health(MAX_GROWTH_MEGABYTES)
    }
}

#[tokio::test]
async fn raw_http_requests() {
    fuzz("raw requests", 100, &mut RawRequests(ServerUnderTest::start().await)).await;
}
