//! Authentication of callers and authorization by IAM policies, and the local token issuers.
//!
//! Callers authenticate by API keys, by IAM signatures, or by tokens of a user pool or an OpenID Connect
//! provider.
mod assumed_role;
mod auth_error;
mod auth_request;
mod authenticator;
#[cfg(test)]
mod authenticator_tests;
mod caller;
mod iam_policy;
mod local_issuer;
mod oidc_routes;
mod pool_user;
mod presigned_url;
mod principal;
mod sign_in;
mod signature;

pub use assumed_role::{AccessDenied, AssumedRole};
pub use auth_error::AuthError;
pub use auth_request::{AuthRequest, peer_address};
pub use authenticator::Authenticator;
pub use caller::Caller;
pub use iam_policy::{AccessRequest, IamPolicy, PolicyDecision};
pub use local_issuer::{LOCAL_CLIENT_ID, LocalIssuer, LocalIssuers, TokenError, TokenResponse, TokenUse};
pub use oidc_routes::router;
pub use pool_user::PoolUser;
pub use presigned_url::PresignedUrlError;
pub use principal::{CognitoIdentity, Principal};
pub use tokens::{SigningKey, SigningKeyError};
