//! Single-item writes, whose conditions AppSync judges a second time: a repeated put or delete is not a failure.
use dynoxide::{DynoxideError, Item};
use serde_json::{Map, Value, json};

use super::Answer;
use super::appsync_error::Refusal;
use super::attribute_values::plain_item;
use super::consumed_capacity::Metered;
use super::database_error::Failure;
use super::request_document::{Document, Request, build};

type Outcome = Result<Answer, Refusal>;

/// Succeeds also when the condition fails and the stored item is the one to be written, `equalsIgnore` aside.
pub fn put(database: &Metered, table: &str, document: Document<'_>) -> Outcome {
    let item = whole_item(document)?;
    let written = plain_item(&build::<Item>(item.clone())?);
    let request = write(table, document)?.set("Item", item);
    match database.put_item(request.build()?) {
        Ok(_) => Ok(Answer::of(written)),
        Err(fault) => failed(fault, |stored| {
            let ignored = ignored(document);
            (without(stored, &ignored) == without(&written, &ignored)).then(|| stored.clone())
        }),
    }
}

pub fn update(database: &Metered, table: &str, document: Document<'_>) -> Outcome {
    document.required("update")?;
    let request = write(table, document)?
        .set("Key", document.typed("key")?)
        .set("ReturnValues", "ALL_NEW")
        .expression("UpdateExpression", document.child("update")?)?;
    match database.update_item(request.build()?) {
        Ok(response) => Ok(Answer::of(response.attributes.as_ref().map_or(Value::Null, plain_item))),
        Err(fault) => failed(fault, |_| None),
    }
}

/// Succeeds also when the condition fails and there is no such item.
pub fn delete(database: &Metered, table: &str, document: Document<'_>) -> Outcome {
    let request = write(table, document)?.set("Key", document.typed("key")?).set("ReturnValues", "ALL_OLD");
    match database.delete_item(request.build()?) {
        Ok(response) => Ok(Answer::of(response.attributes.as_ref().map_or(Value::Null, plain_item))),
        Err(fault) => failed(fault, |stored| stored.is_null().then_some(Value::Null)),
    }
}

/// The item of a put: its attributes and its key.
pub fn whole_item(document: Document<'_>) -> Result<Value, Refusal> {
    let mut item = document.typed("attributeValues")?;
    if let (Some(item), Value::Object(key)) = (item.as_object_mut(), document.typed("key")?) {
        item.extend(key);
    }
    Ok(item)
}

fn write(table: &str, document: Document<'_>) -> Result<Request, Refusal> {
    let condition = document.child("condition")?;
    let strategy = condition.map(|one| one.child("conditionalCheckFailedHandler")).transpose()?.flatten();
    if strategy.is_some_and(|one| one.optional("strategy") == Some(&json!("Custom"))) {
        return Err(Refusal::template("The laptop edition does not support the strategy 'Custom'.".into()));
    }
    Request::to(table)
        .set("ReturnValuesOnConditionCheckFailure", "ALL_OLD")
        .expression("ConditionExpression", condition)
}

/// The stored item comes along as the result, unless `forgiven` finds that nothing is amiss.
fn failed(failure: Failure, forgiven: impl Fn(&Value) -> Option<Value>) -> Outcome {
    let Failure::Database(DynoxideError::ConditionalCheckFailedException(_, stored)) = &failure else {
        return Err(failure.into());
    };
    let stored = stored.as_ref().map_or(Value::Null, plain_item);
    Ok(forgiven(&stored).map_or_else(|| Refusal::from(failure).with(stored), Answer::of))
}

fn ignored(document: Document<'_>) -> Vec<String> {
    let names = document.optional("condition").and_then(|condition| condition.get("equalsIgnore"));
    names.and_then(Value::as_array).into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn without(item: &Value, ignored: &[String]) -> Map<String, Value> {
    let members = item.as_object().cloned().unwrap_or_default();
    members.into_iter().filter(|(name, _)| !ignored.contains(name)).collect()
}
