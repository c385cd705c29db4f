//! Deserialization of JSON objects only.
//!
//! Serde's derived `Deserialize` of a struct also takes a JSON array, whose items it assigns to the members
//! in their order. AWS refuses such an array.
use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// A value that is deserialized from a JSON object and from nothing else.
pub struct ObjectOnly<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ObjectOnly<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// For `deserialize_with` of a member.
pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    ObjectOnly::deserialize(deserializer).map(|ObjectOnly(value)| value)
}

/// For `deserialize_with` of an optional member.
pub fn deserialize_option<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let object = Option::<ObjectOnly<T>>::deserialize(deserializer)?;
    Ok(object.map(|ObjectOnly(value)| value))
}

/// For `deserialize_with` of a list of objects.
pub fn deserialize_list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let objects = Vec::<ObjectOnly<T>>::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|ObjectOnly(value)| value).collect())
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = ObjectOnly<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(ObjectOnly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Outer {
        name: String,
        #[serde(default, deserialize_with = "deserialize_option")]
        optional: Option<Inner>,
        #[serde(default, deserialize_with = "deserialize_list")]
        list: Vec<Inner>,
        #[serde(default, deserialize_with = "deserialize")]
        inner: Inner,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Inner {
        number: u8,
    }

    fn parse(json: &str) -> Result<Outer, String> {
        let parsed = serde_json::from_str::<ObjectOnly<Outer>>(json);
        parsed.map(|ObjectOnly(outer)| outer).map_err(|error| error.to_string())
    }

    #[test]
    fn objects_are_deserialized() {
        let json = r#"{"name":"n","optional":{"number":1},"list":[{"number":2}],"inner":{"number":3}}"#;
        let [one, two, three] = [1, 2, 3].map(|number| Inner { number });
        assert_eq!(parse(json), Ok(Outer { name: "n".into(), optional: Some(one), list: vec![two], inner: three }));
        let absent = Outer { name: "n".into(), ..Outer::default() };
        assert_eq!(parse(r#"{"name":"n","optional":null}"#), Ok(absent));
    }

    #[test]
    fn arrays_are_refused() {
        let arrays = [
            r#"["n"]"#,
            r#"{"name":"n","optional":[1]}"#,
            r#"{"name":"n","list":[[2]]}"#,
            r#"{"name":"n","inner":[3]}"#,
        ];
        for json in arrays {
            assert!(parse(json).is_err_and(|error| error.contains("expected an object")), "{json}");
        }
    }
}
