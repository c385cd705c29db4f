//! Values that fit their type and selection: the content of a response and the payload of a subscription.
use apollo_compiler::Name;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

#[derive(Clone, Debug, PartialEq)]
pub enum ResponseValue {
    Null,
    Leaf(Value),
    List(Vec<ResponseValue>),
    Object { type_name: Name, members: Vec<Member> },
}

/// A selected field with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The response key: the alias, or the field's name.
    pub key: Name,
    pub value: ResponseValue,
}

impl ResponseValue {
    /// The approximate number of bytes of the value without the objects in it.
    pub fn text_bytes(&self) -> usize {
        match self {
            ResponseValue::Leaf(Value::String(text)) => text.len(),
            ResponseValue::Leaf(Value::Null | Value::Bool(_) | Value::Number(_)) => size_of::<Value>(),
            ResponseValue::Leaf(structured) => structured.to_string().len(),
            ResponseValue::List(items) => items.iter().map(|item| size_of::<ResponseValue>() + item.text_bytes()).sum(),
            ResponseValue::Null | ResponseValue::Object { .. } => 0,
        }
    }

    /// The value as subscribers select from it, with the type names of objects. AppSync publishes an aliased
    /// field under its alias, so that subscribers do not find it under its name
    /// (aws/aws-appsync-community issue 160).
    pub fn to_subscription_payload(&self) -> Value {
        match self {
            ResponseValue::Null => Value::Null,
            ResponseValue::Leaf(value) => value.clone(),
            ResponseValue::List(items) => items.iter().map(ResponseValue::to_subscription_payload).collect(),
            ResponseValue::Object { type_name, members } => {
                let entries = members.iter();
                let entries = entries.map(|member| (member.key.to_string(), member.value.to_subscription_payload()));
                let mut object: Map<_, _> = entries.collect();
                object.insert("__typename".to_owned(), type_name.as_str().into());
                Value::Object(object)
            }
        }
    }
}

impl Serialize for ResponseValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ResponseValue::Null => serializer.serialize_none(),
            ResponseValue::Leaf(value) => value.serialize(serializer),
            ResponseValue::List(items) => serializer.collect_seq(items),
            ResponseValue::Object { members, .. } => {
                serializer.collect_map(members.iter().map(|member| (member.key.as_str(), &member.value)))
            }
        }
    }
}
