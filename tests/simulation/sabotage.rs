//! Builds that are broken on purpose, each in one place: what the checker must catch.
use serde_json::{Value, json};

use crate::weather::Weather;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Attempts write without a fence.
    NoFence,
    /// The last event is stored without what it says.
    EmptyEnd,
    /// Subscribers are told another end than is stored.
    AnotherEndTold,
    /// A lease never ends.
    EternalLease,
    /// Every second number is left out.
    NumbersLeftOut,
    /// Stored batches are trimmed.
    TrimmedBatches,
    /// A retry leaves the old answer standing.
    NothingSuperseded,
    /// Every batch is written once more.
    WrittenTwice,
}

impl Sabotage {
    /// Brings about what makes the difference.
    pub fn of_weather(self, weather: &mut Weather) {
        match self {
            Self::NoFence => (weather.stalls, weather.deaths) = (600, 0),
            Self::EternalLease => weather.deaths = 600,
            _ => {}
        }
    }

    /// A request of a resolver to the table.
    pub fn of_resolvers(self, request: &mut Value) {
        match self {
            Self::NoFence => {
                each_write(request, |write| {
                    if key(write).starts_with("TURN#") || write["operation"] == "PutItem" {
                        write.as_object_mut().map(|write| write.remove("condition"));
                    }
                });
            }
            Self::EmptyEnd => each_write(request, |write| {
                if !write["attributeValues"]["stopReason"].is_null() {
                    write["attributeValues"]["content"] = json!({ "L": [] });
                }
            }),
            Self::EternalLease => each_write(request, |write| {
                if let Some(values) = write.pointer_mut("/update/expressionValues").and_then(Value::as_object_mut) {
                    values.iter_mut().filter(|(name, _)| name.contains("lease")).for_each(|(_, value)| {
                        *value = json!({ "N": "9999999999999" });
                    });
                }
            }),
            Self::TrimmedBatches => each_write(request, |write| {
                if let Some(text) = write["attributeValues"]["text"]["S"].as_str().map(str::trim).map(str::to_owned) {
                    write["attributeValues"]["text"] = json!({ "S": text });
                }
            }),
            Self::NothingSuperseded => {
                if let Some(items) = request.get_mut("transactItems").and_then(Value::as_array_mut) {
                    items.retain(|item| !item["update"].to_string().contains("superseded"));
                }
            }
            Self::AnotherEndTold | Self::NumbersLeftOut | Self::WrittenTwice => {}
        }
    }

    /// A call of the handler to the table.
    pub fn of_handler(self, body: Vec<u8>) -> Vec<u8> {
        let Ok(mut request) = serde_json::from_slice::<Value>(&body) else { return body };
        let renews = request["Key"]["sk"]["S"].as_str().is_some_and(|key| key.starts_with("TURN#"))
            && request["UpdateExpression"].as_str().is_some_and(|update| !update.contains("attempt"));
        if self == Self::NoFence && renews {
            request.as_object_mut().and_then(|request| request.remove("ConditionExpression"));
        }
        serde_json::to_vec(&request).unwrap_or(body)
    }

    /// What AppSync tells subscribers.
    pub fn of_updates(self, update: &mut Value) {
        if self == Self::AnotherEndTold && update["event"]["stopReason"].is_string() {
            update["event"]["text"] = json!("something else");
        }
    }

    /// What the handler sends to AppSync.
    pub fn of_publishes(self, body: Vec<u8>) -> Vec<u8> {
        let Ok(mut request) = serde_json::from_slice::<Value>(&body) else { return body };
        if self == Self::NumbersLeftOut
            && let Some(sequence) = request["variables"]["data"]["sequence"].as_u64()
        {
            request["variables"]["data"]["sequence"] = json!(sequence * 2);
        }
        serde_json::to_vec(&request).unwrap_or(body)
    }
}

fn each_write(request: &mut Value, change: impl Fn(&mut Value)) {
    match request.get_mut("transactItems").and_then(Value::as_array_mut) {
        Some(items) => items.iter_mut().for_each(change),
        None => change(request),
    }
}

fn key(write: &Value) -> String {
    write["key"]["sk"]["S"].as_str().unwrap_or_default().to_owned()
}
