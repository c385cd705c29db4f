//! The operations of a DynamoDB data source, one function each.
use std::collections::HashSet;

use dynoxide::{DynoxideError, Item, actions::batch_get_item::BatchGetItemRequest, errors::CancellationReason};
use serde_json::{Map, Value, json};

use super::{
    appsync_error::AppSyncError,
    attribute_values::{to_attribute_values, to_plain_item},
    data_source_response::DataSourceResponse,
    database_error::DatabaseError,
    item_writes,
    metered_database::MeteredDatabase,
    paging,
    request_document::{RequestBuilder, RequestDocument, parse_request, wrong_type},
};

const MAX_BATCH_GET_KEYS: usize = 100;
/// Members that only versioned data sources use.
const VERSIONED_MEMBERS: [&str; 3] = ["customPartitionKey", "populateIndexFields", "_version"];

type Outcome = Result<DataSourceResponse, AppSyncError>;

pub fn run(database: &MeteredDatabase, table: &str, request: &Value) -> Outcome {
    let document = RequestDocument::parse(request)?;
    document.reject_members(&VERSIONED_MEMBERS)?;
    match document.text("operation")? {
        "GetItem" => get(database, table, document),
        "PutItem" => item_writes::put(database, table, document),
        "UpdateItem" => item_writes::update(database, table, document),
        "DeleteItem" => item_writes::delete(database, table, document),
        "Query" => query(database, table, document),
        "Scan" => scan(database, table, document),
        "BatchGetItem" => batch_get(database, document),
        "BatchPutItem" => batch_put(database, document),
        "BatchDeleteItem" => batch_delete(database, document),
        "TransactGetItems" => transact_get(database, document),
        "TransactWriteItems" => transact_write(database, document),
        other => {
            let message = format!("The local server does not support the operation '{other}'.");
            Err(AppSyncError::invalid_document(message))
        }
    }
}

fn item_or_null(item: Option<Item>) -> Value {
    item.as_ref().map_or(Value::Null, to_plain_item)
}

fn get(database: &MeteredDatabase, table: &str, document: RequestDocument<'_>) -> Outcome {
    let key = document.attribute_values("key")?;
    let item = get_item(database, table, document, key)?;
    Ok(DataSourceResponse::from_result(item_or_null(item)))
}

fn get_item(
    database: &MeteredDatabase,
    table: &str,
    options: RequestDocument<'_>,
    key: Value,
) -> Result<Option<Item>, AppSyncError> {
    let request = RequestBuilder::for_table(table)
        .set("Key", key)
        .copy("ConsistentRead", &options, "consistentRead")
        .expression("ProjectionExpression", options.child("projection")?)?;
    Ok(database.get_item(request.build()?)?.item)
}

fn query(database: &MeteredDatabase, table: &str, document: RequestDocument<'_>) -> Outcome {
    document.required("query")?;
    let request = page_request(table, document)?
        .copy("ScanIndexForward", &document, "scanIndexForward")
        .expression("KeyConditionExpression", document.child("query")?)?;
    let page = database.query(request.build()?)?;
    Ok(page_response(table, document, page.items, page.scanned_count, page.last_evaluated_key))
}

fn scan(database: &MeteredDatabase, table: &str, document: RequestDocument<'_>) -> Outcome {
    let request = page_request(table, document)?.copy("Segment", &document, "segment").copy(
        "TotalSegments",
        &document,
        "totalSegments",
    );
    let page = database.scan(request.build()?)?;
    Ok(page_response(table, document, page.items, page.scanned_count, page.last_evaluated_key))
}

/// The members that queries and scans share.
fn page_request(table: &str, document: RequestDocument<'_>) -> Result<RequestBuilder, AppSyncError> {
    let request = RequestBuilder::for_table(table)
        .copy("IndexName", &document, "index")
        .copy("Limit", &document, "limit")
        .copy("ConsistentRead", &document, "consistentRead")
        .copy("Select", &document, "select")
        .expression("FilterExpression", document.child("filter")?)?
        .expression("ProjectionExpression", document.child("projection")?)?;
    Ok(match paging::exclusive_start_key(table, &document)? {
        Some(key) => request.set("ExclusiveStartKey", key),
        None => request,
    })
}

fn page_response(
    table: &str,
    document: RequestDocument<'_>,
    items: Option<Vec<Item>>,
    scanned_count: usize,
    last_key: Option<Item>,
) -> DataSourceResponse {
    let items: Vec<Value> = items.iter().flatten().map(to_plain_item).collect();
    let next_token = last_key.map(|key| paging::next_token(table, &document, &json!(key)));
    DataSourceResponse::from_result(json!({ "items": items, "nextToken": next_token, "scannedCount": scanned_count }))
}

/// Authorizes the batch of each table as `BatchGetItem`, then reads its items one by one.
fn batch_get(database: &MeteredDatabase, document: RequestDocument<'_>) -> Outcome {
    let tables = document.map("tables")?;
    let mut data = Map::new();
    for (table, request) in tables {
        let request = RequestDocument::parse(request)?;
        let keys = attribute_value_list("keys", request.list("keys")?)?;
        validate_batch_keys(&keys)?;
        let batch: BatchGetItemRequest = parse_request(json!({ "RequestItems": { table: { "Keys": keys } } }))?;
        database.authorize(&batch)?;
        let authorized = database.without_guard();
        let items = keys.into_iter().map(|key| get_item(&authorized, table, request, key).map(item_or_null));
        data.insert(table.clone(), items.collect::<Result<_, _>>()?);
    }
    Ok(DataSourceResponse::from_result(json!({ "unprocessedKeys": empty_lists(&data), "data": data })))
}

fn batch_put(database: &MeteredDatabase, document: RequestDocument<'_>) -> Outcome {
    let data = batch_write(database, document, |item| json!({ "PutRequest": { "Item": item } }))?;
    Ok(DataSourceResponse::from_result(json!({ "unprocessedItems": empty_lists(&data), "data": data })))
}

fn batch_delete(database: &MeteredDatabase, document: RequestDocument<'_>) -> Outcome {
    let data = batch_write(database, document, |key| json!({ "DeleteRequest": { "Key": key } }))?;
    Ok(DataSourceResponse::from_result(json!({ "unprocessedKeys": empty_lists(&data), "data": data })))
}

/// Writes all entries. Returns the entries as plain values by table.
fn batch_write(
    database: &MeteredDatabase,
    document: RequestDocument<'_>,
    to_write_request: impl Fn(&Value) -> Value,
) -> Result<Map<String, Value>, AppSyncError> {
    let mut requests = Map::new();
    let mut data = Map::new();
    for (table, entries) in document.map("tables")? {
        let entries = entries.as_array().ok_or_else(|| wrong_type("tables", "an object of lists"))?;
        let entries = attribute_value_list("tables", entries)?;
        requests.insert(table.clone(), entries.iter().map(&to_write_request).collect());
        data.insert(table.clone(), entries.into_iter().map(to_plain_map).collect::<Result<_, _>>()?);
    }
    database.batch_write_item(parse_request(json!({ "RequestItems": requests }))?)?;
    Ok(data)
}

fn transact_get(database: &MeteredDatabase, document: RequestDocument<'_>) -> Outcome {
    let items = document.list("transactItems")?;
    let gets = items.iter().map(transact_get_entry).collect::<Result<Value, AppSyncError>>()?;
    let items: Vec<Value> = match database.transact_get_items(parse_request(json!({ "TransactItems": gets }))?) {
        Ok(response) => response.responses.into_iter().map(|response| item_or_null(response.item)).collect(),
        Err(error) => return transaction_failed(error, "items"),
    };
    Ok(DataSourceResponse::from_result(json!({ "items": items, "cancellationReasons": null })))
}

fn transact_get_entry(item: &Value) -> Result<Value, AppSyncError> {
    let item = RequestDocument::parse(item)?;
    let get = RequestBuilder::for_table(item.text("table")?)
        .set("Key", item.attribute_values("key")?)
        .expression("ProjectionExpression", item.child("projection")?)?;
    Ok(json!({ "Get": get.into_value() }))
}

fn transact_write(database: &MeteredDatabase, document: RequestDocument<'_>) -> Outcome {
    let items = document.list("transactItems")?;
    let writes = items.iter().map(transact_write_entry).collect::<Result<Value, AppSyncError>>()?;
    if let Err(error) = database.transact_write_items(parse_request(json!({ "TransactItems": writes }))?) {
        return transaction_failed(error, "keys");
    }
    let keys = items.iter().map(|item| to_plain_map(RequestDocument::parse(item)?.attribute_values("key")?));
    let keys = keys.collect::<Result<Value, _>>()?;
    Ok(DataSourceResponse::from_result(json!({ "keys": keys, "cancellationReasons": null })))
}

fn transact_write_entry(item: &Value) -> Result<Value, AppSyncError> {
    let item = RequestDocument::parse(item)?;
    let condition = item.child("condition")?;
    let return_values = condition.and_then(|condition| condition.optional("returnValuesOnConditionCheckFailure"));
    let returns_item = return_values != Some(&json!(false));
    let request = RequestBuilder::for_table(item.text("table")?)
        .set("ReturnValuesOnConditionCheckFailure", if returns_item { "ALL_OLD" } else { "NONE" })
        .expression("ConditionExpression", condition)?;
    let (kind, request) = match item.text("operation")? {
        "PutItem" => ("Put", request.set("Item", item_writes::full_item(item)?)),
        "UpdateItem" => {
            item.required("update")?;
            let request = request.set("Key", item.attribute_values("key")?);
            ("Update", request.expression("UpdateExpression", item.child("update")?)?)
        }
        "DeleteItem" => ("Delete", request.set("Key", item.attribute_values("key")?)),
        "ConditionCheck" => ("ConditionCheck", request.set("Key", item.attribute_values("key")?)),
        other => {
            let message = format!("A transaction does not hold the operation '{other}'.");
            return Err(AppSyncError::invalid_document(message));
        }
    };
    Ok(json!({ kind: request.into_value() }))
}

/// The response to a failed transaction. A cancelled one has a reason for each item, in order.
fn transaction_failed(error: DatabaseError, result_member: &str) -> Outcome {
    let DatabaseError::Database(DynoxideError::TransactionCanceledException(_, reasons)) = &error else {
        return Err(error.into());
    };
    let reasons: Vec<Value> = reasons.iter().map(cancellation_reason).collect();
    let result = json!({ result_member: null, "cancellationReasons": reasons });
    Ok(AppSyncError::from(error).into_response(result))
}

/// AppSync documents its own name and message for a failed condition.
fn cancellation_reason(reason: &CancellationReason) -> Value {
    let (kind, message) = match reason.code.as_str() {
        "ConditionalCheckFailed" => ("ConditionCheckFailed", "The condition check failed."),
        "None" => ("None", "None"),
        other => (other, reason.message.as_deref().unwrap_or_default()),
    };
    match &reason.item {
        Some(item) => json!({ "item": to_plain_item(item), "type": kind, "message": message }),
        None => json!({ "type": kind, "message": message }),
    }
}

fn attribute_value_list(name: &str, entries: &[Value]) -> Result<Vec<Value>, AppSyncError> {
    let convert = |entry: &Value| {
        let members = entry.as_object().ok_or_else(|| wrong_type(name, "objects"))?;
        to_attribute_values(members)
    };
    entries.iter().map(convert).collect()
}

fn to_plain_map(attribute_values: Value) -> Result<Value, AppSyncError> {
    Ok(to_plain_item(&parse_request::<Item>(attribute_values)?))
}

/// An empty list for each table.
fn empty_lists(data: &Map<String, Value>) -> Value {
    data.keys().map(|table| (table.clone(), json!([]))).collect::<Map<_, _>>().into()
}

/// DynamoDB's validation of the keys of a batch, which single reads do not perform.
fn validate_batch_keys(keys: &[Value]) -> Result<(), AppSyncError> {
    let distinct: HashSet<String> = keys.iter().map(Value::to_string).collect();
    let message = if keys.len() > MAX_BATCH_GET_KEYS {
        format!("A batch holds at most {MAX_BATCH_GET_KEYS} keys, not {}", keys.len())
    } else if keys.len() > distinct.len() {
        "Provided list of item keys contains duplicates".to_owned()
    } else {
        return Ok(());
    };
    Err(DatabaseError::from(DynoxideError::ValidationException(message)).into())
}
