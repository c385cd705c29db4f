//! WebSocket handshakes: the sub-protocol and the query string that carry headers.
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::{
    fuzzer::{Target, fuzz},
    mutator::Mutator,
    support::{server_under_test::ServerUnderTest, tcp::exchange},
};

struct Handshakes(ServerUnderTest);

impl Handshakes {
    fn headers(&self) -> [Value; 5] {
        let (host, key) = (self.0.endpoint.host(), &self.0.endpoint.api_key);
        let signature = "AWS4-HMAC-SHA256 Credential=A/20261121/us-east-1/appsync/aws4_request, \
                         SignedHeaders=host, Signature=0";
        [
            json!({ "host": host, "x-api-key": key }),
            json!({ "Host": host, "X-API-KEY": key, "x-amz-date": "20261121T000000Z" }),
            json!({ "host": host, "Authorization": "eyJhbGciOiJub25lIn0.e30." }),
            json!({ "host": host, "Authorization": signature }),
            json!({ "": "", "a b": "c", "host": ["x"], "x-api-key": 1, "é": "\r\n" }),
        ]
    }
}

/// An upgrade request, followed by the frame of a `connection_init`.
fn upgrade(query: &str, protocol: &str) -> Vec<u8> {
    let head = format!(
        "GET /graphql/realtime{query} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: {protocol}\r\n\r\n"
    );
    [head.as_bytes(), b"\x81\x9a\0\0\0\0{\"type\":\"connection_init\"}"].concat()
}

fn with_protocol_header(header: &str) -> Vec<u8> {
    upgrade("", &format!("graphql-ws, header-{}", URL_SAFE_NO_PAD.encode(header)))
}

fn with_query_header(header: &str) -> Vec<u8> {
    upgrade(&format!("?header={}&payload=e30=", STANDARD.encode(header)), "graphql-ws")
}

impl Target for Handshakes {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let mut handshakes = Vec::new();
        for header in self.headers() {
            let header = header.to_string();
            handshakes.extend([with_protocol_header(&header), with_query_header(&header)]);
        }
        handshakes.extend([
            upgrade("", "graphql-ws"),
            upgrade("", "graphql-transport-ws"),
            upgrade("", "graphql-ws, header-"),
            upgrade("", &format!("graphql-ws, header-{}", "A".repeat(100_000))),
            upgrade("", &"graphql-ws,".repeat(8_000)),
            upgrade("?header=%00%ff&header=&payload", "graphql-ws"),
            upgrade(&format!("?{}", "header=e30&".repeat(5_000)), "graphql-ws"),
            with_protocol_header(&"[".repeat(50_000)),
        ]);
        handshakes
    }

    /// In two cases of three the headers are mutated before they are encoded.
    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(3) {
            return mutator.mutate_any(corpus);
        }
        let headers = self.headers();
        let header = mutator.choose(&headers);
        let header = match mutator.one_in(2) {
            true => mutator.mutate_json(header).to_string(),
            false => mutator.mutate_text(&header.to_string()),
        };
        if mutator.one_in(2) { with_protocol_header(&header) } else { with_query_header(&header) }
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let response = exchange(self.0.endpoint.address(), input).await;
        response.ok_or("the connection is neither refused nor closed")?;
        self.0.check_health(150)
    }
}

#[tokio::test]
async fn websocket_handshakes() {
    fuzz("handshakes", 80, &mut Handshakes(ServerUnderTest::start().await)).await;
}
