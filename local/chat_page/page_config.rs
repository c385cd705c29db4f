//! `config.json`: what the chat page must know of the stack that it is served with.
use fancy_regex::Regex;
use serde::Serialize;

use crate::stack::{Api, IssuerKind, TokenIssuer};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageConfig {
    pub graphql_url: String,
    pub realtime_url: String,
    pub region: String,
    /// The ways to sign in that the API accepts and the page can use.
    pub sign_in: Vec<SignInMode>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "mode", rename_all_fields = "camelCase")]
pub enum SignInMode {
    #[serde(rename = "API_KEY")]
    ApiKey { api_key: String },
    #[serde(rename = "USER_POOL")]
    UserPool { issuer: String, client_id: String },
    #[serde(rename = "OIDC")]
    OpenId { issuer: String, client_id: String, scope: &'static str },
}

impl SignInMode {
    /// The modes of an API. Issuers whose pattern of clients names no single client are left out: the page
    /// must be one of their clients.
    pub fn of(api: &Api) -> Vec<Self> {
        let key = api.keys.first().map(|key| Self::ApiKey { api_key: key.clone() });
        key.into_iter().chain(api.issuers.iter().filter_map(Self::of_issuer)).collect()
    }

    fn of_issuer(issuer: &TokenIssuer) -> Option<Self> {
        let client_id = single_client(issuer.clients.as_ref()?)?;
        let url = issuer.url.clone();
        Some(match issuer.kind {
            IssuerKind::UserPool => Self::UserPool { issuer: url, client_id },
            IssuerKind::OpenId { .. } => Self::OpenId { issuer: url, client_id, scope: "openid" },
        })
    }

    pub fn issuer(&self) -> Option<&str> {
        match self {
            Self::ApiKey { .. } => None,
            Self::UserPool { issuer, .. } | Self::OpenId { issuer, .. } => Some(issuer),
        }
    }
}

/// The client of a pattern that is a client id, with or without backslashes before its punctuation.
fn single_client(pattern: &Regex) -> Option<String> {
    let text = pattern.as_str().strip_prefix(r"\A(?:")?.strip_suffix(r")\z")?;
    let text = text.strip_prefix('^').and_then(|text| text.strip_suffix('$')).unwrap_or(text);
    let text = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    let id = text.replace('\\', "");
    let is_id = |character: char| character.is_ascii_alphanumeric() || "-._~:/@".contains(character);
    (!id.is_empty() && id.chars().all(is_id) && pattern.is_match(&id).unwrap_or(false)).then_some(id)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use serde_json::{Value, json};

    use super::*;
    use crate::template::{Deployment, load};

    fn modes(parameters: &[(&str, &str)]) -> Value {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let deployment = Deployment {
            api_key: "da2-key".into(),
            ..Deployment::at("http://localhost:4000", BTreeMap::from_iter(parameters))
        };
        let stack = load(Path::new(env!("CARGO_MANIFEST_DIR")), &deployment).unwrap();
        json!(SignInMode::of(&stack.api))
    }

    #[test]
    fn modes_are_those_of_the_stack() {
        let key = json!({ "mode": "API_KEY", "apiKey": "da2-key" });
        assert_eq!(modes(&[]), json!([key]));
        let oidc = "http://localhost:4000/oidc";
        let all = modes(&[("UserPool", "create"), ("OidcIssuer", oidc), ("OidcClientPattern", "local")]);
        let pool = json!({ "mode": "USER_POOL", "issuer": "http://localhost:4000/pool", "clientId": "local" });
        let provider = json!({ "mode": "OIDC", "issuer": oidc, "clientId": "local", "scope": "openid" });
        assert_eq!(all, json!([key, pool, provider]));
        assert_eq!(modes(&[("ApiKeyAccess", "false"), ("UserPool", "create")]), json!([pool]));
    }

    #[test]
    fn issuers_elsewhere_need_a_client() {
        let pool = "eu-west-1_AbCdEf";
        let issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf";
        let with_client =
            [("ApiKeyAccess", "false"), ("UserPool", pool), ("UserPoolClientPattern", "1h57kf5cpq17m0eml12EXAMPLE")];
        let mode = json!({ "mode": "USER_POOL", "issuer": issuer, "clientId": "1h57kf5cpq17m0eml12EXAMPLE" });
        assert_eq!(modes(&with_client), json!([mode]));
        assert_eq!(modes(&[("ApiKeyAccess", "false"), ("UserPool", pool)]), json!([]));
    }

    #[test]
    fn pattern_of_one_client_is_an_id() {
        let client = |pattern: &str| single_client(&tokens::parse_client_pattern(pattern).unwrap());
        assert_eq!(client("^web$").as_deref(), Some("web"));
        assert_eq!(client("^(api://my-app)$").as_deref(), Some("api://my-app"));
        assert_eq!(client(r"123-a\.apps\.example\.com").as_deref(), Some("123-a.apps.example.com"));
        for pattern in ["", ".*", "web|phone", "[a-z]+", r"\d", "^(web)?$"] {
            assert_eq!(client(pattern), None, "{pattern}");
        }
    }
}
