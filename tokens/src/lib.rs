//! JSON Web Tokens of user pools and OpenID Connect providers, verified as AppSync does: by the keys that
//! their issuers publish.
pub mod constant_time;
pub mod issuer_url;

mod issuer;
mod jwks_cache;
#[cfg(any(test, feature = "signing"))]
mod signing_key;
mod token;
mod trusted_issuer;

pub use issuer::{IssuerKind, PatternError, TokenIssuer, parse_client_pattern};
pub use jwks_cache::FetchLimit;
#[cfg(any(test, feature = "signing"))]
pub use signing_key::{SigningKey, SigningKeyError};
pub use token::{Claims, Token, TokenError};
pub use trusted_issuer::TrustedIssuer;
