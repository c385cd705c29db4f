//! The types of this crate have exactly the values and fields of schema.graphql.
use std::collections::BTreeSet;

use api::types::{
    ContentBlock, ConversationEvent, Failure, FailureCode, InferenceSettings, Sender, SenderKind, StopReason,
    ToolResult, ToolStatus, ToolUse, TurnStatus, Usage,
};
use graphql_parser::schema::{Definition, TypeDefinition, parse_schema};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor, value::Error as ValueError},
    forward_to_deserialize_any,
};

const SCHEMA: &str = include_str!("../../schema.graphql");

#[test]
fn enums_have_the_values_of_the_schema() {
    assert_eq!(names_in::<TurnStatus>(), enum_values("TurnStatus"));
    assert_eq!(names_in::<SenderKind>(), enum_values("SenderKind"));
    assert_eq!(names_in::<StopReason>(), enum_values("StopReason"));
    assert_eq!(names_in::<ToolStatus>(), enum_values("ToolStatus"));
    assert_eq!(names_in::<FailureCode>(), enum_values("FailureCode"));
    assert_eq!(FailureCode::ALL.len(), enum_values("FailureCode").len());
}

#[test]
fn structs_have_the_fields_of_the_schema() {
    // A resolver writes answerPosition for the transcript; the API does not return it.
    let mut event_fields = type_fields("ConversationEvent");
    event_fields.insert("answerPosition");
    assert_eq!(names_in::<ConversationEvent>(), event_fields);
    assert_eq!(names_in::<Sender>(), type_fields("Sender"));
    assert_eq!(names_in::<ContentBlock>(), type_fields("ContentBlock"));
    assert_eq!(names_in::<ToolUse>(), type_fields("ToolUse"));
    assert_eq!(names_in::<ToolResult>(), type_fields("ToolResult"));
    assert_eq!(names_in::<Failure>(), type_fields("Failure"));
    assert_eq!(names_in::<Usage>(), type_fields("Usage"));
    assert_eq!(names_in::<InferenceSettings>(), type_fields("InferenceSettings"));
}

fn enum_values(name: &str) -> BTreeSet<&'static str> {
    let values = types().find_map(|found| match found {
        TypeDefinition::Enum(found) if found.name == name => Some(found.values),
        _ => None,
    });
    values.unwrap().iter().map(|value| value.name).collect()
}

fn type_fields(name: &str) -> BTreeSet<&'static str> {
    let fields = types().find_map(|found| match found {
        TypeDefinition::Object(found) if found.name == name => Some(found.fields),
        _ => None,
    });
    fields.unwrap().iter().map(|field| field.name).collect()
}

fn types() -> impl Iterator<Item = TypeDefinition<'static, &'static str>> {
    let definitions = parse_schema(SCHEMA).unwrap().definitions.into_iter();
    definitions.filter_map(|definition| match definition {
        Definition::TypeDefinition(found) => Some(found),
        _ => None,
    })
}

/// The variants or fields that a type's `Deserialize` implementation asks for.
fn names_in<T: for<'de> Deserialize<'de>>() -> BTreeSet<&'static str> {
    let mut names: &'static [&'static str] = &[];
    T::deserialize(NameRecorder(&mut names)).err().expect("a recorder returns no value");
    names.iter().copied().collect()
}

/// Records the names that serde's derived implementations pass to a deserializer.
struct NameRecorder<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for NameRecorder<'_> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ValueError> {
        Err(ValueError::custom("neither an enum nor a struct"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ValueError> {
        *self.0 = variants;
        Err(ValueError::custom("recorded"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ValueError> {
        *self.0 = fields;
        Err(ValueError::custom("recorded"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}
