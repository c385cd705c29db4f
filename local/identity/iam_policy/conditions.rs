//! Conditions of IAM statements. The only condition key is `dynamodb:LeadingKeys`.
use std::{collections::BTreeMap, slice};

use serde::Deserialize;

use super::pattern::matches_pattern;

/// The condition block of a statement. All conditions must hold.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Conditions(BTreeMap<Operator, BTreeMap<Key, Texts>>);

/// A string or a list of strings.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "OneOrMany")]
pub struct Texts(pub Vec<String>);

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    StringEquals,
    StringLike,
    #[serde(rename = "ForAllValues:StringEquals")]
    ForAllValuesStringEquals,
    #[serde(rename = "ForAllValues:StringLike")]
    ForAllValuesStringLike,
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
        self.0.iter().all(|(operator, keys)| {
            keys.iter().all(|(Key::LeadingKeys, expected)| operator.holds(leading_keys, expected))
        })
    }
}

impl Operator {
    /// `ForAllValues` holds if the condition key has no values, as in IAM. The other operators expect one
    /// value; if there are several, all of them must match.
    fn holds(self, values: &[&str], expected: &Texts) -> bool {
        let is_equal = |value: &&str| expected.iter().any(|text| text == value);
        let is_like = |value: &&str| expected.iter().any(|pattern| matches_pattern(pattern, value));
        match self {
            Self::ForAllValuesStringEquals => values.iter().all(is_equal),
            Self::ForAllValuesStringLike => values.iter().all(is_like),
            Self::StringEquals => !values.is_empty() && values.iter().all(is_equal),
            Self::StringLike => !values.is_empty() && values.iter().all(is_like),
            Self::Null => expected.iter().any(|text| (text == "true") == values.is_empty()),
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
    fn each_leading_key_must_match_one_pattern() {
        let condition = |operator: &str| json!({ operator: { "dynamodb:LeadingKeys": ["TURN#*", "AGENTS"] } });
        let cases: [(&[&str], bool, bool); 6] = [
            (&["TURN#1"], true, false),
            (&["TURN#1", "AGENTS", "TURN#"], true, false),
            (&["AGENTS"], true, true),
            (&["TURN#1", "USER#1"], false, false),
            (&["USER#TURN#1"], false, false),
            (&["AGENTS#1"], false, false),
        ];
        for (keys, like, equal) in cases {
            assert_eq!(holds(condition("ForAllValues:StringLike"), keys), like, "{keys:?}");
            assert_eq!(holds(condition("StringLike"), keys), like, "{keys:?}");
            assert_eq!(holds(condition("ForAllValues:StringEquals"), keys), equal, "{keys:?}");
            assert_eq!(holds(condition("StringEquals"), keys), equal, "{keys:?}");
        }
    }

    #[test]
    fn absent_leading_keys_satisfy_for_all_values_and_null_only() {
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
