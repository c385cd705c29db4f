//! DynamoDB tables. CreateTable validates their definitions.
use serde::Deserialize;
use serde_json::{Value, json};

use super::Ignored;
use crate::stack::Table;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TableProperties {
    billing_mode: Value,
    attribute_definitions: Value,
    key_schema: Value,
    #[serde(default)]
    global_secondary_indexes: Value,
    time_to_live_specification: Option<TimeToLive>,
    #[serde(rename = "PointInTimeRecoverySpecification")]
    _point_in_time_recovery_specification: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TimeToLive {
    attribute_name: String,
    enabled: bool,
}

impl TableProperties {
    pub fn into_table(self, name: &str) -> Table {
        let mut definition = json!({
            "TableName": name,
            "BillingMode": self.billing_mode,
            "AttributeDefinitions": self.attribute_definitions,
            "KeySchema": self.key_schema,
        });
        if !self.global_secondary_indexes.is_null() {
            definition["GlobalSecondaryIndexes"] = self.global_secondary_indexes;
        }
        let ttl = self.time_to_live_specification.filter(|ttl| ttl.enabled);
        Table { definition, ttl_attribute: ttl.map(|ttl| ttl.attribute_name) }
    }
}
