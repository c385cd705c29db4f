//! JSON Web Tokens: those of the laptop's own issuers, and what is made of them.
use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Target, besiege, texts};
use crate::{besieged::Besieged, dice::Dice};

struct Tokens {
    besieged: Besieged,
    http: reqwest::Client,
    /// As the issuers gave them.
    real: Vec<String>,
}

impl Tokens {
    async fn new() -> Self {
        let besieged = Besieged::start_with(&["--user", "ann:administrators", "--oidc"]).await;
        let (http, mut real) = (reqwest::Client::new(), Vec::new());
        for issuer in ["pool", "oidc"] {
            let url = format!("http://{}/{issuer}/token", besieged.endpoint.host());
            let answer = http.post(url).body("username=ann").send().await.expect("an answer");
            let answer: Value = answer.json().await.expect("JSON");
            real.extend(
                ["access_token", "id_token"].iter().filter_map(|kind| answer[kind].as_str().map(str::to_owned)),
            );
        }
        assert!(real.len() >= 2, "each issuer gives a token");
        Self { besieged, http, real }
    }
}

fn encoded(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// Header and claims of a token.
fn decoded(token: &str) -> Option<[Value; 2]> {
    let parts: Vec<Value> = token
        .split('.')
        .take(2)
        .filter_map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok())
        .collect();
    parts.try_into().ok()
}

impl Target for Tokens {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let claims = decoded(&self.real[0]).map(|[_, claims]| claims).unwrap_or_default();
        let forged = |header: Value| format!("{}.{}.", encoded(&header), encoded(&claims));
        let mut tokens = texts(&[
            "..",
            "Bearer ",
            "Bearer ..",
            &forged(json!({ "alg": "none" })),
            &forged(json!({ "alg": "HS256", "kid": "" })),
            &forged(json!({ "alg": "RS256", "kid": "k".repeat(10_000), "jku": "http://localhost:1/", "crit": ["x"] })),
            &format!("e30.{}.AA", URL_SAFE_NO_PAD.encode("[".repeat(20_000))),
        ]);
        tokens.extend(
            self.real.iter().flat_map(|token| [token.clone(), format!("Bearer {token}")]).map(String::into_bytes),
        );
        tokens
    }

    /// Mostly with a claim or a word of the header changed.
    fn compose(&mut self, dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
        if dice.one_in(3) {
            return dice.mutated(corpus);
        }
        let token = dice.among(&self.real);
        let signature = token.rsplit('.').next().unwrap_or_default();
        let Some([header, claims]) = decoded(token) else { return token.clone().into() };
        let (header, claims) =
            if dice.one_in(2) { (dice.mutated_json(&header), claims) } else { (header, dice.mutated_json(&claims)) };
        format!("{}.{}.{signature}", encoded(&header), encoded(&claims)).into()
    }

    /// Nobody is let in but with what an issuer has signed.
    async fn take(&mut self, input: &[u8]) -> Result<(), String> {
        let token: String = String::from_utf8_lossy(input)
            .chars()
            .filter(|letter| letter.is_ascii_graphic() || *letter == ' ')
            .collect();
        let request = self.http.post(&self.besieged.endpoint.url).header("authorization", &token);
        let Ok(answer) = request.body(r#"{"query":"{ __typename }"}"#).send().await else {
            return self.besieged.holds(150);
        };
        let status = answer.status().as_u16();
        let signed: BTreeSet<_> =
            self.real.iter().filter_map(|token| token.rsplit_once('.')).map(|(signed, _)| signed).collect();
        let bare = token.trim().trim_start_matches("Bearer").trim();
        let is_signed = bare.rsplit_once('.').is_some_and(|(said, _)| signed.contains(said));
        match status {
            200 if !is_signed => Err("a forged token lets in".into()),
            200 | 400 | 401 | 403 | 431 => self.besieged.holds(150),
            _ => Err(format!("status {status}")),
        }
    }
}

#[tokio::test]
async fn tokens_of_strangers() {
    besiege("tokens", 60, &mut Tokens::new().await).await;
}
