//! A table of its own for a test: an embedded DynamoDB, called by the SDK over HTTP.
use std::future::pending;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Region},
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest, ScalarAttributeType,
        WriteRequest,
    },
};
use dynoxide::Database;
use serde_json::{Value, json};

use super::Item;
use crate::aws::dynamodb::{Table, attributes::get_string};

pub async fn embedded_table() -> Table {
    embedded_table_and_database().await.0
}

/// An empty table on a port of its own. It lives as long as the test's runtime.
pub async fn embedded_table_and_database() -> (Table, Database) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let database = Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database.clone(), pending()));
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .endpoint_url(endpoint)
        .build();
    let table = Table::with_client(Client::from_conf(config), "parlance");
    table.create().await;
    (table, database)
}

impl Table {
    async fn create(&self) {
        let key = |name, key_type| KeySchemaElement::builder().attribute_name(name).key_type(key_type).build().unwrap();
        let attribute = |name| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
        };
        self.client
            .create_table()
            .table_name(&self.name)
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(key("pk", KeyType::Hash))
            .key_schema(key("sk", KeyType::Range))
            .attribute_definitions(attribute("pk"))
            .attribute_definitions(attribute("sk"))
            .send()
            .await
            .unwrap();
    }

    pub async fn put_items(&self, items: impl IntoIterator<Item = Item>) {
        let requests: Vec<_> = items
            .into_iter()
            .map(|item| {
                let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
                WriteRequest::builder().put_request(put).build()
            })
            .collect();
        for batch in requests.chunks(25) {
            self.client.batch_write_item().request_items(&self.name, batch.to_vec()).send().await.unwrap();
        }
    }

    pub async fn all_items(&self) -> Vec<Item> {
        self.client.scan().table_name(&self.name).send().await.unwrap().items.unwrap_or_default()
    }

    pub async fn clear(&self) {
        for item in self.all_items().await {
            let key = ["pk", "sk"].map(|name| (name.to_owned(), item[name].clone()));
            self.client.delete_item().table_name(&self.name).set_key(Some(key.into())).send().await.unwrap();
        }
    }

    /// The item with this sort key as JSON, without its key. Null if there is none.
    pub async fn stored_json(&self, sort_key: &str) -> Value {
        let items = self.all_items().await;
        let Some(item) = items.iter().find(|item| get_string(item, "sk") == Some(sort_key)) else {
            return Value::Null;
        };
        item.iter()
            .filter(|(name, _)| !matches!(name.as_str(), "pk" | "sk"))
            .map(|(name, value)| (name.clone(), to_json(value)))
            .collect()
    }
}

fn to_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!(text),
        AttributeValue::N(number) => json!(number.parse::<i64>().unwrap()),
        AttributeValue::Bool(flag) => json!(flag),
        AttributeValue::L(values) => values.iter().map(to_json).collect(),
        AttributeValue::M(members) => members.iter().map(|(name, value)| (name.clone(), to_json(value))).collect(),
        _ => Value::Null,
    }
}
