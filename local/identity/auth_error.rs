//! Authentication errors with AppSync's status codes, types and messages.
use http::StatusCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// No credentials, or none of a mode that the API has.
    CredentialsMissing,
    /// An unknown API key, or a token that is not for this API.
    NotAuthorized,
    /// An unknown access key or session token.
    ClientUnknown,
    SignatureMismatch,
    /// Signed too long ago, or at a time in the future.
    SignatureExpired,
    /// The IAM policies of the caller do not allow `appsync:GraphQL` on the field.
    PermissionMissing,
    /// Not a JSON Web Token.
    TokenMalformed,
    TokenExpired,
}

impl AuthError {
    pub fn status(self) -> StatusCode {
        match self {
            AuthError::ClientUnknown | AuthError::SignatureMismatch | AuthError::SignatureExpired => {
                StatusCode::FORBIDDEN
            }
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
            AuthError::SignatureMismatch | AuthError::SignatureExpired => "InvalidSignatureException",
            AuthError::CredentialsMissing
            | AuthError::NotAuthorized
            | AuthError::PermissionMissing
            | AuthError::TokenMalformed
            | AuthError::TokenExpired => "UnauthorizedException",
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            AuthError::CredentialsMissing => "Valid authorization header not provided.",
            AuthError::NotAuthorized => "You are not authorized to make this call.",
            AuthError::PermissionMissing => "Permission denied",
            AuthError::TokenMalformed => "Unable to parse JWT token.",
            AuthError::TokenExpired => "Token has expired.",
            AuthError::ClientUnknown => "The security token included in the request is invalid.",
            AuthError::SignatureMismatch => {
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                 Access Key and signing method. Consult the service documentation for details."
            }
            AuthError::SignatureExpired => "Signature expired: the time it was made is more than 5 minutes off.",
        }
    }
}
