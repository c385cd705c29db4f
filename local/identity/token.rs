//! JSON Web Tokens, judged as AppSync judges them.
use std::time::{Duration, SystemTime};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::Denial;
use crate::stack::{IssuerKind, TokenIssuer};

/// How far an issuer's clock may be ahead of ours; how far AppSync lets it be is not documented.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// A token as it was given. Who it says issued it tells only whose key to verify it with.
pub struct Token<'a> {
    text: &'a str,
    pub key_id: Option<String>,
    pub issuer: Option<String>,
}

/// What a token says whose signature is good.
pub struct Claims(Map<String, Value>);

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "alg")]
    _algorithm: String,
    #[serde(rename = "kid")]
    key_id: Option<String>,
}

#[derive(Deserialize)]
struct Origin {
    #[serde(rename = "iss")]
    issuer: Option<String>,
}

impl<'a> Token<'a> {
    /// From an `Authorization` header, with or without `Bearer`.
    pub fn read(written: &'a str) -> Result<Self, Denial> {
        let text = written.trim();
        let text = text.strip_prefix("Bearer ").map_or(text, str::trim_start);
        let (header, origin) = parts(text).ok_or(Denial::TokenMalformed)?;
        Ok(Self { text, key_id: header.key_id, issuer: origin.issuer })
    }

    /// What the token says, if the key's owner has signed it.
    pub fn verify(&self, key: &DecodingKey) -> Option<Claims> {
        let mut signature_only = Validation::new(Algorithm::RS256);
        signature_only.required_spec_claims.clear();
        signature_only.validate_exp = false;
        signature_only.validate_aud = false;
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(self.text, key, &signature_only);
        decoded.ok().map(|decoded| Claims(decoded.claims))
    }
}

fn parts(text: &str) -> Option<(Header, Origin)> {
    let mut parts = text.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && BASE64_URL_SAFE_NO_PAD.decode(signature).is_ok();
    whole.then_some((read(header)?, read(claims)?))
}

fn read<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

impl Claims {
    /// Whether a token that says this is taken from its issuer, now.
    pub fn check(&self, issuer: &TokenIssuer, now: SystemTime) -> Result<(), Denial> {
        let is_of_issuer = self.text("iss") == Some(&issuer.url);
        let is_of_somebody = self.text("sub").is_some_and(|subject| !subject.is_empty());
        if !is_of_issuer || !is_of_somebody || !self.is_of_client(issuer) {
            return Err(Denial::NotAuthorized);
        }
        self.check_times(issuer.kind, now)
    }

    /// `ctx.identity`.
    pub fn identity(self, kind: IssuerKind, addresses: Vec<String>) -> Value {
        let (subject, issuer) = (self.0.get("sub").cloned(), self.0.get("iss").cloned());
        match kind {
            IssuerKind::OpenId { .. } => json!({ "sub": subject, "issuer": issuer, "claims": self.0 }),
            IssuerKind::UserPool => json!({
                "sub": subject,
                "issuer": issuer,
                "username": self.text("cognito:username").or(self.text("username")),
                "sourceIp": addresses,
                "groups": self.0.get("cognito:groups"),
                "defaultAuthStrategy": "ALLOW",
                "claims": self.0,
            }),
        }
    }

    /// An ID token names its client in `aud`, an access token of a user pool in `client_id`, one of others in `azp`.
    fn is_of_client(&self, issuer: &TokenIssuer) -> bool {
        let named = match (issuer.kind, self.text("token_use")) {
            (IssuerKind::UserPool, Some("id")) => self.texts("aud"),
            (IssuerKind::UserPool, Some("access")) => self.texts("client_id"),
            (IssuerKind::UserPool, _) => return false,
            (IssuerKind::OpenId { .. }, _) => [self.texts("aud"), self.texts("azp")].concat(),
        };
        let Some(taken) = &issuer.clients else { return true };
        named.iter().any(|client| taken.is_match(client).unwrap_or(false))
    }

    fn check_times(&self, kind: IssuerKind, now: SystemTime) -> Result<(), Denial> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let expires = self.number("exp").ok_or(Denial::NotAuthorized)?;
        let is_early = |claim| self.number(claim).is_some_and(|moment| moment > now + CLOCK_SKEW.as_secs_f64());
        if is_early("nbf") || is_early("iat") {
            return Err(Denial::NotAuthorized);
        }
        let ends = match kind {
            IssuerKind::UserPool => [None, None],
            IssuerKind::OpenId { iat_ttl, auth_ttl } => [self.end("iat", iat_ttl)?, self.end("auth_time", auth_ttl)?],
        };
        let ends = ends.into_iter().flatten().fold(expires, f64::min);
        if now < ends { Ok(()) } else { Err(Denial::TokenExpired) }
    }

    /// A token that does not say when something was is not taken where its age since then is bounded.
    fn end(&self, claim: &str, lasting: Option<Duration>) -> Result<Option<f64>, Denial> {
        let Some(lasting) = lasting else { return Ok(None) };
        let began = self.number(claim).ok_or(Denial::NotAuthorized)?;
        Ok(Some(began + lasting.as_secs_f64()))
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim)?.as_str()
    }

    fn texts(&self, claim: &str) -> Vec<&str> {
        let value = self.0.get(claim);
        let values = value.map_or(&[][..], |value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
        values.iter().filter_map(Value::as_str).collect()
    }

    fn number(&self, claim: &str) -> Option<f64> {
        self.0.get(claim)?.as_f64()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use fancy_regex::Regex;

    use super::*;
    use crate::identity::SigningKey;

    const NOW: u64 = 1_795_000_000;
    const POOL: &str = "https://pool.example.com/us-east-1_a";
    const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::draw().unwrap());

    fn verifying(key: &SigningKey) -> DecodingKey {
        DecodingKey::from_jwk(&serde_json::from_value(key.published()).unwrap()).unwrap()
    }

    fn pool(clients: Option<&str>) -> TokenIssuer {
        let clients = clients.map(|clients| Regex::new(clients).unwrap());
        TokenIssuer { url: POOL.into(), clients, kind: IssuerKind::UserPool }
    }

    fn provider(iat_ttl: Option<Duration>, auth_ttl: Option<Duration>) -> TokenIssuer {
        TokenIssuer { kind: IssuerKind::OpenId { iat_ttl, auth_ttl }, ..pool(Some("^web$")) }
    }

    /// What a good access token of the pool and ID token of the provider says, with some claims changed; null removes one.
    fn claims(changed: Value) -> Value {
        let mut claims = json!({ "iss": POOL, "sub": "s", "iat": NOW, "exp": NOW + 3600, "auth_time": NOW,
            "token_use": "access", "client_id": "web", "username": "ada", "aud": ["api", "web"] });
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }

    fn verified(claims: &Value) -> Claims {
        let token = KEY.sign(claims).unwrap();
        Token::read(&token).unwrap().verify(&verifying(&KEY)).unwrap()
    }

    fn judged(issuer: &TokenIssuer, changed: Value) -> Result<(), Denial> {
        verified(&claims(changed)).check(issuer, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[test]
    fn a_token_may_come_with_a_word_before_it() {
        let token = KEY.sign(&claims(json!({}))).unwrap();
        for written in [token.clone(), format!("Bearer {token}"), format!(" Bearer  {token} ")] {
            let read = Token::read(&written).unwrap();
            assert_eq!((read.issuer.as_deref(), read.key_id.as_deref()), (Some(POOL), Some(KEY.id())));
            assert!(read.verify(&verifying(&KEY)).is_some());
        }
    }

    #[test]
    fn what_is_no_token_is_told_apart() {
        let token = KEY.sign(&claims(json!({}))).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let (header, said) = (parts[0], parts[1]);
        let cases = [
            "",
            "Bearer",
            "meow",
            "a.b.c",
            "..",
            &token[1..],
            &format!("{token}."),
            &format!("{header}.{said}"),
            &format!("{said}.{header}.{}", parts[2]),
            &format!("{header}.W10.{}", parts[2]),
        ];
        for malformed in cases {
            assert_eq!(Token::read(malformed).err(), Some(Denial::TokenMalformed), "{malformed}");
        }
    }

    #[test]
    fn only_the_keys_owner_can_have_signed_a_token() {
        let token = KEY.sign(&claims(json!({}))).unwrap();
        let other = SigningKey::draw().unwrap();
        assert!(Token::read(&token).unwrap().verify(&verifying(&other)).is_none());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let changed = BASE64_URL_SAFE_NO_PAD.encode(claims(json!({ "sub": "t" })).to_string());
        let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let symmetric = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
        let said = &message[header.len() + 1..];
        for forged in [
            format!("{header}.{changed}.{signature}"),
            format!("{none}.{said}."),
            format!("{symmetric}.{said}.{signature}"),
            format!("{message}."),
        ] {
            assert!(Token::read(&forged).unwrap().verify(&verifying(&KEY)).is_none(), "{forged}");
        }
    }

    #[test]
    fn a_pools_token_is_for_a_client_and_a_use() {
        let (web, any) = (pool(Some("^(web|app)$")), pool(None));
        let cases = [
            (&web, json!({}), true),
            (&web, json!({ "client_id": "other" }), false),
            (&web, json!({ "client_id": "webbed" }), false),
            (&web, json!({ "client_id": null }), false),
            (&any, json!({ "client_id": null }), true),
            (&web, json!({ "token_use": "id" }), true),
            (&web, json!({ "token_use": "id", "aud": "app", "client_id": null }), true),
            (&web, json!({ "token_use": "id", "aud": "other" }), false),
            (&any, json!({ "token_use": "refresh" }), false),
            (&any, json!({ "token_use": null }), false),
            (&any, json!({ "iss": "https://other.example.com" }), false),
            (&any, json!({ "sub": null }), false),
            (&any, json!({ "sub": "" }), false),
            (&any, json!({ "sub": 7 }), false),
        ];
        for (issuer, changed, expected) in cases {
            let denied = if expected { Ok(()) } else { Err(Denial::NotAuthorized) };
            assert_eq!(judged(issuer, changed.clone()), denied, "{changed}");
        }
    }

    #[test]
    fn a_providers_token_is_for_a_client() {
        let cases = [
            (json!({}), true),
            (json!({ "aud": "web" }), true),
            (json!({ "aud": "api" }), false),
            (json!({ "aud": "api", "azp": "web" }), true),
            (json!({ "aud": null }), false),
            (json!({ "token_use": null }), true),
        ];
        for (changed, expected) in cases {
            assert_eq!(judged(&provider(None, None), changed.clone()).is_ok(), expected, "{changed}");
        }
    }

    #[test]
    fn a_token_is_good_for_its_time() {
        let cases = [
            (pool(None), json!({ "exp": NOW + 1 }), Ok(())),
            (pool(None), json!({ "exp": NOW }), Err(Denial::TokenExpired)),
            (pool(None), json!({ "exp": 0.5 }), Err(Denial::TokenExpired)),
            (pool(None), json!({ "exp": null }), Err(Denial::NotAuthorized)),
            (pool(None), json!({ "exp": "tomorrow" }), Err(Denial::NotAuthorized)),
            (pool(None), json!({ "nbf": NOW + 60, "iat": NOW + 60 }), Ok(())),
            (pool(None), json!({ "nbf": NOW + 61 }), Err(Denial::NotAuthorized)),
            (pool(None), json!({ "iat": NOW + 61 }), Err(Denial::NotAuthorized)),
            (provider(HOUR, None), json!({ "exp": NOW + 9999, "iat": NOW - 3599 }), Ok(())),
            (provider(HOUR, None), json!({ "exp": NOW + 9999, "iat": NOW - 3600 }), Err(Denial::TokenExpired)),
            (provider(HOUR, None), json!({ "iat": null }), Err(Denial::NotAuthorized)),
            (provider(None, HOUR), json!({ "auth_time": NOW - 3600 }), Err(Denial::TokenExpired)),
            (provider(None, HOUR), json!({ "auth_time": null }), Err(Denial::NotAuthorized)),
        ];
        for (issuer, changed, expected) in cases {
            assert_eq!(judged(&issuer, changed.clone()), expected, "{changed}");
        }
    }

    #[test]
    fn resolvers_see_who_a_token_is_for() {
        let said = claims(json!({ "cognito:groups": ["poets"] }));
        let of_pool = verified(&said).identity(IssuerKind::UserPool, vec!["10.0.0.1".into()]);
        assert_eq!(
            of_pool,
            json!({ "sub": "s", "issuer": POOL, "username": "ada", "sourceIp": ["10.0.0.1"],
            "groups": ["poets"], "defaultAuthStrategy": "ALLOW", "claims": said })
        );
        let said = claims(json!({ "token_use": "id", "username": null, "cognito:username": "ada" }));
        let of_pool = verified(&said).identity(IssuerKind::UserPool, Vec::new());
        assert_eq!((&of_pool["username"], &of_pool["groups"]), (&json!("ada"), &Value::Null));
        let of_provider = verified(&said).identity(provider(None, None).kind, vec!["10.0.0.1".into()]);
        assert_eq!(of_provider, json!({ "sub": "s", "issuer": POOL, "claims": said }));
    }
}
