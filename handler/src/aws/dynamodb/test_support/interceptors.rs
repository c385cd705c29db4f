//! Interceptors of the SDK that replace responses or write items before a call.
use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};

use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        http::HttpResponse,
        interceptors::{BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef},
    },
    error::BoxError,
};
use dynoxide::Database;
use serde_json::{Map, Value, json};

use super::Item;
use crate::aws::dynamodb::Table;

pub const TRANSACTION_CONFLICT: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionConflictException"}"#;
pub const TRANSACTION_CANCELLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
    "CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict"},{"Code":"None"}]}"#;
pub const THROTTLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException"}"#;
pub const INTERNAL_ERROR: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}"#;

impl Table {
    /// The first call of an operation is carried out, but its response is replaced by an error.
    pub fn replacing_first_response(&self, operation: &str, error: &'static str) -> Self {
        self.intercepted(FirstResponse { target: target(operation), error, state: AtomicU8::new(NOT_SENT) })
    }

    /// Every call whose body contains a text is carried out, but its response is replaced by a throttling
    /// error.
    pub fn throttling_calls_with(&self, text: &'static str) -> Self {
        self.intercepted(Throttling { text, is_match: AtomicBool::new(false) })
    }

    /// Writes items right before the first call of an operation.
    pub fn writing_before_first(&self, operation: &str, database: &Database, items: &[Item]) -> Self {
        let puts = items.iter().map(|item| json!({ "TableName": self.name, "Item": item_json(item) })).collect();
        self.intercepted(WriteBefore { target: target(operation), puts: Mutex::new(puts), database: database.clone() })
    }

    pub fn intercepted(&self, interceptor: impl Intercept + 'static) -> Self {
        let config = self.client.config().to_builder().interceptor(interceptor).build();
        Self::with_client(Client::from_conf(config), self.name.clone())
    }
}

fn target(operation: &str) -> String {
    format!("DynamoDB_20120810.{operation}")
}

/// Items whose attributes are all strings.
fn item_json(item: &Item) -> Map<String, Value> {
    item.iter().map(|(name, value)| (name.clone(), json!({ "S": value.as_s().unwrap() }))).collect()
}

const NOT_SENT: u8 = 0;
const SENT: u8 = 1;
const REPLACED: u8 = 2;

#[derive(Debug)]
struct FirstResponse {
    target: String,
    error: &'static str,
    state: AtomicU8,
}

impl FirstResponse {
    /// Returns whether the state was `from`.
    fn advance(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Intercept for FirstResponse {
    fn name(&self) -> &'static str {
        "first response"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.request().headers().get("x-amz-target") == Some(&self.target) {
            self.advance(NOT_SENT, SENT);
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.advance(SENT, REPLACED) {
            *context.response_mut() = HttpResponse::new(400.try_into()?, self.error.into());
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Throttling {
    text: &'static str,
    /// Whether the call in flight contains the text.
    is_match: AtomicBool,
}

impl Intercept for Throttling {
    fn name(&self) -> &'static str {
        "throttling"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = String::from_utf8_lossy(context.request().body().bytes().unwrap_or_default());
        self.is_match.store(body.contains(self.text), Ordering::Relaxed);
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.is_match.load(Ordering::Relaxed) {
            *context.response_mut() = HttpResponse::new(400.try_into()?, THROTTLED.into());
        }
        Ok(())
    }
}

struct WriteBefore {
    target: String,
    puts: Mutex<Vec<Value>>,
    database: Database,
}

impl fmt::Debug for WriteBefore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.target)
    }
}

impl Intercept for WriteBefore {
    fn name(&self) -> &'static str {
        "write before"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.request().headers().get("x-amz-target") == Some(&self.target) {
            for put in self.puts.lock().unwrap().drain(..) {
                self.database.put_item(serde_json::from_value(put).unwrap()).unwrap();
            }
        }
        Ok(())
    }
}
