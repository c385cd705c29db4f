//! Mutants of the program: each changes one thing at runtime so that one invariant breaks. The checker must
//! notice.
use serde_json::{Value, json};

use crate::fault_profile::FaultProfile;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Attempts write without the fencing condition.
    NoFencing,
    /// The event that ends an answer is stored without its text.
    EmptyFinalEvent,
    /// The update that ends an answer has another text than the stored event.
    WrongFinalUpdate,
    /// A lease never expires.
    EndlessLease,
    /// Updates use every second sequence only.
    SkippedSequences,
    /// Stored batches lose white space at their ends.
    TrimmedBatches,
    /// A retry does not supersede the old answer.
    RetryKeepsAnswer,
    /// Every batch is written twice.
    DuplicateWrites,
}

impl Mutant {
    /// Makes the faults frequent that the mutant needs to show.
    pub fn adjust_faults(self, profile: &mut FaultProfile) {
        match self {
            Self::NoFencing => {
                profile.process_stalls = 600;
                profile.process_kills = 0;
            }
            Self::EndlessLease => profile.process_kills = 600,
            _ => {}
        }
    }

    /// Changes the request document of a resolver to the table.
    pub fn change_resolver_request(self, request: &mut Value) {
        match self {
            Self::NoFencing => for_each_write(request, remove_condition),
            Self::EmptyFinalEvent => for_each_write(request, |write| {
                if !write["attributeValues"]["stopReason"].is_null() {
                    write["attributeValues"]["content"] = json!({ "L": [] });
                }
            }),
            Self::EndlessLease => for_each_write(request, |write| {
                let values = write.pointer_mut("/update/expressionValues").and_then(Value::as_object_mut);
                for (_, value) in values.into_iter().flatten().filter(|(name, _)| name.contains("lease")) {
                    *value = json!({ "N": "9999999999999" });
                }
            }),
            Self::TrimmedBatches => for_each_write(request, |write| {
                if let Some(text) = write["attributeValues"]["text"]["S"].as_str().map(str::trim).map(str::to_owned) {
                    write["attributeValues"]["text"] = json!({ "S": text });
                }
            }),
            Self::RetryKeepsAnswer => {
                if let Some(items) = request.get_mut("transactItems").and_then(Value::as_array_mut) {
                    items.retain(|item| !item["update"].to_string().contains("superseded"));
                }
            }
            Self::WrongFinalUpdate | Self::SkippedSequences | Self::DuplicateWrites => {}
        }
    }

    /// Changes the body of a handler's call to the table.
    pub fn change_handler_request(self, body: Vec<u8>) -> Vec<u8> {
        if self != Self::NoFencing {
            return body;
        }
        change_json(body, |request| {
            let is_turn = request["Key"]["sk"]["S"].as_str().is_some_and(|key| key.starts_with("TURN#"));
            let is_renewal =
                request["UpdateExpression"].as_str().is_some_and(|expression| !expression.contains("attempt"));
            if is_turn && is_renewal {
                request.as_object_mut().and_then(|request| request.remove("ConditionExpression"));
            }
        })
    }

    /// Changes an update on its way to subscribers.
    pub fn change_update(self, update: &mut Value) {
        if self == Self::WrongFinalUpdate && update["event"]["stopReason"].is_string() {
            update["event"]["text"] = json!("another text");
        }
    }

    /// Changes the body of a handler's publish.
    pub fn change_publish(self, body: Vec<u8>) -> Vec<u8> {
        if self != Self::SkippedSequences {
            return body;
        }
        change_json(body, |request| {
            if let Some(sequence) = request["variables"]["data"]["sequence"].as_u64() {
                request["variables"]["data"]["sequence"] = json!(sequence * 2);
            }
        })
    }
}

fn change_json(body: Vec<u8>, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let Ok(mut request) = serde_json::from_slice(&body) else { return body };
    change(&mut request);
    serde_json::to_vec(&request).unwrap_or(body)
}

fn for_each_write(request: &mut Value, change: impl Fn(&mut Value)) {
    match request.get_mut("transactItems").and_then(Value::as_array_mut) {
        Some(items) => items.iter_mut().for_each(change),
        None => change(request),
    }
}

fn remove_condition(write: &mut Value) {
    let is_turn = write["key"]["sk"]["S"].as_str().is_some_and(|key| key.starts_with("TURN#"));
    if is_turn || write["operation"] == "PutItem" {
        write.as_object_mut().and_then(|write| write.remove("condition"));
    }
}
