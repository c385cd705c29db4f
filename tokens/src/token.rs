//! JSON Web Tokens, validated as AppSync does.
use std::time::{Duration, SystemTime};

use api::object_only::ObjectOnly;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    issuer::{IssuerKind, TokenIssuer},
    issuer_url,
};

/// The tolerance for the clocks of issuers. AppSync does not document its own.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("it is not a JSON Web Token")]
    Malformed,
    #[error("it is not for this API")]
    NotAuthorized,
    #[error("it has expired")]
    Expired,
    /// The issuer's keys cannot be read: the token may be valid.
    #[error("the keys of its issuer cannot be read")]
    KeysUnavailable,
}

/// A token whose signature is not verified. The issuer's name serves only to select the key.
pub struct Token<'a> {
    text: &'a str,
    pub key_id: Option<String>,
    pub issuer: Option<String>,
}

/// The claims of a token with a valid signature.
pub struct Claims(Map<String, Value>);

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "alg")]
    _algorithm: String,
    #[serde(rename = "kid")]
    key_id: Option<String>,
}

#[derive(Deserialize)]
struct IssuerClaim {
    #[serde(rename = "iss")]
    issuer: Option<String>,
}

impl<'a> Token<'a> {
    /// Parses an `Authorization` header, with or without `Bearer` in any case.
    pub fn parse(authorization: &'a str) -> Result<Self, TokenError> {
        let text = authorization.trim();
        let text = match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => token.trim_start(),
            _ => text,
        };
        let (header, claim) = parse_parts(text).ok_or(TokenError::Malformed)?;
        Ok(Self { text, key_id: header.key_id, issuer: claim.issuer })
    }

    /// Returns the claims if the signature is valid.
    pub fn verify_signature(&self, key: &DecodingKey) -> Option<Claims> {
        let mut signature_only = Validation::new(Algorithm::RS256);
        signature_only.required_spec_claims.clear();
        signature_only.validate_exp = false;
        signature_only.validate_aud = false;
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(self.text, key, &signature_only);
        decoded.ok().map(|decoded| Claims(decoded.claims))
    }
}

fn parse_parts(text: &str) -> Option<(Header, IssuerClaim)> {
    let mut parts = text.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let has_three_parts = parts.next().is_none();
    if !has_three_parts || BASE64_URL_SAFE_NO_PAD.decode(signature).is_err() {
        return None;
    }
    Some((parse_part(header)?, parse_part(claims)?))
}

fn parse_part<T: DeserializeOwned>(part: &str) -> Option<T> {
    let ObjectOnly(part) = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
    Some(part)
}

impl Claims {
    /// Checks issuer, subject, client and times.
    pub fn validate(&self, issuer: &TokenIssuer, now: SystemTime) -> Result<(), TokenError> {
        let has_issuer = self.text("iss").is_some_and(|claim| issuer_url::is_same(claim, &issuer.url));
        let has_subject = self.text("sub").is_some_and(|subject| !subject.is_empty());
        if !has_issuer || !has_subject || !self.has_accepted_client(issuer) {
            return Err(TokenError::NotAuthorized);
        }
        self.validate_times(issuer.kind, now)
    }

    /// `ctx.identity`.
    pub fn into_identity(self, kind: IssuerKind, addresses: Vec<String>) -> Value {
        let (subject, issuer) = (self.0.get("sub").cloned(), self.0.get("iss").cloned());
        match kind {
            IssuerKind::OpenId { .. } => json!({ "sub": subject, "issuer": issuer, "claims": self.0 }),
            IssuerKind::UserPool => json!({
                "sub": subject,
                "issuer": issuer,
                "username": self.text("cognito:username").or(self.text("username")),
                "sourceIp": addresses,
                "groups": self.groups(),
                "defaultAuthStrategy": "ALLOW",
                "claims": self.0,
            }),
        }
    }

    /// The texts of `cognito:groups`; `None` if the claim is not a list. A user pool's claim is always a list
    /// of texts, and AWS does not document what AppSync does with another claim. A text must not name a
    /// group, because resolvers that search it would find parts of names.
    fn groups(&self) -> Option<Vec<&str>> {
        let groups = self.0.get("cognito:groups")?.as_array()?;
        Some(groups.iter().filter_map(Value::as_str).collect())
    }

    /// Checks the client id. An ID token of a user pool has it in `aud`, its access token in `client_id`;
    /// tokens of other issuers have it in `aud` or `azp`.
    fn has_accepted_client(&self, issuer: &TokenIssuer) -> bool {
        let client_ids = match (issuer.kind, self.text("token_use")) {
            (IssuerKind::UserPool, Some("id")) => self.texts("aud"),
            (IssuerKind::UserPool, Some("access")) => self.texts("client_id"),
            (IssuerKind::UserPool, _) => return false,
            (IssuerKind::OpenId { .. }, _) => [self.texts("aud"), self.texts("azp")].concat(),
        };
        let Some(accepted) = &issuer.clients else { return true };
        client_ids.iter().any(|client_id| accepted.is_match(client_id).unwrap_or(false))
    }

    fn validate_times(&self, kind: IssuerKind, now: SystemTime) -> Result<(), TokenError> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let expiry = self.number("exp").ok_or(TokenError::NotAuthorized)?;
        let is_in_future = |claim| self.number(claim).is_some_and(|time| time > now + MAX_CLOCK_SKEW.as_secs_f64());
        if is_in_future("nbf") || is_in_future("iat") {
            return Err(TokenError::NotAuthorized);
        }
        let age_limits = match kind {
            IssuerKind::UserPool => [None, None],
            IssuerKind::OpenId { iat_ttl, auth_ttl } => {
                [self.end_of_age("iat", iat_ttl)?, self.end_of_age("auth_time", auth_ttl)?]
            }
        };
        let end = age_limits.into_iter().flatten().fold(expiry, f64::min);
        if now < end { Ok(()) } else { Err(TokenError::Expired) }
    }

    /// The end of a token's age limit, which counts from the time of a claim. Fails if there is a limit and
    /// no such claim.
    fn end_of_age(&self, claim: &str, max_age: Option<Duration>) -> Result<Option<f64>, TokenError> {
        let Some(max_age) = max_age else { return Ok(None) };
        let start = self.number(claim).ok_or(TokenError::NotAuthorized)?;
        Ok(Some(start + max_age.as_secs_f64()))
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim)?.as_str()
    }

    fn texts(&self, claim: &str) -> Vec<&str> {
        let value = self.0.get(claim);
        let values = value.map_or(&[][..], |value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
        values.iter().filter_map(Value::as_str).collect()
    }

    /// When the token expires, in seconds since 1970. Tokens that are validated have it.
    pub fn expiry(&self) -> Option<f64> {
        self.number("exp")
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
    use crate::SigningKey;

    const NOW: u64 = 1_795_000_000;
    const POOL: &str = "https://pool.example.com/us-east-1_a";
    const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());

    fn decoding_key(key: &SigningKey) -> DecodingKey {
        DecodingKey::from_jwk(&serde_json::from_value(key.to_jwk()).unwrap()).unwrap()
    }

    fn pool(clients: Option<&str>) -> TokenIssuer {
        let clients = clients.map(|clients| Regex::new(clients).unwrap());
        TokenIssuer { url: POOL.into(), clients, kind: IssuerKind::UserPool }
    }

    fn oidc_provider(iat_ttl: Option<Duration>, auth_ttl: Option<Duration>) -> TokenIssuer {
        TokenIssuer { kind: IssuerKind::OpenId { iat_ttl, auth_ttl }, ..pool(Some("^web$")) }
    }

    /// The claims of a valid access token of the pool and a valid ID token of the provider, with some claims
    /// changed. Null removes a claim.
    fn claims(changed: Value) -> Value {
        let mut claims = json!({ "iss": POOL, "sub": "s", "iat": NOW, "exp": NOW + 3600, "auth_time": NOW,
            "token_use": "access", "client_id": "web", "username": "ada", "aud": ["api", "web"] });
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }

    fn signed_claims(claims: &Value) -> Claims {
        let token = KEY.sign(claims).unwrap();
        Token::parse(&token).unwrap().verify_signature(&decoding_key(&KEY)).unwrap()
    }

    fn validate(issuer: &TokenIssuer, changed: Value) -> Result<(), TokenError> {
        signed_claims(&claims(changed)).validate(issuer, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[test]
    fn bearer_prefix_is_optional_and_in_any_case() {
        let token = KEY.sign(&claims(json!({}))).unwrap();
        let prefixes = ["", "Bearer ", " Bearer  ", "bearer ", "BEARER ", "beArer "];
        for authorization in prefixes.map(|prefix| format!("{prefix}{token} ")) {
            let parsed = Token::parse(&authorization).unwrap();
            assert_eq!((parsed.issuer.as_deref(), parsed.key_id.as_deref()), (Some(POOL), Some(KEY.key_id())));
            assert!(parsed.verify_signature(&decoding_key(&KEY)).is_some());
        }
    }

    #[test]
    fn malformed_token_is_rejected() {
        let token = KEY.sign(&claims(json!({}))).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let (header, payload) = (parts[0], parts[1]);
        let cases = [
            "",
            "Bearer",
            "bearer",
            "Bearer Bearer",
            "é",
            "meow",
            "a.b.c",
            "..",
            &token[1..],
            &format!("{token}."),
            &format!("{header}.{payload}"),
            &format!("{payload}.{header}.{}", parts[2]),
            &format!("{header}.W10.{}", parts[2]),
            // ["RS256","k"] as the header, ["i"] as the claims
            &format!("WyJSUzI1NiIsImsiXQ.{payload}.{}", parts[2]),
            &format!("{header}.WyJpIl0.{}", parts[2]),
        ];
        for malformed in cases {
            assert_eq!(Token::parse(malformed).err(), Some(TokenError::Malformed), "{malformed}");
        }
    }

    #[test]
    fn forged_signature_is_rejected() {
        let token = KEY.sign(&claims(json!({}))).unwrap();
        let other = SigningKey::generate().unwrap();
        assert!(Token::parse(&token).unwrap().verify_signature(&decoding_key(&other)).is_none());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let changed = BASE64_URL_SAFE_NO_PAD.encode(claims(json!({ "sub": "t" })).to_string());
        let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let symmetric = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
        let payload = &message[header.len() + 1..];
        for forged in [
            format!("{header}.{changed}.{signature}"),
            format!("{none}.{payload}."),
            format!("{symmetric}.{payload}.{signature}"),
            format!("{message}."),
        ] {
            assert!(Token::parse(&forged).unwrap().verify_signature(&decoding_key(&KEY)).is_none(), "{forged}");
        }
    }

    #[test]
    fn pool_token_requires_client_and_token_use() {
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
            (&any, json!({ "iss": format!("{POOL}/") }), true),
            (&any, json!({ "iss": format!("{POOL}//") }), false),
            (&any, json!({ "sub": null }), false),
            (&any, json!({ "sub": "" }), false),
            (&any, json!({ "sub": 7 }), false),
        ];
        for (issuer, changed, expected) in cases {
            let expected = if expected { Ok(()) } else { Err(TokenError::NotAuthorized) };
            assert_eq!(validate(issuer, changed.clone()), expected, "{changed}");
        }
    }

    #[test]
    fn oidc_token_requires_client() {
        let cases = [
            (json!({}), true),
            (json!({ "aud": "web" }), true),
            (json!({ "aud": "api" }), false),
            (json!({ "aud": "api", "azp": "web" }), true),
            (json!({ "aud": null }), false),
            (json!({ "token_use": null }), true),
        ];
        for (changed, expected) in cases {
            assert_eq!(validate(&oidc_provider(None, None), changed.clone()).is_ok(), expected, "{changed}");
        }
    }

    #[test]
    fn token_times_are_validated() {
        let cases = [
            (pool(None), json!({ "exp": NOW + 1 }), Ok(())),
            (pool(None), json!({ "exp": NOW }), Err(TokenError::Expired)),
            (pool(None), json!({ "exp": 0.5 }), Err(TokenError::Expired)),
            (pool(None), json!({ "exp": null }), Err(TokenError::NotAuthorized)),
            (pool(None), json!({ "exp": "tomorrow" }), Err(TokenError::NotAuthorized)),
            (pool(None), json!({ "nbf": NOW + 60, "iat": NOW + 60 }), Ok(())),
            (pool(None), json!({ "nbf": NOW + 61 }), Err(TokenError::NotAuthorized)),
            (pool(None), json!({ "iat": NOW + 61 }), Err(TokenError::NotAuthorized)),
            (oidc_provider(HOUR, None), json!({ "exp": NOW + 9999, "iat": NOW - 3599 }), Ok(())),
            (oidc_provider(HOUR, None), json!({ "exp": NOW + 9999, "iat": NOW - 3600 }), Err(TokenError::Expired)),
            (oidc_provider(HOUR, None), json!({ "iat": null }), Err(TokenError::NotAuthorized)),
            (oidc_provider(None, HOUR), json!({ "auth_time": NOW - 3600 }), Err(TokenError::Expired)),
            (oidc_provider(None, HOUR), json!({ "auth_time": null }), Err(TokenError::NotAuthorized)),
        ];
        for (issuer, changed, expected) in cases {
            assert_eq!(validate(&issuer, changed.clone()), expected, "{changed}");
        }
    }

    #[test]
    fn groups_are_the_texts_of_a_list() {
        let groups = |claim: Value| {
            let claims = signed_claims(&claims(json!({ "cognito:groups": claim })));
            claims.into_identity(IssuerKind::UserPool, Vec::new())["groups"].clone()
        };
        assert_eq!(groups(json!(["authors", 7, null, "editors"])), json!(["authors", "editors"]));
        assert_eq!(groups(json!([])), json!([]));
        for other in [json!(null), json!("not-administrators"), json!(7), json!(true), json!({ "0": "editors" })] {
            assert_eq!(groups(other.clone()), Value::Null, "{other}");
        }
    }

    #[test]
    fn identity_contains_claims() {
        let claims_json = claims(json!({ "cognito:groups": ["authors"] }));
        let pool_identity = signed_claims(&claims_json).into_identity(IssuerKind::UserPool, vec!["10.0.0.1".into()]);
        assert_eq!(
            pool_identity,
            json!({ "sub": "s", "issuer": POOL, "username": "ada", "sourceIp": ["10.0.0.1"],
            "groups": ["authors"], "defaultAuthStrategy": "ALLOW", "claims": claims_json })
        );
        let claims_json = claims(json!({ "token_use": "id", "username": null, "cognito:username": "ada" }));
        let pool_identity = signed_claims(&claims_json).into_identity(IssuerKind::UserPool, Vec::new());
        assert_eq!((&pool_identity["username"], &pool_identity["groups"]), (&json!("ada"), &Value::Null));
        let oidc_identity =
            signed_claims(&claims_json).into_identity(oidc_provider(None, None).kind, vec!["10.0.0.1".into()]);
        assert_eq!(oidc_identity, json!({ "sub": "s", "issuer": POOL, "claims": claims_json }));
    }
}
