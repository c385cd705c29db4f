//! A value that fits its type and selection: what a response carries, and what a mutation publishes.
use apollo_compiler::Name;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

#[derive(Clone, Debug, PartialEq)]
pub enum Completed {
    Null,
    Leaf(Value),
    List(Vec<Completed>),
    Object { type_name: Name, members: Vec<Member> },
}

/// A selected field with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The alias, if the client gave one.
    pub key: Name,
    pub field: Name,
    pub value: Completed,
}

impl Completed {
    /// How much text it holds, roughly, without that of objects in it.
    pub fn text_bytes(&self) -> usize {
        match self {
            Completed::Leaf(Value::String(text)) => text.len(),
            Completed::Leaf(Value::Null | Value::Bool(_) | Value::Number(_)) => size_of::<Value>(),
            Completed::Leaf(whole) => whole.to_string().len(),
            Completed::List(items) => items.iter().map(|item| size_of::<Completed>() + item.text_bytes()).sum(),
            Completed::Null | Completed::Object { .. } => 0,
        }
    }

    /// The value under the fields' own names, with the types of objects: what subscribers select from.
    pub fn published(&self) -> Value {
        match self {
            Completed::Null => Value::Null,
            Completed::Leaf(value) => value.clone(),
            Completed::List(items) => items.iter().map(Completed::published).collect(),
            Completed::Object { type_name, members } => {
                let mut object: Map<_, _> =
                    members.iter().map(|member| (member.field.to_string(), member.value.published())).collect();
                object.insert("__typename".to_owned(), type_name.as_str().into());
                Value::Object(object)
            }
        }
    }
}

impl Serialize for Completed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Completed::Null => serializer.serialize_none(),
            Completed::Leaf(value) => value.serialize(serializer),
            Completed::List(items) => serializer.collect_seq(items),
            Completed::Object { members, .. } => {
                serializer.collect_map(members.iter().map(|member| (member.key.as_str(), &member.value)))
            }
        }
    }
}
