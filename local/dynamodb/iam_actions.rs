//! What a call does, action by action, as IAM tells one from the other.
use dynoxide::{
    AttributeValue, Item,
    actions::{
        batch_get_item::BatchGetItemRequest,
        batch_write_item::{BatchWriteItemRequest, WriteRequest},
        delete_item::DeleteItemRequest,
        get_item::GetItemRequest,
        put_item::PutItemRequest,
        query::QueryRequest,
        scan::ScanRequest,
        transact_get_items::TransactGetItemsRequest,
        transact_write_items::{TransactWriteItem, TransactWriteItemsRequest},
        update_item::UpdateItemRequest,
    },
};

/// One action on one table or index.
pub struct Access<'a> {
    pub action: &'static str,
    pub table: &'a str,
    pub index: Option<&'a str>,
    place: Place<'a>,
}

/// Where it says which partitions it touches.
enum Place<'a> {
    /// Items, or their keys.
    Items(Vec<&'a Item>),
    Condition(&'a QueryRequest),
    /// Nowhere: all of them.
    Nowhere,
}

pub trait Accesses {
    fn accesses(&self) -> Vec<Access<'_>>;
}

impl<'a> Access<'a> {
    /// Those of the attribute that partitions the table, or the index where one is queried; none when one of them cannot
    /// be told.
    pub fn partition_keys(&self, attribute: &str) -> Vec<&'a str> {
        let keys = match &self.place {
            Place::Items(items) => items.iter().map(|item| text(item.get(attribute)?)).collect(),
            Place::Condition(query) => equated(query, attribute).map(|key| vec![key]),
            Place::Nowhere => None,
        };
        keys.unwrap_or_default()
    }

    fn to_items(action: &'static str, table: &'a str, items: Vec<&'a Item>) -> Self {
        Self { action, table, index: None, place: Place::Items(items) }
    }
}

fn text(value: &AttributeValue) -> Option<&str> {
    match value {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}

/// What the query's condition has the attribute equal.
fn equated<'a>(query: &'a QueryRequest, attribute: &str) -> Option<&'a str> {
    let condition = query.key_condition_expression.as_deref()?.replace(['(', ')'], " ").replace('=', " = ");
    let tokens: Vec<&str> = condition.split_whitespace().collect();
    let named = |name: &&str| match query.expression_attribute_names.as_ref().and_then(|names| names.get(*name)) {
        Some(named) => named == attribute,
        None => *name == attribute,
    };
    let value = tokens.windows(3).find(|tokens| named(&tokens[0]) && tokens[1] == "=").map(|tokens| tokens[2])?;
    text(query.expression_attribute_values.as_ref()?.get(value)?)
}

impl Accesses for GetItemRequest {
    fn accesses(&self) -> Vec<Access<'_>> {
        vec![Access::to_items("dynamodb:GetItem", &self.table_name, vec![&self.key])]
    }
}

impl Accesses for BatchGetItemRequest {
    fn accesses(&self) -> Vec<Access<'_>> {
        let tables = self.request_items.iter();
        tables
            .map(|(table, wanted)| Access::to_items("dynamodb:BatchGetItem", table, wanted.keys.iter().collect()))
            .collect()
    }
}

impl Accesses for QueryRequest {
    fn accesses(&self) -> Vec<Access<'_>> {
        let (table, index) = (self.table_name.as_str(), self.index_name.as_deref());
        vec![Access { action: "dynamodb:Query", table, index, place: Place::Condition(self) }]
    }
}

impl Accesses for ScanRequest {
    fn accesses(&self) -> Vec<Access<'_>> {
        let (table, index) = (self.table_name.as_str(), self.index_name.as_deref());
        vec![Access { action: "dynamodb:Scan", table, index, place: Place::Nowhere }]
    }
}

impl Accesses for TransactGetItemsRequest {
    fn accesses(&self) -> Vec<Access<'_>> {
        let gets = self.transact_items.iter().map(|item| &item.get);
        gets.map(|get| Access::to_items("dynamodb:GetItem", &get.table_name, vec![&get.key])).collect()
    }
}

impl Accesses for PutItemRequest {
    fn accesses(&self) -> Vec<Access<'_>> {
        vec![Access::to_items("dynamodb:PutItem", &self.table_name, vec![&self.item])]
    }
}

impl Accesses for UpdateItemRequest {
    fn accesses(&self) -> Vec<Access<'_>> {
        vec![Access::to_items("dynamodb:UpdateItem", &self.table_name, vec![&self.key])]
    }
}

impl Accesses for DeleteItemRequest {
    fn accesses(&self) -> Vec<Access<'_>> {
        vec![Access::to_items("dynamodb:DeleteItem", &self.table_name, vec![&self.key])]
    }
}

impl Accesses for BatchWriteItemRequest {
    fn accesses(&self) -> Vec<Access<'_>> {
        let tables = self.request_items.iter();
        tables
            .map(|(table, writes)| {
                Access::to_items("dynamodb:BatchWriteItem", table, writes.iter().flat_map(written).collect())
            })
            .collect()
    }
}

fn written(write: &WriteRequest) -> impl Iterator<Item = &Item> {
    let put = write.put_request.iter().map(|put| &put.item);
    put.chain(write.delete_request.iter().map(|delete| &delete.key))
}

/// A transaction needs no right of its own, but that to each thing it does. AWS lists `dynamodb:LeadingKeys` for
/// ConditionCheckItem, which transactions alone have: their items are taken to name their partitions as single calls do.
impl Accesses for TransactWriteItemsRequest {
    fn accesses(&self) -> Vec<Access<'_>> {
        self.transact_items.iter().flat_map(done).collect()
    }
}

fn done(entry: &TransactWriteItem) -> impl Iterator<Item = Access<'_>> {
    let put = entry.put.iter().map(|put| ("dynamodb:PutItem", &put.table_name, &put.item));
    let update = entry.update.iter().map(|update| ("dynamodb:UpdateItem", &update.table_name, &update.key));
    let delete = entry.delete.iter().map(|delete| ("dynamodb:DeleteItem", &delete.table_name, &delete.key));
    let check =
        entry.condition_check.iter().map(|check| ("dynamodb:ConditionCheckItem", &check.table_name, &check.key));
    let all = put.chain(update).chain(delete).chain(check);
    all.map(|(action, table, item)| Access::to_items(action, table, vec![item]))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn query(request: Value) -> QueryRequest {
        serde_json::from_value(request).unwrap()
    }

    #[test]
    fn a_query_names_its_partition_however_it_is_written() {
        let values = json!({ ":key": { "S": "TURN#1" }, ":other": { "S": "USER#1" } });
        let names = json!({ "#key": "pk", "#pk": "sk" });
        let cases = [
            ("pk = :key", Some("TURN#1")),
            ("(pk=:key)", Some("TURN#1")),
            ("#key = :key AND sk BETWEEN :other AND :other", Some("TURN#1")),
            ("(sk <= :other) and (#key = :key)", Some("TURN#1")),
            ("begins_with(sk, :other) AND pk = :key", Some("TURN#1")),
            ("#pk = :other AND pk = :key", Some("TURN#1")),
            ("#pk = :other", None),
            ("sk = :other", None),
            ("pk <= :other", None),
            ("pk = :missing", None),
            ("", None),
        ];
        for (condition, expected) in cases {
            let query = query(json!({ "TableName": "Things", "KeyConditionExpression": condition,
                "ExpressionAttributeNames": names, "ExpressionAttributeValues": values }));
            assert_eq!(query.accesses()[0].partition_keys("pk"), Vec::from_iter(expected), "{condition}");
        }
    }

    #[test]
    fn a_transaction_does_what_each_of_its_items_does() {
        let key = |id: &str| json!({ "pk": { "S": id } });
        let transaction: TransactWriteItemsRequest = serde_json::from_value(json!({ "TransactItems": [
            { "Put": { "TableName": "t", "Item": key("a") } },
            { "Update": { "TableName": "t", "Key": key("b"), "UpdateExpression": "SET x = :x" } },
            { "Delete": { "TableName": "t", "Key": key("c") } },
            { "ConditionCheck": { "TableName": "u", "Key": key("d"), "ConditionExpression": "attribute_exists(pk)" } },
        ] }))
        .unwrap();
        let done: Vec<_> = (transaction.accesses().iter())
            .map(|access| (access.action, access.table, access.partition_keys("pk").concat()))
            .collect();
        let expected = [
            ("dynamodb:PutItem", "t", "a"),
            ("dynamodb:UpdateItem", "t", "b"),
            ("dynamodb:DeleteItem", "t", "c"),
            ("dynamodb:ConditionCheckItem", "u", "d"),
        ];
        assert_eq!(done, expected.map(|(action, table, key)| (action, table, key.to_owned())));
    }

    #[test]
    fn a_key_that_cannot_be_told_leaves_none_of_a_batch() {
        let keys = json!([{ "pk": { "S": "a" } }, { "pk": { "N": "1" } }]);
        let batch: BatchGetItemRequest =
            serde_json::from_value(json!({ "RequestItems": { "t": { "Keys": keys } } })).unwrap();
        assert!(batch.accesses()[0].partition_keys("pk").is_empty());
    }
}
