//! Handshakes of WebSockets: the sub-protocol and the query that carry headers.
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::{Target, besiege};
use crate::{besieged::Besieged, dice::Dice, wire::exchange};

struct Handshakes(Besieged);

impl Handshakes {
    fn headers(&self) -> [Value; 5] {
        let (host, key) = (self.0.endpoint.host(), &self.0.endpoint.api_key);
        [
            json!({ "host": host, "x-api-key": key }),
            json!({ "Host": host, "X-API-KEY": key, "x-amz-date": "20261121T000000Z" }),
            json!({ "host": host, "Authorization": "eyJhbGciOiJub25lIn0.e30." }),
            json!({ "host": host, "Authorization": "AWS4-HMAC-SHA256 Credential=A/20261121/us-east-1/appsync/aws4_request, SignedHeaders=host, Signature=0" }),
            json!({ "": "", "a b": "c", "host": ["x"], "x-api-key": 1, "é": "\r\n" }),
        ]
    }
}

/// The head of an upgrade, after which the client says one frame and no more.
fn upgrade(query: &str, protocol: &str) -> Vec<u8> {
    let mut request = format!(
        "GET /graphql/realtime{query} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: {protocol}\r\n\r\n"
    )
    .into_bytes();
    request.extend(b"\x81\x9a\0\0\0\0{\"type\":\"connection_init\"}");
    request
}

fn by_protocol(header: &str) -> Vec<u8> {
    upgrade("", &format!("graphql-ws, header-{}", URL_SAFE_NO_PAD.encode(header)))
}

fn by_query(header: &str) -> Vec<u8> {
    upgrade(&format!("?header={}&payload=e30=", STANDARD.encode(header)), "graphql-ws")
}

impl Target for Handshakes {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let headers = self.headers();
        let headers = headers.iter().map(Value::to_string);
        let mut handshakes: Vec<_> = headers.flat_map(|header| [by_protocol(&header), by_query(&header)]).collect();
        handshakes.extend([
            upgrade("", "graphql-ws"),
            upgrade("", "graphql-transport-ws"),
            upgrade("", "graphql-ws, header-"),
            upgrade("", &format!("graphql-ws, header-{}", "A".repeat(100_000))),
            upgrade("", &"graphql-ws,".repeat(8_000)),
            upgrade("?header=%00%ff&header=&payload", "graphql-ws"),
            upgrade(&format!("?{}", "header=e30&".repeat(5_000)), "graphql-ws"),
            by_protocol(&"[".repeat(50_000)),
        ]);
        handshakes
    }

    /// Mostly with its headers changed before they are encoded.
    fn compose(&mut self, dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
        if dice.one_in(3) {
            return dice.mutated(corpus);
        }
        let headers = self.headers();
        let chosen = dice.among(&headers);
        let header =
            if dice.one_in(2) { dice.mutated_json(chosen).to_string() } else { dice.mutated_text(&chosen.to_string()) };
        if dice.one_in(2) { by_protocol(&header) } else { by_query(&header) }
    }

    async fn take(&mut self, input: &[u8]) -> Result<(), String> {
        exchange(self.0.endpoint.address(), input).await.ok_or("the connection is neither refused nor closed")?;
        self.0.holds(150)
    }
}

#[tokio::test]
async fn handshakes_of_sockets() {
    besiege("handshakes", 80, &mut Handshakes(Besieged::start().await)).await;
}
