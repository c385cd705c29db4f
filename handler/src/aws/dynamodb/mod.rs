//! The one table, as far as the handler reads and writes it directly.
mod claim;
mod history;
mod items;
mod purge;
#[cfg(test)]
mod tests;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::AttributeValue,
};

pub struct Table {
    client: Client,
    name: String,
}

#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("DynamoDB {operation} failed: {code}")]
    Call { operation: &'static str, code: String },
    #[error("the {item} item has no usable {attribute}")]
    Item { item: &'static str, attribute: &'static str },
}

impl Table {
    pub fn new(config: &SdkConfig, name: &str) -> Self {
        Self { client: Client::new(config), name: name.to_owned() }
    }
}

fn failed<E: ProvideErrorMetadata, R>(operation: &'static str) -> impl Fn(SdkError<E, R>) -> TableError {
    move |error| {
        let code = error.code().unwrap_or("no answer").to_owned();
        TableError::Call { operation, code }
    }
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn conversation_key(conversation: &str) -> String {
    format!("CONVERSATION#{conversation}")
}

fn batches_key(conversation: &str, turn: &str) -> String {
    format!("TURN#{conversation}#{turn}")
}
