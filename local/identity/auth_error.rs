//! Authentication errors with AppSync's status codes, types and messages.
use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use jiff::Timestamp;
use tokens::TokenError;

/// The largest difference between the time of a signature and the time of its verification.
pub const MAX_SIGNATURE_SKEW: Duration = Duration::from_secs(5 * 60);
/// The form of times in signatures: `20261118T110640Z`.
pub const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// No credentials, or none of a mode that the API has.
    CredentialsMissing,
    /// An unknown API key, or a token that is not for this API.
    NotAuthorized,
    /// An unknown access key or session token.
    ClientUnknown,
    SignatureMismatch,
    /// Signed too long ago.
    SignatureExpired {
        signed_at: SystemTime,
        now: SystemTime,
    },
    /// Signed at a time that is too far in the future.
    SignatureNotYetCurrent {
        signed_at: SystemTime,
        now: SystemTime,
    },
    /// The IAM policies of the caller do not allow the operation.
    PermissionMissing,
    /// Not a JSON Web Token.
    TokenMalformed,
    TokenExpired,
}

impl From<TokenError> for AuthError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Malformed => Self::TokenMalformed,
            TokenError::NotAuthorized | TokenError::KeysUnavailable => Self::NotAuthorized,
            TokenError::Expired => Self::TokenExpired,
        }
    }
}

impl AuthError {
    pub fn status(self) -> StatusCode {
        match self {
            AuthError::ClientUnknown
            | AuthError::SignatureMismatch
            | AuthError::SignatureExpired { .. }
            | AuthError::SignatureNotYetCurrent { .. } => StatusCode::FORBIDDEN,
            AuthError::CredentialsMissing
            | AuthError::NotAuthorized
            | AuthError::PermissionMissing
            | AuthError::TokenMalformed
            | AuthError::TokenExpired => StatusCode::UNAUTHORIZED,
        }
    }

    pub fn error_type(self) -> &'static str {
        match self {
            AuthError::ClientUnknown => "UnrecognizedClientException",
            AuthError::SignatureMismatch
            | AuthError::SignatureExpired { .. }
            | AuthError::SignatureNotYetCurrent { .. } => "InvalidSignatureException",
            AuthError::CredentialsMissing
            | AuthError::NotAuthorized
            | AuthError::PermissionMissing
            | AuthError::TokenMalformed
            | AuthError::TokenExpired => "UnauthorizedException",
        }
    }

    pub fn message(self) -> Cow<'static, str> {
        let minutes = MAX_SIGNATURE_SKEW.as_secs() / 60;
        match self {
            AuthError::CredentialsMissing => "Valid authorization header not provided.".into(),
            AuthError::NotAuthorized => "You are not authorized to make this call.".into(),
            AuthError::PermissionMissing => "Permission denied".into(),
            AuthError::TokenMalformed => "Unable to parse JWT token.".into(),
            AuthError::TokenExpired => "Token has expired.".into(),
            AuthError::ClientUnknown => "The security token included in the request is invalid.".into(),
            AuthError::SignatureMismatch => {
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                 Access Key and signing method. Consult the service documentation for details."
                    .into()
            }
            AuthError::SignatureExpired { signed_at, now } => format!(
                "Signature expired: {} is now earlier than {} ({} - {minutes} min.)",
                compact_time(signed_at),
                compact_time(now - MAX_SIGNATURE_SKEW),
                compact_time(now),
            )
            .into(),
            AuthError::SignatureNotYetCurrent { signed_at, now } => format!(
                "Signature not yet current: {} is still later than {} ({} + {minutes} min.)",
                compact_time(signed_at),
                compact_time(now + MAX_SIGNATURE_SKEW),
                compact_time(now),
            )
            .into(),
        }
    }
}

fn compact_time(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| String::new(), |time| time.strftime(TIME_FORMAT).to_string())
}
