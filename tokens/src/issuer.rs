//! Issuers of tokens, and which of their tokens are accepted.
use std::time::Duration;

use fancy_regex::Regex;

/// An issuer of JSON Web Tokens, and which of its tokens the API accepts.
#[derive(Clone, Debug)]
pub struct TokenIssuer {
    /// The `iss` claim of its tokens.
    pub url: String,
    /// The clients whose tokens are accepted; None accepts those of all clients.
    pub clients: Option<Regex>,
    pub kind: IssuerKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerKind {
    UserPool,
    OpenId {
        /// How long a token is accepted after its `iat`, even if its `exp` is later.
        iat_ttl: Option<Duration>,
        /// How long a token is accepted after its `auth_time`, even if its `exp` is later.
        auth_ttl: Option<Duration>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a regular expression of client ids")]
pub struct PatternError(String);

/// Parses a pattern that matches whole client ids. Whether AppSync matches a part of an id is not documented.
pub fn parse_client_pattern(pattern: &str) -> Result<Regex, PatternError> {
    Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(|_| PatternError(pattern.to_owned()))
}
