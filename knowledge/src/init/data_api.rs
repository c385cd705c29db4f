//! A transaction of the RDS Data API.
use reqwest::Method;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use super::{cloudformation::Properties, statements::Statement};
use crate::aws::{Aws, CallError, RDS_DATA};

/// Errors after which a new transaction may succeed. The Data API sends them with statuses of the client's
/// fault. A transaction is not found once the Data API has ended it.
const TRANSIENT_ERRORS: [&str; 5] = [
    "DatabaseResumingException",
    "DatabaseUnavailableException",
    "DatabaseNotFoundException",
    "StatementTimeoutException",
    "TransactionNotFoundException",
];
/// Classes and codes of PostgreSQL's errors after which a new transaction may succeed: connection lost,
/// serialization failure, deadlock, lock not available, shut down by an administrator, or starting up.
const TRANSIENT_SQL_STATES: [&str; 7] = ["08", "40001", "40P01", "55P03", "57P01", "57P02", "57P03"];

pub struct DataApi<'a> {
    pub aws: &'a Aws,
    pub properties: &'a Properties,
}

/// Why a transaction failed. Nothing of it is in the database unless the answer to its commit was lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {message}")]
pub struct TransactionError {
    /// The statement or call that failed.
    step: String,
    /// Without secrets.
    message: String,
    pub is_transient: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BeganTransaction {
    transaction_id: String,
}

impl TransactionError {
    pub fn new(step: &str, message: impl Into<String>, is_transient: bool) -> Self {
        Self { step: step.to_owned(), message: message.into(), is_transient }
    }

    pub fn from_call(step: &str, error: &CallError) -> Self {
        Self::new(step, error.to_string(), is_transient(error))
    }

    fn of_statement(statement: &Statement, error: &CallError) -> Self {
        if statement.may_show_message {
            return Self::from_call(statement.name, error);
        }
        let message = format!("{} (its message may quote the password)", error.kind());
        Self::new(statement.name, message.trim_start(), is_transient(error))
    }
}

fn is_transient(error: &CallError) -> bool {
    error.is_transient() || TRANSIENT_ERRORS.contains(&error.kind()) || {
        let state = sql_state(error.message()).unwrap_or_default();
        TRANSIENT_SQL_STATES.iter().any(|transient| state.starts_with(transient))
    }
}

/// PostgreSQL's error code in a message of the Data API: `ERROR: …; SQLState: 55P03`.
fn sql_state(message: &str) -> Option<&str> {
    message.rsplit_once("SQLState: ").map(|(_, state)| state.trim())
}

impl DataApi<'_> {
    pub async fn begin(&self) -> Result<String, TransactionError> {
        let request = json!({
            "resourceArn": self.properties.cluster_arn,
            "secretArn": self.properties.admin_secret_arn,
            "database": self.properties.database,
        });
        let began = self.aws.call_rest(RDS_DATA, Method::POST, "/BeginTransaction", &request).await;
        let began: BeganTransaction = began.map_err(|error| TransactionError::from_call("BeginTransaction", &error))?;
        Ok(began.transaction_id)
    }

    pub async fn execute(&self, transaction: &str, statement: &Statement) -> Result<(), TransactionError> {
        let request = json!({
            "resourceArn": self.properties.cluster_arn,
            "secretArn": self.properties.admin_secret_arn,
            "database": self.properties.database,
            "transactionId": transaction,
            "sql": statement.sql,
        });
        let executed = self.aws.call_rest::<IgnoredAny>(RDS_DATA, Method::POST, "/Execute", &request).await;
        executed.map(drop).map_err(|error| TransactionError::of_statement(statement, &error))
    }

    pub async fn commit(&self, transaction: &str) -> Result<(), TransactionError> {
        self.end("CommitTransaction", transaction).await
    }

    pub async fn roll_back(&self, transaction: &str) -> Result<(), TransactionError> {
        self.end("RollbackTransaction", transaction).await
    }

    async fn end(&self, operation: &str, transaction: &str) -> Result<(), TransactionError> {
        let request = json!({
            "resourceArn": self.properties.cluster_arn,
            "secretArn": self.properties.admin_secret_arn,
            "transactionId": transaction,
        });
        let ended = self.aws.call_rest::<IgnoredAny>(RDS_DATA, Method::POST, &format!("/{operation}"), &request).await;
        ended.map(drop).map_err(|error| TransactionError::from_call(operation, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::statements::statements;

    fn error(kind: &str, message: &str) -> CallError {
        CallError::Service { status: 400, kind: kind.into(), message: message.into() }
    }

    #[test]
    fn resuming_databases_and_locks_are_waited_for() {
        for (kind, message) in [
            ("DatabaseResumingException", "The Aurora DB instance arn:… is resuming after being auto-paused."),
            ("TransactionNotFoundException", "Transaction AAB is not found"),
            ("DatabaseErrorException", "ERROR: canceling statement due to lock timeout; SQLState: 55P03"),
            ("DatabaseErrorException", "FATAL: terminating connection; SQLState: 08006"),
        ] {
            assert!(is_transient(&error(kind, message)), "{kind}: {message}");
        }
        for (kind, message) in [
            ("DatabaseErrorException", "ERROR: type \"vector\" does not exist; Position: 90; SQLState: 42704"),
            ("AccessDeniedException", "is not authorized to perform: rds-data:BeginTransaction"),
            ("BadRequestException", "HttpEndpoint is not enabled"),
        ] {
            assert!(!is_transient(&error(kind, message)), "{kind}: {message}");
        }
    }

    #[test]
    fn message_about_the_password_is_withheld() {
        let statements = statements("Pa55'word").unwrap();
        let message = "ERROR: syntax error at or near \"word\"; SQLState: 42601";
        let texts = statements.iter().map(|statement| {
            TransactionError::of_statement(statement, &error("DatabaseErrorException", message)).to_string()
        });
        let withheld: Vec<_> = texts.filter(|text| !text.contains(message)).collect();
        let expected = "ALTER ROLE bedrock_user LOGIN PASSWORD {password}: DatabaseErrorException (its message may \
                        quote the password)";
        assert_eq!(withheld, [expected]);
    }
}
