//! KMS's exceptions. All of them have the status 400.
use serde_json::{Value, json};

use crate::identity::AccessDenied;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsError {
    pub error_type: &'static str,
    message: Option<String>,
}

impl KmsError {
    /// The body is not a request of the operation. KMS answers without a message; this one names the member.
    pub fn serialization(message: String) -> Self {
        Self::new("SerializationException", message)
    }

    /// `violations`: KMS's sentences about members, at least one.
    pub fn validation(violations: &[String]) -> Self {
        let noun = if violations.len() == 1 { "error" } else { "errors" };
        let message = format!("{} validation {noun} detected: {}", violations.len(), violations.join("; "));
        Self::new("ValidationException", message)
    }

    pub fn unknown_operation(target: &str) -> Self {
        let message = format!("The local server does not serve '{target}'. It serves Encrypt and Decrypt.");
        Self::new("UnknownOperationException", message)
    }

    pub fn key_not_found(arn: &str) -> Self {
        Self::new("NotFoundException", format!("Key '{arn}' does not exist"))
    }

    /// KMS does not say whether the key of a ciphertext exists.
    pub fn ciphertext_key_not_found() -> Self {
        let message = "The ciphertext refers to a customer master key that does not exist, does not exist in this \
                       region, or you are not allowed to access.";
        Self::new("AccessDeniedException", message.into())
    }

    pub fn access_denied(denied: &AccessDenied) -> Self {
        Self::new("AccessDeniedException", denied.to_string())
    }

    pub fn incorrect_key() -> Self {
        let message = "The key ID in the request does not identify a CMK that can perform this operation.";
        Self::new("IncorrectKeyException", message.into())
    }

    /// KMS answers without a message.
    pub fn invalid_ciphertext() -> Self {
        Self { error_type: "InvalidCiphertextException", message: None }
    }

    pub fn internal() -> Self {
        Self::new("KMSInternalException", "The data cannot be encrypted.".into())
    }

    pub fn to_json(&self) -> Value {
        match &self.message {
            Some(message) => json!({ "__type": self.error_type, "message": message }),
            None => json!({ "__type": self.error_type }),
        }
    }

    fn new(error_type: &'static str, message: String) -> Self {
        Self { error_type, message: Some(message) }
    }
}
