//! The IAM actions that each DynamoDB call requires.
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
pub struct IamAction<'a> {
    pub action: &'static str,
    pub table: &'a str,
    pub index: Option<&'a str>,
    partitions: Partitions<'a>,
}

/// The part of a request that names its partitions.
enum Partitions<'a> {
    /// Items, or keys of items.
    OfItems(Vec<&'a Item>),
    OfQuery(&'a QueryRequest),
    All,
}

/// A call that IAM authorizes.
pub trait AuthorizedCall {
    fn iam_actions(&self) -> Vec<IamAction<'_>>;
}

impl<'a> IamAction<'a> {
    /// The values of the partition key, given the name of its attribute in the table or index. Empty if one
    /// of the values is unknown.
    pub fn partition_keys(&self, attribute: &str) -> Vec<&'a str> {
        let keys = match &self.partitions {
            Partitions::OfItems(items) => items.iter().map(|item| as_text(item.get(attribute)?)).collect(),
            Partitions::OfQuery(query) => equality_value(query, attribute).map(|key| vec![key]),
            Partitions::All => None,
        };
        keys.unwrap_or_default()
    }

    fn on_items(action: &'static str, table: &'a str, items: Vec<&'a Item>) -> Self {
        Self { action, table, index: None, partitions: Partitions::OfItems(items) }
    }
}

fn as_text(value: &AttributeValue) -> Option<&str> {
    match value {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}

/// The value that the query's key condition requires the attribute to equal.
fn equality_value<'a>(query: &'a QueryRequest, attribute: &str) -> Option<&'a str> {
    let condition = query.key_condition_expression.as_deref()?.replace(['(', ')'], " ").replace('=', " = ");
    let tokens: Vec<&str> = condition.split_whitespace().collect();
    let is_attribute = |name: &&str| match query.expression_attribute_names.as_ref().and_then(|names| names.get(*name))
    {
        Some(replacement) => replacement == attribute,
        None => *name == attribute,
    };
    let mut windows = tokens.windows(3);
    let placeholder = windows.find(|tokens| is_attribute(&tokens[0]) && tokens[1] == "=").map(|tokens| tokens[2])?;
    as_text(query.expression_attribute_values.as_ref()?.get(placeholder)?)
}

impl AuthorizedCall for GetItemRequest {
    fn iam_actions(&self) -> Vec<IamAction<'_>> {
        vec![IamAction::on_items("dynamodb:GetItem", &self.table_name, vec![&self.key])]
    }
}

impl AuthorizedCall for BatchGetItemRequest {
    fn iam_actions(&self) -> Vec<IamAction<'_>> {
        let tables = self.request_items.iter();
        tables
            .map(|(table, batch)| IamAction::on_items("dynamodb:BatchGetItem", table, batch.keys.iter().collect()))
            .collect()
    }
}

impl AuthorizedCall for QueryRequest {
    fn iam_actions(&self) -> Vec<IamAction<'_>> {
        let (table, index) = (self.table_name.as_str(), self.index_name.as_deref());
        vec![IamAction { action: "dynamodb:Query", table, index, partitions: Partitions::OfQuery(self) }]
    }
}

impl AuthorizedCall for ScanRequest {
    fn iam_actions(&self) -> Vec<IamAction<'_>> {
        let (table, index) = (self.table_name.as_str(), self.index_name.as_deref());
        vec![IamAction { action: "dynamodb:Scan", table, index, partitions: Partitions::All }]
    }
}

impl AuthorizedCall for TransactGetItemsRequest {
    fn iam_actions(&self) -> Vec<IamAction<'_>> {
        let gets = self.transact_items.iter().map(|item| &item.get);
        gets.map(|get| IamAction::on_items("dynamodb:GetItem", &get.table_name, vec![&get.key])).collect()
    }
}

impl AuthorizedCall for PutItemRequest {
    fn iam_actions(&self) -> Vec<IamAction<'_>> {
        vec![IamAction::on_items("dynamodb:PutItem", &self.table_name, vec![&self.item])]
    }
}

impl AuthorizedCall for UpdateItemRequest {
    fn iam_actions(&self) -> Vec<IamAction<'_>> {
        vec![IamAction::on_items("dynamodb:UpdateItem", &self.table_name, vec![&self.key])]
    }
}

impl AuthorizedCall for DeleteItemRequest {
    fn iam_actions(&self) -> Vec<IamAction<'_>> {
        vec![IamAction::on_items("dynamodb:DeleteItem", &self.table_name, vec![&self.key])]
    }
}

impl AuthorizedCall for BatchWriteItemRequest {
    fn iam_actions(&self) -> Vec<IamAction<'_>> {
        let tables = self.request_items.iter();
        tables
            .map(|(table, writes)| {
                IamAction::on_items("dynamodb:BatchWriteItem", table, writes.iter().flat_map(written_items).collect())
            })
            .collect()
    }
}

fn written_items(write: &WriteRequest) -> impl Iterator<Item = &Item> {
    let put = write.put_request.iter().map(|put| &put.item);
    put.chain(write.delete_request.iter().map(|delete| &delete.key))
}

/// A transaction requires the actions of its items and no action of its own.
///
/// Items of transactions are assumed to have `dynamodb:LeadingKeys` as single calls do: AWS lists the
/// condition key for ConditionCheckItem, which only transactions use.
impl AuthorizedCall for TransactWriteItemsRequest {
    fn iam_actions(&self) -> Vec<IamAction<'_>> {
        self.transact_items.iter().flat_map(entry_actions).collect()
    }
}

fn entry_actions(entry: &TransactWriteItem) -> impl Iterator<Item = IamAction<'_>> {
    let put = entry.put.iter().map(|put| ("dynamodb:PutItem", &put.table_name, &put.item));
    let update = entry.update.iter().map(|update| ("dynamodb:UpdateItem", &update.table_name, &update.key));
    let delete = entry.delete.iter().map(|delete| ("dynamodb:DeleteItem", &delete.table_name, &delete.key));
    let check =
        entry.condition_check.iter().map(|check| ("dynamodb:ConditionCheckItem", &check.table_name, &check.key));
    let all = put.chain(update).chain(delete).chain(check);
    all.map(|(action, table, item)| IamAction::on_items(action, table, vec![item]))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn query(request: Value) -> QueryRequest {
        serde_json::from_value(request).unwrap()
    }

    #[test]
    fn partition_key_of_a_query_is_read_from_its_condition() {
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
            assert_eq!(query.iam_actions()[0].partition_keys("pk"), Vec::from_iter(expected), "{condition}");
        }
    }

    #[test]
    fn transaction_requires_the_actions_of_its_items() {
        let key = |id: &str| json!({ "pk": { "S": id } });
        let transaction: TransactWriteItemsRequest = serde_json::from_value(json!({ "TransactItems": [
            { "Put": { "TableName": "t", "Item": key("a") } },
            { "Update": { "TableName": "t", "Key": key("b"), "UpdateExpression": "SET x = :x" } },
            { "Delete": { "TableName": "t", "Key": key("c") } },
            { "ConditionCheck": { "TableName": "u", "Key": key("d"), "ConditionExpression": "attribute_exists(pk)" } },
        ] }))
        .unwrap();
        let actions: Vec<_> = (transaction.iam_actions().iter())
            .map(|action| (action.action, action.table, action.partition_keys("pk").concat()))
            .collect();
        let expected = [
            ("dynamodb:PutItem", "t", "a"),
            ("dynamodb:UpdateItem", "t", "b"),
            ("dynamodb:DeleteItem", "t", "c"),
            ("dynamodb:ConditionCheckItem", "u", "d"),
        ];
        assert_eq!(actions, expected.map(|(action, table, key)| (action, table, key.to_owned())));
    }

    #[test]
    fn batch_with_an_unknown_partition_key_has_no_leading_keys() {
        let keys = json!([{ "pk": { "S": "a" } }, { "pk": { "N": "1" } }]);
        let batch: BatchGetItemRequest =
            serde_json::from_value(json!({ "RequestItems": { "t": { "Keys": keys } } })).unwrap();
        assert!(batch.iam_actions()[0].partition_keys("pk").is_empty());
    }
}
