//! Headers with credentials: signatures, tokens and API keys.
use std::time::SystemTime;

use client::endpoint::Endpoint;

use crate::{
    byte_inputs,
    fuzzer::{Target, fuzz},
    mutator::Mutator,
    support::{server_under_test::ServerUnderTest, tcp::exchange},
};

const BODY: &str = r#"{"query":"{ __typename }"}"#;
/// The statuses of valid and of refused credentials. An empty status is a closed connection.
const EXPECTED_STATUSES: [&str; 7] = ["", "200", "400", "401", "403", "413", "431"];

struct CredentialHeaders(ServerUnderTest);

impl CredentialHeaders {
    /// The header lines of a validly signed request.
    fn signed(&self) -> String {
        let endpoint = Endpoint::parse(&self.0.endpoint.url).expect("the URL is valid");
        let credentials = self.0.endpoint.administrator_credentials();
        let headers =
            credentials.http_headers(endpoint.graphql(), BODY, SystemTime::now()).expect("the request is signed");
        let lines = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        lines.chain(["content-type: application/json\r\n".to_owned()]).collect()
    }
}

impl Target for CredentialHeaders {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let (signed, key) = (self.signed(), &self.0.endpoint.administrator.access_key_id);
        let scope = format!("authorization: AWS4-HMAC-SHA256 Credential={key}");
        let many_signed_headers = format!("SignedHeaders=host;{}x", "x;".repeat(30_000));
        let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ.c2ln";
        let mut headers = byte_inputs(&[
            &signed,
            &signed.replace("SignedHeaders=", "SignedHeaders=;;;"),
            &signed
                .replace("SignedHeaders=", &format!("{many_signed_headers};"))
                .replace("x-amz-date:", &format!("x: {}\r\nx-amz-date:", "y".repeat(60_000))),
            &signed.replace("x-amz-date: 2", "x-amz-date: 9"),
            &format!(
                "{scope}/20261121/us-east-1/appsync/aws4_request, SignedHeaders=host, Signature=0\r\n\
                 x-amz-date: 20261121T000000Z\r\n"
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

    /// In two cases of three only values of headers are mutated.
    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(3) {
            return mutator.mutate_any(corpus);
        }
        let headers = match mutator.one_in(2) {
            true => self.signed(),
            false => String::from_utf8_lossy(mutator.choose_input(corpus)).into_owned(),
        };
        let lines = headers.lines().map(|line| match line.split_once(": ") {
            Some((name, value)) if mutator.one_in(3) => {
                let value = mutator.mutate_text(value).replace(['\r', '\n', '\0'], "");
                format!("{name}: {value}\r\n")
            }
            _ => format!("{line}\r\n"),
        });
        lines.collect::<String>().into()
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let (host, length) = (self.0.endpoint.host(), BODY.len());
        let mut request =
            format!("POST /graphql HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\nconnection: close\r\n")
                .into_bytes();
        request.extend(input);
        request.extend(b"\r\n");
        request.extend(BODY.as_bytes());
        let response = exchange(self.0.endpoint.address(), &request).await.ok_or("no response")?;
        let status: String = String::from_utf8_lossy(&response).chars().skip("HTTP/1.1 ".len()).take(3).collect();
        if !EXPECTED_STATUSES.contains(&status.as_str()) {
            return Err(format!("status {status}"));
        }
        self.0.check_health(150)
    }
}

#[tokio::test]
async fn credential_headers() {
    fuzz("credentials", 80, &mut CredentialHeaders(ServerUnderTest::start().await)).await;
}
