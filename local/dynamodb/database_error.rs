//! Errors of DynamoDB calls: those of the embedded database, and those that it never reports itself.
use dynoxide::{DynoxideError, errors::CancellationReason};
use serde_json::json;

use crate::identity::AccessDenied;

#[derive(Debug)]
pub enum DatabaseError {
    Database(DynoxideError),
    /// A write of one item conflicts with a transaction.
    Conflict,
    Throttled,
    AccessDenied(AccessDenied),
    /// The credentials are unknown.
    ClientUnknown,
}

const CONFLICT: &str = "Transaction is ongoing for the item";
const CLIENT_UNKNOWN: &str = "The security token included in the request is invalid.";
const THROTTLED: &str = "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or index so please try again shortly.";

impl DatabaseError {
    /// One item of a transaction conflicts with another transaction.
    pub fn transaction_conflict(item_count: usize, conflicting_item: usize) -> Self {
        Self::transaction_cancelled(item_count, conflicting_item, "TransactionConflict", CONFLICT)
    }

    /// One item of a transaction is throttled.
    pub fn transaction_throttled(item_count: usize, throttled_item: usize) -> Self {
        Self::transaction_cancelled(item_count, throttled_item, "ThrottlingError", THROTTLED)
    }

    pub fn provisioned_throughput_exceeded() -> Self {
        let message = "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.";
        Self::Database(DynoxideError::ProvisionedThroughputExceededException(message.into()))
    }

    fn transaction_cancelled(item_count: usize, failed_item: usize, code: &str, message: &str) -> Self {
        let reason = |index| match index == failed_item {
            true => CancellationReason { code: code.into(), message: Some(message.into()), item: None },
            false => CancellationReason { code: "None".into(), message: None, item: None },
        };
        let reasons: Vec<CancellationReason> = (0..item_count).map(reason).collect();
        let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
        let message = format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        );
        Self::Database(DynoxideError::TransactionCanceledException(message, reasons))
    }

    /// The exception's name without its namespace.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Database(error) => error.error_type().rsplit('#').next().unwrap_or_default(),
            Self::Conflict => "TransactionConflictException",
            Self::Throttled => "ThrottlingException",
            Self::AccessDenied(_) => "AccessDeniedException",
            Self::ClientUnknown => "UnrecognizedClientException",
        }
    }

    pub fn message(&self) -> String {
        match self {
            Self::Database(error) => error.to_string(),
            Self::Conflict => CONFLICT.into(),
            Self::Throttled => THROTTLED.into(),
            Self::AccessDenied(denied) => denied.to_string(),
            Self::ClientUnknown => CLIENT_UNKNOWN.into(),
        }
    }

    pub fn status(&self) -> u16 {
        match self {
            Self::Database(error) => error.status_code(),
            Self::Conflict | Self::Throttled | Self::AccessDenied(_) | Self::ClientUnknown => 400,
        }
    }

    /// The error in DynamoDB's HTTP protocol.
    pub fn to_json(&self) -> String {
        let (namespace, message_member) = match self {
            Self::Database(error) => return error.to_json(),
            Self::Conflict => ("com.amazonaws.dynamodb.v20120810", "message"),
            Self::Throttled => ("com.amazon.coral.availability", "message"),
            Self::AccessDenied(_) => ("com.amazon.coral.service", "Message"),
            Self::ClientUnknown => ("com.amazon.coral.service", "message"),
        };
        json!({ "__type": format!("{namespace}#{}", self.name()), message_member: self.message() }).to_string()
    }
}

impl From<DynoxideError> for DatabaseError {
    fn from(error: DynoxideError) -> Self {
        Self::Database(error)
    }
}

impl From<AccessDenied> for DatabaseError {
    fn from(denied: AccessDenied) -> Self {
        Self::AccessDenied(denied)
    }
}
