//! JSON Web Tokens: those of the server's own issuers, forged ones, and mutated ones.
use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    byte_inputs,
    fuzzer::{Target, fuzz},
    mutator::Mutator,
    support::server_under_test::ServerUnderTest,
};

struct Tokens {
    server: ServerUnderTest,
    http: reqwest::Client,
    valid_tokens: Vec<String>,
}

impl Tokens {
    async fn new() -> Self {
        let server = ServerUnderTest::start_with(&["--user", "ann:administrators", "--oidc"]).await;
        let (http, mut valid_tokens) = (reqwest::Client::new(), Vec::new());
        for issuer in ["pool", "oidc"] {
            let url = format!("http://{}/{issuer}/token", server.endpoint.host());
            let response = http.post(url).body("username=ann").send().await.expect("the issuer responds");
            let tokens: Value = response.json().await.expect("the response is JSON");
            valid_tokens.extend(
                ["access_token", "id_token"].iter().filter_map(|kind| tokens[kind].as_str().map(str::to_owned)),
            );
        }
        assert!(valid_tokens.len() >= 2, "each issuer issues a token");
        Self { server, http, valid_tokens }
    }
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// The header and the claims of a token.
fn decode(token: &str) -> Option<[Value; 2]> {
    let parts = token.split('.').take(2);
    let parts = parts.filter_map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok());
    parts.collect::<Vec<Value>>().try_into().ok()
}

/// The header and the claims as they are signed.
fn signed_part(token: &str) -> Option<&str> {
    token.rsplit_once('.').map(|(signed, _)| signed)
}

impl Target for Tokens {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let claims = decode(&self.valid_tokens[0]).map(|[_, claims]| claims).unwrap_or_default();
        let forged = |header: Value| format!("{}.{}.", encode(&header), encode(&claims));
        let mut tokens = byte_inputs(&[
            "..",
            "Bearer ",
            "Bearer ..",
            &forged(json!({ "alg": "none" })),
            &forged(json!({ "alg": "HS256", "kid": "" })),
            &forged(json!({ "alg": "RS256", "kid": "k".repeat(10_000), "jku": "http://localhost:1/", "crit": ["x"] })),
            &format!("e30.{}.AA", URL_SAFE_NO_PAD.encode("[".repeat(20_000))),
        ]);
        for token in &self.valid_tokens {
            tokens.push(token.clone().into_bytes());
            tokens.push(format!("Bearer {token}").into_bytes());
        }
        tokens
    }

    /// In two cases of three, a valid token whose header or claims are mutated.
    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(3) {
            return mutator.mutate_any(corpus);
        }
        let token = mutator.choose(&self.valid_tokens);
        let signature = token.rsplit('.').next().unwrap_or_default();
        let Some([mut header, mut claims]) = decode(token) else { return token.clone().into() };
        if mutator.one_in(2) {
            header = mutator.mutate_json(&header);
        } else {
            claims = mutator.mutate_json(&claims);
        }
        format!("{}.{}.{signature}", encode(&header), encode(&claims)).into()
    }

    /// The server accepts only what an issuer has signed.
    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let is_header_character = |character: &char| character.is_ascii_graphic() || *character == ' ';
        let token: String = String::from_utf8_lossy(input).chars().filter(is_header_character).collect();
        let request = self.http.post(&self.server.endpoint.url).header("authorization", &token);
        let Ok(response) = request.body(r#"{"query":"{ __typename }"}"#).send().await else {
            return self.server.check_health(150);
        };
        let valid: BTreeSet<&str> = self.valid_tokens.iter().filter_map(|token| signed_part(token)).collect();
        let bare_token = token.trim().trim_start_matches("Bearer").trim();
        let is_signed = signed_part(bare_token).is_some_and(|signed| valid.contains(signed));
        match response.status().as_u16() {
            200 if !is_signed => Err("a forged token is accepted".into()),
            200 | 400 | 401 | 403 | 431 => self.server.check_health(150),
            status => Err(format!("status {status}")),
        }
    }
}

#[tokio::test]
async fn json_web_tokens() {
    fuzz("tokens", 60, &mut Tokens::new().await).await;
}
