//! Conditions of statements, those that keep a role to some partitions of a table.
use std::{collections::BTreeMap, slice};

use serde::Deserialize;

use super::matches;

/// All of them must hold.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Conditions(BTreeMap<Operator, BTreeMap<Key, Texts>>);

/// One text, or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "OneOrMany")]
pub struct Texts(pub Vec<String>);

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    StringEquals,
    StringLike,
    #[serde(rename = "ForAllValues:StringEquals")]
    EachStringEquals,
    #[serde(rename = "ForAllValues:StringLike")]
    EachStringLike,
    Null,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    #[serde(rename = "dynamodb:LeadingKeys")]
    LeadingKeys,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Conditions {
    pub fn hold(&self, leading_keys: &[&str]) -> bool {
        let tests =
            self.0.iter().flat_map(|(operator, keys)| keys.iter().map(move |(key, texts)| (operator, key, texts)));
        let mut tests = tests.map(|(operator, Key::LeadingKeys, texts)| operator.holds(leading_keys, texts));
        tests.all(|holds| holds)
    }
}

impl Operator {
    /// IAM takes `ForAllValues` for true where the key is absent. Without it a key is to have one value: where it has
    /// several, all must fit.
    fn holds(self, values: &[&str], texts: &Texts) -> bool {
        let equal = |value: &&str| texts.iter().any(|text| text == value);
        let alike = |value: &&str| texts.iter().any(|text| matches(text, value));
        match self {
            Self::EachStringEquals => values.iter().all(equal),
            Self::EachStringLike => values.iter().all(alike),
            Self::StringEquals => !values.is_empty() && values.iter().all(equal),
            Self::StringLike => !values.is_empty() && values.iter().all(alike),
            Self::Null => texts.iter().any(|text| (text == "true") == values.is_empty()),
        }
    }
}

impl Texts {
    pub fn iter(&self) -> slice::Iter<'_, String> {
        self.0.iter()
    }

    pub fn iter_mut(&mut self) -> slice::IterMut<'_, String> {
        self.0.iter_mut()
    }
}

impl From<OneOrMany> for Texts {
    fn from(texts: OneOrMany) -> Self {
        Self(match texts {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn holds(conditions: Value, leading_keys: &[&str]) -> bool {
        serde_json::from_value::<Conditions>(conditions).unwrap().hold(leading_keys)
    }

    #[test]
    fn each_leading_key_must_fit_one_pattern() {
        let each = |operator: &str| json!({ operator: { "dynamodb:LeadingKeys": ["TURN#*", "AGENTS"] } });
        let cases: [(&[&str], bool, bool); 6] = [
            (&["TURN#1"], true, false),
            (&["TURN#1", "AGENTS", "TURN#"], true, false),
            (&["AGENTS"], true, true),
            (&["TURN#1", "USER#1"], false, false),
            (&["USER#TURN#1"], false, false),
            (&["AGENTS#1"], false, false),
        ];
        for (keys, like, equal) in cases {
            assert_eq!(holds(each("ForAllValues:StringLike"), keys), like, "{keys:?}");
            assert_eq!(holds(each("StringLike"), keys), like, "{keys:?}");
            assert_eq!(holds(each("ForAllValues:StringEquals"), keys), equal, "{keys:?}");
            assert_eq!(holds(each("StringEquals"), keys), equal, "{keys:?}");
        }
    }

    #[test]
    fn a_call_without_keys_meets_for_all_values_and_nothing_else() {
        let keys = json!({ "dynamodb:LeadingKeys": "TURN#*" });
        let present = json!({ "dynamodb:LeadingKeys": "false" });
        assert!(holds(json!({ "ForAllValues:StringLike": keys }), &[]));
        assert!(!holds(json!({ "ForAllValues:StringLike": keys, "Null": present }), &[]));
        assert!(holds(json!({ "ForAllValues:StringLike": keys, "Null": present }), &["TURN#1"]));
        assert!(!holds(json!({ "StringLike": keys }), &[]));
        assert!(holds(json!({ "Null": { "dynamodb:LeadingKeys": "true" } }), &[]));
        assert!(!holds(json!({ "Null": { "dynamodb:LeadingKeys": "true" } }), &["TURN#1"]));
        assert!(holds(json!({}), &[]));
    }
}
