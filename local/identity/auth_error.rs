//! Why somebody may not call the API, in AppSync's words.
use http::StatusCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// None, or none of a mode the API has.
    CredentialsMissing,
    /// A key the API does not have, or a token that is not for it.
    NotAuthorized,
    /// An access key or a session token nobody knows.
    ClientUnknown,
    SignatureMismatch,
    /// Signed too long ago, or for a time yet to come.
    SignatureExpired,
    /// Good credentials without `appsync:GraphQL` on the field.
    PermissionMissing,
    /// What should be a JSON Web Token is none.
    TokenMalformed,
    TokenExpired,
}

impl Denial {
    pub fn status(self) -> StatusCode {
        match self {
            Denial::ClientUnknown | Denial::SignatureMismatch | Denial::SignatureExpired => StatusCode::FORBIDDEN,
            Denial::CredentialsMissing
            | Denial::NotAuthorized
            | Denial::PermissionMissing
            | Denial::TokenMalformed
            | Denial::TokenExpired => StatusCode::UNAUTHORIZED,
        }
    }

    pub fn error_type(self) -> &'static str {
        match self {
            Denial::ClientUnknown => "UnrecognizedClientException",
            Denial::SignatureMismatch | Denial::SignatureExpired => "InvalidSignatureException",
            Denial::CredentialsMissing
            | Denial::NotAuthorized
            | Denial::PermissionMissing
            | Denial::TokenMalformed
            | Denial::TokenExpired => "UnauthorizedException",
        }
    }

    pub fn sentence(self) -> &'static str {
        match self {
            Denial::CredentialsMissing => "Valid authorization header not provided.",
            Denial::NotAuthorized => "You are not authorized to make this call.",
            Denial::PermissionMissing => "Permission denied",
            Denial::TokenMalformed => "Unable to parse JWT token.",
            Denial::TokenExpired => "Token has expired.",
            Denial::ClientUnknown => "The security token included in the request is invalid.",
            Denial::SignatureMismatch => {
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                 Access Key and signing method. Consult the service documentation for details."
            }
            Denial::SignatureExpired => "Signature expired: the time it was made is more than 5 minutes off.",
        }
    }
}
