//! Why a call was not carried out: as the database says, or as DynamoDB says and an embedded database never does.
use dynoxide::{DynoxideError, errors::CancellationReason};
use serde_json::json;

use crate::identity::AccessDenied;

#[derive(Debug)]
pub enum Failure {
    Database(DynoxideError),
    /// A write of one item met a transaction.
    Conflict,
    Throttled,
    AccessDenied(AccessDenied),
    /// Credentials that nobody has.
    ClientUnknown,
}

const CONFLICT: &str = "Transaction is ongoing for the item";
const CLIENT_UNKNOWN: &str = "The security token included in the request is invalid.";
const THROTTLED: &str = "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or index so please try again shortly.";

impl Failure {
    /// One of so many items of a transaction met another transaction.
    pub fn conflict_in(items: usize, which: usize) -> Self {
        Self::cancelled(items, which, "TransactionConflict", CONFLICT)
    }

    /// One of so many items of a transaction is asked for too often.
    pub fn throttled_in(items: usize, which: usize) -> Self {
        Self::cancelled(items, which, "ThrottlingError", THROTTLED)
    }

    pub fn provisioned_throughput_exceeded() -> Self {
        let message = "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.";
        Self::Database(DynoxideError::ProvisionedThroughputExceededException(message.into()))
    }

    fn cancelled(items: usize, which: usize, code: &str, message: &str) -> Self {
        let reason = |index| match index == which {
            true => CancellationReason { code: code.into(), message: Some(message.into()), item: None },
            false => CancellationReason { code: "None".into(), message: None, item: None },
        };
        let reasons: Vec<CancellationReason> = (0..items).map(reason).collect();
        let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
        let message = format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        );
        Self::Database(DynoxideError::TransactionCanceledException(message, reasons))
    }

    /// The exception's name, without a namespace.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Database(fault) => fault.error_type().rsplit('#').next().unwrap_or_default(),
            Self::Conflict => "TransactionConflictException",
            Self::Throttled => "ThrottlingException",
            Self::AccessDenied(_) => "AccessDeniedException",
            Self::ClientUnknown => "UnrecognizedClientException",
        }
    }

    pub fn message(&self) -> String {
        match self {
            Self::Database(fault) => fault.to_string(),
            Self::Conflict => CONFLICT.into(),
            Self::Throttled => THROTTLED.into(),
            Self::AccessDenied(denied) => denied.to_string(),
            Self::ClientUnknown => CLIENT_UNKNOWN.into(),
        }
    }

    pub fn status(&self) -> u16 {
        match self {
            Self::Database(fault) => fault.status_code(),
            Self::Conflict | Self::Throttled | Self::AccessDenied(_) | Self::ClientUnknown => 400,
        }
    }

    /// As DynamoDB writes it over the wire.
    pub fn to_json(&self) -> String {
        let (namespace, member) = match self {
            Self::Database(fault) => return fault.to_json(),
            Self::Conflict => ("com.amazonaws.dynamodb.v20120810", "message"),
            Self::Throttled => ("com.amazon.coral.availability", "message"),
            Self::AccessDenied(_) => ("com.amazon.coral.service", "Message"),
            Self::ClientUnknown => ("com.amazon.coral.service", "message"),
        };
        json!({ "__type": format!("{namespace}#{}", self.name()), member: self.message() }).to_string()
    }
}

impl From<DynoxideError> for Failure {
    fn from(fault: DynoxideError) -> Self {
        Self::Database(fault)
    }
}

impl From<AccessDenied> for Failure {
    fn from(denied: AccessDenied) -> Self {
        Self::AccessDenied(denied)
    }
}
