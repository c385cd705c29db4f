//! `nextToken` arguments, as the resolvers' own JavaScript parses them.
use base64::{Engine, engine::general_purpose::STANDARD};
use client::{AppSync, requests::CreateConversation};
use serde_json::{Value, json};

use crate::{
    byte_inputs,
    fuzzer::{Target, fuzz},
    mutator::Mutator,
    support::server_under_test::ServerUnderTest,
};

const FIELDS: [&str; 2] = ["listConversations", "listAgents"];
const PAGES: &str = "query($token: String) {
    listConversations(limit: 1, nextToken: $token) { items { id } nextToken }
    listAgents(limit: 1, nextToken: $token) { items { id } nextToken } }";

/// Fits into a request even if every character is escaped.
const MAX_TOKEN_CHARACTERS: usize = 150_000;

struct Cursors {
    server: ServerUnderTest,
    user: AppSync,
    valid_tokens: Vec<Vec<u8>>,
}

impl Cursors {
    async fn new() -> Self {
        let server = ServerUnderTest::start().await;
        let user = server.user();
        for _ in 0..3 {
            user.call(&CreateConversation::default()).await.expect("the conversation is created");
        }
        let pages = user.execute(PAGES, json!({})).await.expect("the query succeeds").data;
        let tokens = FIELDS.into_iter().filter_map(|field| pages[field]["nextToken"].as_str());
        Self { server, user, valid_tokens: tokens.map(Vec::from).collect() }
    }
}

impl Target for Cursors {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let contents = ["!", "default", "2026-11-21T15:30:00.000Z#c1", "#", "9#", "\u{ffff}", "{}"];
        let mut tokens = byte_inputs(&["", "=", "====", "AAAA", "!", "e30=", "/w==", "\0", "AAAA\n", "\u{2028}"]);
        tokens.extend(contents.map(|content| STANDARD.encode(content).into()));
        tokens.push(vec![b'A'; MAX_TOKEN_CHARACTERS]);
        tokens.extend(self.valid_tokens.clone());
        tokens
    }

    /// In three cases of four the content of the base64 is mutated.
    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(4) {
            return mutator.mutate_any(corpus);
        }
        let contents: Vec<_> = corpus.iter().filter_map(|token| STANDARD.decode(token).ok()).collect();
        STANDARD.encode(mutator.mutate_any(&contents)).into()
    }

    /// Each field returns a page or refuses the token as invalid.
    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let token: String = String::from_utf8_lossy(input).chars().take(MAX_TOKEN_CHARACTERS).collect();
        let response =
            self.user.execute(PAGES, json!({ "token": token })).await.map_err(|error| format!("{error:?}"))?;
        for field in FIELDS {
            let error = response.errors.iter().find(|error| error.path.as_ref() == Some(&json!([field])));
            let error_type = error.map(|error| json!(error.error_type.as_ref().map(ToString::to_string)));
            let is_expected = match (&response.data[field], error_type) {
                (Value::Null, Some(error_type)) => error_type == "InvalidInput",
                (page, None) => page["items"].is_array(),
                _ => false,
            };
            if !is_expected {
                return Err(format!("{field}: {:?} {:?}", response.data, response.errors));
            }
        }
        self.server.check_health(100)
    }
}

#[tokio::test]
async fn next_token_cursors() {
    fuzz("cursors", 40, &mut Cursors::new().await).await;
}
