//! The items of open WebSocket connections in the deployment's table.
use std::time::{Duration, Instant};

use api::{
    backoff::{Backoff, jitter_seed},
    limited_body::read_limited,
    retry::{NextTry, retry},
    signed_http::{SignedHttp, default_endpoint},
    signing::PostRequest,
};
use serde_json::{Value, json};

use crate::now;

const CALL_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_TRIES: u32 = 4;
const RETRY: Backoff = Backoff::half_jitter(Duration::from_millis(50), Duration::from_secs(1));
/// A page of a query has at most 1 MB; counts and items are far smaller.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;
/// Ten minutes longer than a connection lives.
const LIFETIME: Duration = Duration::from_secs(130 * 60);
/// Errors after which the same request may succeed. DynamoDB sends them with HTTP 400.
const RETRYABLE_ERRORS: [&str; 4] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionConflictException",
];

pub struct ConnectionTable {
    http: SignedHttp,
    url: String,
    table_name: String,
}

/// A connection of a user.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionKey<'a> {
    pub user_id: &'a str,
    pub connection_id: &'a str,
}

/// The table did not answer, or refused the request. The log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table did not answer")]
pub struct TableError;

enum Failure {
    ConditionFailed,
    Retryable,
    Refused,
}

impl ConnectionTable {
    /// `endpoint`: in place of DynamoDB's own.
    pub fn new(http: SignedHttp, endpoint: Option<&str>, table_name: &str) -> Self {
        let endpoint = endpoint.map_or_else(|| default_endpoint("dynamodb", http.region()), str::to_owned);
        let url = format!("{}/", endpoint.trim_end_matches('/'));
        Self { http, url, table_name: table_name.to_owned() }
    }

    /// How many connections the user has, without those that have expired. Those beyond 1 MB are not counted.
    pub async fn count(&self, user_id: &str, now: Duration, deadline: Instant) -> Result<u64, TableError> {
        let request = json!({
            "TableName": self.table_name,
            "KeyConditionExpression": "pk = :pk",
            "FilterExpression": "expiresAt > :now",
            "ExpressionAttributeValues": { ":pk": { "S": partition(user_id) }, ":now": number(now.as_secs()) },
            "Select": "COUNT",
            "ConsistentRead": true,
        });
        let response = self.call("Query", &request, user_id, deadline).await?;
        Ok(response.and_then(|response| response["Count"].as_u64()).unwrap_or_default())
    }

    pub async fn put(&self, key: ConnectionKey<'_>, now: Duration, deadline: Instant) -> Result<(), TableError> {
        let mut item = key.to_json();
        item["connectedAt"] = number(now.as_secs());
        item["expiresAt"] = number((now + LIFETIME).as_secs());
        let request = json!({ "TableName": self.table_name, "Item": item });
        self.call("PutItem", &request, key.connection_id, deadline).await.map(drop)
    }

    pub async fn delete(&self, key: ConnectionKey<'_>, deadline: Instant) -> Result<(), TableError> {
        let request = json!({ "TableName": self.table_name, "Key": key.to_json() });
        self.call("DeleteItem", &request, key.connection_id, deadline).await.map(drop)
    }

    /// The conversation of the connection; `None` before its first message.
    pub async fn conversation(&self, key: ConnectionKey<'_>, deadline: Instant) -> Result<Option<String>, TableError> {
        let request = json!({
            "TableName": self.table_name,
            "Key": key.to_json(),
            "ProjectionExpression": "conversationId",
            "ConsistentRead": true,
        });
        let response = self.call("GetItem", &request, key.connection_id, deadline).await?.unwrap_or_default();
        Ok(response["Item"]["conversationId"]["S"].as_str().map(str::to_owned))
    }

    /// Replaces the conversation of an open connection, unless another message has done so meanwhile. Returns
    /// whether it has.
    pub async fn replace_conversation(
        &self,
        key: ConnectionKey<'_>,
        old: Option<&str>,
        new: &str,
        deadline: Instant,
    ) -> Result<bool, TableError> {
        let mut values = json!({ ":new": { "S": new } });
        let unchanged = match old {
            Some(old) => {
                values[":old"] = json!({ "S": old });
                "conversationId = :old"
            }
            None => "attribute_not_exists(conversationId)",
        };
        let request = json!({
            "TableName": self.table_name,
            "Key": key.to_json(),
            "UpdateExpression": "SET conversationId = :new",
            "ConditionExpression": format!("attribute_exists(pk) AND {unchanged}"),
            "ExpressionAttributeValues": values,
        });
        Ok(self.call("UpdateItem", &request, key.connection_id, deadline).await?.is_some())
    }

    /// Tries a request until it succeeds or is refused, at most four times and until `deadline`. `None` if
    /// its condition has failed.
    async fn call(
        &self,
        operation: &str,
        request: &Value,
        key: &str,
        deadline: Instant,
    ) -> Result<Option<Value>, TableError> {
        let body = request.to_string();
        let may_repeat = |failure: &Failure, next: NextTry| {
            let is_retryable = matches!(failure, Failure::Retryable);
            let has_try = next.failures < MAX_TRIES && now() + next.delay < deadline;
            if is_retryable && !has_try {
                tracing::error!(operation, failures = next.failures, "the table does not answer");
            }
            is_retryable && has_try
        };
        let try_once = || {
            let time_left = deadline.saturating_duration_since(now());
            self.try_once(operation, body.as_bytes(), time_left.min(CALL_TIMEOUT))
        };
        match retry(RETRY, jitter_seed(&[key]), try_once, may_repeat).await {
            Ok(response) => Ok(Some(response)),
            Err(Failure::ConditionFailed) => Ok(None),
            Err(Failure::Refused | Failure::Retryable) => Err(TableError),
        }
    }

    async fn try_once(&self, operation: &str, body: &[u8], timeout: Duration) -> Result<Value, Failure> {
        let target = format!("DynamoDB_20120810.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target.as_str())];
        let region = self.http.region();
        let post = PostRequest { service: "dynamodb", url: &self.url, region, headers: &headers, body };
        let response = self.http.send(post, |request| request.timeout(timeout)).await.map_err(|error| {
            tracing::warn!(%error, operation, "the table did not answer");
            Failure::Retryable
        })?;
        let status = response.status();
        let body = read_limited(response, MAX_RESPONSE_BYTES).await.map_err(|_| Failure::Retryable)?;
        let response: Value = serde_json::from_slice(&body).map_err(|_| Failure::Retryable)?;
        if status.is_success() {
            return Ok(response);
        }
        // The message is not logged, because it may quote the request.
        let error_type = response["__type"].as_str().and_then(|name| name.rsplit('#').next()).unwrap_or_default();
        if error_type == "ConditionalCheckFailedException" {
            return Err(Failure::ConditionFailed);
        }
        tracing::warn!(%status, error_type, operation, "the table refuses the request");
        let is_retryable = status.is_server_error() || RETRYABLE_ERRORS.contains(&error_type);
        Err(if is_retryable { Failure::Retryable } else { Failure::Refused })
    }
}

impl ConnectionKey<'_> {
    fn to_json(self) -> Value {
        json!({ "pk": { "S": partition(self.user_id) }, "sk": { "S": self.connection_id } })
    }
}

fn partition(user_id: &str) -> String {
    format!("CONNECTIONS#{user_id}")
}

fn number(value: u64) -> Value {
    json!({ "N": value.to_string() })
}
