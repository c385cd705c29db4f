//! Bodies of POSTs to `/graphql`, and whole requests with their heads.
use serde_json::{Value, json};

use super::{Target, besiege, documents::Documents, texts};
use crate::{besieged::Besieged, dice::Dice, wire::exchange};

const LONGEST_BODY: usize = 1 << 20;
/// What a response may come to, with its errors and its JSON.
const LONGEST_ANSWER: usize = 40 << 20;
const MEGABYTES: u64 = 300;

struct Bodies {
    besieged: Besieged,
    http: reqwest::Client,
    documents: Documents,
}

impl Target for Bodies {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let mut bodies: Vec<_> = self.documents.hostile().iter().map(|query| body(query, json!({}))).collect();
        bodies
            .extend(self.documents.friendly().iter().map(|query| body(query, json!({ "id": "c1", "text": "Hello" }))));
        bodies.extend(texts(&["", "{}", "[]", "null", "\u{feff}{}", "{\"query\":\"{a}\",\"variables\":[]}"]));
        bodies.push(body("query($a: ID!) { getAgent(id: $a) { id } }", json!({ "a": "x".repeat(900_000) })));
        bodies.push("[".repeat(500_000).into_bytes());
        bodies.push(
            format!(
                "{{\"query\":\"{{ __typename }}\",\"variables\":{}1{}}}",
                "{\"a\":".repeat(9_000),
                "}".repeat(9_000)
            )
            .into(),
        );
        bodies.push(r#"{"query":"{ getAgent(id: \"\ud800\") { id } }"}"#.into());
        bodies
    }

    fn compose(&mut self, dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
        match dice.below(4) {
            0 => dice.mutated(corpus),
            1 => {
                let seed = serde_json::from_slice(dice.one_of(corpus)).unwrap_or_else(|_| json!({ "query": "{ a }" }));
                dice.mutated_json(&seed).to_string().into()
            }
            2 => body(&self.documents.composed(dice), dice.odd_value()),
            _ => {
                let document = self.documents.composed(dice);
                body(&dice.mutated_text(&document), json!({}))
            }
        }
    }

    async fn take(&mut self, input: &[u8]) -> Result<(), String> {
        let request = self.http.post(&self.besieged.endpoint.url).header("x-api-key", &self.besieged.endpoint.api_key);
        let answer = match request.body(input.to_vec()).send().await {
            Ok(answer) => answer,
            // Refused before it was said to its end.
            Err(_) if input.len() > LONGEST_BODY => return self.besieged.holds(MEGABYTES),
            Err(fault) => return Err(format!("no answer: {fault:?}")),
        };
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.map_err(|fault| format!("no whole answer: {fault:?}"))?;
        let body: Value = serde_json::from_slice(&bytes).map_err(|fault| format!("not JSON: {fault}"))?;
        if ![200, 400, 401, 413].contains(&status) || bytes.len() > LONGEST_ANSWER {
            return Err(format!("status {status}, {} bytes", bytes.len()));
        }
        if body.get("data").is_none() && body.get("errors").is_none() {
            return Err("neither data nor errors".into());
        }
        let internal = body.to_string().contains("\"InternalFailure\"") || body.to_string().contains("\"Code\"");
        if internal { Err(format!("a fault of our own: {body}")) } else { self.besieged.holds(MEGABYTES) }
    }
}

fn body(query: &str, variables: Value) -> Vec<u8> {
    json!({ "query": query, "variables": variables }).to_string().into()
}

#[tokio::test]
async fn bodies_of_requests() {
    let mut target =
        Bodies { besieged: Besieged::start().await, http: reqwest::Client::new(), documents: Documents::new() };
    besiege("bodies", 60, &mut target).await;
}

struct Heads(Besieged);

impl Target for Heads {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let key = &self.0.endpoint.api_key;
        let post = |extra: &str, body: &str| {
            format!("POST /graphql HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\n{extra}\r\n\r\n{body}")
                .into_bytes()
        };
        let query = r#"{"query":"{ __typename }"}"#;
        let mut whole = vec![
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
        whole.extend(texts(&["\r\n\r\n", "GET", "\u{16}\u{3}\u{1}"]));
        whole
    }

    async fn take(&mut self, input: &[u8]) -> Result<(), String> {
        exchange(self.0.endpoint.address(), input).await.ok_or("the connection is neither answered nor closed")?;
        self.0.holds(MEGABYTES)
    }
}

#[tokio::test]
async fn heads_of_requests() {
    besiege("heads", 100, &mut Heads(Besieged::start().await)).await;
}
