//! The operations of a DynamoDB data source, one function each.
use std::collections::HashSet;

use dynoxide::actions::batch_get_item::BatchGetItemRequest;
use dynoxide::errors::CancellationReason;
use dynoxide::{DynoxideError, Item};
use serde_json::{Map, Value, json};

use super::appsync_error::Refusal;
use super::attribute_values::plain_item;
use super::consumed_capacity::Metered;
use super::database_error::Failure;
use super::request_document::{Document, Request, build, unsuitable};
use super::{Answer, conditional, paging};

const KEYS_PER_BATCH_GET: usize = 100;

type Outcome = Result<Answer, Refusal>;

pub fn run(database: &Metered, table: &str, request: &Value) -> Outcome {
    let document = Document::read(request)?;
    document.refuse(&["customPartitionKey", "populateIndexFields", "_version"])?;
    match document.text("operation")? {
        "GetItem" => get(database, table, document),
        "PutItem" => conditional::put(database, table, document),
        "UpdateItem" => conditional::update(database, table, document),
        "DeleteItem" => conditional::delete(database, table, document),
        "Query" => query(database, table, document),
        "Scan" => scan(database, table, document),
        "BatchGetItem" => batch_get(database, document),
        "BatchPutItem" => batch_put(database, document),
        "BatchDeleteItem" => batch_delete(database, document),
        "TransactGetItems" => transact_get(database, document),
        "TransactWriteItems" => transact_write(database, document),
        other => Err(Refusal::template(format!("The laptop edition does not support the operation '{other}'."))),
    }
}

fn item_or_null(item: Option<Item>) -> Value {
    item.as_ref().map_or(Value::Null, plain_item)
}

fn get(database: &Metered, table: &str, document: Document<'_>) -> Outcome {
    let key = document.typed("key")?;
    Ok(Answer::of(item_or_null(get_item(database, table, document, key)?)))
}

fn get_item(database: &Metered, table: &str, options: Document<'_>, key: Value) -> Result<Option<Item>, Refusal> {
    let request = Request::to(table)
        .set("Key", key)
        .copy("ConsistentRead", &options, "consistentRead")
        .expression("ProjectionExpression", options.child("projection")?)?;
    Ok(database.get_item(request.build()?)?.item)
}

fn query(database: &Metered, table: &str, document: Document<'_>) -> Outcome {
    document.required("query")?;
    let request = listing(table, document)?
        .copy("ScanIndexForward", &document, "scanIndexForward")
        .expression("KeyConditionExpression", document.child("query")?)?;
    let page = database.query(request.build()?)?;
    Ok(page_answer(table, document, page.items, page.scanned_count, page.last_evaluated_key))
}

fn scan(database: &Metered, table: &str, document: Document<'_>) -> Outcome {
    let request = listing(table, document)?.copy("Segment", &document, "segment").copy(
        "TotalSegments",
        &document,
        "totalSegments",
    );
    let page = database.scan(request.build()?)?;
    Ok(page_answer(table, document, page.items, page.scanned_count, page.last_evaluated_key))
}

fn listing(table: &str, document: Document<'_>) -> Result<Request, Refusal> {
    let request = Request::to(table)
        .copy("IndexName", &document, "index")
        .copy("Limit", &document, "limit")
        .copy("ConsistentRead", &document, "consistentRead")
        .copy("Select", &document, "select")
        .expression("FilterExpression", document.child("filter")?)?
        .expression("ProjectionExpression", document.child("projection")?)?;
    Ok(match paging::start_key(table, &document)? {
        Some(key) => request.set("ExclusiveStartKey", key),
        None => request,
    })
}

fn page_answer(
    table: &str,
    document: Document<'_>,
    items: Option<Vec<Item>>,
    scanned: usize,
    last_key: Option<Item>,
) -> Answer {
    let items: Vec<Value> = items.iter().flatten().map(plain_item).collect();
    let next = last_key.map(|key| paging::token(table, &document, &json!(key)));
    Answer::of(json!({ "items": items, "nextToken": next, "scannedCount": scanned }))
}

fn batch_get(database: &Metered, document: Document<'_>) -> Outcome {
    let tables = document.map("tables")?;
    let mut data = Map::new();
    for (table, request) in tables {
        let request = Document::read(request)?;
        let keys = typed_list("keys", request.list("keys")?)?;
        unlike(&keys, KEYS_PER_BATCH_GET)?;
        database.admit(&build::<BatchGetItemRequest>(json!({ "RequestItems": { table: { "Keys": keys } } }))?)?;
        let admitted = database.unguarded();
        let items = keys.into_iter().map(|key| get_item(&admitted, table, request, key).map(item_or_null));
        data.insert(table.clone(), items.collect::<Result<_, _>>()?);
    }
    Ok(Answer::of(json!({ "unprocessedKeys": none_of(&data), "data": data })))
}

fn batch_put(database: &Metered, document: Document<'_>) -> Outcome {
    let data = batch_write(database, document, |item| json!({ "PutRequest": { "Item": item } }))?;
    Ok(Answer::of(json!({ "unprocessedItems": none_of(&data), "data": data })))
}

fn batch_delete(database: &Metered, document: Document<'_>) -> Outcome {
    let data = batch_write(database, document, |key| json!({ "DeleteRequest": { "Key": key } }))?;
    Ok(Answer::of(json!({ "unprocessedKeys": none_of(&data), "data": data })))
}

/// Writes all entries and gives them back, as plain values, by table.
fn batch_write(
    database: &Metered,
    document: Document<'_>,
    write: impl Fn(&Value) -> Value,
) -> Result<Map<String, Value>, Refusal> {
    let mut requests = Map::new();
    let mut data = Map::new();
    for (table, entries) in document.map("tables")? {
        let entries = entries.as_array().ok_or_else(|| unsuitable("tables", "an object of lists"))?;
        let entries = typed_list("tables", entries)?;
        requests.insert(table.clone(), entries.iter().map(&write).collect());
        data.insert(table.clone(), entries.into_iter().map(plain_map).collect::<Result<_, _>>()?);
    }
    database.batch_write_item(build(json!({ "RequestItems": requests }))?)?;
    Ok(data)
}

fn transact_get(database: &Metered, document: Document<'_>) -> Outcome {
    let items = document.list("transactItems")?;
    let gets = items.iter().map(|item| {
        let item = Document::read(item)?;
        let get = Request::to(item.text("table")?)
            .set("Key", item.typed("key")?)
            .expression("ProjectionExpression", item.child("projection")?)?;
        Ok(json!({ "Get": get.into_value() }))
    });
    let gets = gets.collect::<Result<Value, Refusal>>()?;
    let items: Vec<Value> = match database.transact_get_items(build(json!({ "TransactItems": gets }))?) {
        Ok(response) => response.responses.into_iter().map(|one| item_or_null(one.item)).collect(),
        Err(fault) => return cancelled(fault, "items"),
    };
    Ok(Answer::of(json!({ "items": items, "cancellationReasons": null })))
}

fn transact_write(database: &Metered, document: Document<'_>) -> Outcome {
    let items = document.list("transactItems")?;
    let writes = items.iter().map(|item| transacted(Document::read(item)?)).collect::<Result<Value, Refusal>>()?;
    if let Err(fault) = database.transact_write_items(build(json!({ "TransactItems": writes }))?) {
        return cancelled(fault, "keys");
    }
    let keys = items.iter().map(|item| plain_map(Document::read(item)?.typed("key")?));
    Ok(Answer::of(json!({ "keys": keys.collect::<Result<Value, _>>()?, "cancellationReasons": null })))
}

fn transacted(item: Document<'_>) -> Result<Value, Refusal> {
    let condition = item.child("condition")?;
    let tell = condition.and_then(|one| one.optional("returnValuesOnConditionCheckFailure")) != Some(&json!(false));
    let request = Request::to(item.text("table")?)
        .set("ReturnValuesOnConditionCheckFailure", if tell { "ALL_OLD" } else { "NONE" })
        .expression("ConditionExpression", condition)?;
    let (kind, request) = match item.text("operation")? {
        "PutItem" => ("Put", request.set("Item", conditional::whole_item(item)?)),
        "UpdateItem" => {
            item.required("update")?;
            ("Update", request.set("Key", item.typed("key")?).expression("UpdateExpression", item.child("update")?)?)
        }
        "DeleteItem" => ("Delete", request.set("Key", item.typed("key")?)),
        "ConditionCheck" => ("ConditionCheck", request.set("Key", item.typed("key")?)),
        other => return Err(Refusal::template(format!("A transaction does not hold the operation '{other}'."))),
    };
    Ok(json!({ kind: request.into_value() }))
}

/// The answer to a transaction that was cancelled: a reason for each item, in order.
fn cancelled(failure: Failure, results: &str) -> Outcome {
    let Failure::Database(DynoxideError::TransactionCanceledException(_, reasons)) = &failure else {
        return Err(failure.into());
    };
    let reasons: Vec<Value> = reasons.iter().map(reason).collect();
    Ok(Refusal::from(failure).with(json!({ results: null, "cancellationReasons": reasons })))
}

/// AppSync documents its own spelling of the one reason that resolvers look for.
fn reason(reason: &CancellationReason) -> Value {
    let (kind, message) = match reason.code.as_str() {
        "ConditionalCheckFailed" => ("ConditionCheckFailed", "The condition check failed."),
        "None" => ("None", "None"),
        other => (other, reason.message.as_deref().unwrap_or_default()),
    };
    match &reason.item {
        Some(item) => json!({ "item": plain_item(item), "type": kind, "message": message }),
        None => json!({ "type": kind, "message": message }),
    }
}

fn typed_list(name: &str, entries: &[Value]) -> Result<Vec<Value>, Refusal> {
    let typed = |entry: &Value| {
        super::attribute_values::typed_map(entry.as_object().ok_or_else(|| unsuitable(name, "objects"))?)
    };
    entries.iter().map(typed).collect()
}

fn plain_map(typed: Value) -> Result<Value, Refusal> {
    Ok(plain_item(&build::<Item>(typed)?))
}

fn none_of(data: &Map<String, Value>) -> Value {
    data.keys().map(|table| (table.clone(), json!([]))).collect::<Map<_, _>>().into()
}

/// What DynamoDB itself would say of a batch of keys.
fn unlike(keys: &[Value], most: usize) -> Result<(), Refusal> {
    let distinct: HashSet<String> = keys.iter().map(Value::to_string).collect();
    let message = match keys.len() {
        count if count > most => format!("A batch holds at most {most} keys, not {count}"),
        count if count > distinct.len() => "Provided list of item keys contains duplicates".to_owned(),
        _ => return Ok(()),
    };
    Err(Failure::from(DynoxideError::ValidationException(message)).into())
}
