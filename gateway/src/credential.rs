//! The credential of a handshake: in the query, in a subprotocol or in a header.
use crate::{subprotocol, websocket_event::ProxyEvent};

/// A longer credential is refused before it is parsed. All headers of a handshake have at most 10 KB.
const MAX_CREDENTIAL_BYTES: usize = 8 * 1024;

#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A JSON Web Token, perhaps with `Bearer`.
    Token(String),
    ApiKey(String),
}

/// Why a handshake has no usable credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error("there is no credential")]
    Missing,
    #[error("there is more than one credential")]
    Several,
    #[error("the credential is too long")]
    TooLong,
}

impl Credential {
    /// Finds the one credential of a handshake. Empty ones count as missing.
    pub fn find(event: &ProxyEvent) -> Result<Self, CredentialError> {
        let offered = event.header_values("sec-websocket-protocol");
        let (keys, tokens) = subprotocol::credentials(&offered).partition::<Vec<_>, _>(|text| !text.contains('.'));
        let tokens = [event.query_values("token"), event.header_values("authorization"), tokens].concat();
        let keys = [event.query_values("apiKey"), event.header_values("x-api-key"), keys].concat();
        let is_given = |text: &&&str| !text.trim().is_empty();
        let tokens: Vec<_> = tokens.iter().filter(is_given).collect();
        let keys: Vec<_> = keys.iter().filter(is_given).collect();
        if tokens.iter().chain(&keys).any(|text| text.len() > MAX_CREDENTIAL_BYTES) {
            return Err(CredentialError::TooLong);
        }
        match (&tokens[..], &keys[..]) {
            ([], []) => Err(CredentialError::Missing),
            ([token], []) => Ok(Self::Token((**token).to_owned())),
            ([], [key]) => Ok(Self::ApiKey((**key).to_owned())),
            _ => Err(CredentialError::Several),
        }
    }
}
