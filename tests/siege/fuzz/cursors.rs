//! What clients hand back as `nextToken`, through the resolvers' own JavaScript.
use base64::{Engine, engine::general_purpose::STANDARD};
use client::{AppSync, requests::CreateConversation};
use serde_json::{Value, json};

use super::{Target, besiege, texts};
use crate::{besieged::Besieged, dice::Dice};

const PAGES: &str = "query($token: String) {
    listConversations(limit: 1, nextToken: $token) { items { id } nextToken }
    listAgents(limit: 1, nextToken: $token) { items { id } nextToken } }";

/// Still fits into a request, whatever its letters.
const LONGEST: usize = 150_000;

struct Cursors {
    besieged: Besieged,
    user: AppSync,
    real: Vec<Vec<u8>>,
}

impl Cursors {
    async fn new() -> Self {
        let besieged = Besieged::start().await;
        let user = besieged.user();
        for _ in 0..3 {
            user.call(&CreateConversation::default()).await.expect("a conversation");
        }
        let pages = user.execute(PAGES, json!({})).await.expect("two pages").data;
        let tokens = ["listConversations", "listAgents"].map(|field| pages[field]["nextToken"].as_str().map(Vec::from));
        Self { besieged, user, real: tokens.into_iter().flatten().collect() }
    }
}

impl Target for Cursors {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let mut tokens = texts(&["", "=", "====", "AAAA", "!", "e30=", "/w==", "\0", "AAAA\n", "\u{2028}"]);
        tokens.extend(
            ["!", "default", "2026-11-21T15:30:00.000Z#c1", "#", "9#", "\u{ffff}", "{}"]
                .map(|end| STANDARD.encode(end).into()),
        );
        tokens.push(vec![b'A'; LONGEST]);
        tokens.extend(self.real.clone());
        tokens
    }

    /// Mostly what is base64, changed inside.
    fn compose(&mut self, dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
        if dice.one_in(4) {
            return dice.mutated(corpus);
        }
        let inside: Vec<_> = corpus.iter().filter_map(|token| STANDARD.decode(token).ok()).collect();
        STANDARD.encode(dice.mutated(&inside)).into()
    }

    async fn take(&mut self, input: &[u8]) -> Result<(), String> {
        let token: String = String::from_utf8_lossy(input).chars().take(LONGEST).collect();
        let answer = self.user.execute(PAGES, json!({ "token": token })).await.map_err(|fault| format!("{fault:?}"))?;
        for field in ["listConversations", "listAgents"] {
            let refused = answer.errors.iter().find(|error| error.path.as_ref() == Some(&json!([field])));
            let kind = refused.map(|error| json!(error.error_type.as_ref().map(ToString::to_string)));
            let is_well = match (&answer.data[field], kind) {
                (Value::Null, Some(kind)) => kind == "InvalidInput",
                (page, None) => page["items"].is_array(),
                _ => false,
            };
            if !is_well {
                return Err(format!("{field}: {:?} {:?}", answer.data, answer.errors));
            }
        }
        self.besieged.holds(100)
    }
}

#[tokio::test]
async fn cursors_that_nobody_gave() {
    besiege("cursors", 40, &mut Cursors::new().await).await;
}
