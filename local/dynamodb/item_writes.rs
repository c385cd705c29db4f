//! Writes of single items.
//!
//! AppSync evaluates a failed condition a second time: a repeated put or delete then succeeds.
use dynoxide::{DynoxideError, Item};
use serde_json::{Map, Value, json};

use super::{
    appsync_error::AppSyncError,
    attribute_values::to_plain_item,
    data_source_response::DataSourceResponse,
    database_error::DatabaseError,
    metered_database::MeteredDatabase,
    request_document::{RequestBuilder, RequestDocument, parse_request},
};

type Outcome = Result<DataSourceResponse, AppSyncError>;

/// Puts an item. If the condition fails, succeeds if the stored item equals the new item, except for the
/// attributes in `equalsIgnore`.
pub fn put(database: &MeteredDatabase, table: &str, document: RequestDocument<'_>) -> Outcome {
    let item = full_item(document)?;
    let new_item = to_plain_item(&parse_request::<Item>(item.clone())?);
    let request = conditional_write(table, document)?.set("Item", item);
    match database.put_item(request.build()?) {
        Ok(_) => Ok(DataSourceResponse::from_result(new_item)),
        Err(error) => write_failed(error, |stored| {
            let ignored = ignored_attributes(document);
            let is_equal = without_attributes(stored, &ignored) == without_attributes(&new_item, &ignored);
            is_equal.then(|| stored.clone())
        }),
    }
}

pub fn update(database: &MeteredDatabase, table: &str, document: RequestDocument<'_>) -> Outcome {
    document.required("update")?;
    let request = conditional_write(table, document)?
        .set("Key", document.attribute_values("key")?)
        .set("ReturnValues", "ALL_NEW")
        .expression("UpdateExpression", document.child("update")?)?;
    match database.update_item(request.build()?) {
        Ok(response) => Ok(attributes_response(response.attributes.as_ref())),
        Err(error) => write_failed(error, |_| None),
    }
}

/// Deletes an item. If the condition fails, succeeds if there is no item.
pub fn delete(database: &MeteredDatabase, table: &str, document: RequestDocument<'_>) -> Outcome {
    let request = conditional_write(table, document)?
        .set("Key", document.attribute_values("key")?)
        .set("ReturnValues", "ALL_OLD");
    match database.delete_item(request.build()?) {
        Ok(response) => Ok(attributes_response(response.attributes.as_ref())),
        Err(error) => write_failed(error, |stored| stored.is_null().then_some(Value::Null)),
    }
}

/// The item of a put: its attributes and its key.
pub fn full_item(document: RequestDocument<'_>) -> Result<Value, AppSyncError> {
    let mut item = document.attribute_values("attributeValues")?;
    if let (Some(item), Value::Object(key)) = (item.as_object_mut(), document.attribute_values("key")?) {
        item.extend(key);
    }
    Ok(item)
}

fn attributes_response(attributes: Option<&Item>) -> DataSourceResponse {
    DataSourceResponse::from_result(attributes.map_or(Value::Null, to_plain_item))
}

fn conditional_write(table: &str, document: RequestDocument<'_>) -> Result<RequestBuilder, AppSyncError> {
    let condition = document.child("condition")?;
    let handler = match condition {
        Some(condition) => condition.child("conditionalCheckFailedHandler")?,
        None => None,
    };
    if handler.is_some_and(|handler| handler.optional("strategy") == Some(&json!("Custom"))) {
        let message = "The local server does not support the strategy 'Custom'.";
        return Err(AppSyncError::invalid_document(message.into()));
    }
    RequestBuilder::for_table(table)
        .set("ReturnValuesOnConditionCheckFailure", "ALL_OLD")
        .expression("ConditionExpression", condition)
}

/// The response to a failed write. If the condition failed, `success_result` decides by the stored item
/// whether the write succeeds nevertheless; otherwise the response has the error and the stored item.
fn write_failed(error: DatabaseError, success_result: impl Fn(&Value) -> Option<Value>) -> Outcome {
    let DatabaseError::Database(DynoxideError::ConditionalCheckFailedException(_, stored)) = &error else {
        return Err(error.into());
    };
    let stored = stored.as_ref().map_or(Value::Null, to_plain_item);
    Ok(match success_result(&stored) {
        Some(result) => DataSourceResponse::from_result(result),
        None => AppSyncError::from(error).into_response(stored),
    })
}

fn ignored_attributes(document: RequestDocument<'_>) -> Vec<String> {
    let names = document.optional("condition").and_then(|condition| condition.get("equalsIgnore"));
    names.and_then(Value::as_array).into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn without_attributes(item: &Value, ignored: &[String]) -> Map<String, Value> {
    let members = item.as_object().cloned().unwrap_or_default();
    members.into_iter().filter(|(name, _)| !ignored.contains(name)).collect()
}
