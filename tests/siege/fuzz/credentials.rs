//! Credentials of requests: signatures, tokens and keys, as headers.
use std::time::SystemTime;

use client::endpoint::Endpoint;

use super::{Target, besiege, texts};
use crate::{besieged::Besieged, dice::Dice, wire::exchange};

const BODY: &str = r#"{"query":"{ __typename }"}"#;

struct Headers(Besieged);

impl Headers {
    /// As a client signs them, one line each.
    fn signed(&self) -> String {
        let endpoint = Endpoint::parse(&self.0.endpoint.url).expect("an URL");
        let headers = self.0.signing().http_headers(endpoint.graphql(), BODY, SystemTime::now()).expect("a signature");
        let lines = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        lines.chain(["content-type: application/json\r\n".to_owned()]).collect()
    }
}

impl Target for Headers {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let (signed, key) = (self.signed(), &self.0.endpoint.administrator.access_key_id);
        let scope = format!("authorization: AWS4-HMAC-SHA256 Credential={key}");
        let many = format!("SignedHeaders=host;{}x", "x;".repeat(30_000));
        let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ.c2ln";
        let mut headers = texts(&[
            &signed,
            &signed.replace("SignedHeaders=", "SignedHeaders=;;;"),
            &signed
                .replace("SignedHeaders=", &format!("{many};"))
                .replace("x-amz-date:", &format!("x: {}\r\nx-amz-date:", "y".repeat(60_000))),
            &signed.replace("x-amz-date: 2", "x-amz-date: 9"),
            &format!(
                "{scope}/20261121/us-east-1/appsync/aws4_request, SignedHeaders=host, Signature=0\r\nx-amz-date: 20261121T000000Z\r\n"
            ),
            &format!("{scope}//////, SignedHeaders=, Signature=\r\n"),
            &format!("authorization: Bearer {token}\r\n"),
            &format!("authorization: {token}\r\n"),
            &format!("authorization: {}.{}.{}\r\n", "e".repeat(60_000), "e30", "x"),
            "authorization: ..\r\n",
            "authorization: AWS4-HMAC-SHA256\r\n",
            "x-api-key: \u{fffd}\r\n",
            "x-api-key: a\r\nx-api-key: b\r\n",
        ]);
        headers.push(b"authorization: \xff\xfe\r\n".to_vec());
        headers
    }

    /// Mostly with a value changed, not the structure around it.
    fn compose(&mut self, dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
        if dice.one_in(3) {
            return dice.mutated(corpus);
        }
        let signed = if dice.one_in(2) { self.signed() } else { String::from_utf8_lossy(dice.one_of(corpus)).into() };
        let lines = signed.lines().map(|line| match line.split_once(": ") {
            Some((name, value)) if dice.one_in(3) => {
                format!("{name}: {}\r\n", dice.mutated_text(value).replace(['\r', '\n', '\0'], ""))
            }
            _ => format!("{line}\r\n"),
        });
        lines.collect::<String>().into()
    }

    async fn take(&mut self, input: &[u8]) -> Result<(), String> {
        let (host, length) = (self.0.endpoint.host(), BODY.len());
        let mut request =
            format!("POST /graphql HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\nconnection: close\r\n")
                .into_bytes();
        request.extend(input);
        request.extend(b"\r\n");
        request.extend(BODY.as_bytes());
        let answer = exchange(self.0.endpoint.address(), &request).await.ok_or("no answer")?;
        let status: String = String::from_utf8_lossy(&answer).chars().skip(9).take(3).collect();
        if !["", "200", "400", "401", "403", "413", "431"].contains(&status.as_str()) {
            return Err(format!("status {status}"));
        }
        self.0.holds(150)
    }
}

#[tokio::test]
async fn signatures_tokens_and_keys() {
    besiege("credentials", 80, &mut Headers(Besieged::start().await)).await;
}
