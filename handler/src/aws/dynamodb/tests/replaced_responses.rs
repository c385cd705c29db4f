//! Answers that are lost or replaced on their way, after what they answer was done.
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        http::HttpResponse,
        interceptors::{BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef},
    },
    error::BoxError,
};

use super::*;

pub const CONFLICT: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionConflictException"}"#;
pub const CANCELLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
    "CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict"},{"Code":"None"}]}"#;

pub const THROTTLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException"}"#;
pub const FAILED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}"#;

const UNASKED: u8 = 0;
const ASKED: u8 = 1;
const ANSWERED: u8 = 2;

/// Stands in for the first answer to an operation.
#[derive(Debug)]
struct Answer {
    target: String,
    body: &'static str,
    state: AtomicU8,
}

impl Answer {
    fn moves(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Intercept for Answer {
    fn name(&self) -> &'static str {
        "answer"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.request().headers().get("x-amz-target") == Some(&self.target) {
            self.moves(UNASKED, ASKED);
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.moves(ASKED, ANSWERED) {
            *context.response_mut() = HttpResponse::new(400.try_into()?, self.body.into());
        }
        Ok(())
    }
}

/// Stands in for every answer to what says these words.
#[derive(Debug)]
struct Throttle {
    words: &'static str,
    said: AtomicBool,
}

impl Intercept for Throttle {
    fn name(&self) -> &'static str {
        "throttle"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let said = String::from_utf8_lossy(context.request().body().bytes().unwrap_or_default());
        self.said.store(said.contains(self.words), Ordering::Relaxed);
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.said.load(Ordering::Relaxed) {
            *context.response_mut() = HttpResponse::new(400.try_into()?, THROTTLED.into());
        }
        Ok(())
    }
}

impl Table {
    /// What says these words is throttled, however often it is said.
    pub fn throttling(&self, words: &'static str) -> Self {
        let config =
            self.client.config().to_builder().interceptor(Throttle { words, said: AtomicBool::new(false) }).build();
        Self::with_client(Client::from_conf(config), self.name.clone())
    }

    /// What is asked is done, but answered with an error the first time.
    pub fn answering(&self, operation: &str, body: &'static str) -> Self {
        let target = format!("DynamoDB_20120810.{operation}");
        let answer = Answer { target, body, state: AtomicU8::new(UNASKED) };
        let config = self.client.config().to_builder().interceptor(answer).build();
        Self::with_client(Client::from_conf(config), self.name.clone())
    }
}
